// Groups of peers: where they are found, and their state, which is a zone and so outlives a reload.
#include "http/req.h"
#include "io/names.h"
#include "upstream/state.h"
#include <stdlib.h>

// --- state -------------------------------------------------------------------------------------------------------------

struct group_state *group_state_new(const struct group *g) {
    struct group_state *s = xcalloc(1, sizeof(*s));
    s->magic = GROUP_STATE_MAGIC;
    atomic_init(&s->refs, 1);
    pthread_mutex_init(&s->lock, NULL);
    s->npeers = g->npeers;
    s->peers = xcalloc(MAX(g->npeers, 1), sizeof(*s->peers));
    s->names = xcalloc(MAX(g->npeers, 1), sizeof(*s->names));
    for (unsigned i = 0; i < g->npeers; i++) {
        s->peers[i].effective_weight = g->peers[i].weight;
        s->names[i] = str_xdup(g->peers[i].name);
    }
    return s;
}

void group_state_ref(struct group_state *s) { atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed); }

void group_state_unref(struct group_state *s) {
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    pool_shards_free(s);
    for (unsigned i = 0; i < s->npeers; i++)
        free(s->names[i]);
    free(s->names);
    free(s->peers);
    pthread_mutex_destroy(&s->lock);
    s->magic = 0;
    free(s);
}

static void *zone_make(const void *params) { return group_state_new(params); }

static void zone_free(void *state) {
    pool_forget(state);
    group_state_unref(state);
}

// The same addresses in the same order: weights and limits may have changed, they are the configuration's.
static bool zone_fits(const void *state, const void *now) {
    const struct group_state *s = state;
    const struct group *g = now;
    if (s->npeers != g->npeers)
        return false;
    for (unsigned i = 0; i < s->npeers; i++)
        if (!str_eq(str_c(s->names[i]), g->peers[i].name))
            return false;
    return true;
}

static const struct zone_kind kind = {"upstream", zone_make, zone_free, zone_fits};

static void unref_zone(void *zone) { zone_unref(zone); }
static void unref_state(void *state) { group_state_unref(state); }

void group_ready(struct conf_cx *cx, struct group *g) {
    for (unsigned i = 0; i < g->npeers; i++)
        g->peers[i].index = i;
    if (g->balancer == NULL)
        g->balancer = &balancer_round_robin;
    if (cx->conf->zones == NULL) {
        g->state = group_state_new(g);
        arena_cleanup(cx->arena, unref_state, g->state);
        return;
    }
    // The default port tells protocols apart: their idle connections must not mix.
    struct str name = g->implicit ? arena_printf(cx->arena, "address " STR_FMT " %u", STR_ARG(g->name), g->default_port)
                                  : arena_printf(cx->arena, "block " STR_FMT, STR_ARG(g->name));
    g->zone = zone_get(cx->conf->zones, &kind, name, g, NULL);
    g->state = g->zone->state;
    arena_cleanup(cx->arena, unref_zone, g->zone);
}

// --- the groups of a configuration -----------------------------------------------------------------------------------------

struct groups *groups_of(const struct conf *c, bool make) {
    struct scope *http = c->root;
    for (struct scope *s = c->root->children; s != NULL; s = s->next)
        if (s->place == IN_HTTP)
            http = s;
    struct upstream_conf *uc = scope_conf(http, &feature_upstream);
    if (uc == NULL)
        return NULL;
    if (uc->groups == NULL && make) {
        struct arena *a = (struct arena *)&c->arena; // only while loading
        uc->groups = arena_new(a, struct groups);
        map_init(&uc->groups->by_name, true, c->seed);
        map_init(&uc->groups->implicit, true, c->seed);
        arena_cleanup(a, (void (*)(void *))map_done, &uc->groups->by_name);
        arena_cleanup(a, (void (*)(void *))map_done, &uc->groups->implicit);
    }
    return uc->groups;
}

struct group *group_find(const struct conf *c, struct str name) {
    const struct groups *gs = groups_of(c, false);
    return gs == NULL ? NULL : map_get(&gs->by_name, name);
}

static void peer_defaults(struct peer *p) {
    p->weight = 1;
    p->max_fails = 1;
    p->fail_timeout_ms = 10 * 1000;
}

void group_defaults(struct group *g) {
    g->balancer = &balancer_round_robin;
    g->keepalive = 32;
    g->keepalive_requests = 1000;
    g->keepalive_time_ms = 3600 * 1000;
    g->keepalive_timeout_ms = 60 * 1000;
}

struct str peer_address_text(struct arena *a, const struct addr_full *addr) {
    char text[ADDR_TEXT_MAX];
    struct sbuf b;
    sbuf_init_fixed(&b, text, sizeof(text));
    addr_put(&b, &addr->sa, true);
    return arena_dup(a, sbuf_view(&b));
}

static void add_peers(struct arena *a, struct group *g, const struct addr_full *addrs, size_t n) {
    g->peers = arena_array(a, struct peer, n);
    g->npeers = (unsigned)n;
    for (unsigned i = 0; i < n; i++) {
        struct peer *p = &g->peers[i];
        peer_defaults(p);
        p->addr = addrs[i];
        p->index = i;
        p->name = peer_address_text(a, &addrs[i]);
        p->server = g->name;
    }
}

struct group *group_implicit(struct conf_cx *cx, struct str host_port, unsigned default_port, const struct conf_node *node) {
    struct groups *gs = groups_of(cx->conf, true);
    struct str key = arena_printf(cx->arena, STR_FMT " %u", STR_ARG(host_port), default_port);
    struct group *g = map_get(&gs->implicit, key);
    if (g != NULL)
        return g;
    struct names found = {0};
    const char *why = NULL;
    if (!names_resolve(cx->arena, host_port, default_port, &found, &why)) {
        if (why != NULL)
            conf_err(cx, node, "%s in upstream \"" STR_FMT "\"", why, STR_ARG(host_port));
        else
            conf_err(cx, node, "host not found in upstream \"" STR_FMT "\"", STR_ARG(host_port));
        return NULL;
    }
    g = arena_new(cx->arena, struct group);
    group_defaults(g);
    g->implicit = true;
    g->name = arena_dup(cx->arena, host_port);
    g->default_port = default_port;
    g->node = node;
    add_peers(cx->arena, g, found.at, found.count);
    group_ready(cx, g);
    map_put(&gs->implicit, key, g);
    return g;
}

struct group *group_of_request(struct req *r, struct str host_port, unsigned default_port) {
    struct addr_full addr;
    const char *why;
    if (!addr_parse(&addr, host_port, (int)default_port, false, &why))
        return NULL;
    struct group *g = arena_new(&r->arena, struct group);
    group_defaults(g);
    g->of_request = true;
    g->keepalive = 0; // its pool would end with the request
    g->implicit = true;
    g->name = arena_dup(&r->arena, host_port);
    add_peers(&r->arena, g, &addr, 1);
    g->state = group_state_new(g);
    arena_cleanup(&r->arena, unref_state, g->state);
    return g;
}
