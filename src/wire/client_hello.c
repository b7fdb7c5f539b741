#include "wire/client_hello.h"

enum {
    RECORD_HEADER = 5, MESSAGE_HEADER = 4, RECORD_MAX = (16 << 10) + 2048,
    TYPE_HANDSHAKE = 22, MESSAGE_CLIENT_HELLO = 1,
    EXT_SERVER_NAME = 0, EXT_GROUPS = 10, EXT_ALPN = 16, EXT_EARLY_DATA = 42, EXT_VERSIONS = 43,
};

static unsigned u8(const char *p) { return (unsigned char)*p; }
static unsigned u16(const char *p) { return u8(p) << 8 | u8(p + 1); }
static size_t u24(const char *p) { return (size_t)u8(p) << 16 | u16(p + 1); }

// Takes a vector with a length of `bytes` bytes off the front.
static bool take(struct str *s, unsigned bytes, struct str *out) {
    if (s->n < bytes)
        return false;
    size_t n = bytes == 1 ? u8(s->p) : u16(s->p);
    if (s->n - bytes < n)
        return false;
    *out = str_n(s->p + bytes, n);
    *s = str_from(*s, bytes + n);
    return true;
}

// RFC 6066 3: one list, at most one name of each type; only host names (0) exist.
static bool read_server_name(struct str ext, struct client_hello *h) {
    struct str list, name;
    if (!take(&ext, 2, &list) || ext.n != 0 || list.n < 3 || u8(list.p) != 0)
        return false;
    list = str_from(list, 1);
    if (!take(&list, 2, &name) || list.n != 0 || name.n == 0 || name.n > 255 || str_chr(name, '\0') >= 0)
        return false;
    h->server_name = name;
    return true;
}

static bool read_alpn(struct str ext, struct client_hello *h) {
    struct str list, name;
    if (!take(&ext, 2, &list) || ext.n != 0 || list.n == 0)
        return false;
    for (struct str rest = list; rest.n != 0;) {
        if (!take(&rest, 1, &name) || name.n == 0)
            return false;
    }
    h->alpn = list;
    return true;
}

static bool read_list(struct str ext, unsigned bytes, struct str *to) {
    struct str list;
    if (!take(&ext, bytes, &list) || ext.n != 0 || list.n == 0 || list.n % 2 != 0)
        return false;
    *to = list;
    return true;
}

static bool read_extension(unsigned type, struct str ext, struct client_hello *h) {
    switch (type) {
    case EXT_SERVER_NAME:
        return h->server_name.n == 0 && read_server_name(ext, h);
    case EXT_ALPN:
        return h->alpn.n == 0 && read_alpn(ext, h);
    case EXT_GROUPS:
        return read_list(ext, 2, &h->groups);
    case EXT_VERSIONS:
        return read_list(ext, 1, &h->versions);
    case EXT_EARLY_DATA:
        h->early_data = true;
        return true;
    default:
        return true;
    }
}

static bool read_body(struct str m, struct client_hello *h) {
    struct str ignored, exts, ext;
    if (m.n < 34)
        return false;
    h->version = (uint16_t)u16(m.p);
    m = str_from(m, 34);
    if (!take(&m, 1, &h->session_id) || h->session_id.n > 32 || !take(&m, 2, &h->ciphers) || h->ciphers.n < 2 ||
        h->ciphers.n % 2 != 0 || !take(&m, 1, &ignored))
        return false;
    if (m.n == 0)
        return true; // before extensions
    if (!take(&m, 2, &exts) || m.n != 0)
        return false;
    while (exts.n != 0) {
        if (exts.n < 2)
            return false;
        unsigned type = u16(exts.p);
        exts = str_from(exts, 2);
        if (!take(&exts, 2, &ext) || !read_extension(type, ext, h))
            return false;
    }
    return true;
}

enum client_hello_result client_hello_parse(const char *p, size_t n, struct client_hello *h, char *room) {
    if (n == 0)
        return CLIENT_HELLO_MORE;
    if (u8(p) != TYPE_HANDSHAKE)
        return u8(p) & 0x80 ? CLIENT_HELLO_BAD : CLIENT_HELLO_NOT_TLS;
    const char *message = NULL; // what there is of it
    size_t have = 0, want = MESSAGE_HEADER;
    for (size_t at = 0; have < want;) {
        if (n - at < RECORD_HEADER)
            return CLIENT_HELLO_MORE;
        size_t len = u16(p + at + 3);
        if (u8(p + at) != TYPE_HANDSHAKE || u8(p + at + 1) != 3 || len == 0 || len > RECORD_MAX)
            return CLIENT_HELLO_BAD;
        if (n - at - RECORD_HEADER < len)
            return CLIENT_HELLO_MORE;
        const char *fragment = p + at + RECORD_HEADER;
        if (have + len > CLIENT_HELLO_MAX)
            return CLIENT_HELLO_BAD;
        if (message == NULL && len >= MESSAGE_HEADER && MESSAGE_HEADER + u24(fragment + 1) <= len) {
            message = fragment; // whole in its first record, as nearly always
        } else {
            memcpy(room + have, fragment, len);
            message = room;
        }
        have += len;
        at += RECORD_HEADER + len;
        if (have >= MESSAGE_HEADER) {
            want = MESSAGE_HEADER + u24(message + 1);
            if (u8(message) != MESSAGE_CLIENT_HELLO || want > CLIENT_HELLO_MAX)
                return CLIENT_HELLO_BAD;
        }
    }
    *h = (struct client_hello){.server_name = STR(""), .alpn = STR(""), .groups = STR(""), .versions = STR("")};
    return read_body(str_n(message + MESSAGE_HEADER, want - MESSAGE_HEADER), h) ? CLIENT_HELLO_OK : CLIENT_HELLO_BAD;
}

bool alpn_has(struct str list, struct str name) {
    struct str one;
    while (list.n != 0 && take(&list, 1, &one)) {
        if (str_eq(one, name))
            return true;
    }
    return false;
}
