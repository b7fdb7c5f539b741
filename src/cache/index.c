// The index of a cache: entries by name in sixteen parts, each in the order of their use.
#include "cache/cache_private.h"
#include "cache/data.h"
#include "base/hash.h"
#include <stdlib.h>
#include <sys/resource.h>

// KEY_MEMORY: what a key takes of keys_zone. nginx's: "one megabyte can store about 8 thousand keys", and zones are sized by that.
// It is what an entry has: 104 bytes, 8 of the heap's, and at most 8 of the table. Objects held ready count what they have.
enum { BUCKETS_MIN = 64, KEY_MEMORY = 128, TRIES = 64 };
_Static_assert(sizeof(struct cache_entry) <= 104, "a key would take more than is counted");

// Variants lie in the part of their main object.
struct cache_part *index_part(struct cache *c, const struct cache_id *main) { return &c->parts[main->bytes[0] % CACHE_PARTS]; }

static struct cache_entry **bucket_of(struct cache_part *p, const struct cache_id *id) {
    return &p->buckets[hash_bytes(id->bytes, MD5_BYTES, (uintptr_t)p) & (p->nbuckets - 1)];
}

struct cache_entry *index_find(struct cache_part *p, const struct cache_id *id) {
    if (p->nbuckets == 0)
        return NULL;
    struct cache_entry *e = *bucket_of(p, id);
    while (e != NULL && !cache_id_eq(&e->id, id))
        e = e->next;
    return e;
}

static void grow(struct cache_part *p) {
    if (p->count < p->nbuckets * 2 && p->nbuckets != 0)
        return;
    size_t n = p->nbuckets != 0 ? p->nbuckets * 2 : BUCKETS_MIN, nold = p->nbuckets;
    struct cache_entry **old = p->buckets, **grown = calloc(n, sizeof *grown);
    if (grown == NULL)
        return; // longer lists, nothing worse
    p->buckets = grown;
    p->nbuckets = n;
    for (size_t i = 0; i < nold; i++) {
        for (struct cache_entry *e = old[i], *next; e != NULL; e = next) {
            next = e->next;
            struct cache_entry **at = bucket_of(p, &e->id);
            e->next = *at;
            *at = e;
        }
    }
    free(old);
}

static void count_memory(struct cache *c, int64_t bytes) {
    __atomic_add_fetch(&c->memory, (uint64_t)bytes, __ATOMIC_RELAXED);
}
static uint64_t memory(const struct cache *c) { return __atomic_load_n(&c->memory, __ATOMIC_RELAXED); }
static int64_t entry_memory(void) { return KEY_MEMORY; }

void index_set_disk(struct cache *c, struct cache_entry *e, uint64_t bytes) {
    uint32_t blocks = (uint32_t)MIN((bytes + CACHE_BLOCK - 1) / CACHE_BLOCK, (uint64_t)UINT32_MAX);
    uint64_t now = __atomic_add_fetch(&c->bytes, ((uint64_t)blocks - e->disk) * CACHE_BLOCK, __ATOMIC_RELAXED);
    bool more = blocks > e->disk;
    e->disk = blocks;
    uint64_t max = __atomic_load_n(&c->max_size, __ATOMIC_RELAXED);
    if (more && max != 0 && now > max)
        trim_wake(c);
}

// --- what is loaded ------------------------------------------------------------------------------------------------------

// Descriptors of all caches: a part of what the process may have.
static uint64_t opened_max(void) {
    static uint64_t max; // atomic; the same whoever sets it
    uint64_t n = __atomic_load_n(&max, __ATOMIC_RELAXED);
    if (n == 0) {
        struct rlimit rl = {0};
        n = getrlimit(RLIMIT_NOFILE, &rl) == 0 ? MIN(MAX(rl.rlim_cur / 4, (rlim_t)16), (rlim_t)8192) : 64;
        __atomic_store_n(&max, n, __ATOMIC_RELAXED);
    }
    return n;
}
static uint64_t opened; // atomic: of all caches

static void unload(struct cache *c, struct cache_entry *e) {
    struct cache_object *o = e->object;
    if (o == NULL)
        return;
    count_memory(c, -(int64_t)cache_object_memory(o));
    __atomic_sub_fetch(&opened, 1, __ATOMIC_RELAXED);
    list_remove(&o->loaded);
    o->entry = NULL;
    e->object = NULL;
    cache_object_unref(o);
}

static bool is_over(const struct cache *c, uint64_t more) {
    return memory(c) + more > c->size || __atomic_load_n(&opened, __ATOMIC_RELAXED) >= opened_max();
}

// The file has its name and can be opened again.
static bool can_unload(const struct cache_entry *e) {
    return e->disk != 0 && __atomic_load_n(&e->object->data->linked, __ATOMIC_ACQUIRE);
}

static bool unload_oldest(struct cache *c, struct cache_part *p, const struct cache_entry *but) {
    int tries = TRIES;
    for (struct list *at = p->loaded.prev; at != &p->loaded && tries-- > 0; at = at->prev) {
        struct cache_entry *e = container_of(at, struct cache_object, loaded)->entry;
        if (e != but && can_unload(e)) {
            unload(c, e);
            return true;
        }
    }
    return false;
}

void index_set_object(struct cache *c, struct cache_part *p, struct cache_entry *e, struct cache_object *o) {
    if (o == e->object)
        return;
    unload(c, e);
    if (o == NULL)
        return;
    uint64_t bytes = cache_object_memory(o);
    while (is_over(c, bytes) && unload_oldest(c, p, e))
        ;
    // What has no file yet is kept for so long in any case, or nobody would find it.
    e->object = cache_object_ref(o);
    count_memory(c, (int64_t)bytes);
    __atomic_add_fetch(&opened, 1, __ATOMIC_RELAXED);
    CHECK(o->entry == NULL);
    o->entry = e;
    list_push_front(&p->loaded, &o->loaded);
    if (is_over(c, 0) && can_unload(e))
        unload(c, e);
}

// --- entries -------------------------------------------------------------------------------------------------------------

void index_touch(struct cache *c, struct cache_part *p, struct cache_entry *e, uint64_t now_ms) {
    e->used_ms = now_ms;
    e->used_nth = __atomic_add_fetch(&c->nth_use, 1, __ATOMIC_RELAXED);
    list_remove(&e->used);
    list_push_front(&p->used, &e->used);
    if (e->object != NULL) {
        list_remove(&e->object->loaded);
        list_push_front(&p->loaded, &e->object->loaded);
    }
}

static bool is_busy(const struct cache_entry *e) { return e->fetch != NULL || e->updating != 0; }

static void destroy(struct cache *c, struct cache_part *p, struct cache_entry *e) {
    struct cache_entry **at = bucket_of(p, &e->id);
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    unload(c, e);
    if (e->disk != 0) {
        index_set_disk(c, e, 0);
        job_delete(c, &e->main, &e->id);
    }
    list_remove(&e->used);
    p->count--;
    __atomic_sub_fetch(&c->objects, 1, __ATOMIC_RELAXED);
    count_memory(c, -entry_memory());
    fetch_unref(e->fetch);
    free(e);
}

void index_remove(struct cache *c, struct cache_part *p, struct cache_entry *e) { destroy(c, p, e); }

static bool is_full(const struct cache *c) { return memory(c) + (uint64_t)entry_memory() > c->size; }

// First objects in memory go, then entries, those that were not used for longest.
static void make_room_in(struct cache *c, struct cache_part *p) {
    while (is_full(c) && unload_oldest(c, p, NULL))
        ;
    int tries = TRIES;
    for (struct list *at = p->used.prev, *before; is_full(c) && at != &p->used && tries-- > 0; at = before) {
        struct cache_entry *e = container_of(at, struct cache_entry, used);
        before = at->prev;
        if (!is_busy(e))
            destroy(c, p, e);
    }
}

// keys_zone is full. What is in other parts goes too, where nobody is at work there.
static bool make_room(struct cache *c, struct cache_part *p) {
    if (LIKELY(!is_full(c)))
        return true;
    make_room_in(c, p);
    for (size_t i = 0; i < CACHE_PARTS && is_full(c); i++) {
        struct cache_part *o = &c->parts[i];
        if (o == p || pthread_mutex_trylock(&o->lock) != 0)
            continue;
        make_room_in(c, o);
        pthread_mutex_unlock(&o->lock);
    }
    return !is_full(c);
}

struct cache_entry *index_add(struct cache *c, struct cache_part *p, const struct cache_id *main, const struct cache_id *id,
                              uint64_t now_ms) {
    struct cache_entry *e = index_find(p, id);
    if (e != NULL)
        return e;
    if (!make_room(c, p))
        return NULL;
    grow(p);
    e = p->nbuckets != 0 ? calloc(1, sizeof *e) : NULL;
    if (e == NULL)
        return NULL;
    e->main = *main;
    e->id = *id;
    e->used_ms = now_ms;
    e->used_nth = __atomic_add_fetch(&c->nth_use, 1, __ATOMIC_RELAXED);
    list_push_front(&p->used, &e->used);
    struct cache_entry **at = bucket_of(p, id);
    e->next = *at;
    *at = e;
    p->count++;
    __atomic_add_fetch(&c->objects, 1, __ATOMIC_RELAXED);
    count_memory(c, entry_memory());
    return e;
}
