// memcached's text protocol.
#include "wire/memcached.h"

void memcached_put_get(struct sbuf *b, struct str key) {
    sbuf_lit(b, "get ");
    sbuf_str(b, key);
    sbuf_lit(b, "\r\n");
}

// What follows "VALUE ".
static enum memcached_reply_kind parse_value(struct memcached_reply *reply, struct str rest, struct str key) {
    if (!str_starts(rest, key))
        return MEMCACHED_BAD_KEY;
    rest = str_from(rest, key.n);
    if (!str_starts(rest, STR(" ")))
        return MEMCACHED_BAD_REPLY;
    rest = str_from(rest, 1);
    ssize_t space = str_chr(rest, ' ');
    if (space < 0)
        return MEMCACHED_BAD_REPLY;
    reply->flags = str_head(rest, (size_t)space);
    uint64_t length;
    if (!str_u64(str_from(rest, (size_t)space + 1), INT64_MAX, &length))
        return MEMCACHED_BAD_LENGTH;
    reply->length = (int64_t)length;
    return MEMCACHED_VALUE;
}

enum memcached_reply_kind memcached_parse(struct memcached_reply *reply, const char *p, size_t n, struct str key) {
    *reply = (struct memcached_reply){0};
    const char *lf = n != 0 ? memchr(p, '\n', n) : NULL;
    if (lf == NULL)
        return MEMCACHED_MORE;
    reply->line = str_n(p, (size_t)(lf - p));
    reply->end = reply->line.n + 1;
    if (reply->line.n == 0 || reply->line.p[reply->line.n - 1] != '\r')
        return MEMCACHED_BAD_REPLY;
    reply->line.n--;
    if (str_eq(reply->line, STR("END")))
        return MEMCACHED_NOT_FOUND;
    if (!str_starts(reply->line, STR("VALUE ")))
        return MEMCACHED_BAD_REPLY;
    return parse_value(reply, str_from(reply->line, 6), key);
}

bool memcached_flags(const struct memcached_reply *reply, uint64_t *flags) { return str_u64(reply->flags, INT64_MAX, flags); }

bool memcached_is_trailer(const char *p, size_t n) {
    static const char trailer[] = "\r\nEND\r\n";
    return n <= MEMCACHED_TRAILER && memcmp(p, trailer, n) == 0;
}
