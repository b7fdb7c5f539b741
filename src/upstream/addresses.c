// Groups made at run time, and where they are found again.
//
//   addresses ── entries, latest used first ── "app:3000 80" ──► list of now ── peers[]
//                                                    └────────► group_state: counted by the entry, the list, and idle links
#include "upstream/addresses.h"
#include "base/list.h"
#include "base/map.h"
#include "http/req.h"
#include "io/resolver.h"
#include "io/task.h"
#include "upstream/names.h"
#include "upstream/state.h"
#include <stdlib.h>

enum { PEERS_MAX = 1024 };

struct entry {
    struct list used;          // of addresses
    struct str key;            // in the entry's own memory
    struct group_state *state; // counted
    struct group *list;        // counted
    char text[];
};

struct addresses {
    pthread_mutex_t lock; // guards all; a state's lock is taken inside of it
    struct map by_key;
    struct list used;
    unsigned count;
};

// What says of a list that it is one: these have no group of a configuration.
static const struct group origin;

struct addresses *addresses_new(void) {
    struct addresses *as = xcalloc(1, sizeof(*as));
    pthread_mutex_init(&as->lock, NULL);
    map_init(&as->by_key, true, (uint64_t)(uintptr_t)as);
    list_init(&as->used);
    return as;
}

static void entry_free(struct addresses *as, struct entry *e) {
    map_del(&as->by_key, e->key);
    list_remove(&e->used);
    as->count--;
    pool_forget(e->state);
    group_done(e->list);
    group_state_unref(e->state);
    free(e);
}

void addresses_free(struct addresses *as) {
    if (as == NULL)
        return;
    list_each_safe(e, &as->used, struct entry, used) entry_free(as, e);
    map_done(&as->by_key);
    pthread_mutex_destroy(&as->lock);
    free(as);
}

unsigned addresses_count(struct addresses *as) {
    pthread_mutex_lock(&as->lock);
    unsigned n = as->count;
    pthread_mutex_unlock(&as->lock);
    return n;
}

// --- groups ----------------------------------------------------------------------------------------------------------------------

static bool has_these(const struct group *g, const struct addr_full *at, size_t count) {
    if (g->npeers != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        while (k < count && !addr_eq(&g->peers[k].addr.sa, &at[i].sa))
            k++;
        if (k == count)
            return false;
    }
    return true;
}

static struct group *list_of(struct group_state *s, struct str text, unsigned port, const struct addr_full *at, size_t count) {
    struct group base = {.implicit = true, .revives = true, .default_port = port, .state = s};
    group_defaults(&base);
    struct group *list = group_list_new(&base, (unsigned)count);
    list->origin = &origin;
    list->name = arena_dup(list->arena, text);
    for (size_t i = 0; i < count; i++) {
        struct peer *p = &list->peers[i];
        peer_defaults(p);
        p->addr = at[i];
        p->name = peer_address_text(list->arena, &p->addr);
        p->server = list->name;
    }
    group_list_ready(list);
    return list;
}

static struct entry *entry_of(struct addresses *as, struct str text, unsigned port) {
    char room[32];
    struct sbuf number;
    sbuf_init_fixed(&number, room, sizeof(room));
    sbuf_printf(&number, " %u", port);
    struct entry *e = xcalloc(1, sizeof(*e) + text.n + number.n);
    memcpy(e->text, text.p, text.n);
    memcpy(e->text + text.n, number.p, number.n);
    e->key = str_n(e->text, text.n + number.n);
    list_init(&e->used);
    struct entry *known = map_get(&as->by_key, e->key);
    if (known != NULL) {
        free(e);
        return known;
    }
    if (as->count == ADDRESSES_MAX)
        entry_free(as, list_last(&as->used, struct entry, used));
    e->state = group_state_new();
    map_put(&as->by_key, e->key, e);
    as->count++;
    return e;
}

struct group *addresses_group(struct addresses *as, struct str text, unsigned port, const struct addr_full *at, size_t count) {
    count = MIN(count, (size_t)PEERS_MAX);
    pthread_mutex_lock(&as->lock);
    struct entry *e = entry_of(as, text, port);
    list_remove(&e->used);
    list_push_front(&as->used, &e->used);
    if (e->list == NULL || !has_these(e->list, at, count)) {
        struct group *before = e->list;
        e->list = list_of(e->state, text, port, at, count);
        group_done(before);
    }
    struct group *list = e->list;
    group_keep(list);
    pthread_mutex_unlock(&as->lock);
    return list;
}

// --- of a configuration ------------------------------------------------------------------------------------------------------------

static void *zone_make(const void *params) { return addresses_new(); }
static void zone_free(void *state) { addresses_free(state); }
static const struct zone_kind kind = {"upstream addresses", zone_make, zone_free, NULL};
static void unref_zone(void *zone) { zone_unref(zone); }
static void free_own(void *as) { addresses_free(as); }

struct addresses *addresses_ready(struct conf_cx *cx) {
    if (cx->conf->zones == NULL) {
        struct addresses *as = addresses_new();
        arena_cleanup(cx->arena, free_own, as);
        return as;
    }
    struct zone *z = zone_get(cx->conf->zones, &kind, STR(""), NULL, NULL);
    arena_cleanup(cx->arena, unref_zone, z);
    return z->state;
}

// --- of a request --------------------------------------------------------------------------------------------------------------------

static void done(void *list) { group_done(list); }

static struct group *of_request(struct req *r, struct str text, unsigned port, const struct addr_full *at, size_t count) {
    const struct groups *gs = groups_of(r->conf, false);
    CHECK(gs != NULL && gs->addresses != NULL);
    struct group *list = addresses_group(gs->addresses, text, port, at, count);
    arena_cleanup(&r->arena, done, list);
    return list;
}

static void log_unresolved(struct req *r, const struct resolver_conf *rc, struct str host, int err) {
    req_ended(r, err == -ETIMEDOUT ? 's' : err == -ECANCELED ? 'C' : 'S', 'C');
    r->hint = err != -ETIMEDOUT ? "is the name right, and does this name server know it?"
                                : arena_printf(&r->arena, "resolver_timeout %llu ms; do the name servers of the directive resolver (or of "
                                               "/etc/resolv.conf, where there is none) answer?", (unsigned long long)rc->timeout).p;
    log_msg(err == -ECANCELED ? LOG_INFO : LOG_ERR, 0, STR_FMT " could not be resolved (%d: %s)", STR_ARG(host), resolver_rcode(err),
            resolver_error(err));
    r->hint = NULL;
}

static struct group *of_name(struct req *r, struct str text, unsigned default_port) {
    const struct resolver_conf *rc = req_conf(r, &feature_resolver);
    struct resolved found;
    struct str host;
    unsigned port;
    const char *why = "invalid host";
    if (task_self() == NULL) // health_check looks for the group of a location
        return NULL;
    if (str_starts(text, STR("[")) || !names_split(text, default_port, &host, &port, &why)) {
        log_msg(LOG_ERR, 0, "%s in upstream \"" STR_FMT "\"", why, STR_ARG(text));
        return NULL;
    }
    int err = resolver_addresses(rc->resolver, host, rc->timeout, &r->arena, &found);
    if (err != 0) {
        log_unresolved(r, rc, host, err);
        return NULL;
    }
    for (size_t i = 0; i < found.addrs.count; i++)
        addr_set_port(&found.addrs.at[i].sa, port);
    return of_request(r, text, default_port, found.addrs.at, found.addrs.count);
}

struct group *group_of_request(struct req *r, struct str host_port, unsigned default_port) {
    struct addr_full addr;
    const char *why;
    if (!addr_parse(&addr, host_port, (int)default_port, false, &why))
        return of_name(r, host_port, default_port);
    return of_request(r, host_port, default_port, &addr, 1);
}
