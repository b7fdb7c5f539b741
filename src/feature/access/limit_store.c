// Entries by key in a zone of a bounded size.
#include "feature/access/limit_store.h"
#include "base/hash.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum { PARTS = 16, OLD_MS = 60 * 1000, HEAP = 8 /* bytes of each allocation */, BUCKET = 8 /* of the table, for each entry */ };

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
    bool conn; // of limit_conn: nothing but a count is kept
    struct str key; // source of the key, in `text`
    struct limit_part parts[PARTS];
    char text[];
};

// --- the zone --------------------------------------------------------------------------------------------------------------

static void *store_make(const void *params, bool conn) {
    const struct limit_zone *z = params;
    struct limit_store *s = aligned_alloc(64, (sizeof(*s) + z->key->source.n + 63) & ~(size_t)63);
    CHECK(s != NULL);
    memset(s, 0, sizeof(*s));
    s->size = z->size;
    s->conn = conn;
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

static void *make_req(const void *params) { return store_make(params, false); }
static void *make_conn(const void *params) { return store_make(params, true); }

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

const struct zone_kind limit_req_kind = {"limit_req", make_req, store_free, store_fits};
const struct zone_kind limit_conn_kind = {"limit_conn", make_conn, store_free, store_fits};

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

struct limit_part *limit_lock(struct limit_store *s, struct str key, uint32_t *hash) {
    *hash = (uint32_t)hash_bytes(key.p, key.n, s->seed);
    struct limit_part *p = &s->parts[*hash % PARTS];
    pthread_mutex_lock(&p->lock);
    return p;
}

void limit_unlock(struct limit_part *p) { pthread_mutex_unlock(&p->lock); }

static struct limit_entry **bucket_of(struct limit_part *p, uint32_t hash) {
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

struct limit_entry *limit_find(struct limit_part *p, struct str key, uint32_t hash) {
    for (struct limit_entry *e = *bucket_of(p, hash); e != NULL; e = e->next) {
        if (e->hash != hash || !str_eq(str_n(e->key, e->key_n), key))
            continue;
        unlink_age(p, e);
        link_newest(p, e);
        return e;
    }
    return NULL;
}

static size_t use_at(size_t key_n) {
    const size_t align = _Alignof(struct limit_use);
    return (offsetof(struct limit_entry, key) + key_n + align - 1) / align * align;
}

struct limit_use *limit_use_of(struct limit_entry *e) { return (struct limit_use *)(void *)((char *)e + use_at(e->key_n)); }

static size_t entry_size(const struct limit_store *s, size_t key_n) {
    size_t n = s->conn ? offsetof(struct limit_entry, key) + key_n : use_at(key_n) + sizeof(struct limit_use);
    return MAX(n, sizeof(struct limit_entry));
}

// What an entry really takes.
static size_t cost(const struct limit_store *s, size_t key_n) {
    return ((entry_size(s, key_n) + HEAP + 15) & ~(size_t)15) + BUCKET;
}

void limit_remove(struct limit_part *p, struct limit_entry *e) {
    struct limit_entry **at = bucket_of(p, e->hash);
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    unlink_age(p, e);
    p->count--;
    __atomic_sub_fetch(&p->store->bytes, cost(p->store, e->key_n), __ATOMIC_RELAXED);
    free(e);
}

// Whether an entry says nothing any more: a new one would be the same.
static bool is_spent(struct limit_entry *e, uint64_t now, uint64_t rate) {
    const struct limit_use *u = limit_use_of(e);
    if (e->count != 0 || now < u->last_ms + OLD_MS)
        return false;
    uint64_t ms = now - u->last_ms;
    return ms >= UINT32_MAX || rate * ms / 1000 >= u->excess;
}

static bool has_room(const struct limit_store *s, size_t bytes) { return __atomic_load_n(&s->bytes, __ATOMIC_RELAXED) + bytes <= s->size; }

static void remove_oldest(struct limit_part *p, size_t bytes) {
    for (struct limit_entry *e = p->oldest, *newer; e != NULL && !has_room(p->store, bytes); e = newer) {
        newer = e->newer;
        if (e->count == 0)
            limit_remove(p, e);
    }
}

// nginx: two spent ones with each new one; the oldest, spent or not, when the zone is full.
static bool make_room(struct limit_part *p, uint64_t now, uint64_t rate, size_t bytes) {
    struct limit_store *s = p->store;
    if (s->conn) // connections are never forgotten
        return has_room(s, bytes);
    for (int i = 0; i < 2 && p->oldest != NULL && is_spent(p->oldest, now, rate); i++)
        limit_remove(p, p->oldest);
    remove_oldest(p, bytes);
    // This part has few, or none: those of others go, where nobody is at work there.
    for (size_t i = 0; i < PARTS && !has_room(s, bytes); i++) {
        struct limit_part *o = &s->parts[i];
        if (o == p || pthread_mutex_trylock(&o->lock) != 0)
            continue;
        remove_oldest(o, bytes);
        pthread_mutex_unlock(&o->lock);
    }
    return has_room(s, bytes);
}

static void grow(struct limit_part *p) {
    if (p->count < p->nbuckets * 2)
        return;
    size_t n = p->nbuckets * 2;
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

struct limit_entry *limit_add(struct limit_part *p, struct str key, uint32_t hash, uint64_t now_ms, uint64_t rate) {
    CHECK(key.n <= LIMIT_KEY_MAX);
    size_t bytes = cost(p->store, key.n);
    if (!make_room(p, now_ms, rate, bytes))
        return NULL;
    struct limit_entry *e = malloc(entry_size(p->store, key.n));
    if (e == NULL)
        return NULL;
    __atomic_add_fetch(&p->store->bytes, bytes, __ATOMIC_RELAXED);
    *e = (struct limit_entry){.hash = hash, .key_n = (uint16_t)key.n};
    memcpy(e->key, key.p, key.n);
    if (!p->store->conn)
        *limit_use_of(e) = (struct limit_use){.last_ms = now_ms};
    grow(p);
    struct limit_entry **at = bucket_of(p, hash);
    e->next = *at;
    *at = e;
    link_newest(p, e);
    p->count++;
    return e;
}
