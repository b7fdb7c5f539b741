// Escaping and unescaping. The sets of bytes are those that nginx 1.22 was seen to escape in each place.
#include "wire/uri.h"
#include "wire/hex.h"

// One bit for each byte: escaped as %XX. Control bytes, SP, DEL and all bytes above are; what else is listed.
static const uint32_t escape_sets[][8] = {
    // " # % < > ? \ ^ ` { | }
    [URI_ESCAPE_PATH] = {0xffffffff, 0xd000002d, 0x50000000, 0xb8000001, ~0u, ~0u, ~0u, ~0u},
    // the same and & + ;
    [URI_ESCAPE_ARGS] = {0xffffffff, 0xd800086d, 0x50000000, 0xb8000001, ~0u, ~0u, ~0u, ~0u},
    // all but letters, digits, - . _ ~
    [URI_ESCAPE_COMPONENT] = {0xffffffff, 0xfc009fff, 0x78000001, 0xb8000001, ~0u, ~0u, ~0u, ~0u},
    // " ' < > \ ^ ` { | ~
    [URI_ESCAPE_REFRESH] = {0xffffffff, 0x50000085, 0x50000000, 0xd8000001, ~0u, ~0u, ~0u, ~0u},
    // % (and bytes from DEL on stay as they are)
    [URI_ESCAPE_MEMCACHED] = {0xffffffff, 0x00000021, 0, 0, 0, 0, 0, 0},
};

static inline bool in_set(const uint32_t *set, unsigned char c) {
    return set[c >> 5] >> (c & 31) & 1;
}

static struct str html_entity(char c) {
    switch (c) {
    case '&':
        return STR("&amp;");
    case '<':
        return STR("&lt;");
    case '>':
        return STR("&gt;");
    case '"':
        return STR("&quot;");
    }
    return STR_NONE;
}

static struct str escape_html(struct str s, struct arena *arena) {
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += MAX(html_entity(s.p[i]).n, 1u);
    if (n == s.n)
        return s;
    char *to = arena_bytes(arena, n), *at = to;
    for (size_t i = 0; i < s.n; i++) {
        struct str entity = html_entity(s.p[i]);
        if (entity.n == 0)
            entity = str_n(s.p + i, 1);
        memcpy(at, entity.p, entity.n);
        at += entity.n;
    }
    return str_n(to, n);
}

struct str uri_escape(struct str s, enum uri_escape how, struct arena *arena) {
    static const char hex[] = "0123456789ABCDEF";
    if (how == URI_ESCAPE_HTML)
        return escape_html(s, arena);
    const uint32_t *set = escape_sets[how];
    size_t count = 0;
    for (size_t i = 0; i < s.n; i++)
        count += in_set(set, (unsigned char)s.p[i]);
    if (count == 0)
        return s;
    char *to = arena_bytes(arena, s.n + 2 * count), *at = to;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (in_set(set, c)) {
            *at++ = '%';
            *at++ = hex[c >> 4];
            *at++ = hex[c & 15];
        } else {
            *at++ = (char)c;
        }
    }
    return str_n(to, s.n + 2 * count);
}

struct str uri_unescape(struct str s, bool plus_is_space, struct arena *arena) {
    if (s.n == 0 || (memchr(s.p, '%', s.n) == NULL && (!plus_is_space || memchr(s.p, '+', s.n) == NULL)))
        return s;
    char *to = arena_bytes(arena, s.n);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        int high = c == '%' && s.n - i > 2 ? hex_digit((unsigned char)s.p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit((unsigned char)s.p[i + 2]) : -1;
        if (low >= 0) {
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        to[n++] = c;
    }
    return str_n(to, n);
}
