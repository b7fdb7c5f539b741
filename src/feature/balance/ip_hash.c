// ip_hash: clients of one network (the first three bytes of an IPv4 address, all of an IPv6 one) go to one server.
#include "feature/balance/balance.h"
#include "http/req.h"

enum { FIRST = 89, FACTOR = 113, MODULUS = 6271, TRIES = 20 }; // nginx's

// The server at a place in the row of all primaries, each as long as its weight.
static int at_weight(const struct group *g, uint64_t w) {
    for (unsigned i = 0; i < g->npeers; i++) {
        if ((g->peers[i].flags & PEER_BACKUP) != 0)
            continue;
        if (w < g->peers[i].weight)
            return (int)i;
        w -= g->peers[i].weight;
    }
    return -1;
}

static void begin(const struct group *g, struct choice *c) {
    if (c->r == NULL)
        return;
    c->key = addr_bytes(&c->r->client_addr.sa);
    if (c->r->client_addr.sa.sa_family == AF_INET)
        c->key.n = 3;
    else if (c->r->client_addr.sa.sa_family != AF_INET6)
        c->key = str_n("\0\0", 3);
}

static int choose(const struct group *g, struct choice *c) {
    unsigned hash = FIRST;
    if (c->backups || g->npeers < 2 || g->total_weight == 0)
        return round_robin_choose(g, c);
    for (int tries = 0; tries <= TRIES; tries++) {
        for (size_t i = 0; i < c->key.n; i++)
            hash = (hash * FACTOR + (unsigned char)c->key.p[i]) % MODULUS;
        int i = at_weight(g, hash % g->total_weight);
        if (i >= 0 && peers_has(c->eligible, (unsigned)i))
            return i;
    }
    return round_robin_choose(g, c);
}

static const struct balancer ip_hash = {
    .name = "ip_hash", .lacks = PEER_BACKUP, .no_slow_start = true, .choose = choose, .begin = begin};

static bool set(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return upstream_balancer(cx, node, &ip_hash, NULL);
}

static const struct conf_row rows[] = {
    ROW_FN("ip_hash", IN_UPSTREAM, 0, 0, ROW_REPEAT, set, NULL, "Asks the server that the client's network belongs to."),
};

struct feature feature_ip_hash = {.name = "ip_hash", .rows = rows, .nrows = ARRAY_LEN(rows)};
