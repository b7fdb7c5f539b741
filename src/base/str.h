// A byte string that never owns: a pointer and a length. It may hold any byte and is not terminated.
#pragma once
#include "base/base.h"

struct str {
    const char *p;
    size_t n;
};

#define STR(literal)   ((struct str){"" literal, sizeof(literal) - 1})
#define STR_INIT(literal) {"" literal, sizeof(literal) - 1} // for static tables
#define STR_NONE       ((struct str){NULL, 0})
#define STR_FMT        "%.*s"
#define STR_ARG(s)     (int)MIN((s).n, (size_t)INT_MAX), (s).p

static inline struct str str_n(const char *p, size_t n) { return (struct str){p, n}; }
static inline struct str str_c(const char *z) { return (struct str){z, z ? strlen(z) : 0}; }
// at <= s.n. NULL + 0 is no valid sum in C.
static inline struct str str_from(struct str s, size_t at) { return (struct str){at != 0 ? s.p + at : s.p, s.n - at}; }
static inline struct str str_head(struct str s, size_t n) { return (struct str){s.p, MIN(s.n, n)}; }
static inline bool str_eq(struct str a, struct str b) { return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0); }
static inline bool str_starts(struct str s, struct str prefix) {
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}
static inline bool str_ends(struct str s, struct str suffix) {
    return s.n >= suffix.n && (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}
static inline unsigned char ascii_lower(unsigned char c) { return c >= 'A' && c <= 'Z' ? c | 0x20 : c; }
static inline bool ascii_is_digit(unsigned char c) { return c >= '0' && c <= '9'; }
static inline bool ascii_is_alpha(unsigned char c) { return (unsigned)((c | 0x20) - 'a') < 26; }

// ASCII case does not count; other bytes compare as they are.
bool str_istarts_rest(struct str s, struct str prefix); // of str_istarts, which mostly sees by the first byte
static inline bool str_istarts(struct str s, struct str prefix) {
    if (s.n < prefix.n || prefix.n == 0)
        return prefix.n == 0;
    return ascii_lower((unsigned char)s.p[0]) == ascii_lower((unsigned char)prefix.p[0]) && str_istarts_rest(s, prefix);
}
static inline bool str_ieq(struct str a, struct str b) { return a.n == b.n && str_istarts(a, b); }

int str_cmp(struct str a, struct str b);  // byte order, then length: <0, 0, >0
int str_icmp(struct str a, struct str b); // the same, ASCII case folded

ssize_t str_chr(struct str s, char c);  // index of the first c, or -1
ssize_t str_rchr(struct str s, char c); // index of the last c, or -1
ssize_t str_find(struct str s, struct str needle);  // index, or -1; an empty needle is at 0
ssize_t str_ifind(struct str s, struct str needle); // ASCII case folded
struct str str_trim(struct str s);      // without leading and trailing SP and HTAB

// Takes the part before the first sep off the front of *rest, into *part; the separator is dropped. False when *rest
// was already used up (rest->p == NULL). "a,,b" gives "a", "", "b"; "" gives "" once.
bool str_split(struct str *rest, char sep, struct str *part);

// Decimal digits only, the whole string, no sign; false when empty, malformed, or above max. *out only on success.
bool str_u64(struct str s, uint64_t max, uint64_t *out) MUST_USE;
bool str_hex_u64(struct str s, uint64_t max, uint64_t *out) MUST_USE;

char *str_xdup(struct str s) MUST_USE; // malloc'd, NUL-terminated; caller frees
