// Entries by key in a zone of a bounded size.
#include "feature/access/limit_store.h"
#include "base/hash.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum { PARTS = 16, OLD_MS = 60 * 1000, OVERHEAD = 16 /* of the heap, and of the bucket */ };

struct limit_part {
    pthread_mutex_t lock; // of all below
    struct limit_store *store;
    struct limit_entry **buckets;
    size_t nbuckets, count;
    struct limit_entry *newest, *oldest;
} __attribute__((aligned(64)));

struct limit_store {
    uint64_t size;  // bytes at most
    uint64_t bytes; // atomic: held by entries
    uint64_t seed;
    struct str key; // source of the key, in `text`
    struct limit_part parts[PARTS];
    char text[];
};

// --- the zone --------------------------------------------------------------------------------------------------------------

static void *store_make(const void *params) {
    const struct limit_zone *z = params;
    struct limit_store *s = aligned_alloc(64, (sizeof(*s) + z->key->source.n + 63) & ~(size_t)63);
    CHECK(s != NULL);
    memset(s, 0, sizeof(*s));
    s->size = z->size;
    if (getrandom(&s->seed, sizeof(s->seed), GRND_NONBLOCK) < 0)
        s->seed = (uintptr_t)s;
    memcpy(s->text, z->key->source.p, z->key->source.n);
    s->key = str_n(s->text, z->key->source.n);
    for (size_t i = 0; i < PARTS; i++) {
        struct limit_part *p = &s->parts[i];
        pthread_mutex_init(&p->lock, NULL);
        p->store = s;
        p->nbuckets = 64;
        p->buckets = xcalloc(p->nbuckets, sizeof(*p->buckets));
    }
    return s;
}

static void store_free(void *state) {
    struct limit_store *s = state;
    for (size_t i = 0; i < PARTS; i++) {
        struct limit_part *p = &s->parts[i];
        while (p->oldest != NULL)
            limit_remove(p, p->oldest);
        free(p->buckets);
        pthread_mutex_destroy(&p->lock);
    }
    free(s);
}

// A changed rate needs no new state; a changed key or size does.
static bool store_fits(const void *state, const void *now) {
    const struct limit_store *s = state;
    const struct limit_zone *z = now;
    return s->size == z->size && str_eq(s->key, z->key->source);
}

const struct zone_kind limit_req_kind = {"limit_req", store_make, store_free, store_fits};
const struct zone_kind limit_conn_kind = {"limit_conn", store_make, store_free, store_fits};

const struct conf_word limit_levels[] = {
    {"info", LOG_INFO}, {"notice", LOG_NOTICE}, {"warn", LOG_WARN}, {"error", LOG_ERR}, {NULL}};

struct limit_zone *limit_zone_named(struct conf_cx *cx, struct limit_zone **all, struct str name, const struct conf_node *node) {
    while (*all != NULL && !str_eq((*all)->name, name))
        all = &(*all)->next;
    if (*all == NULL) {
        *all = arena_new(cx->arena, struct limit_zone);
        **all = (struct limit_zone){.name = name, .node = node};
    }
    return *all;
}

struct limit_zone *limit_zone_declare(struct conf_cx *cx, struct limit_zone **all, struct str zone, const struct conf_node *node) {
    ssize_t colon = str_chr(zone, ':');
    uint64_t size;
    if (colon < 0 || !conf_parse_size(str_from(zone, (size_t)colon + 1), &size)) {
        conf_err(cx, node, "invalid zone size \"zone=" STR_FMT "\"", STR_ARG(zone));
        return NULL;
    }
    if (size < 8 * (uint64_t)sysconf(_SC_PAGESIZE)) {
        conf_err(cx, node, "zone \"zone=" STR_FMT "\" is too small", STR_ARG(zone));
        return NULL;
    }
    struct limit_zone *z = limit_zone_named(cx, all, str_head(zone, (size_t)colon), node);
    if (z->key != NULL) {
        conf_err(cx, node, STR_FMT " \"" STR_FMT "\" is already bound to key \"" STR_FMT "\"", STR_ARG(node->args[0]),
                 STR_ARG(z->name), STR_ARG(z->key->source));
        return NULL;
    }
    z->key = tmpl_compile(cx, node->args[1], node);
    z->size = size;
    return z->key != NULL ? z : NULL;
}

static void unref_zone(void *arg) { zone_unref(arg); }

bool limit_zones_open(struct conf_cx *cx, struct limit_zone *all, const struct zone_kind *kind) {
    bool ok = true;
    for (struct limit_zone *z = all; z != NULL; z = z->next) {
        if (z->key == NULL) {
            ok = conf_err(cx, z->node, "zero size shared memory zone \"" STR_FMT "\"", STR_ARG(z->name));
            continue;
        }
        z->zone = zone_get(cx->conf->zones, kind, z->name, z, NULL);
        arena_cleanup(cx->arena, unref_zone, z->zone);
    }
    return ok;
}

bool limit_key(struct req *r, const struct limit_zone *z, size_t max, struct str *key) {
    *key = req_eval(r, z->key);
    if (key->n > max)
        log_msg(LOG_ERR, 0, "the value of the \"" STR_FMT "\" key is more than %zu bytes: \"" STR_FMT "\"",
                STR_ARG(z->key->source), max, STR_ARG(str_head(*key, 200)));
    return key->n != 0 && key->n <= max;
}

// --- entries ---------------------------------------------------------------------------------------------------------------

struct limit_part *limit_lock(struct limit_store *s, struct str key, uint64_t *hash) {
    *hash = hash_bytes(key.p, key.n, s->seed);
    struct limit_part *p = &s->parts[*hash % PARTS];
    pthread_mutex_lock(&p->lock);
    return p;
}

void limit_unlock(struct limit_part *p) { pthread_mutex_unlock(&p->lock); }

static struct limit_entry **bucket_of(struct limit_part *p, uint64_t hash) {
    return &p->buckets[(hash / PARTS) & (p->nbuckets - 1)];
}

static void unlink_age(struct limit_part *p, struct limit_entry *e) {
    *(e->newer != NULL ? &e->newer->older : &p->newest) = e->older;
    *(e->older != NULL ? &e->older->newer : &p->oldest) = e->newer;
}

static void link_newest(struct limit_part *p, struct limit_entry *e) {
    e->newer = NULL;
    e->older = p->newest;
    *(p->newest != NULL ? &p->newest->newer : &p->oldest) = e;
    p->newest = e;
}

struct limit_entry *limit_find(struct limit_part *p, struct str key, uint64_t hash) {
    for (struct limit_entry *e = *bucket_of(p, hash); e != NULL; e = e->next) {
        if (e->hash != hash || !str_eq(str_n(e->key, e->key_n), key))
            continue;
        unlink_age(p, e);
        link_newest(p, e);
        return e;
    }
    return NULL;
}

static size_t cost(size_t key_n) { return (sizeof(struct limit_entry) + key_n + OVERHEAD + 15) & ~(size_t)15; }

void limit_remove(struct limit_part *p, struct limit_entry *e) {
    struct limit_entry **at = bucket_of(p, e->hash);
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    unlink_age(p, e);
    p->count--;
    __atomic_sub_fetch(&p->store->bytes, cost(e->key_n), __ATOMIC_RELAXED);
    free(e);
}

// Whether an entry says nothing any more: a new one would be the same.
static bool is_spent(const struct limit_entry *e, uint64_t now, uint64_t rate) {
    if (e->count != 0 || now < e->last_ms + OLD_MS)
        return false;
    uint64_t ms = now - e->last_ms;
    return ms >= UINT32_MAX || rate * ms / 1000 >= e->excess;
}

// nginx: two spent ones with each new one; the oldest, spent or not, when the zone is full.
static bool make_room(struct limit_part *p, uint64_t now, uint64_t rate, size_t bytes) {
    for (int i = 0; i < 2 && p->oldest != NULL && is_spent(p->oldest, now, rate); i++)
        limit_remove(p, p->oldest);
    while (__atomic_load_n(&p->store->bytes, __ATOMIC_RELAXED) + bytes > p->store->size) {
        struct limit_entry *e = p->oldest;
        while (e != NULL && e->count != 0)
            e = e->newer;
        if (e == NULL || rate == 0) // connections are never forgotten
            return false;
        limit_remove(p, e);
    }
    return true;
}

static void grow(struct limit_part *p) {
    if (p->count < p->nbuckets * 2)
        return;
    size_t n = p->nbuckets * 4;
    struct limit_entry **old = p->buckets, **grown = calloc(n, sizeof(*grown));
    if (grown == NULL)
        return; // longer lists, nothing worse
    size_t nold = p->nbuckets;
    p->buckets = grown;
    p->nbuckets = n;
    for (size_t i = 0; i < nold; i++) {
        for (struct limit_entry *e = old[i], *next; e != NULL; e = next) {
            next = e->next;
            struct limit_entry **at = bucket_of(p, e->hash);
            e->next = *at;
            *at = e;
        }
    }
    free(old);
}

struct limit_entry *limit_add(struct limit_part *p, struct str key, uint64_t hash, uint64_t now_ms, uint64_t rate) {
    size_t bytes = cost(key.n);
    if (!make_room(p, now_ms, rate, bytes))
        return NULL;
    struct limit_entry *e = malloc(sizeof(*e) + key.n);
    if (e == NULL)
        return NULL;
    __atomic_add_fetch(&p->store->bytes, bytes, __ATOMIC_RELAXED);
    *e = (struct limit_entry){.hash = hash, .last_ms = now_ms, .key_n = (uint32_t)key.n};
    memcpy(e->key, key.p, key.n);
    grow(p);
    struct limit_entry **at = bucket_of(p, hash);
    e->next = *at;
    *at = e;
    link_newest(p, e);
    p->count++;
    return e;
}
