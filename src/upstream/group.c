// Groups of peers: where they are found, and their state, which is a zone and so outlives a reload.
#include "http/req.h"
#include "upstream/names.h"
#include "upstream/state.h"
#include <stdlib.h>

// --- zone --------------------------------------------------------------------------------------------------------------

static void *zone_make(const void *params) { return group_state_new(); }

static void zone_free(void *state) {
    pool_forget(state);
    group_state_unref(state);
}

// A state has what is known of its servers, whichever a configuration has now.
static bool zone_fits(const void *state, const void *now) { return true; }

static const struct zone_kind kind = {"upstream", zone_make, zone_free, zone_fits};

static void unref_zone(void *zone) { zone_unref(zone); }
static void unref_state(void *state) { group_state_unref(state); }
static void detach(void *group) { group_detach(group); }

static void remember(struct conf_cx *cx, struct group *g) {
    struct groups *gs = groups_of(cx->conf, true);
    if (gs->count == gs->cap) {
        gs->cap = MAX((size_t)8, gs->cap * 2);
        struct group **more = arena_array(cx->arena, struct group *, gs->cap);
        if (gs->count != 0)
            memcpy(more, gs->all, gs->count * sizeof(struct group *));
        gs->all = more;
    }
    gs->all[gs->count++] = g;
}

void group_ready(struct conf_cx *cx, struct group *g) {
    if (g->balancer == NULL)
        g->balancer = &balancer_round_robin;
    if (cx->conf->zones == NULL) {
        g->state = group_state_new();
        arena_cleanup(cx->arena, unref_state, g->state);
    } else {
        // The default port tells protocols apart: their idle connections must not mix.
        struct str name = g->implicit ? arena_printf(cx->arena, "address " STR_FMT " %u", STR_ARG(g->name), g->default_port)
                                      : arena_printf(cx->arena, "block " STR_FMT, STR_ARG(g->name));
        g->zone = zone_get(cx->conf->zones, &kind, name, g, NULL);
        g->state = g->zone->state;
        arena_cleanup(cx->arena, unref_zone, g->zone);
    }
    group_attach(g);
    arena_cleanup(cx->arena, detach, g);
    group_prepare(g, cx->arena);
    remember(cx, g);
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

void peer_defaults(struct peer *p) {
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
    g->queue_timeout_ms = 60 * 1000;
}

struct str peer_address_text(struct arena *a, const struct addr_full *addr) {
    char text[ADDR_TEXT_MAX];
    struct sbuf b;
    sbuf_init_fixed(&b, text, sizeof(text));
    addr_put(&b, &addr->sa, true);
    return arena_dup(a, sbuf_view(&b));
}

struct group *group_implicit(struct conf_cx *cx, struct str host_port, unsigned default_port, const struct conf_node *node) {
    struct groups *gs = groups_of(cx->conf, true);
    struct str key = arena_printf(cx->arena, STR_FMT " %u", STR_ARG(host_port), default_port);
    struct group *g = map_get(&gs->implicit, key);
    if (g != NULL)
        return g;
    struct group_server *s = arena_new(cx->arena, struct group_server);
    g = arena_new(cx->arena, struct group);
    group_defaults(g);
    g->implicit = true;
    g->name = s->peer.server = arena_dup(cx->arena, host_port);
    g->default_port = default_port;
    g->node = node;
    peer_defaults(&s->peer);
    if (!names_server(cx, node, host_port, default_port, false, s) || !names_peers(cx, node, g, s, 1))
        return NULL;
    g->names = names_of(cx, cx->scope, g, s, 1);
    group_ready(cx, g);
    map_put(&gs->implicit, key, g);
    return g;
}
