// Heads of HTTP/2 messages: header blocks to `struct head` and back, with the rules of RFC 9113 section 8. Pure.
#pragma once
#include "wire/http2.h"

enum h2_head_result {
    H2_HEAD_OK,
    H2_HEAD_MALFORMED,  // RFC 9113 8.1.1: a stream error PROTOCOL_ERROR; `why` and `line` say what
    H2_HEAD_FIELD_TOO_LONG,
    H2_HEAD_TOO_LONG,   // all fields together
    H2_HEAD_TOO_MANY,
    H2_HEAD_BOMB,       // far more than that came out of the block: a connection error ENHANCE_YOUR_CALM
    H2_HEAD_BROKEN,     // the block cannot be decoded: a connection error COMPRESSION_ERROR
};

struct h2_head_limits {
    size_t max_field, max_head; // bytes of name and value; of all fields
    unsigned max_fields;
    bool ignore_invalid, underscores, keep_invalid; // see struct http1_limits
};

struct h2_head {
    struct str method, scheme, authority, path, protocol;
    unsigned status;
    unsigned seen;       // a bit per enum hpack_pseudo, from PSEUDO_AUTHORITY
    size_t bytes;        // of names and values
    size_t bound;        // BOMB: which bytes is above
    const char *why;     // when it is not OK: what nginx says or would say
    struct str name, value; // of the offending field
};

// Reads the block of an H2_EV_HEADERS to its end, whatever comes of it. Strings are in h->arena. A request gets its
// authority as its first field, Host; several Cookie fields become one, the last (RFC 9113 8.2.3).
enum h2_head_result h2_read_request(struct h2_session *s, struct head *h, struct h2_head *out, const struct h2_head_limits *lim);
enum h2_head_result h2_read_response(struct h2_session *s, struct head *h, struct h2_head *out, const struct h2_head_limits *lim);
enum h2_head_result h2_read_trailers(struct h2_session *s, struct head *h, struct h2_head *out, const struct h2_head_limits *lim);

// Whether a field must not stand in an HTTP/2 message (RFC 9113 8.2.2).
bool h2_is_connection_field(unsigned id, struct str value);
