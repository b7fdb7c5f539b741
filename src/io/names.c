// Names resolved while loading. See names.h.
#include "io/names.h"
#include <netdb.h>

// A name has no brackets and no second colon.
bool names_split(struct str text, unsigned default_port, struct str *host, unsigned *port, const char **why) {
    if (str_chr(text, '/') >= 0) {
        *why = "invalid host";
        return false;
    }
    ssize_t colon = str_rchr(text, ':');
    uint64_t n = default_port;
    *host = text;
    if (colon >= 0) {
        *host = str_head(text, (size_t)colon);
        if (!str_u64(str_from(text, (size_t)colon + 1), 65535, &n) || n == 0) {
            *why = "invalid port";
            return false;
        }
    }
    if (host->n == 0 || host->n > 253 || str_chr(*host, ':') >= 0 || str_chr(*host, '\0') >= 0) {
        *why = host->n == 0 ? "no host" : "invalid host";
        return false;
    }
    *port = (unsigned)n;
    return true;
}

static bool known(const struct names *out, const struct addr_full *a) {
    for (size_t i = 0; i < out->count; i++)
        if (addr_eq(&out->at[i].sa, &a->sa))
            return true;
    return false;
}

bool names_resolve(struct arena *a, struct str host_port, unsigned default_port, struct names *out, const char **why) {
    struct addr_full one;
    *why = NULL;
    if (addr_parse(&one, host_port, (int)default_port, false, why)) {
        out->at = arena_array(a, struct addr_full, 1);
        out->at[0] = one;
        out->count = 1;
        return true;
    }
    if (str_starts(host_port, STR("unix:")) || str_starts(host_port, STR("[")))
        return false;
    struct str host;
    unsigned port;
    *why = NULL;
    if (!names_split(host_port, default_port, &host, &port, why))
        return false;
    // Without a way to IPv6 (or IPv4) there is no use in such addresses.
    struct addrinfo hints = {.ai_flags = AI_ADDRCONFIG, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    if (getaddrinfo(arena_dup(a, host).p, NULL, &hints, &list) != 0)
        return false;
    size_t count = 0;
    for (struct addrinfo *i = list; i != NULL; i = i->ai_next)
        count++;
    *out = (struct names){arena_array(a, struct addr_full, MAX(count, 1)), 0};
    // IPv4 first, as nginx orders them.
    for (int pass = 0; pass < 2; pass++) {
        for (struct addrinfo *i = list; i != NULL; i = i->ai_next) {
            struct addr_full addr = {.len = i->ai_addrlen};
            if (i->ai_family != (pass == 0 ? AF_INET : AF_INET6) || i->ai_addrlen > sizeof(addr.in6))
                continue;
            memcpy(&addr.in6, i->ai_addr, i->ai_addrlen);
            addr_set_port(&addr.sa, port);
            if (!known(out, &addr))
                out->at[out->count++] = addr;
        }
    }
    freeaddrinfo(list);
    return out->count != 0;
}
