// What a request does with a cache: looking an object up, waiting for who asks for it already, keeping what was answered.
#include "cache/cache_private.h"
#include "cache/data.h"
#include "cache/store.h"
#include "io/log.h"
#include "io/loop.h"
#include <stdlib.h>
#include <sys/stat.h>

enum { ROUNDS = 8, KEY_MAX = 64 << 10 };

// --- who asks the back end -----------------------------------------------------------------------------------------------

struct cache_fetch *fetch_new(uint64_t now_ms) {
    struct cache_fetch *f = xcalloc(1, sizeof *f);
    f->refs = 1;
    f->start_ms = now_ms;
    pthread_mutex_init(&f->lock, NULL);
    list_init(&f->waiters);
    return f;
}

struct cache_fetch *fetch_ref(struct cache_fetch *f) {
    __atomic_add_fetch(&f->refs, 1, __ATOMIC_RELAXED);
    return f;
}

void fetch_unref(struct cache_fetch *f) {
    if (f == NULL || __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    cache_object_unref(f->object);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

void fetch_tell(struct cache_fetch *f, int state, struct cache_object *o) {
    pthread_mutex_lock(&f->lock);
    if (f->state == FETCH_ASKING) {
        f->state = state;
        f->object = o != NULL ? cache_object_ref(o) : NULL;
        cache_wake_all(&f->waiters);
    }
    pthread_mutex_unlock(&f->lock);
}

// --- looking up ----------------------------------------------------------------------------------------------------------

struct load_work {
    struct cache *c;
    char path[PATH_MAX];
    const char *why;
    int err;
    struct cache_object *object;
};

static int load_do(void *arg) {
    struct load_work *w = arg;
    w->object = store_load(w->c, w->path, false, &w->why, &w->err);
    return 0;
}

// Reads the object from its file. NULL: there is none, or it is bad, which is logged.
static struct cache_object *load(struct cache *c, struct arena *a, const struct cache_id *id) {
    struct load_work *w = arena_alloc(a, sizeof *w); // too large for a task's stack
    w->c = c;
    w->why = NULL;
    w->err = 0;
    w->object = NULL;
    cache_file_path(w->path, c->path, c->levels, id);
    w->object = store_load(c, w->path, true, &w->why, &w->err);
    if (w->object == NULL && w->err == -EAGAIN) {
        w->err = 0;
        helper_run(load_do, w);
    }
    if (w->object != NULL && !cache_id_eq(&w->object->id, id)) {
        w->why = "its name is another";
        cache_object_unref(w->object);
        w->object = NULL;
    }
    if (w->object == NULL && w->why != NULL)
        log_msg(LOG_CRIT, 0, "cache file \"%s\" is not used: %s", w->path, w->why);
    else if (w->object == NULL && w->err != -ENOENT)
        log_msg(LOG_CRIT, -w->err, "cache file \"%s\" cannot be read", w->path);
    return w->object;
}

// The file of a loaded object was removed by somebody else: rm is a way to purge.
static bool is_gone(const struct cache_object *o) {
    const struct cache_data *d = o->data;
    if (!__atomic_load_n(&d->linked, __ATOMIC_ACQUIRE) || d->fd < 0)
        return false;
    struct stat st;
    return fstat(d->fd, &st) == 0 && st.st_nlink == 0;
}

static enum cache_verdict fresh_or_not(struct cache_ask *a, struct cache_entry *e) {
    a->object = cache_object_ref(e->object);
    const struct cache_facts *f = &e->object->facts;
    if (f->valid >= a->now_s)
        return CACHE_HIT;
    a->stale_updating = f->updating >= a->now_s;
    a->stale_error = f->error >= a->now_s;
    if (e->updating != 0)
        return CACHE_UPDATING;
    do
        e->updating = a->updating = __atomic_add_fetch(&a->cache->serial, 1, __ATOMIC_RELAXED);
    while (a->updating == 0);
    return CACHE_EXPIRED;
}

// Nothing is kept. With the part locked.
static enum cache_verdict miss(struct cache_ask *a, struct cache_part *p, struct cache_entry *e) {
    if (e == NULL && (a->lock || a->min_uses > 1))
        e = index_add(a->cache, p, &a->main, &a->id, a->now_ms);
    if (e == NULL)
        return a->min_uses > 1 ? CACHE_SCARCE : CACHE_MISS;
    e->uses += e->uses != CACHE_USES_MAX;
    index_touch(a->cache, p, e, a->now_ms);
    if (e->uses < MIN(a->min_uses, (uint64_t)CACHE_USES_MAX))
        return CACHE_SCARCE;
    if (!a->lock)
        return CACHE_MISS;
    if (e->fetch != NULL && a->now_ms - MIN(e->fetch->start_ms, a->now_ms) < a->lock_age_ms) {
        a->fetch = fetch_ref(e->fetch);
        return CACHE_BUSY;
    }
    fetch_unref(e->fetch); // who asked has not come back for too long
    e->fetch = fetch_new(a->now_ms);
    a->fetch = fetch_ref(e->fetch);
    a->mine = true;
    return CACHE_MISS;
}

// The main object is that of one variant. True: this request's is another, whose name it has now.
static bool is_other_variant(struct cache_ask *a, const struct cache_object *o) {
    if (o->vary.n == 0 || a->vary.p != NULL)
        return false;
    struct cache_id variant;
    cache_variant_of(&a->main, o->vary, a->request, &variant);
    a->vary = arena_dup(a->arena, o->vary);
    if (cache_id_eq(&variant, &o->variant))
        return false;
    a->id = variant;
    return true;
}

// The same of an object that is just coming.
static bool is_other_than_coming(struct cache_ask *a, struct cache_entry *e) {
    if (e == NULL || e->fetch == NULL || e->object != NULL)
        return false;
    pthread_mutex_lock(&e->fetch->lock);
    bool other = e->fetch->state == FETCH_FLOWING && is_other_variant(a, e->fetch->object);
    pthread_mutex_unlock(&e->fetch->lock);
    return other;
}

enum look { LOOK_DONE, LOOK_LOAD, LOOK_AGAIN };

// With the part locked: what the entry says.
static enum look look_at(struct cache_ask *a, struct cache_part *p, struct cache_entry *e, bool loaded, enum cache_verdict *v) {
    struct cache *c = a->cache;
    bool unknown = __atomic_load_n(&c->loading, __ATOMIC_ACQUIRE) && (e == NULL || e->object == NULL);
    if (e != NULL && e->error != 0 && e->error_until >= a->now_s) {
        a->error = e->error;
        index_touch(a->cache, p, e, a->now_ms);
        *v = CACHE_FAILED;
        return LOOK_DONE;
    }
    if (e == NULL || e->object == NULL) {
        if (!loaded && ((e != NULL && e->disk != 0) || unknown))
            return LOOK_LOAD;
        if (is_other_than_coming(a, e))
            return LOOK_AGAIN;
        *v = miss(a, p, e);
        return LOOK_DONE;
    }
    struct cache_object *o = e->object;
    if (is_gone(o) || purge_covers(c, o)) {
        index_remove(c, p, e);
        return LOOK_AGAIN;
    }
    if (!str_eq(o->key, a->key)) {
        log_msg(LOG_CRIT, 0, "cache key collision: \"" STR_FMT "\" and \"" STR_FMT "\" have one MD5", STR_ARG(a->key), STR_ARG(o->key));
        a->collides = true;
        *v = CACHE_MISS;
        return LOOK_DONE;
    }
    if (is_other_variant(a, o)) { // which are found through this one: it is in use
        index_touch(c, p, e, a->now_ms);
        return LOOK_AGAIN;
    }
    e->uses += e->uses != CACHE_USES_MAX;
    index_touch(a->cache, p, e, a->now_ms);
    *v = fresh_or_not(a, e);
    return LOOK_DONE;
}

// What was read from the disk goes into the index.
static void take_loaded(struct cache *c, struct cache_object *o, uint64_t now_ms) {
    struct cache_part *p = index_part(c, &o->main);
    pthread_mutex_lock(&p->lock);
    struct cache_entry *e = index_add(c, p, &o->main, &o->id, now_ms);
    if (e != NULL && e->object == NULL) {
        if (e->disk == 0)
            index_set_disk(c, e, store_size(o));
        index_set_object(c, p, e, o);
    }
    pthread_mutex_unlock(&p->lock);
}

// A file that cannot be used: its entry has none any more.
static void forget_file(struct cache_ask *a) {
    struct cache_part *p = index_part(a->cache, &a->main);
    pthread_mutex_lock(&p->lock);
    struct cache_entry *e = index_find(p, &a->id);
    if (e != NULL && e->object == NULL && e->disk != 0) {
        index_set_disk(a->cache, e, 0);
        if (index_is_empty(e))
            index_remove(a->cache, p, e);
        job_delete(a->cache, &a->main, &a->id);
    }
    pthread_mutex_unlock(&p->lock);
}

static void begin(struct cache_ask *a) {
    cache_close(a);
    a->error = 0;
    a->stale_updating = a->stale_error = a->collides = false;
    cache_id_of(a->key, &a->main);
    a->id = a->main;
    a->vary = STR_NONE;
    a->purges = __atomic_load_n(&a->cache->purge_number, __ATOMIC_ACQUIRE);
}

// The main object, counted, or NULL. *unknown: what its file says has not been read yet.
static struct cache_object *main_object(struct cache_ask *a, bool *unknown) {
    struct cache_part *p = index_part(a->cache, &a->main);
    pthread_mutex_lock(&p->lock);
    const struct cache_entry *e = index_find(p, &a->main);
    struct cache_object *o = e != NULL && e->object != NULL ? cache_object_ref(e->object) : NULL;
    *unknown = o == NULL && ((e != NULL && e->disk != 0) || __atomic_load_n(&a->cache->loading, __ATOMIC_ACQUIRE));
    pthread_mutex_unlock(&p->lock);
    return o;
}

void cache_name(struct cache_ask *a) {
    begin(a);
    bool unknown;
    struct cache_object *o = main_object(a, &unknown);
    if (unknown) {
        o = load(a->cache, a->arena, &a->main);
        if (o != NULL)
            take_loaded(a->cache, o, a->now_ms);
        else
            forget_file(a);
    }
    if (o != NULL && str_eq(o->key, a->key))
        is_other_variant(a, o);
    cache_object_unref(o);
}

void cache_take_over(struct cache_ask *to, struct cache_ask *from) {
    begin(to);
    to->id = from->id;
    if (from->vary.p != NULL)
        to->vary = arena_dup(to->arena, from->vary);
    to->object = from->object != NULL ? cache_object_ref(from->object) : NULL;
    to->updating = from->updating;
    to->purges = from->purges;
    from->updating = 0;
}

// The object was too large for the index to hold it: this request alone has it.
static enum cache_verdict use_alone(struct cache_ask *a, struct cache_object *o) {
    struct cache_entry alone = {.object = o, .updating = 1};
    enum cache_verdict v = fresh_or_not(a, &alone);
    return v == CACHE_UPDATING ? CACHE_EXPIRED : v;
}

enum cache_verdict cache_open(struct cache_ask *a) {
    begin(a);
    bool loaded = false;
    for (int round = 0; round < ROUNDS; round++) {
        struct cache_part *p = index_part(a->cache, &a->main);
        enum cache_verdict v = CACHE_MISS;
        pthread_mutex_lock(&p->lock);
        struct cache_id before = a->id;
        enum look look = look_at(a, p, index_find(p, &a->id), loaded, &v);
        pthread_mutex_unlock(&p->lock);
        if (look == LOOK_DONE && a->object != NULL && !cache_object_begins_well(a->object)) {
            begin(a);
            loaded = false;
            continue;
        }
        if (look == LOOK_DONE)
            return v;
        if (!cache_id_eq(&before, &a->id))
            loaded = false;
        if (look != LOOK_LOAD)
            continue;
        struct cache_object *o = load(a->cache, a->arena, &a->id);
        loaded = true;
        if (o == NULL) {
            forget_file(a);
            continue;
        }
        take_loaded(a->cache, o, a->now_ms);
        if (o->vary.n == 0 && str_eq(o->key, a->key) && !purge_covers(a->cache, o)) {
            // Found again in the index, mostly; else it is good for this request.
            pthread_mutex_lock(&p->lock);
            struct cache_entry *e = index_find(p, &a->id);
            bool there = e != NULL && e->object != NULL;
            pthread_mutex_unlock(&p->lock);
            if (!there)
                v = use_alone(a, o);
            cache_object_unref(o);
            if (!there)
                return v;
            continue;
        }
        cache_object_unref(o);
    }
    return CACHE_MISS;
}

// --- waiting -------------------------------------------------------------------------------------------------------------

// Whether the object that somebody else asked for is what this request wants.
static bool suits(const struct cache_ask *a, const struct cache_object *o) {
    if (!str_eq(o->key, a->key))
        return false;
    struct cache_id variant;
    if (o->vary.n != 0)
        cache_variant_of(&o->main, o->vary, a->request, &variant);
    return o->vary.n == 0 || cache_id_eq(&variant, &o->variant);
}

enum cache_news cache_wait(struct cache_ask *a, uint64_t deadline_ms) {
    struct cache_fetch *f = a->fetch;
    CHECK(f != NULL && !a->mine);
    int err = 0;
    pthread_mutex_lock(&f->lock);
    while (f->state == FETCH_ASKING && err == 0) {
        err = cache_await(&f->waiters, &f->lock, deadline_ms);
        pthread_mutex_lock(&f->lock);
    }
    int state = f->state;
    struct cache_object *o = f->object;
    pthread_mutex_unlock(&f->lock);
    if (err == -ECANCELED)
        return CACHE_NEWS_CANCELLED;
    if (state == FETCH_ASKING)
        return CACHE_NEWS_LATE;
    if (state == FETCH_REFUSED)
        return CACHE_NEWS_REFUSED;
    if (state == FETCH_FAILED)
        return CACHE_NEWS_AGAIN;
    if (!suits(a, o))
        return CACHE_NEWS_AGAIN;
    a->object = cache_object_ref(o);
    return CACHE_NEWS_OBJECT;
}

// --- keeping -------------------------------------------------------------------------------------------------------------

// The entry is not fetched any more by this request.
static void leave_entry(struct cache_ask *a) {
    if (!a->mine && a->updating == 0)
        return;
    struct cache_part *p = index_part(a->cache, &a->main);
    pthread_mutex_lock(&p->lock);
    struct cache_entry *e = index_find(p, &a->id);
    if (e != NULL && a->mine && e->fetch == a->fetch) {
        fetch_unref(e->fetch);
        e->fetch = NULL;
    }
    if (e != NULL && a->updating != 0 && e->updating == a->updating)
        e->updating = 0;
    if (e != NULL && index_is_empty(e) && a->min_uses <= 1)
        index_remove(a->cache, p, e);
    pthread_mutex_unlock(&p->lock);
    a->updating = 0;
}

void cache_close(struct cache_ask *a) {
    leave_entry(a);
    if (a->mine)
        fetch_tell(a->fetch, FETCH_FAILED, NULL);
    fetch_unref(a->fetch);
    a->fetch = NULL;
    a->mine = false;
    cache_object_unref(a->object);
    a->object = NULL;
}

void cache_refuse(struct cache_ask *a) {
    if (a->mine)
        fetch_tell(a->fetch, FETCH_REFUSED, NULL);
    leave_entry(a);
}

struct cache_object *cache_keep(struct cache_ask *a, struct str vary, const struct cache_facts *facts, const struct head *head,
                                int64_t length) {
    if (a->collides || a->key.n > KEY_MAX)
        return NULL;
    // Under the name of the variant only where the main object says the same of Vary: else nobody would look there.
    struct cache_id id = str_eq(vary, a->vary) && vary.n != 0 ? a->id : a->main, variant = a->main;
    if (vary.n != 0)
        cache_variant_of(&a->main, vary, a->request, &variant);
    struct cache_object *o = cache_object_new(a->cache, &a->main, &id, a->key, vary, facts, head, length);
    if (o == NULL)
        return NULL;
    o->variant = variant;
    o->number = a->purges + 1;
    cache_object_unref(a->object);
    a->object = o;
    if (a->mine)
        fetch_tell(a->fetch, FETCH_FLOWING, o);
    return o;
}

// Meanwhile others may have kept a variant, or removed it: the main name is for the one that says of Vary what holds, and
// another of the same Vary lies beside it. With the part locked; nobody finds the object before that.
static void settle_name(struct cache_part *p, struct cache_object *o) {
    if (o->vary.n == 0)
        return;
    const struct cache_entry *e = index_find(p, &o->main);
    const struct cache_object *first = e != NULL ? e->object : NULL;
    if (first == NULL && e != NULL && e->disk != 0)
        return; // not in memory now; what was seen when it was asked for holds
    bool beside = first != NULL && str_eq(first->vary, o->vary) && !cache_id_eq(&first->variant, &o->variant) &&
                  str_eq(first->key, o->key);
    o->id = beside ? o->variant : o->main;
}

static void publish(struct cache_ask *a, struct cache_object *o) {
    struct cache *c = a->cache;
    struct cache_part *p = index_part(c, &a->main);
    pthread_mutex_lock(&p->lock);
    settle_name(p, o);
    bool wanted = !purge_since(c, a->purges, o->key, &o->main);
    struct cache_entry *e = wanted ? index_add(c, p, &o->main, &o->id, a->now_ms) : NULL;
    if (e != NULL) {
        e->error = 0;
        e->uses = MAX(e->uses, (uint16_t)1);
        index_set_object(c, p, e, o);
        index_set_disk(c, e, store_size(o));
        index_touch(c, p, e, cache_clock_ms());
    }
    pthread_mutex_unlock(&p->lock);
    if (e != NULL)
        job_store(c, o);
    else if (wanted)
        log_msg(LOG_ALERT, 0, "could not allocate node in cache keys zone \"" STR_FMT "\" (its size: %llu bytes)", STR_ARG(c->name),
                (unsigned long long)c->size);
}

void cache_kept(struct cache_ask *a) {
    if (cache_object_complete(a->object))
        publish(a, a->object);
    leave_entry(a);
}

void cache_renew(struct cache_ask *a, const struct cache_facts *facts, const struct head *fields) {
    struct cache *c = a->cache;
    struct cache_object *old = a->object, *o = cache_object_renew(old, facts, fields);
    if (o == NULL)
        return;
    o->variant = old->variant;
    o->number = old->number;
    struct cache_part *p = index_part(c, &o->main);
    pthread_mutex_lock(&p->lock);
    struct cache_entry *e = index_find(p, &o->id);
    bool ours = e != NULL && e->object == old && !purge_since(c, a->purges, o->key, &o->main);
    if (ours)
        index_set_object(c, p, e, o);
    pthread_mutex_unlock(&p->lock);
    if (ours)
        job_rewrite(c, o);
    a->object = o;
    cache_object_unref(old);
    leave_entry(a);
}

void cache_remember(struct cache_ask *a, unsigned status, int64_t until_s) {
    struct cache_part *p = index_part(a->cache, &a->main);
    pthread_mutex_lock(&p->lock);
    struct cache_entry *e = index_add(a->cache, p, &a->main, &a->id, a->now_ms);
    if (e != NULL) {
        e->error = (uint16_t)status;
        e->error_until = (uint32_t)MIN(MAX(until_s, (int64_t)0), (int64_t)UINT32_MAX);
    }
    pthread_mutex_unlock(&p->lock);
    cache_close(a);
}

void cache_drop(struct cache *c, const struct cache_object *o, const char *why) {
    char path[PATH_MAX];
    struct cache_part *p = index_part(c, &o->main);
    pthread_mutex_lock(&p->lock);
    cache_file_path(path, c->path, c->levels, &o->id);
    struct cache_entry *e = index_find(p, &o->id);
    if (e != NULL && (e->object == NULL || e->object->data == o->data))
        index_remove(c, p, e);
    pthread_mutex_unlock(&p->lock);
    log_msg(LOG_CRIT, 0, "cache file \"%s\" is not used: %s", path, why);
}

// --- the cache -----------------------------------------------------------------------------------------------------------

const char *cache_dir(const struct cache *c) { return c->path.p; }

struct cache *cache_ref(struct cache *c) {
    __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
    return c;
}

void cache_unref(struct cache *c) {
    if (__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    for (size_t i = 0; i < CACHE_PARTS; i++) {
        CHECK(c->parts[i].count == 0);
        free(c->parts[i].buckets);
        pthread_mutex_destroy(&c->parts[i].lock);
    }
    for (size_t i = 0; i < c->npurges; i++)
        free((char *)(uintptr_t)c->purges[i].text.p);
    free(c->purges);
    pthread_mutex_destroy(&c->names);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->news);
    free((char *)(uintptr_t)c->name.p);
    free((char *)(uintptr_t)c->path.p);
    c->magic = 0;
    free(c);
}

static struct str own(struct str s) { return str_n(str_xdup(s), s.n); }

static void *make(const void *params) {
    const struct cache_params *p = params;
    struct cache *c = aligned_alloc(64, (sizeof *c + 63) & ~(size_t)63);
    CHECK(c != NULL);
    memset(c, 0, sizeof *c);
    c->magic = CACHE_MAGIC;
    c->refs = 1;
    c->name = own(p->name);
    c->path = own(p->path);
    memcpy(c->levels, p->levels, sizeof c->levels);
    c->size = p->size;
    c->loading = true;
    for (size_t i = 0; i < CACHE_PARTS; i++) {
        pthread_mutex_init(&c->parts[i].lock, NULL);
        list_init(&c->parts[i].used);
        list_init(&c->parts[i].loaded);
    }
    pthread_mutex_init(&c->names, NULL);
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&c->news, &clock);
    pthread_condattr_destroy(&clock);
    return c;
}

// Entries go, files stay.
static void empty(struct cache *c) {
    for (size_t i = 0; i < CACHE_PARTS; i++) {
        struct cache_part *p = &c->parts[i];
        pthread_mutex_lock(&p->lock);
        while (!list_empty(&p->used)) {
            struct cache_entry *e = list_first(&p->used, struct cache_entry, used);
            e->disk = 0;
            index_remove(c, p, e);
        }
        pthread_mutex_unlock(&p->lock);
    }
}

static void free_cache(void *state) {
    struct cache *c = state;
    trim_stop(c);
    empty(c);
    cache_unref(c);
}

static bool fits(const void *state, const void *now) {
    const struct cache *c = state;
    const struct cache_params *p = now;
    return str_eq(c->path, p->path) && c->size == p->size && memcmp(c->levels, p->levels, sizeof c->levels) == 0;
}

const struct zone_kind cache_kind = {"cache", make, free_cache, fits};

void cache_count(struct cache *c, struct cache_numbers *n) {
    *n = (struct cache_numbers){
        .bytes = __atomic_load_n(&c->bytes, __ATOMIC_RELAXED),
        .memory = __atomic_load_n(&c->memory, __ATOMIC_RELAXED),
        .objects = __atomic_load_n(&c->objects, __ATOMIC_RELAXED),
        .loading = __atomic_load_n(&c->loading, __ATOMIC_ACQUIRE),
    };
}
