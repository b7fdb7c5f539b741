// Eight bytes at once in one word. Little-endian machines only, as weir's are.
#pragma once
#include "base/base.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weir is written for little-endian machines");

#define SWAR_ONES 0x0101010101010101u

static inline uint64_t swar_load64(const void *p) {
    uint64_t w;
    memcpy(&w, p, sizeof(w));
    return w;
}
static inline uint32_t swar_load32(const void *p) {
    uint32_t w;
    memcpy(&w, p, sizeof(w));
    return w;
}
// Each byte in ASCII lower case; bytes that are no ASCII capitals stay.
static inline uint64_t swar_lower64(uint64_t w) {
    uint64_t low7 = w & (0x7f * SWAR_ONES);
    uint64_t ge_a = low7 + (0x80 - 'A') * SWAR_ONES; // top bit of a byte: low7 >= 'A'
    uint64_t gt_z = low7 + (0x7f - 'Z') * SWAR_ONES; // top bit of a byte: low7 > 'Z'
    uint64_t capital = ~w & (ge_a ^ gt_z) & (0x80 * SWAR_ONES);
    return w | capital >> 2;
}
