// memcached's text protocol, as far as asking for one key needs it: "get KEY", and what the server says of it. Pure.
//
//   VALUE <key> <flags> <length>\r\n <length bytes> \r\nEND\r\n        the key is there
//   END\r\n                                                            it is not
#pragma once
#include "base/sbuf.h"

// The request. What would end it early (white space, control bytes) is escaped in `key` already: URI_ESCAPE_MEMCACHED.
void memcached_put_get(struct sbuf *b, struct str key);

enum memcached_reply_kind {
    MEMCACHED_MORE,       // the first line has not come to its end
    MEMCACHED_VALUE,
    MEMCACHED_NOT_FOUND,
    MEMCACHED_BAD_REPLY,  // another line: ERROR, SERVER_ERROR..., or none of the protocol
    MEMCACHED_BAD_KEY,    // it is about another key
    MEMCACHED_BAD_LENGTH, // no number
};

// All but MORE: the first line, and where it ends. VALUE: and what it says. Strings point into the bytes that were parsed.
struct memcached_reply {
    struct str line;  // without its end
    size_t end;       // of the line: the value begins here
    struct str flags; // as written: memcached_flags
    int64_t length;   // of the value
};

// The reply to a get of `key`, from its first n bytes; more of them give the same result again, once it is not MORE.
enum memcached_reply_kind memcached_parse(struct memcached_reply *reply, const char *p, size_t n, struct str key);
bool memcached_flags(const struct memcached_reply *reply, uint64_t *flags) MUST_USE; // false: no number

enum { MEMCACHED_TRAILER = 7 }; // bytes behind a value
// Whether these bytes may stand behind a value, its first ones: all of them when n is MEMCACHED_TRAILER.
bool memcached_is_trailer(const char *p, size_t n);
