// Named state that outlives a reload.
//
//   by_name: "limit_req one" ─► newest ─older─► older ─► NULL
//
// Zones of one kind and name are stacked while a changed configuration and the running one both live: a load that fails
// takes its zone with it, and the one beneath is found again.
#include "conf/zone.h"
#include "base/map.h"
#include "conf/zone_private.h"
#include <pthread.h>
#include <stdlib.h>

struct zones {
    pthread_mutex_t lock; // of all below, and of the making of states
    struct map by_name;   // -> struct zone_entry, newest of its stack
    uint64_t generation;
    size_t count;
    struct renewed *renewed;
};

// A zone that starts empty beside an older one.
struct renewed {
    struct renewed *next;
    size_t n;
    char key[];
};

struct zone_entry {
    struct zone zone;
    struct zone_entry *older;
    struct str key;
    char bytes[]; // key: the kind, a space, the name
};

struct zones *zones_new(void) {
    struct zones *z = xcalloc(1, sizeof(*z));
    CHECK(pthread_mutex_init(&z->lock, NULL) == 0);
    map_init(&z->by_name, false, 0);
    return z;
}

void zones_free(struct zones *z) {
    if (z == NULL)
        return;
    CHECK(z->count == 0);
    zones_renewed(z, NULL, NULL);
    map_done(&z->by_name);
    pthread_mutex_destroy(&z->lock);
    free(z);
}

uint64_t zones_next_generation(struct zones *z) {
    return __atomic_add_fetch(&z->generation, 1, __ATOMIC_RELAXED);
}

static struct zone_entry *entry_new(struct zones *z, const struct zone_kind *kind, struct str name) {
    size_t kind_len = strlen(kind->name);
    struct zone_entry *e = xcalloc(1, sizeof(*e) + kind_len + 1 + name.n);
    memcpy(e->bytes, kind->name, kind_len);
    e->bytes[kind_len] = ' ';
    if (name.n > 0)
        memcpy(e->bytes + kind_len + 1, name.p, name.n);
    e->key = str_n(e->bytes, kind_len + 1 + name.n);
    e->zone = (struct zone){.kind = kind, .name = str_from(e->key, kind_len + 1), .refs = 1, .zones = z};
    return e;
}

static void note_renewed(struct zones *z, struct str key) {
    struct renewed *r = xmalloc(sizeof(*r) + key.n);
    r->next = z->renewed;
    r->n = key.n;
    memcpy(r->key, key.p, key.n);
    z->renewed = r;
}

void zones_renewed(struct zones *z, void (*fn)(void *arg, struct str key), void *arg) {
    pthread_mutex_lock(&z->lock);
    struct renewed *r = z->renewed;
    z->renewed = NULL;
    pthread_mutex_unlock(&z->lock);
    for (struct renewed *next; r != NULL; r = next) {
        next = r->next;
        if (fn != NULL)
            fn(arg, str_n(r->key, r->n));
        free(r);
    }
}

struct zone *zone_get(struct zones *z, const struct zone_kind *kind, struct str name, const void *params, bool *fresh) {
    struct zone_entry *e = entry_new(z, kind, name);
    pthread_mutex_lock(&z->lock);
    struct zone_entry *newest = map_get(&z->by_name, e->key), *found = newest;
    while (found != NULL && found->zone.kind->fits != NULL && !found->zone.kind->fits(found->zone.state, params))
        found = found->older;
    bool made = found == NULL;
    if (made) {
        found = e;
        e->zone.state = kind->make(params);
        CHECK(e->zone.state != NULL);
        e->older = newest;
        if (newest != NULL)
            note_renewed(z, e->key);
        if (newest != NULL)
            map_del(&z->by_name, e->key); // the key in the map is the newest entry's own
        map_put(&z->by_name, e->key, e);
        z->count++;
    } else {
        __atomic_fetch_add(&found->zone.refs, 1, __ATOMIC_RELAXED);
        free(e);
    }
    pthread_mutex_unlock(&z->lock);
    if (fresh != NULL)
        *fresh = made;
    return &found->zone;
}

static void unlink_entry(struct zones *z, struct zone_entry *e) {
    struct zone_entry *newest = map_get(&z->by_name, e->key);
    if (newest == e) {
        map_del(&z->by_name, e->key);
        if (e->older != NULL)
            map_put(&z->by_name, e->older->key, e->older);
    } else {
        while (newest->older != e)
            newest = newest->older;
        newest->older = e->older;
    }
    z->count--;
}

void zone_unref(struct zone *zone) {
    if (zone == NULL)
        return;
    struct zones *z = zone->zones;
    // Under the lock, so that nobody finds a zone whose last reference is going.
    pthread_mutex_lock(&z->lock);
    uint32_t before = __atomic_fetch_sub(&zone->refs, 1, __ATOMIC_ACQ_REL);
    CHECK(before != 0);
    struct zone_entry *e = container_of(zone, struct zone_entry, zone);
    if (before == 1)
        unlink_entry(z, e);
    pthread_mutex_unlock(&z->lock);
    if (before != 1)
        return;
    zone->kind->free(zone->state);
    free(e);
}
