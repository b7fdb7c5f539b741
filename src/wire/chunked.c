// The chunked transfer coding. One state for each place in RFC 9112 7.1's grammar where bytes may run out.
#include "wire/chunked.h"
#include "wire/hex.h"

// What a byte of a chunk's line makes of the state.
static enum chunked_state after_byte(struct chunked *c, unsigned char byte) {
    int digit;
    switch (c->state) {
    case CHUNKED_SIZE:
        digit = hex_digit(byte);
        if (digit >= 0) {
            if (c->digits == 16)
                return CHUNKED_BAD;
            c->digits++;
            c->left = c->left << 4 | (unsigned)digit;
            return CHUNKED_SIZE;
        }
        if (c->digits == 0)
            return CHUNKED_BAD;
        __attribute__((fallthrough));
    case CHUNKED_BWS:
        if (byte == '\r')
            return CHUNKED_SIZE_LF;
        if (byte == ';')
            return CHUNKED_EXT;
        return byte == ' ' || byte == '\t' ? CHUNKED_BWS : CHUNKED_BAD;
    case CHUNKED_EXT:
        if (byte == '\r')
            return CHUNKED_SIZE_LF;
        return (byte < 0x20 && byte != '\t') || byte == 0x7f ? CHUNKED_BAD : CHUNKED_EXT;
    case CHUNKED_SIZE_LF:
        if (byte != '\n')
            return CHUNKED_BAD;
        return c->left != 0 ? CHUNKED_DATA : CHUNKED_TRAILER;
    case CHUNKED_DATA_CR:
        return byte == '\r' ? CHUNKED_DATA_LF : CHUNKED_BAD;
    case CHUNKED_DATA_LF:
        c->digits = 0;
        return byte == '\n' ? CHUNKED_SIZE : CHUNKED_BAD;
    case CHUNKED_DATA:
    case CHUNKED_TRAILER:
    case CHUNKED_DONE:
    case CHUNKED_BAD:
        break;
    }
    return c->state;
}

static bool is_framing(enum chunked_state s) {
    return s != CHUNKED_DATA && s != CHUNKED_TRAILER && s != CHUNKED_DONE && s != CHUNKED_BAD;
}

size_t chunked_parse(struct chunked *c, const char *p, size_t n) {
    size_t i = 0;
    while (i < n && is_framing(c->state)) {
        c->state = after_byte(c, (unsigned char)p[i]);
        if (c->state == CHUNKED_BAD)
            break;
        i++;
    }
    c->overhead = i > UINT32_MAX - c->overhead ? UINT32_MAX : c->overhead + (uint32_t)i;
    return i;
}

void chunked_data(struct chunked *c, uint64_t taken) {
    CHECK(c->state == CHUNKED_DATA && taken <= c->left);
    c->left -= taken;
    if (taken != 0)
        c->overhead = 0;
    if (c->left == 0)
        c->state = CHUNKED_DATA_CR;
}

size_t chunked_put_head(char *to, uint64_t n) {
    size_t digits = n == 0 ? 1 : (67 - (size_t)__builtin_clzll(n)) / 4;
    for (size_t i = digits; i-- > 0; n >>= 4)
        to[i] = "0123456789abcdef"[n & 15];
    to[digits] = '\r';
    to[digits + 1] = '\n';
    return digits + 2;
}
