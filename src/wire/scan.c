// The scanners of scan.h. What is inlined into the HTTP/1 parser is in vec.h; here are the ways with a call, among them
// AVX2 for the search of a head's end, the one scan that always runs over hundreds of bytes.
#include "wire/scan.h"
#include "wire/vec.h"

size_t scan_ctl(const char *p, size_t n) {
    return vec_scan_ctl(p, n);
}
size_t scan_ctl_sp(const char *p, size_t n) {
    return vec_scan_ctl_sp(p, n);
}
size_t scan_name(const char *p, size_t n) {
    return vec_scan_name(p, n);
}

static size_t plain_ctl(const char *p, size_t n) {
    size_t i = 0;
    while (i < n && !byte_is_ctl((unsigned char)p[i]))
        i++;
    return i;
}

static size_t plain_ctl_sp(const char *p, size_t n) {
    size_t i = 0;
    while (i < n && !byte_is_ctl_sp((unsigned char)p[i]))
        i++;
    return i;
}

static size_t plain_name(const char *p, size_t n) {
    size_t i = 0;
    while (i < n && !byte_is_not_name((unsigned char)p[i]))
        i++;
    return i;
}

enum after_lf { AFTER_LF_LINE, AFTER_LF_EMPTY, AFTER_LF_UNKNOWN };

// What follows the line feed at i.
static inline enum after_lf after_lf(const char *p, size_t n, size_t i, size_t *end) {
    if (i + 1 == n)
        return AFTER_LF_UNKNOWN;
    if (p[i + 1] == '\n') {
        *end = i + 2;
        return AFTER_LF_EMPTY;
    }
    if (p[i + 1] != '\r')
        return AFTER_LF_LINE;
    if (i + 2 == n)
        return AFTER_LF_UNKNOWN;
    *end = i + 3;
    return p[i + 2] == '\n' ? AFTER_LF_EMPTY : AFTER_LF_LINE;
}

static size_t plain_head_end(const char *p, size_t n, size_t *from) {
    size_t i = *from;
    for (; i < n; i++) {
        size_t end;
        if (p[i] != '\n')
            continue;
        enum after_lf after = after_lf(p, n, i, &end);
        if (after == AFTER_LF_EMPTY)
            return end;
        if (after == AFTER_LF_UNKNOWN)
            break;
    }
    *from = i;
    return 0;
}

static size_t vec_head_end(const char *p, size_t n, size_t *from) {
    size_t i = *from, end;
    while (i < n) {
        size_t part = MIN(n - i, VEC_BYTES);
        vec_mask m = vec_lf(part == VEC_BYTES ? vec_load(p + i) : vec_load_part(p + i, part));
        for (; m != 0; m = vec_next(m)) {
            size_t lf = i + vec_first(m);
            enum after_lf after = after_lf(p, n, lf, &end);
            if (after == AFTER_LF_EMPTY)
                return end;
            if (after == AFTER_LF_UNKNOWN) {
                *from = lf;
                return 0;
            }
        }
        i += part;
    }
    *from = n;
    return 0;
}

#if defined(__x86_64__) && !defined(WEIR_NO_SIMD)
#include <immintrin.h>

__attribute__((target("avx2"))) static size_t avx2_head_end(const char *p, size_t n, size_t *from) {
    size_t i = *from, end;
    for (; n - i >= 32 + 2; i += 32) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(p + i));
        uint32_t m = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, _mm256_set1_epi8('\n')));
        for (; m != 0; m &= m - 1)
            if (after_lf(p, n, i + (size_t)__builtin_ctz(m), &end) == AFTER_LF_EMPTY)
                return end;
    }
    // gcc forgets this before a tail call; every SSE instruction after it, anywhere, would then be slow.
    _mm256_zeroupper();
    *from = i;
    return vec_head_end(p, n, from);
}

static inline bool have_avx2(void) {
    return __builtin_cpu_supports("avx2");
}
#else
static size_t avx2_head_end(const char *p, size_t n, size_t *from) {
    return vec_head_end(p, n, from);
}
static inline bool have_avx2(void) {
    return false;
}
#endif

size_t scan_head_end(const char *p, size_t n, size_t *from) {
    return have_avx2() ? avx2_head_end(p, n, from) : vec_head_end(p, n, from);
}

size_t scan_ways(struct scan_way *ways, size_t max) {
    const struct scan_way all[] = {
        {"portable", plain_ctl, plain_ctl_sp, plain_name, plain_head_end},
        {"native", scan_ctl, scan_ctl_sp, scan_name, vec_head_end},
        {"avx2", scan_ctl, scan_ctl_sp, scan_name, avx2_head_end},
    };
    size_t count = MIN(max, have_avx2() ? ARRAY_LEN(all) : ARRAY_LEN(all) - 1);
    memcpy(ways, all, count * sizeof(all[0]));
    return count;
}
