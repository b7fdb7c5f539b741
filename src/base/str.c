// Comparing, searching, splitting and reading numbers in byte strings. ASCII only; no locale.
#include "base/str.h"
#include "base/swar.h"

bool str_istarts_rest(struct str s, struct str prefix) {
    const char *a = s.p, *b = prefix.p;
    size_t n = prefix.n;
    for (; n >= 8; n -= 8, a += 8, b += 8) {
        uint64_t x = swar_load64(a), y = swar_load64(b);
        if (x != y && swar_lower64(x) != swar_lower64(y))
            return false;
    }
    for (; n != 0; n--, a++, b++) {
        if (ascii_lower((unsigned char)*a) != ascii_lower((unsigned char)*b))
            return false;
    }
    return true;
}

int str_cmp(struct str a, struct str b) {
    size_t n = MIN(a.n, b.n);
    int order = n != 0 ? memcmp(a.p, b.p, n) : 0;
    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

int str_icmp(struct str a, struct str b) {
    size_t n = MIN(a.n, b.n);
    for (size_t i = 0; i < n; i++) {
        int order = ascii_lower((unsigned char)a.p[i]) - ascii_lower((unsigned char)b.p[i]);
        if (order != 0)
            return order;
    }
    return (a.n > b.n) - (a.n < b.n);
}

ssize_t str_chr(struct str s, char c) {
    const char *at = s.n != 0 ? memchr(s.p, c, s.n) : NULL;
    return at != NULL ? at - s.p : -1;
}

ssize_t str_rchr(struct str s, char c) {
    const char *at = s.n != 0 ? memrchr(s.p, c, s.n) : NULL;
    return at != NULL ? at - s.p : -1;
}

ssize_t str_find(struct str s, struct str needle) {
    if (needle.n == 0)
        return 0;
    const char *at = s.n >= needle.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
    return at != NULL ? at - s.p : -1;
}

ssize_t str_ifind(struct str s, struct str needle) {
    for (size_t i = 0; i + needle.n <= s.n; i++) {
        if (needle.n == 0 || str_istarts(str_from(s, i), needle))
            return (ssize_t)i;
    }
    return needle.n == 0 ? 0 : -1;
}

struct str str_trim(struct str s) {
    while (s.n != 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = str_from(s, 1);
    while (s.n != 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

bool str_split(struct str *rest, char sep, struct str *part) {
    if (rest->p == NULL)
        return false;
    ssize_t at = str_chr(*rest, sep);
    if (at < 0) {
        *part = *rest;
        *rest = STR_NONE;
    } else {
        *part = str_n(rest->p, (size_t)at);
        *rest = str_from(*rest, (size_t)at + 1);
    }
    return true;
}

bool str_u64(struct str s, uint64_t max, uint64_t *out) {
    uint64_t v = 0;
    size_t i = 0;
    for (; i < MIN(s.n, (size_t)19); i++) { // so many digits cannot overflow
        unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        v = v * 10 + digit;
    }
    for (; i < s.n; i++) {
        if (!ascii_is_digit((unsigned char)s.p[i]) || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    if (s.n == 0 || v > max)
        return false;
    *out = v;
    return true;
}

static int hex_digit(unsigned char c) {
    if (ascii_is_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool str_hex_u64(struct str s, uint64_t max, uint64_t *out) {
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        int digit = hex_digit((unsigned char)s.p[i]);
        if (digit < 0 || v >> 60 != 0)
            return false;
        v = v << 4 | (uint64_t)digit;
        if (v > max)
            return false;
    }
    if (s.n == 0)
        return false;
    *out = v;
    return true;
}

char *str_xdup(struct str s) {
    char *z = xmalloc(s.n + 1);
    if (s.n != 0)
        memcpy(z, s.p, s.n);
    z[s.n] = '\0';
    return z;
}
