// Names resolved while loading. See names.h.
#include "io/names.h"
#include "io/broker.h"
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

// Its addresses with port 0, each once, IPv4 first, as nginx orders them. None when nobody knows the name.
static struct names ask_system(struct arena *a, struct str host) {
    // Without a way to IPv6 (or IPv4) there is no use in such addresses.
    struct addrinfo hints = {.ai_flags = AI_ADDRCONFIG, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    struct names found = {NULL, 0};
    if (getaddrinfo(arena_dup(a, host).p, NULL, &hints, &list) != 0)
        return found;
    size_t count = 0;
    for (struct addrinfo *i = list; i != NULL; i = i->ai_next)
        count++;
    found.at = arena_array(a, struct addr_full, MAX(count, 1));
    for (int pass = 0; pass < 2; pass++) {
        for (struct addrinfo *i = list; i != NULL; i = i->ai_next) {
            struct addr_full addr = {.len = i->ai_addrlen};
            if (i->ai_family != (pass == 0 ? AF_INET : AF_INET6) || i->ai_addrlen > sizeof(addr.in6))
                continue;
            memcpy(&addr.in6, i->ai_addr, i->ai_addrlen);
            if (!known(&found, &addr))
                found.at[found.count++] = addr;
        }
    }
    freeaddrinfo(list);
    return found;
}

// The worker is told what the supervisor found: it need not wait again, and cannot see /etc as it is now.
static struct names look_up(struct arena *a, struct str host) {
    struct str key = arena_printf(a, "address " STR_FMT, STR_ARG(host)), bytes;
    if (!broker_recall(key, a, &bytes)) {
        struct names found = ask_system(a, host);
        broker_tell(key, str_n((const char *)found.at, found.count * sizeof *found.at));
        return found;
    }
    struct names found = {arena_array(a, struct addr_full, MAX(bytes.n / sizeof(struct addr_full), 1)), bytes.n / sizeof(struct addr_full)};
    if (bytes.n != 0)
        memcpy(found.at, bytes.p, bytes.n);
    return found;
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
    *out = look_up(a, host);
    for (size_t i = 0; i < out->count; i++)
        addr_set_port(&out->at[i].sa, port);
    return out->count != 0;
}
