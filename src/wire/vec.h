// VEC_BYTES bytes looked at in one go: masks of the bytes that stop a scan. Inline parts of scan.h, for its users
// inside this room. vec_first(mask) is the index of the first such byte; mask != 0. No scan ends in a loop over single
// bytes: the strings of a head are short, and such loops cost more than all the rest.
#pragma once
#include "base/base.h"
#include <endian.h>

// p[0..n) as little-endian words with zeros behind: bytes 0 to 7 (n >= 1), and bytes 8 to 15 (8 < n < 16).
static inline uint64_t vec_word(const char *p, size_t n) {
    uint64_t w;
    if (n >= 8) {
        memcpy(&w, p, 8);
        return le64toh(w);
    }
    if (n >= 4) {
        uint32_t low, high;
        memcpy(&low, p, 4);
        memcpy(&high, p + n - 4, 4);
        return le32toh(low) | (uint64_t)le32toh(high) << (n - 4) * 8;
    }
    return (uint64_t)(unsigned char)p[0] | (uint64_t)(unsigned char)p[n / 2] << n / 2 * 8 |
           (uint64_t)(unsigned char)p[n - 1] << (n - 1) * 8;
}
static inline uint64_t vec_word_8(const char *p, size_t n) {
    uint64_t w;
    memcpy(&w, p + n - 8, 8);
    return le64toh(w) >> (16 - n) * 8;
}

#if defined(__SSE2__) && !defined(WEIR_NO_SIMD)
#include <emmintrin.h>
enum { VEC_BYTES = 16 };
typedef __m128i vec;
typedef uint32_t vec_mask; // a bit for each byte

static inline vec vec_load(const char *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}
static inline vec vec_load_part(const char *p, size_t n) { // 0 < n < VEC_BYTES
    return _mm_set_epi64x((int64_t)(n > 8 ? vec_word_8(p, n) : 0), (int64_t)vec_word(p, n));
}
static inline size_t vec_first(vec_mask m) {
    return (size_t)__builtin_ctz(m);
}

static inline vec_mask vec_ctl(vec x) {
    vec low = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
    vec tab = _mm_cmpeq_epi8(x, _mm_set1_epi8('\t'));
    vec del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
    return (vec_mask)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del));
}

static inline vec_mask vec_ctl_sp(vec x) {
    vec low = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x20)), x);
    vec del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
    return (vec_mask)_mm_movemask_epi8(_mm_or_si128(low, del));
}

static inline vec_mask vec_not_name(vec x) {
    vec letter = _mm_sub_epi8(_mm_or_si128(x, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    vec digit = _mm_sub_epi8(x, _mm_set1_epi8('0'));
    letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter);
    digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit);
    vec hyphen = _mm_cmpeq_epi8(x, _mm_set1_epi8('-'));
    return (vec_mask)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(letter, digit), hyphen)) ^ 0xffff;
}

static inline vec_mask vec_lf(vec x) {
    return (vec_mask)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8('\n')));
}

#elif defined(__aarch64__) && !defined(WEIR_NO_SIMD)
#include <arm_neon.h>
enum { VEC_BYTES = 16 };
typedef uint8x16_t vec;
typedef uint64_t vec_mask; // four bits for each byte, of which the lowest is kept, so that vec_next goes byte by byte

static inline vec vec_load(const char *p) {
    return vld1q_u8((const uint8_t *)p);
}
static inline vec vec_load_part(const char *p, size_t n) { // 0 < n < VEC_BYTES
    return vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(vec_word(p, n)), vcreate_u64(n > 8 ? vec_word_8(p, n) : 0)));
}
static inline size_t vec_first(vec_mask m) {
    return (size_t)__builtin_ctzll(m) >> 2;
}
static inline vec_mask vec_mask_of(vec hit) {
    uint8x8_t narrow = vshrn_n_u16(vreinterpretq_u16_u8(hit), 4);
    return vget_lane_u64(vreinterpret_u64_u8(narrow), 0) & 0x1111111111111111;
}

static inline vec_mask vec_ctl(vec x) {
    vec low = vbicq_u8(vcltq_u8(x, vdupq_n_u8(0x20)), vceqq_u8(x, vdupq_n_u8('\t')));
    return vec_mask_of(vorrq_u8(low, vceqq_u8(x, vdupq_n_u8(0x7f))));
}

static inline vec_mask vec_ctl_sp(vec x) {
    return vec_mask_of(vorrq_u8(vcleq_u8(x, vdupq_n_u8(0x20)), vceqq_u8(x, vdupq_n_u8(0x7f))));
}

static inline vec_mask vec_not_name(vec x) {
    vec letter = vcltq_u8(vsubq_u8(vorrq_u8(x, vdupq_n_u8(0x20)), vdupq_n_u8('a')), vdupq_n_u8(26));
    vec digit = vcltq_u8(vsubq_u8(x, vdupq_n_u8('0')), vdupq_n_u8(10));
    return vec_mask_of(vmvnq_u8(vorrq_u8(vorrq_u8(letter, digit), vceqq_u8(x, vdupq_n_u8('-')))));
}

static inline vec_mask vec_lf(vec x) {
    return vec_mask_of(vceqq_u8(x, vdupq_n_u8('\n')));
}

#else
enum { VEC_BYTES = 8 };
typedef uint64_t vec;
typedef uint64_t vec_mask; // the top bit of each byte, in memory order from the lowest

static inline vec vec_load(const char *p) {
    return vec_word(p, 8);
}
static inline vec vec_load_part(const char *p, size_t n) { // 0 < n < VEC_BYTES
    return vec_word(p, n);
}
static inline size_t vec_first(vec_mask m) {
    return (size_t)__builtin_ctzll(m) >> 3;
}

#define VEC_ALL(byte) (0x0101010101010101u * (uint64_t)(byte))
#define VEC_TOPS      VEC_ALL(0x80)

// Exact in every byte: the additions cannot carry from one byte into the next. limit <= 0x80.
static inline vec_mask vec_below(vec x, unsigned limit) {
    return ~(((x & ~VEC_TOPS) + VEC_ALL(0x80 - limit)) | x) & VEC_TOPS;
}
static inline vec_mask vec_equal(vec x, unsigned char c) {
    return vec_below(x ^ VEC_ALL(c), 1);
}
static inline vec_mask vec_between(vec x, unsigned first, unsigned last) {
    return vec_below(x, last + 1) & ~vec_below(x, first);
}

static inline vec_mask vec_ctl(vec x) {
    return (vec_below(x, 0x20) & ~vec_equal(x, '\t')) | vec_equal(x, 0x7f);
}

static inline vec_mask vec_ctl_sp(vec x) {
    return vec_below(x, 0x21) | vec_equal(x, 0x7f);
}

static inline vec_mask vec_not_name(vec x) {
    vec_mask name = vec_between(x | VEC_ALL(0x20), 'a', 'z') | vec_between(x, '0', '9') | vec_equal(x, '-');
    return ~name & VEC_TOPS;
}

static inline vec_mask vec_lf(vec x) {
    return vec_equal(x, '\n');
}
#endif

static inline vec_mask vec_next(vec_mask m) { // without its first byte
    return m & (m - 1);
}

// The zeros behind a last part stop each of these scans, at n.
#define VEC_SCAN(function, test)                                              \
    static inline size_t function(const char *p, size_t n) {                  \
        size_t i = 0;                                                         \
        for (; n - i >= VEC_BYTES; i += VEC_BYTES) {                          \
            vec_mask m = test(vec_load(p + i));                               \
            if (m != 0)                                                       \
                return i + vec_first(m);                                      \
        }                                                                     \
        return i == n ? n : i + vec_first(test(vec_load_part(p + i, n - i))); \
    }

VEC_SCAN(vec_scan_ctl, vec_ctl)
VEC_SCAN(vec_scan_ctl_sp, vec_ctl_sp)
VEC_SCAN(vec_scan_name, vec_not_name)

// The same for one byte.
static inline bool byte_is_ctl(unsigned char c) {
    return (c < 0x20 && c != '\t') || c == 0x7f;
}
static inline bool byte_is_ctl_sp(unsigned char c) {
    return c <= 0x20 || c == 0x7f;
}
static inline bool byte_is_not_name(unsigned char c) {
    return !((unsigned)(c | 0x20) - 'a' < 26 || (unsigned)c - '0' < 10 || c == '-');
}
