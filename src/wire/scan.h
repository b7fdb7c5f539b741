// Byte scanning: offset of the first match, or n. SSE2 on x86-64 (always there; AVX2 picked at run time where spans are
// long), NEON on arm64, a portable fallback elsewhere or with -DWEIR_NO_SIMD. No byte outside p[0..n) is read.
#pragma once
#include "base/base.h"

size_t scan_ctl(const char *p, size_t n);    // first byte < 0x20 except HTAB, or 0x7f
size_t scan_ctl_sp(const char *p, size_t n); // first byte <= 0x20, HTAB too, or 0x7f
size_t scan_name(const char *p, size_t n);   // first byte that is not a letter, a digit or '-'

// The end of a head: offset just after its empty line ("\n\r\n" or "\n\n"), or 0 when it has not come yet. *from is
// where the search begins, and where to go on when there are more bytes. The line feed before the empty line must not
// lie before *from.
size_t scan_head_end(const char *p, size_t n, size_t *from);

// The ways to do it that this processor has, for tests; the first is the portable one.
struct scan_way {
    const char *name;
    size_t (*ctl)(const char *p, size_t n);
    size_t (*ctl_sp)(const char *p, size_t n);
    size_t (*name_end)(const char *p, size_t n);
    size_t (*head_end)(const char *p, size_t n, size_t *from);
};
size_t scan_ways(struct scan_way *ways, size_t max); // returns how many
