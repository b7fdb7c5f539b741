// HTTP/1 heads to bytes. Whatever the strings hold, what is written is one well-formed line.
#include "wire/http1.h"
#include "wire/vec.h"

// Bytes that would end the target or the line are written as %XX.
static void put_target(struct sbuf *b, struct str target) {
    static const char hex[] = "0123456789ABCDEF";
    while (target.n != 0) {
        size_t good = vec_scan_ctl_sp(target.p, target.n);
        sbuf_put(b, target.p, good);
        if (good == target.n)
            return;
        unsigned char c = (unsigned char)target.p[good];
        sbuf_put(b, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
        target = str_from(target, good + 1);
    }
}

void http1_put_request_line(struct sbuf *b, struct str method, struct str target, unsigned version) {
    sbuf_str(b, is_token(method) ? method : STR("GET"));
    sbuf_chr(b, ' ');
    if (target.n == 0)
        sbuf_chr(b, '/');
    put_target(b, target);
    if (version >= 11)
        sbuf_lit(b, " HTTP/1.1\r\n");
    else
        sbuf_lit(b, " HTTP/1.0\r\n");
}

void http1_put_status_line(struct sbuf *b, unsigned version, unsigned status, struct str reason) {
    if (version >= 11)
        sbuf_lit(b, "HTTP/1.1 ");
    else
        sbuf_lit(b, "HTTP/1.0 ");
    CHECK(status >= 100 && status <= 999);
    sbuf_put(b, (char[]){(char)('0' + status / 100), (char)('0' + status / 10 % 10), (char)('0' + status % 10), ' '},
             4);
    if (vec_scan_ctl(reason.p, reason.n) == reason.n)
        sbuf_str(b, reason);
    sbuf_lit(b, "\r\n");
}

static inline bool value_breaks_line(struct str value) {
    if (LIKELY(vec_scan_ctl(value.p, value.n) == value.n))
        return false;
    return memchr(value.p, '\r', value.n) != NULL || memchr(value.p, '\n', value.n) != NULL ||
           memchr(value.p, '\0', value.n) != NULL;
}

unsigned http1_put_field(struct sbuf *b, struct str name, struct str value) {
    bool plain = name.n != 0 && vec_scan_name(name.p, name.n) == name.n;
    if (UNLIKELY((!plain && !is_token(name)) || value_breaks_line(value)))
        return 1;
    char *to = sbuf_room(b, name.n + value.n + 4);
    if (UNLIKELY(to == NULL))
        return 1;
    memcpy(to, name.p, name.n);
    to += name.n;
    *to++ = ':';
    *to++ = ' ';
    if (value.n != 0)
        memcpy(to, value.p, value.n);
    to += value.n;
    *to++ = '\r';
    *to = '\n';
    b->n += name.n + value.n + 4;
    return 0;
}
