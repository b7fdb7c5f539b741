// Request targets: split, decode, normalise (RFC 3986 5.2.4 and 6.2.2, in nginx's dialect). Escaping is in
// uri_escape.c, the addresses of upstreams and Host in uri_host.c.
#include "wire/uri.h"
#include "wire/hex.h"
#include "wire/vec.h"

// Writes `path`, whose escapes are gone, into `to` (room for path.n bytes) without "." and ".." segments and, with
// merge_slashes, without empty ones. Returns the length, or -1 when ".." leaves the root. to may be path.p: what is
// written never overtakes what is read. The path begins with '/'.
static ssize_t remove_dots(struct str path, bool merge_slashes, char *to) {
    size_t n = 1, i = 1; // to[0..n) ends with '/' at the beginning of each segment
    to[0] = '/';
    while (i < path.n) {
        const char *slash = memchr(path.p + i, '/', path.n - i);
        size_t end = slash != NULL ? (size_t)(slash - path.p) : path.n, len = end - i;
        if (len == 2 && path.p[i] == '.' && path.p[i + 1] == '.') {
            if (n == 1)
                return -1;
            do
                n--;
            while (to[n - 1] != '/');
        } else if (!(len == 1 && path.p[i] == '.') && !(len == 0 && merge_slashes)) {
            memmove(to + n, path.p + i, len);
            n += len;
            if (slash != NULL)
                to[n++] = '/';
        }
        i = end + 1;
    }
    return (ssize_t)n;
}

// Whether a path without escapes has anything to remove.
static bool is_normal(struct str path, bool merge_slashes) {
    for (size_t i = 0; i + 1 < path.n; i++) {
        if (path.p[i] != '/')
            continue;
        if (path.p[i + 1] == '/' && merge_slashes)
            return false;
        if (path.p[i + 1] == '.' && (i + 2 == path.n || path.p[i + 2] == '/' ||
                                     (path.p[i + 2] == '.' && (i + 3 == path.n || path.p[i + 3] == '/'))))
            return false;
    }
    return true;
}

static enum uri_error decode(struct str raw, char *to, size_t *n) {
    size_t out = 0;
    for (size_t i = 0; i < raw.n; i++) {
        unsigned char c = (unsigned char)raw.p[i];
        if (c == '%') {
            int high = i + 2 < raw.n ? hex_digit((unsigned char)raw.p[i + 1]) : -1;
            int low = i + 2 < raw.n ? hex_digit((unsigned char)raw.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return URI_BAD_ESCAPE;
            c = (unsigned char)(high << 4 | low);
            i += 2;
        }
        if (c == '\0')
            return URI_NUL;
        to[out++] = (char)c;
    }
    *n = out;
    return URI_OK;
}

// Up to three dots that begin a segment belong to its name, as in nginx: ".profile" and "...x" have no extension.
static struct str extension(struct str path) {
    size_t segment = (size_t)str_rchr(path, '/') + 1, dots = 0;
    while (dots < 3 && segment + dots < path.n && path.p[segment + dots] == '.')
        dots++;
    ssize_t dot = str_rchr(str_from(path, segment + dots), '.');
    return dot >= 0 ? str_from(path, segment + dots + (size_t)dot + 1) : STR_NONE;
}

// t->raw_path to t->path.
static enum uri_error set_path(struct uri_target *t, bool merge_slashes, struct arena *arena) {
    struct str raw = t->raw_path;
    bool escaped = memchr(raw.p, '%', raw.n) != NULL;
    t->plus = memchr(raw.p, '+', raw.n) != NULL;
    if (LIKELY(!escaped && is_normal(raw, merge_slashes))) {
        t->path = raw;
    } else {
        char *to = arena_bytes(arena, raw.n);
        size_t n = 0;
        enum uri_error e = decode(raw, to, &n);
        if (e != URI_OK)
            return e;
        ssize_t left = remove_dots(str_n(to, n), merge_slashes, to);
        if (left < 0)
            return URI_ABOVE_ROOT;
        t->path = str_n(to, (size_t)left);
        t->encoded = escaped || !str_eq(t->path, raw);
    }
    t->exten = extension(t->path);
    return URI_OK;
}

// Path and query from `rest`, which is empty or begins with '/' or '?'.
static enum uri_error split_path(struct uri_target *t, struct str rest, bool merge_slashes, struct arena *arena) {
    const char *question = memchr(rest.p, '?', rest.n);
    t->raw_path = rest;
    if (question != NULL) {
        t->has_args = true;
        t->raw_path.n = (size_t)(question - rest.p);
        t->args = str_from(rest, t->raw_path.n + 1);
    }
    if (t->raw_path.n == 0) {
        t->path = STR("/");
        return URI_OK;
    }
    return set_path(t, merge_slashes, arena);
}

static bool is_host_byte(unsigned char c) {
    return ascii_is_alpha(c) || ascii_is_digit(c) || c == '.' || c == '-';
}

static bool is_ip_literal_byte(unsigned char c) { // RFC 3986 3.2.2 IP-literal
    return c > 0x20 && c < 0x7f && strchr("/?#[]@\"<>\\^`{|}%", c) == NULL;
}

// host [":" port] of an absolute URI or of CONNECT, at text.p[*at]; nginx allows letters, digits, '.', '-' here.
static bool split_authority(struct str text, size_t *at, struct str *host, struct str *port) {
    size_t i = *at, begin = i;
    if (i < text.n && text.p[i] == '[') {
        i++;
        while (i < text.n && is_ip_literal_byte((unsigned char)text.p[i]))
            i++;
        if (i == text.n || text.p[i] != ']' || i == begin + 1)
            return false;
        i++;
    } else {
        while (i < text.n && is_host_byte((unsigned char)text.p[i]))
            i++;
    }
    if (i == begin)
        return false;
    *host = str_n(text.p + begin, i - begin);
    *port = STR_NONE;
    if (i < text.n && text.p[i] == ':') {
        begin = ++i;
        while (i < text.n && ascii_is_digit((unsigned char)text.p[i]))
            i++;
        *port = str_n(text.p + begin, i - begin);
    }
    *at = i;
    return true;
}

static enum uri_error parse_absolute(struct uri_target *t, struct str target, bool merge_slashes, struct arena *arena) {
    size_t i = 0;
    while (i < target.n && (ascii_is_alpha((unsigned char)target.p[i]) ||
                            (i > 0 && (ascii_is_digit((unsigned char)target.p[i]) || strchr("+-.", target.p[i])))))
        i++;
    if (i == 0 || target.n - i < 3 || memcmp(target.p + i, "://", 3) != 0)
        return URI_BAD;
    t->form = URI_ABSOLUTE;
    t->scheme = str_head(target, i);
    i += 3;
    if (!split_authority(target, &i, &t->host, &t->port))
        return URI_BAD;
    if (i < target.n && target.p[i] != '/' && target.p[i] != '?')
        return URI_BAD;
    return split_path(t, str_from(target, i), merge_slashes, arena);
}

enum uri_error uri_parse_target(struct uri_target *t, struct str target, bool connect, bool merge_slashes,
                                struct arena *arena) {
    *t = (struct uri_target){.path = STR("")};
    if (target.n == 0 || vec_scan_ctl_sp(target.p, target.n) != target.n)
        return URI_BAD;
    if (memchr(target.p, '#', target.n) != NULL)
        return URI_FRAGMENT;
    if (connect) {
        size_t i = 0;
        t->form = URI_AUTHORITY;
        return split_authority(target, &i, &t->host, &t->port) && i == target.n && t->port.n != 0 ? URI_OK : URI_BAD;
    }
    if (target.p[0] == '/')
        return split_path(t, target, merge_slashes, arena);
    if (target.n == 1 && target.p[0] == '*') {
        t->form = URI_ASTERISK;
        t->raw_path = t->path = target;
        return URI_OK;
    }
    return parse_absolute(t, target, merge_slashes, arena);
}

bool uri_normalise(struct str *path, bool merge_slashes, struct arena *arena) {
    if (path->n == 0 || path->p[0] != '/')
        return false;
    if (is_normal(*path, merge_slashes))
        return true;
    char *to = arena_bytes(arena, path->n);
    ssize_t n = remove_dots(*path, merge_slashes, to);
    if (n < 0)
        return false;
    *path = str_n(to, (size_t)n);
    return true;
}

bool uri_arg(struct str args, struct str name, struct str *value) {
    struct str part;
    while (name.n != 0 && str_split(&args, '&', &part)) {
        if (part.n > name.n && part.p[name.n] == '=' && str_ieq(str_head(part, name.n), name)) {
            *value = str_from(part, name.n + 1);
            return true;
        }
    }
    return false;
}
