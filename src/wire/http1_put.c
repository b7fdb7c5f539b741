// HTTP/1 heads to bytes. Whatever the strings hold, what is written is one well-formed line.
#include "wire/http1.h"
#include "wire/vec.h"

bool http1_put_request_line(struct sbuf *b, struct str method, struct str target, unsigned version) {
    if (target.n == 0 || vec_scan_ctl_sp(target.p, target.n) != target.n)
        return false;
    if (method_from(method) == METHOD_UNKNOWN && !is_token(method))
        return false;
    char *to = sbuf_room(b, method.n + target.n + 12);
    if (UNLIKELY(to == NULL))
        return true; // overflow says it
    memcpy(to, method.p, method.n);
    to += method.n;
    *to++ = ' ';
    memcpy(to, target.p, target.n);
    memcpy(to + target.n, version >= 11 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n", 11);
    b->n += method.n + target.n + 12;
    return true;
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
    return http1_put_clean(b, name, value);
}

unsigned http1_put_clean(struct sbuf *b, struct str name, struct str value) {
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
