// hash: the server that a key belongs to. Plain: as Cache::Memcached spreads keys, so that nearly all keys move when a server
// comes or goes. Consistent: ketama points as Cache::Memcached::Fast has them with 160 points a server, so that only the share
// of that server moves.
#include "base/hash.h"
#include "feature/balance/balance.h"
#include "http/req.h"
#include <stdlib.h>

enum { TRIES = 20, POINTS = 160, WEIGHTS_MAX = 1 << 16 };

struct settings {
    struct tmpl *key;
};

static void begin(const struct group *g, struct choice *c) {
    const struct settings *s = g->balance;
    if (c->r != NULL)
        c->key = req_eval(c->r, s->key);
}

// --- plain -----------------------------------------------------------------------------------------------------------------------

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

// crc32([tries] key), the bits that Cache::Memcached takes.
static unsigned hash_of(struct str key, int tries) {
    char number[12];
    uint32_t crc = ~(uint32_t)0;
    struct sbuf b;
    sbuf_init_fixed(&b, number, sizeof(number));
    if (tries > 0)
        sbuf_u64(&b, (uint64_t)tries);
    crc = hash_crc32_add(crc, sbuf_view(&b));
    crc = ~hash_crc32_add(crc, key);
    return crc >> 16 & 0x7fff;
}

static int choose_plain(const struct group *g, struct choice *c) {
    uint64_t hash = 0;
    if (c->backups || g->npeers < 2 || c->key.n == 0 || g->total_weight == 0)
        return round_robin_choose(g, c);
    for (int tries = 0; tries <= TRIES; tries++) {
        hash += hash_of(c->key, tries);
        int i = at_weight(g, hash % g->total_weight);
        if (i >= 0 && peers_has(c->eligible, (unsigned)i))
            return i;
    }
    return round_robin_choose(g, c);
}

static const struct balancer plain = {
    .name = "hash", .lacks = PEER_BACKUP, .no_slow_start = true, .choose = choose_plain, .begin = begin};

// --- consistent ------------------------------------------------------------------------------------------------------------------

struct point {
    uint32_t hash;
    unsigned server; // index of the first peer of that server
};

struct ring {
    size_t count;
    struct point at[];
};

static int by_hash(const void *a, const void *b) {
    const struct point *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->server > y->server) - (x->server < y->server);
}

// "host NUL port", as it is written in the configuration; a Unix socket is its path.
static uint32_t crc_of_server(struct str server) {
    struct str host = server, port = STR("");
    if (str_istarts(server, STR("unix:"))) {
        host = str_from(server, 5);
    } else {
        ssize_t colon = str_rchr(server, ':');
        if (colon >= 0 && str_chr(str_from(server, (size_t)colon), ']') < 0) {
            host = str_head(server, (size_t)colon);
            port = str_from(server, (size_t)colon + 1);
        }
    }
    uint32_t crc = hash_crc32_add(~(uint32_t)0, host);
    crc = hash_crc32_add(crc, STR("\0"));
    return hash_crc32_add(crc, port);
}

static struct str identity(const struct peer *p) { return p->by_address ? p->name : p->server; }

// The servers of the ring: a server with several addresses has its points once, unless it is one of `resolve`.
static bool is_first_of_server(const struct group *g, unsigned i) {
    for (unsigned k = 0; k < i; k++)
        if ((g->peers[k].flags & PEER_BACKUP) == 0 && str_eq(identity(&g->peers[k]), identity(&g->peers[i])))
            return false;
    return (g->peers[i].flags & PEER_BACKUP) == 0;
}

static void prepare(struct group *g, struct arena *a) {
    // Enormous weights are scaled down: the shares stay, the memory does not.
    unsigned scale = g->total_weight / WEIGHTS_MAX + 1;
    struct ring *ring = arena_alloc(a, sizeof(*ring) + (g->total_weight / scale + g->npeers) * (size_t)POINTS * sizeof(struct point));
    ring->count = 0;
    for (unsigned i = 0; i < g->npeers; i++) {
        if (!is_first_of_server(g, i))
            continue;
        uint32_t base = crc_of_server(identity(&g->peers[i])), prev = 0;
        for (unsigned k = 0; k < MAX(g->peers[i].weight / scale, 1) * POINTS; k++) {
            const char bytes[4] = {(char)prev, (char)(prev >> 8), (char)(prev >> 16), (char)(prev >> 24)};
            prev = ~hash_crc32_add(base, str_n(bytes, 4));
            ring->at[ring->count++] = (struct point){prev, i};
        }
    }
    qsort(ring->at, ring->count, sizeof(ring->at[0]), by_hash);
    size_t kept = 0; // of points at one place the first stays
    for (size_t i = 0; i < ring->count; i++)
        if (kept == 0 || ring->at[i].hash != ring->at[kept - 1].hash)
            ring->at[kept++] = ring->at[i];
    ring->count = kept;
    g->prepared = ring;
}

// The first point that is not below the hash.
static size_t find_point(const struct ring *ring, uint32_t hash) {
    size_t low = 0, high = ring->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ring->at[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// Of the eligible peers of one server the one whose turn it is.
static int of_server(const struct group *g, struct choice *c, unsigned first) {
    uint64_t same[GROUP_PEERS_MAX / 64];
    bool any = false;
    memset(same, 0, group_bits(g) * sizeof(*same));
    peers_each(i, g, c->eligible) {
        if (i >= first && str_eq(identity(&g->peers[i]), identity(&g->peers[first]))) {
            same[i / 64] |= (uint64_t)1 << (i % 64);
            any = true;
        }
    }
    struct choice among = *c;
    among.eligible = same;
    return any ? round_robin_choose(g, &among) : -1;
}

static int choose_consistent(const struct group *g, struct choice *c) {
    const struct ring *ring = g->prepared;
    if (c->backups || g->npeers < 2 || c->key.n == 0 || ring->count == 0)
        return round_robin_choose(g, c);
    size_t at = find_point(ring, hash_crc32(c->key));
    for (int tries = 0; tries <= TRIES; tries++) {
        int i = of_server(g, c, ring->at[(at + (size_t)tries) % ring->count].server);
        if (i >= 0)
            return i;
    }
    return round_robin_choose(g, c);
}

static const struct balancer consistent = {.name = "hash",
                                           .lacks = PEER_BACKUP,
                                           .no_slow_start = true,
                                           .choose = choose_consistent,
                                           .begin = begin,
                                           .prepare = prepare};

// --- rows ------------------------------------------------------------------------------------------------------------------------

static bool set(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct settings *s = arena_new(cx->arena, struct settings);
    s->key = tmpl_compile(cx, node->args[1], node);
    if (s->key == NULL)
        return false;
    if (node->nargs == 3 && !str_eq(node->args[2], STR("consistent")))
        return upstream_bad_parameter(cx, node, node->args[2]);
    return upstream_balancer(cx, node, node->nargs == 3 ? &consistent : &plain, s);
}

static const struct conf_row rows[] = {
    ROW_FNS("hash", IN_UPSTREAM, 1, 2, ROW_REPEAT, set, NULL, "key [consistent]",
            "Asks the server that a key of text and variables belongs to; consistent: ketama, only few keys move when servers change."),
};

struct feature feature_hash = {.name = "hash", .rows = rows, .nrows = ARRAY_LEN(rows)};
