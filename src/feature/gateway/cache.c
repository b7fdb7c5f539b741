// *_cache_path: the zones of all families; and the variables of the cache.
#include "feature/gateway/cache.h"
#include "base/date.h"
#include "io/loop.h"

struct cache_root {
    struct cache_zones *zones; // shared by all scopes
};

struct cache_zones *cache_zones_of(const struct scope *s) {
    return ((const struct cache_root *)scope_conf(s, &feature_cache))->zones;
}

static bool finish_root(struct conf_cx *cx, struct scope *s, void *conf) {
    if (s->outer == NULL)
        ((struct cache_root *)conf)->zones = arena_new(cx->arena, struct cache_zones);
    return true;
}

static void unref_zone(void *zone) { zone_unref(zone); }

static bool open_zones(struct conf_cx *cx, struct scope *root) {
    struct cache_zones *all = cache_zones_of(root);
    for (struct cache_zone *z = all->first; z != NULL; z = z->next) {
        z->zone = zone_get(cx->conf->zones, &cache_kind, z->name, &z->params, NULL);
        arena_cleanup(cx->arena, unref_zone, z->zone);
    }
    return true;
}

// Only where requests are served: the other processes read the configuration too.
static void start(struct conf *c) {
    const struct cache_zones *all = cache_zones_of(c->root);
    for (const struct cache_zone *z = all->first; z != NULL; z = z->next)
        cache_start(z->zone->state, &z->params);
}

static void stop(struct conf *c) {}

// --- variables -----------------------------------------------------------------------------------------------------------

static const struct cache_run *run_of(struct eval *e) { return req_ctx(e->req, &feature_cache); }

static bool get_status(struct eval *e, const struct var *v, struct str *out) {
    static const struct str words[] = {
        [CACHE_SAYS_NOTHING] = {NULL, 0},
        [CACHE_SAYS_MISS] = STR_INIT("MISS"),
        [CACHE_SAYS_BYPASS] = STR_INIT("BYPASS"),
        [CACHE_SAYS_EXPIRED] = STR_INIT("EXPIRED"),
        [CACHE_SAYS_STALE] = STR_INIT("STALE"),
        [CACHE_SAYS_UPDATING] = STR_INIT("UPDATING"),
        [CACHE_SAYS_REVALIDATED] = STR_INIT("REVALIDATED"),
        [CACHE_SAYS_HIT] = STR_INIT("HIT"),
    };
    const struct cache_run *run = run_of(e);
    *out = run != NULL ? words[run->says] : STR_NONE;
    return out->n != 0;
}

static bool get_key(struct eval *e, const struct var *v, struct str *out) {
    const struct cache_run *run = run_of(e);
    *out = run != NULL ? run->ask.key : STR_NONE;
    return run != NULL && out->p != NULL;
}

static const struct cache_object *object_of(struct eval *e) {
    const struct cache_run *run = run_of(e);
    return run != NULL ? run->ask.object : NULL;
}

static bool get_age(struct eval *e, const struct var *v, struct str *out) {
    const struct cache_object *o = object_of(e);
    if (o == NULL)
        return false;
    int64_t age = MAX(cache_now_s(e->req) - o->facts.stored, (int64_t)0);
    *out = arena_printf(e->arena, "%lld", (long long)age);
    return true;
}

static bool get_field(struct eval *e, const struct var *v, struct str *out) {
    const struct cache_run *run = run_of(e);
    const struct cache_object *o = run != NULL && run->validates ? run->ask.object : NULL;
    *out = o != NULL ? head_value(&o->head, (enum field_id)v->data) : STR_NONE;
    return out->n != 0;
}

static const struct var_def vars[] = {
    {"upstream_cache_status", false, VAR_VOLATILE, get_status, NULL, 0,
     "How the cache answered: MISS, BYPASS, EXPIRED, STALE, UPDATING, REVALIDATED or HIT."},
    {"upstream_cache_key", false, VAR_VOLATILE, get_key, NULL, 0, "The key that the cache was asked for."},
    {"upstream_cache_age", false, VAR_VOLATILE, get_age, NULL, 0, "Seconds since the cached answer came, or was validated last."},
    {"upstream_cache_last_modified", false, VAR_VOLATILE, get_field, NULL, FIELD_LAST_MODIFIED, "Last-Modified of the cached answer, while it is validated."},
    {"upstream_cache_etag", false, VAR_VOLATILE, get_field, NULL, FIELD_ETAG, "ETag of the cached answer, while it is validated."},
};

struct feature feature_cache = {
    .name = "cache",
    .conf_size = sizeof(struct cache_root),
    .vars = vars,
    .nvars = ARRAY_LEN(vars),
    .finish = finish_root,
    .link = open_zones,
    .start = start,
    .stop = stop,
};
