// The Huffman code of HPACK. Short codes, which nearly all bytes of real fields have, are found by a table of a byte; longer
// ones by their length, because the code is canonical.
#include "wire/hpack.h"
#include "wire/hpack_tables.h"

// --- encoding --------------------------------------------------------------------------------------------------------------

static const struct {
    uint32_t code;
    uint8_t bits;
} codes[256] = {
#define X(symbol, value, length) [symbol] = {value, length},
    HUFFMAN_SHORT(X) HUFFMAN_LONG(X)
#undef X
};

size_t huffman_size(const char *p, size_t n) {
    size_t bits = 0;
    for (size_t i = 0; i < n; i++)
        bits += codes[(unsigned char)p[i]].bits;
    return (bits + 7) / 8;
}

char *huffman_put(char *to, const char *p, size_t n) {
    uint64_t acc = 0; // the lowest `held` bits are waiting
    unsigned held = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        acc = acc << codes[c].bits | codes[c].code;
        held += codes[c].bits;
        while (held >= 8) {
            held -= 8;
            *to++ = (char)(acc >> held);
        }
    }
    if (held != 0) // the rest is filled with ones, the beginning of the end symbol
        *to++ = (char)(acc << (8 - held) | (0xffu >> held));
    return to;
}

// --- decoding --------------------------------------------------------------------------------------------------------------

// By the next eight bits. bits 0: the code is longer.
static const struct {
    uint8_t symbol, bits;
} by_byte[256] = {
#define X(s, value, length) [(value) << (8 - (length)) ...(((value) + 1) << (8 - (length))) - 1] = {s, length},
    HUFFMAN_SHORT(X)
#undef X
};

static const uint8_t long_symbols[] = {
#define X(symbol, value, length) symbol,
    HUFFMAN_LONG(X)
#undef X
};

// For each length of long codes: how many there are.
static const struct {
    uint8_t bits, count;
} long_lengths[] = {{10, 5},  {11, 3},  {12, 2},  {13, 6},  {14, 2},  {15, 3},  {19, 3},  {20, 8}, {21, 13},
                    {22, 26}, {23, 29}, {24, 12}, {25, 4}, {26, 15}, {27, 19}, {28, 29}, {30, 4}};
enum { FIRST_LONG = 0x3f8, FIRST_LONG_BITS = 10, BITS_MAX = 30 };

// The symbol whose code `window` (its first bit highest) begins with, and its length; -1: none, or the end symbol.
static int read_long(uint64_t window, unsigned *bits) {
    uint32_t first = FIRST_LONG, index = 0;
    unsigned before = FIRST_LONG_BITS;
    for (size_t i = 0; i < ARRAY_LEN(long_lengths); i++) {
        unsigned length = long_lengths[i].bits, count = long_lengths[i].count;
        first <<= length - before;
        before = length;
        uint32_t code = (uint32_t)(window >> (64 - length));
        if (code - first < count) {
            *bits = length;
            uint32_t at = index + (code - first);
            return at < ARRAY_LEN(long_symbols) ? long_symbols[at] : -1;
        }
        first += count;
        index += count;
    }
    return -1;
}

ssize_t huffman_read(char *to, const char *p, size_t n) {
    const unsigned char *in = (const unsigned char *)p, *end = in + n;
    char *out = to;
    uint64_t window = 0; // highest bit first
    unsigned held = 0;   // bits of it that are real
    for (;;) {
        while (held <= 56 && in < end) {
            window |= (uint64_t)*in++ << (56 - held);
            held += 8;
        }
        unsigned top = (unsigned)(window >> 56), bits = by_byte[top].bits;
        int symbol = by_byte[top].symbol;
        if (UNLIKELY(bits == 0 || bits > held)) {
            // What is left may only be the padding: fewer than eight ones.
            if (held < 8 && window >> (64 - 8) == (0xff00u >> held & 0xff))
                return out - to;
            if (bits != 0)
                return -1;
            symbol = read_long(window, &bits);
            if (symbol < 0 || bits > held)
                return -1;
        }
        *out++ = (char)symbol;
        window <<= bits;
        held -= bits;
    }
}
