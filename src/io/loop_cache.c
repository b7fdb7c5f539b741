#include "io/loop_cache.h"
#include "io/loop.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

enum { SWEEP_MIN_MS = 1000 };

struct loop_cache {
    const struct loop_cache_kind *kind;
    struct loop *loop;
    struct map entries;
    struct list used;
    struct timer timer;
    bool timed;
};

void loop_cache_remove(struct loop_cache *c, struct cached *e) {
    map_del(&c->entries, e->key);
    list_remove(&e->node);
    c->kind->release(e);
    free(e);
}

static void sweep(struct timer *t) {
    struct loop_cache *c = container_of(t, struct loop_cache, timer);
    uint64_t now = loop_now(c->loop), next = UINT64_MAX;
    list_each_safe(e, &c->used, struct cached, node) {
        uint64_t due = e->used_ms + e->inactive_ms;
        if (due <= now)
            loop_cache_remove(c, e);
        else
            next = MIN(next, due);
    }
    c->timed = next != UINT64_MAX;
    if (c->timed)
        timer_set(c->loop, &c->timer, MAX(next, now + SWEEP_MIN_MS));
}

static void cache_end(void *arg) {
    struct loop_cache *c = arg;
    list_each_safe(e, &c->used, struct cached, node) loop_cache_remove(c, e);
    timer_remove(&c->timer);
    map_done(&c->entries);
    *loop_slot(c->loop, c->kind->slot - 1) = NULL;
    free(c);
}

static void give_slot(struct loop_cache_kind *kind) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    if (kind->slot == 0)
        __atomic_store_n(&kind->slot, loop_slot_new() + 1, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&lock);
}

static NOINLINE struct loop_cache *cache_new(struct loop *l, struct loop_cache_kind *kind) {
    struct loop_cache *c = xcalloc(1, sizeof *c);
    c->kind = kind;
    c->loop = l;
    list_init(&c->used);
    timer_init(&c->timer, sweep);
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed)
        seed = loop_clock_now();
    map_init(&c->entries, false, seed);
    *loop_slot(l, kind->slot - 1) = c;
    loop_at_free(l, cache_end, c);
    return c;
}

struct loop_cache *loop_cache_of(struct loop *l, struct loop_cache_kind *kind) {
    if (UNLIKELY(__atomic_load_n(&kind->slot, __ATOMIC_ACQUIRE) == 0))
        give_slot(kind);
    struct loop_cache *c = *loop_slot(l, kind->slot - 1);
    return LIKELY(c != NULL) ? c : cache_new(l, kind);
}

struct cached *loop_cache_find(struct loop_cache *c, struct str key, uint64_t inactive_ms) {
    struct cached *e = map_get(&c->entries, key);
    if (e == NULL)
        return NULL;
    uint64_t now = loop_now(c->loop);
    e->uses = now - e->used_ms < inactive_ms ? e->uses + 1 : 1;
    e->used_ms = now;
    e->inactive_ms = inactive_ms;
    list_remove(&e->node);
    list_push_front(&c->used, &e->node);
    return e;
}

struct cached *loop_cache_add(struct loop_cache *c, struct str key, size_t max, uint64_t inactive_ms) {
    while (c->entries.count >= max && c->entries.count != 0)
        loop_cache_remove(c, list_last(&c->used, struct cached, node));
    struct cached *e = xcalloc(1, c->kind->entry_size + key.n);
    char *text = (char *)e + c->kind->entry_size;
    memcpy(text, key.p, key.n);
    e->key = str_n(text, key.n);
    e->uses = 1;
    e->used_ms = loop_now(c->loop);
    e->inactive_ms = inactive_ms;
    list_push_front(&c->used, &e->node);
    map_put(&c->entries, e->key, e);
    if (!c->timed) {
        c->timed = true;
        timer_set(c->loop, &c->timer, e->used_ms + MAX(inactive_ms, (uint64_t)SWEEP_MIN_MS));
    }
    return e;
}
