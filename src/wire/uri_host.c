// Who is meant: the URLs that a configuration names, and the Host of a request.
#include "wire/uri.h"

static bool refuse(const char **why, const char *word) {
    *why = word;
    return false;
}

// "unix:/path" or "unix:/path:/uri"; text is what follows "unix:".
static bool parse_unix(struct uri_url *u, struct str text, const char **why) {
    ssize_t colon = str_chr(text, ':');
    u->is_unix = true;
    u->host = colon >= 0 ? str_head(text, (size_t)colon) : text;
    if (colon >= 0)
        u->path = str_from(text, (size_t)colon + 1);
    u->has_path = u->path.n != 0;
    return u->host.n != 0 || refuse(why, "no path in the unix domain socket");
}

static bool valid_port(struct str port) {
    uint64_t number;
    return str_u64(port, 65535, &number) && number != 0;
}

static size_t authority_end(struct str text) {
    size_t i = 0;
    while (i < text.n && text.p[i] != '/' && text.p[i] != '?')
        i++;
    return i;
}

bool uri_parse_url(struct uri_url *u, struct str text, const char **why) {
    struct uri_url url = {0};
    ssize_t scheme = str_find(text, STR("://"));
    if (scheme > 0 && memchr(text.p, '/', (size_t)scheme) == NULL) {
        url.scheme = str_head(text, (size_t)scheme);
        text = str_from(text, (size_t)scheme + 3);
    }
    if (str_istarts(text, STR("unix:"))) {
        if (!parse_unix(&url, str_from(text, 5), why))
            return false;
        *u = url;
        return true;
    }
    size_t end = authority_end(text);
    struct str host = str_head(text, end);
    url.path = str_from(text, end);
    url.has_path = url.path.n != 0;
    size_t name = 0; // where the host ends
    if (host.n != 0 && host.p[0] == '[') {
        ssize_t bracket = str_chr(host, ']');
        if (bracket < 0)
            return refuse(why, "invalid host");
        name = (size_t)bracket + 1;
        if (name == 2)
            return refuse(why, "no host");
        if (name < host.n && host.p[name] != ':')
            return refuse(why, "invalid host");
    } else {
        ssize_t colon = str_chr(host, ':');
        name = colon >= 0 ? (size_t)colon : host.n;
    }
    if (name == 0)
        return refuse(why, "no host");
    url.host = str_head(host, name);
    if (name < host.n) {
        url.port = str_from(host, name + 1);
        if (!valid_port(url.port))
            return refuse(why, "invalid port");
    }
    *u = url;
    return true;
}

// What a byte is in a host: RFC 3986 3.2.2 reg-name, and the bytes above ASCII that nginx takes for server_name's sake.
enum { HOST_NOT, HOST_BYTE, HOST_UPPER, HOST_DOT };
static const uint8_t host_bytes[256] = {
    [0x80 ... 0xff] = HOST_BYTE, ['a' ... 'z'] = HOST_BYTE, ['0' ... '9'] = HOST_BYTE, ['A' ... 'Z'] = HOST_UPPER,
    ['.'] = HOST_DOT, ['!'] = HOST_BYTE, ['$'] = HOST_BYTE, ['%'] = HOST_BYTE, ['&'] = HOST_BYTE, ['\''] = HOST_BYTE,
    ['('] = HOST_BYTE, [')'] = HOST_BYTE, ['*'] = HOST_BYTE, ['+'] = HOST_BYTE, [','] = HOST_BYTE, ['-'] = HOST_BYTE,
    [';'] = HOST_BYTE, ['='] = HOST_BYTE, ['_'] = HOST_BYTE, ['~'] = HOST_BYTE,
};

// The length of the host at the beginning of value, or 0. *upper: it has capital letters.
static size_t host_length(struct str value, bool *upper) {
    size_t i = 0;
    *upper = false;
    if (value.n != 0 && value.p[0] == '[') {
        for (i = 1; i < value.n && value.p[i] != ']'; i++) {
            if (!ascii_is_digit((unsigned char)value.p[i]) && !ascii_is_alpha((unsigned char)value.p[i]) &&
                value.p[i] != ':' && value.p[i] != '.')
                return 0;
            *upper |= host_bytes[(unsigned char)value.p[i]] == HOST_UPPER;
        }
        return i < value.n && i > 1 ? i + 1 : 0;
    }
    for (bool empty_label = true; i < value.n; i++) {
        unsigned kind = host_bytes[(unsigned char)value.p[i]];
        if (kind == HOST_NOT)
            return value.p[i] == ':' ? i : 0;
        if (kind == HOST_DOT && empty_label)
            return 0;
        empty_label = kind == HOST_DOT;
        *upper |= kind == HOST_UPPER;
    }
    return i;
}

bool uri_parse_host(struct str value, struct str *host, struct str *port, struct arena *arena) {
    bool upper;
    size_t n = host_length(value, &upper);
    struct str number = STR_NONE;
    uint64_t ignored;
    if (n == 0)
        return false;
    if (n < value.n) {
        if (value.p[n] != ':')
            return false;
        number = str_from(value, n + 1);
        if (number.n != 0 && !str_u64(number, 65535, &ignored))
            return false;
    }
    struct str name = str_head(value, value.p[n - 1] == '.' ? n - 1 : n);
    *host = upper ? arena_lower(arena, name) : name;
    *port = number;
    return true;
}
