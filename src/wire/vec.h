// VEC_BYTES bytes looked at in one go: masks of the bytes that stop a scan. Inline parts of scan.h, for its users
// inside this room. vec_first(mask) is the index of the first such byte; mask != 0.
#pragma once
#include "base/base.h"

#if defined(__SSE2__) && !defined(WEIR_NO_SIMD)
#include <emmintrin.h>
enum { VEC_BYTES = 16 };
typedef uint32_t vec_mask;

static inline size_t vec_first(vec_mask m) {
    return (size_t)__builtin_ctz(m);
}

static inline vec_mask vec_ctl(const char *p) {
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
    __m128i tab = _mm_cmpeq_epi8(x, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
    return (vec_mask)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del));
}

static inline vec_mask vec_ctl_sp(const char *p) {
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x20)), x);
    __m128i del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
    return (vec_mask)_mm_movemask_epi8(_mm_or_si128(low, del));
}

static inline vec_mask vec_not_name(const char *p) {
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i letter = _mm_sub_epi8(_mm_or_si128(x, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    __m128i digit = _mm_sub_epi8(x, _mm_set1_epi8('0'));
    letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter);
    digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit);
    __m128i hyphen = _mm_cmpeq_epi8(x, _mm_set1_epi8('-'));
    return (vec_mask)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(letter, digit), hyphen)) ^ 0xffff;
}

static inline vec_mask vec_lf(const char *p) {
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    return (vec_mask)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8('\n')));
}

static inline vec_mask vec_next(vec_mask m) {
    return m & (m - 1);
}

#elif defined(__aarch64__) && !defined(WEIR_NO_SIMD)
#include <arm_neon.h>
enum { VEC_BYTES = 16 };
typedef uint64_t vec_mask; // four bits for each byte

static inline size_t vec_first(vec_mask m) {
    return (size_t)__builtin_ctzll(m) >> 2;
}
static inline vec_mask vec_next(vec_mask m) {
    return m & (m - 1);
}

// One bit of each byte's four is kept, so that vec_next steps from byte to byte.
static inline vec_mask vec_mask_of(uint8x16_t hit) {
    uint8x8_t narrow = vshrn_n_u16(vreinterpretq_u16_u8(hit), 4);
    return vget_lane_u64(vreinterpret_u64_u8(narrow), 0) & 0x1111111111111111;
}

static inline vec_mask vec_ctl(const char *p) {
    uint8x16_t x = vld1q_u8((const uint8_t *)p);
    uint8x16_t low = vbicq_u8(vcltq_u8(x, vdupq_n_u8(0x20)), vceqq_u8(x, vdupq_n_u8('\t')));
    return vec_mask_of(vorrq_u8(low, vceqq_u8(x, vdupq_n_u8(0x7f))));
}

static inline vec_mask vec_ctl_sp(const char *p) {
    uint8x16_t x = vld1q_u8((const uint8_t *)p);
    return vec_mask_of(vorrq_u8(vcleq_u8(x, vdupq_n_u8(0x20)), vceqq_u8(x, vdupq_n_u8(0x7f))));
}

static inline vec_mask vec_not_name(const char *p) {
    uint8x16_t x = vld1q_u8((const uint8_t *)p);
    uint8x16_t letter = vcltq_u8(vsubq_u8(vorrq_u8(x, vdupq_n_u8(0x20)), vdupq_n_u8('a')), vdupq_n_u8(26));
    uint8x16_t digit = vcltq_u8(vsubq_u8(x, vdupq_n_u8('0')), vdupq_n_u8(10));
    return vec_mask_of(vmvnq_u8(vorrq_u8(vorrq_u8(letter, digit), vceqq_u8(x, vdupq_n_u8('-')))));
}

static inline vec_mask vec_lf(const char *p) {
    return vec_mask_of(vceqq_u8(vld1q_u8((const uint8_t *)p), vdupq_n_u8('\n')));
}

#else
enum { VEC_BYTES = 8 };
typedef uint64_t vec_mask; // the top bit of each byte, in memory order from the lowest

static inline size_t vec_first(vec_mask m) {
    return (size_t)__builtin_ctzll(m) >> 3;
}
static inline vec_mask vec_next(vec_mask m) {
    return m & (m - 1);
}

#define VEC_ALL(byte) (0x0101010101010101u * (uint64_t)(byte))
#define VEC_TOPS      VEC_ALL(0x80)

static inline uint64_t vec_load(const char *p) {
    uint64_t x;
    memcpy(&x, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

// Exact in every byte: the additions cannot carry from one byte into the next. limit <= 0x80.
static inline vec_mask vec_below(uint64_t x, unsigned limit) {
    return ~(((x & ~VEC_TOPS) + VEC_ALL(0x80 - limit)) | x) & VEC_TOPS;
}
static inline vec_mask vec_equal(uint64_t x, unsigned char c) {
    return vec_below(x ^ VEC_ALL(c), 1);
}
static inline vec_mask vec_between(uint64_t x, unsigned first, unsigned last) {
    return vec_below(x, last + 1) & ~vec_below(x, first);
}

static inline vec_mask vec_ctl(const char *p) {
    uint64_t x = vec_load(p);
    return (vec_below(x, 0x20) & ~vec_equal(x, '\t')) | vec_equal(x, 0x7f);
}

static inline vec_mask vec_ctl_sp(const char *p) {
    uint64_t x = vec_load(p);
    return vec_below(x, 0x21) | vec_equal(x, 0x7f);
}

static inline vec_mask vec_not_name(const char *p) {
    uint64_t x = vec_load(p);
    vec_mask name = vec_between(x | VEC_ALL(0x20), 'a', 'z') | vec_between(x, '0', '9') | vec_equal(x, '-');
    return ~name & VEC_TOPS;
}

static inline vec_mask vec_lf(const char *p) {
    return vec_equal(vec_load(p), '\n');
}
#endif

// One byte at a time, for the ends of buffers.
static inline bool byte_is_ctl(unsigned char c) {
    return (c < 0x20 && c != '\t') || c == 0x7f;
}
static inline bool byte_is_ctl_sp(unsigned char c) {
    return c <= 0x20 || c == 0x7f;
}
static inline bool byte_is_not_name(unsigned char c) {
    return !((unsigned)(c | 0x20) - 'a' < 26 || (unsigned)c - '0' < 10 || c == '-');
}

#define VEC_SCAN(function, vec_test, byte_test)              \
    static inline size_t function(const char *p, size_t n) { \
        size_t i = 0;                                        \
        for (; n - i >= VEC_BYTES; i += VEC_BYTES) {         \
            vec_mask m = vec_test(p + i);                    \
            if (m != 0)                                      \
                return i + vec_first(m);                     \
        }                                                    \
        while (i < n && !byte_test((unsigned char)p[i]))     \
            i++;                                             \
        return i;                                            \
    }

VEC_SCAN(vec_scan_ctl, vec_ctl, byte_is_ctl)
VEC_SCAN(vec_scan_ctl_sp, vec_ctl_sp, byte_is_ctl_sp)
VEC_SCAN(vec_scan_name, vec_not_name, byte_is_not_name)
