// The chunked transfer coding (RFC 9112 7.1), both directions. Pure; strict: chunk-size is 1*HEXDIG up to 16 digits,
// then optional white space, optional extensions without control bytes, then CRLF; "5 5", a lone LF, NUL in an extension
// are errors.
#pragma once
#include "base/str.h"

enum chunked_state {
    CHUNKED_SIZE, CHUNKED_BWS, CHUNKED_EXT, CHUNKED_SIZE_LF, CHUNKED_DATA, CHUNKED_DATA_CR, CHUNKED_DATA_LF,
    CHUNKED_TRAILER, CHUNKED_DONE, CHUNKED_BAD
};

struct chunked {
    enum chunked_state state;
    uint64_t left;     // CHUNKED_DATA: bytes of the chunk still to come
    uint32_t overhead; // bytes of framing since data last came; the reader refuses above its limit
    uint8_t digits;
};

static inline void chunked_init(struct chunked *c) { *c = (struct chunked){0}; }
// Eats framing bytes from p[0..n). Returns how many bytes of framing were used. Afterwards c->state is
//   CHUNKED_DATA     the next min(c->left, ...) bytes are data: take them and call chunked_data(c, taken)
//   CHUNKED_TRAILER  the trailer section begins at the next byte (http1_parse_trailers, which may be just CRLF); then the
//                    caller sets CHUNKED_DONE
//   CHUNKED_BAD      malformed at that byte
//   anything else    all bytes used, more needed
size_t chunked_parse(struct chunked *c, const char *p, size_t n);
void chunked_data(struct chunked *c, uint64_t taken); // taken <= c->left

enum { CHUNKED_HEAD_MAX = 18 };
// The line before a chunk of n > 0 bytes: "1a\r\n". Returns its length, at most CHUNKED_HEAD_MAX.
size_t chunked_put_head(char *to, uint64_t n);
#define CHUNKED_LAST "0\r\n\r\n"
