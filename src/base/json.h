// Writes JSON (RFC 8259) into an sbuf. Commas and quotes come by themselves; nesting is the caller's and is checked.
#pragma once
#include "base/sbuf.h"

struct json {
    struct sbuf *out;
    unsigned depth;
    bool first[32];     // no element yet at this depth
    bool in_object[32]; // else in an array, or at the top
};

void json_init(struct json *j, struct sbuf *out);
void json_object(struct json *j, const char *key); // key NULL inside arrays and at the top
void json_object_end(struct json *j);
void json_array(struct json *j, const char *key);
void json_array_end(struct json *j);
void json_str(struct json *j, const char *key, struct str value);
void json_u64(struct json *j, const char *key, uint64_t value);
void json_i64(struct json *j, const char *key, int64_t value);
void json_bool(struct json *j, const char *key, bool value);
void json_null(struct json *j, const char *key);
// The string's content escaped, without quotes: control bytes, quote, backslash; invalid UTF-8 becomes U+FFFD.
void json_escape(struct sbuf *out, struct str s);
