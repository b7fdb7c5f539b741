// sticky learn: which server made a session is learnt from a value of its response, and looked up by a value of the request.
// Sessions are kept in a zone that all threads share and that outlives a reload, for `timeout` after their last use; when the
// zone is full the one used longest ago goes.
#include "base/hash.h"
#include "feature/balance/sticky.h"
#include "http/req.h"
#include "upstream/exchange.h"
#include <stdlib.h>

enum { SESSION_COST = 128, SESSION_MAX = 1024 }; // bytes: what one is counted for besides its texts; of an identifier

struct session {
    struct list lru; // newest first
    struct str id, peer;
    uint64_t used_ms;
    char bytes[];
};

struct sessions {
    pthread_mutex_t lock;
    struct map by_id;
    struct list lru;
    size_t used, size; // bytes
};

struct learn {
    struct tmpl **create, **lookup;
    unsigned ncreate, nlookup;
    struct str zone;
    uint64_t size, timeout_ms;
    struct sessions *sessions;
};

// --- sessions ----------------------------------------------------------------------------------------------------------------------

static size_t cost_of(const struct session *s) { return SESSION_COST + s->id.n + s->peer.n; }

static void drop(struct sessions *ss, struct session *s) {
    map_del(&ss->by_id, s->id);
    list_remove(&s->lru);
    ss->used -= cost_of(s);
    free(s);
}

static void *zone_make(const void *params) {
    struct sessions *ss = xcalloc(1, sizeof(*ss));
    pthread_mutex_init(&ss->lock, NULL);
    map_init(&ss->by_id, false, (uint64_t)(uintptr_t)ss);
    list_init(&ss->lru);
    ss->size = (size_t)((const struct learn *)params)->size;
    return ss;
}

static void zone_free(void *state) {
    struct sessions *ss = state;
    list_each_safe(s, &ss->lru, struct session, lru) {
        drop(ss, s);
    }
    map_done(&ss->by_id);
    pthread_mutex_destroy(&ss->lock);
    free(ss);
}

static bool zone_fits(const void *state, const void *now) {
    return ((const struct sessions *)state)->size == ((const struct learn *)now)->size;
}

static const struct zone_kind kind = {"sticky", zone_make, zone_free, zone_fits};
static void unref_zone(void *zone) { zone_unref(zone); }

static bool is_over(const struct learn *ln, const struct session *s, uint64_t now) { return now - s->used_ms > ln->timeout_ms; }

// The lock is held. Also takes away a few that are over, so that memory goes back.
static struct session *find_session(const struct learn *ln, struct str id, uint64_t now) {
    struct sessions *ss = ln->sessions;
    for (int i = 0; i < 2 && !list_empty(&ss->lru); i++) {
        struct session *oldest = list_last(&ss->lru, struct session, lru);
        if (now < oldest->used_ms || !is_over(ln, oldest, now))
            break;
        drop(ss, oldest);
    }
    struct session *s = map_get(&ss->by_id, id);
    if (s == NULL)
        return NULL;
    if (now > s->used_ms && is_over(ln, s, now)) {
        drop(ss, s);
        return NULL;
    }
    s->used_ms = now;
    list_remove(&s->lru);
    list_push_front(&ss->lru, &s->lru);
    return s;
}

static void keep_session(const struct learn *ln, struct str id, struct str peer, uint64_t now) {
    struct sessions *ss = ln->sessions;
    struct session *s = find_session(ln, id, now);
    if (s != NULL && str_eq(s->peer, peer))
        return;
    if (s != NULL)
        drop(ss, s);
    s = xcalloc(1, sizeof(*s) + id.n + peer.n);
    memcpy(s->bytes, id.p, id.n);
    memcpy(s->bytes + id.n, peer.p, peer.n);
    s->id = str_n(s->bytes, id.n);
    s->peer = str_n(s->bytes + id.n, peer.n);
    s->used_ms = now;
    while (ss->used + cost_of(s) > ss->size && !list_empty(&ss->lru))
        drop(ss, list_last(&ss->lru, struct session, lru));
    map_put(&ss->by_id, s->id, s);
    list_push_front(&ss->lru, &s->lru);
    ss->used += cost_of(s);
}

// --- of requests -------------------------------------------------------------------------------------------------------------------

static int find(const struct group *g, struct req *r) {
    const struct learn *ln = g->sticky_conf;
    struct str id = sticky_first(r, ln->lookup, ln->nlookup);
    int found = -1;
    if (id.n == 0 || id.n > SESSION_MAX)
        return -1;
    pthread_mutex_lock(&ln->sessions->lock);
    const struct session *s = find_session(ln, id, loop_now(r->loop));
    for (unsigned i = 0; s != NULL && found < 0 && i < g->npeers; i++)
        if (str_eq(g->peers[i].name, s->peer))
            found = (int)i;
    pthread_mutex_unlock(&ln->sessions->lock);
    return found;
}

static void answered(const struct group *g, struct exchange *x) {
    const struct learn *ln = g->sticky_conf;
    struct str id = sticky_first(x->r, ln->create, ln->ncreate);
    if (id.n == 0 || id.n > SESSION_MAX)
        return;
    pthread_mutex_lock(&ln->sessions->lock);
    keep_session(ln, id, x->peer->name, loop_now(x->r->loop));
    pthread_mutex_unlock(&ln->sessions->lock);
}

static const struct sticky by_learning = {"learn", find, answered, NULL};

// --- configuration -----------------------------------------------------------------------------------------------------------------

static bool add_variable(struct conf_cx *cx, const struct conf_node *node, struct str value, struct tmpl **to, unsigned *n) {
    if (!tmpl_has_var(value))
        return conf_err(cx, node, "invalid variable name \"" STR_FMT "\"", STR_ARG(value));
    to[*n] = tmpl_compile(cx, value, node);
    return to[(*n)++] != NULL;
}

static bool parse_zone(struct conf_cx *cx, const struct conf_node *node, struct str value, struct learn *ln) {
    ssize_t colon = str_rchr(value, ':');
    if (colon <= 0 || !conf_parse_size(str_from(value, (size_t)colon + 1), &ln->size))
        return conf_err(cx, node, "invalid zone size \"" STR_FMT "\"", STR_ARG(value));
    ln->zone = str_head(value, (size_t)colon);
    if (ln->size < 8 * 4096)
        return conf_err(cx, node, "zone \"" STR_FMT "\" is too small", STR_ARG(ln->zone));
    return true;
}

static bool parse_word(struct conf_cx *cx, const struct conf_node *node, struct str arg, struct learn *ln) {
    struct str value;
    if ((value = upstream_value(arg, STR("create"))).p != NULL)
        return add_variable(cx, node, value, ln->create, &ln->ncreate);
    if ((value = upstream_value(arg, STR("lookup"))).p != NULL)
        return add_variable(cx, node, value, ln->lookup, &ln->nlookup);
    if ((value = upstream_value(arg, STR("zone"))).p != NULL)
        return parse_zone(cx, node, value, ln);
    if ((value = upstream_value(arg, STR("timeout"))).p != NULL)
        return conf_parse_msec(value, &ln->timeout_ms) || upstream_bad_parameter(cx, node, arg);
    // A session is there as soon as the head of the response is; one worker has nobody to synchronise with.
    if (str_eq(arg, STR("header")) || str_eq(arg, STR("sync")))
        return true;
    return upstream_bad_parameter(cx, node, arg);
}

bool sticky_learn(struct conf_cx *cx, const struct conf_node *node, struct group *g) {
    struct learn *ln = arena_new(cx->arena, struct learn);
    ln->create = arena_array(cx->arena, struct tmpl *, node->nargs);
    ln->lookup = arena_array(cx->arena, struct tmpl *, node->nargs);
    ln->timeout_ms = 10 * 60 * 1000;
    for (unsigned i = 2; i < node->nargs; i++)
        if (!parse_word(cx, node, node->args[i], ln))
            return false;
    if (ln->ncreate == 0 || ln->nlookup == 0 || ln->zone.n == 0)
        return conf_err(cx, node, "\"sticky learn\" requires \"create\", \"lookup\" and \"zone\"");
    if (cx->conf->zones == NULL)
        return conf_err(cx, node, "no zones");
    struct zone *z = zone_get(cx->conf->zones, &kind, arena_dup(cx->arena, ln->zone), ln, NULL);
    arena_cleanup(cx->arena, unref_zone, z);
    ln->sessions = z->state;
    g->sticky = &by_learning;
    g->sticky_conf = ln;
    return true;
}
