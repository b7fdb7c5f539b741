// Lists of addresses are read from their end: what a proxy appended is nearer to us than what it was told.
#include "wire/forwarded.h"

bool trusted_has(const struct trusted *t, const struct sockaddr *sa) {
    for (size_t i = 0; i < t->n; i++) {
        if (sa->sa_family == AF_UNIX ? t->at[i].family == AF_UNIX : cidr_has(&t->at[i], sa))
            return true;
    }
    return false;
}

// nginx takes neither brackets without a port nor the broadcast address.
static bool parse_bare(struct addr *a, struct str text) {
    if ((text.n != 0 && text.p[0] == '[') || !addr_parse_ip(a, text))
        return false;
    return a->sa.sa_family != AF_INET || a->in4.sin_addr.s_addr != INADDR_NONE;
}

bool forwarded_parse(struct addr *a, struct str text) {
    if (parse_bare(a, text))
        return true;
    ssize_t colon = str_rchr(text, ':');
    uint64_t port;
    if (colon <= 0 || !str_u64(str_from(text, (size_t)colon + 1), 65535, &port) || port == 0)
        return false;
    struct str host = str_head(text, (size_t)colon);
    bool bracketed = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (bracketed)
        host = str_n(host.p + 1, host.n - 2);
    if (!parse_bare(a, host) || (a->sa.sa_family == AF_INET6 && !bracketed))
        return false;
    addr_set_port(&a->sa, (unsigned)port);
    return true;
}

// Takes the last element off *list.
static bool take_last(struct str *list, struct str *last) {
    size_t end = list->n;
    while (end > 0 && (list->p[end - 1] == ' ' || list->p[end - 1] == ','))
        end--;
    size_t begin = end;
    while (begin > 0 && list->p[begin - 1] != ' ' && list->p[begin - 1] != ',')
        begin--;
    *last = str_n(list->p + begin, end - begin);
    list->n = begin;
    return last->n != 0;
}

// GONE_ON: the addresses of this value were all trusted, so those of the line before may be asked.
enum walk { NOTHING, FOUND, GONE_ON };

static enum walk walk(struct addr *addr, struct str value, const struct trusted *t, bool recursive) {
    enum walk seen = NOTHING;
    struct str last;
    struct addr next;
    while (trusted_has(t, &addr->sa)) {
        if (!take_last(&value, &last))
            return seen == NOTHING ? NOTHING : GONE_ON;
        if (!forwarded_parse(&next, last))
            return seen == NOTHING ? NOTHING : FOUND;
        *addr = next;
        if (!recursive)
            return FOUND;
        seen = FOUND;
    }
    return seen;
}

bool forwarded_by_value(struct addr *addr, struct str value, const struct trusted *t, bool recursive) {
    return walk(addr, value, t, recursive) != NOTHING;
}

bool forwarded_by_field(struct addr *addr, const struct head *h, struct str name, const struct trusted *t, bool recursive) {
    bool found = false;
    for (size_t i = h->count; i-- > 0;) {
        const struct field *f = &h->at[i];
        if (f->dropped || !str_ieq(f->name, name))
            continue;
        enum walk w = walk(addr, f->value, t, recursive);
        found |= w != NOTHING;
        if (w != GONE_ON)
            break;
    }
    return found;
}
