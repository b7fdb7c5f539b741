// Purging: one key with its variants at once; all keys with a common beginning by a rule, which holds from that moment for
// whoever asks, while the manager removes what it covers.
#include "cache/cache_private.h"
#include "cache/data.h"
#include "cache/store.h"
#include "io/log.h"
#include "io/reach.h"
#include <stdlib.h>
#include <unistd.h>

enum { RULES_MAX = 1024 };

// --- what was purged -----------------------------------------------------------------------------------------------------

static bool covers(const struct cache_purged *p, struct str key, const struct cache_id *main) {
    return p->prefix ? str_starts(key, p->text) : cache_id_eq(main, &p->main);
}

bool purge_since(struct cache *c, uint64_t number, struct str key, const struct cache_id *main) {
    if (__atomic_load_n(&c->purge_number, __ATOMIC_ACQUIRE) == number)
        return false;
    pthread_mutex_lock(&c->lock);
    bool found = number < c->forgotten; // who knows
    for (size_t i = c->npurges; i-- > 0 && !found && c->purges[i].number > number;)
        found = covers(&c->purges[i], key, main);
    pthread_mutex_unlock(&c->lock);
    return found;
}

bool purge_covers(struct cache *c, const struct cache_object *o) {
    if (LIKELY(__atomic_load_n(&c->rules, __ATOMIC_ACQUIRE) == 0))
        return false;
    pthread_mutex_lock(&c->lock);
    bool found = false;
    for (size_t i = c->npurges; i-- > 0 && !found;) {
        const struct cache_purged *p = &c->purges[i];
        bool older = o->number != 0 ? o->number <= p->number : o->facts.stored <= p->at_s;
        found = older && !p->scanned && covers(p, o->key, &o->main);
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

// With the lock held. Old ones go, but for those that are still to be scanned for.
static void forget_old(struct cache *c) {
    size_t to = 0, from = 0;
    for (; from < c->npurges; from++) {
        struct cache_purged *p = &c->purges[from];
        if (c->npurges - from > PURGES_KEPT && p->scanned) {
            c->forgotten = MAX(c->forgotten, p->number);
            free((char *)(uintptr_t)p->text.p);
            continue;
        }
        c->purges[to++] = *p;
    }
    c->npurges = to;
}

static void note(struct cache *c, const struct cache_id *main, const struct str *prefix) {
    pthread_mutex_lock(&c->lock);
    forget_old(c);
    if (c->npurges == c->purges_cap) {
        c->purges_cap = c->purges_cap * 2 + 16;
        c->purges = xrealloc(c->purges, c->purges_cap * sizeof *c->purges);
    }
    struct cache_purged *p = &c->purges[c->npurges++];
    *p = (struct cache_purged){.number = c->purge_number + 1, .at_s = cache_wall_s(), .prefix = prefix != NULL};
    // Variants of one key that nobody has found yet go too. Of what is in the index nothing is left to be scanned for.
    // So many rules would cost each request more than an empty cache does, or than such a variant is worth.
    bool much = c->rules >= RULES_MAX;
    p->scanned = prefix == NULL && (much || !__atomic_load_n(&c->loading, __ATOMIC_ACQUIRE));
    if (prefix == NULL)
        p->main = *main;
    else if (!much)
        p->text = str_n(str_xdup(*prefix), prefix->n);
    if (!p->scanned)
        __atomic_add_fetch(&c->rules, 1, __ATOMIC_RELEASE);
    __atomic_store_n(&c->purge_number, p->number, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&c->lock);
}

// --- one key -------------------------------------------------------------------------------------------------------------

static bool has_variants(const struct cache_entry *e) { return e == NULL || e->object == NULL || e->object->vary.n != 0; }

static bool remove_key(struct cache *c, const struct cache_id *main) {
    struct cache_part *p = index_part(c, main);
    bool found = false;
    pthread_mutex_lock(&p->lock);
    struct cache_entry *e = index_find(p, main);
    bool variants = has_variants(e);
    if (e != NULL) {
        found = e->object != NULL || e->disk != 0;
        if (e->fetch != NULL || e->updating != 0) { // somebody will come back to it
            index_set_object(c, p, e, NULL);
            if (e->disk != 0)
                job_delete(c, main, main);
            index_set_disk(c, e, 0);
            e->error = 0;
        } else {
            index_remove(c, p, e);
        }
    }
    list_each_safe(v, &p->used, struct cache_entry, used) {
        if (!variants)
            break;
        if (!cache_id_eq(&v->main, main) || cache_id_eq(&v->id, main))
            continue;
        found |= v->object != NULL || v->disk != 0;
        index_remove(c, p, v);
    }
    pthread_mutex_unlock(&p->lock);
    return found;
}

// The loader has not seen all files: it may be there and not be known.
static bool remove_unknown(struct cache *c, const struct cache_id *main) {
    char path[PATH_MAX];
    cache_file_path(path, c->path, c->levels, main);
    return __atomic_load_n(&c->loading, __ATOMIC_ACQUIRE) && reach_unlink(path) == 0;
}

void cache_forget(struct cache *c, struct str key) {
    struct cache_id main;
    cache_id_of(key, &main);
    struct cache_part *p = index_part(c, &main);
    pthread_mutex_lock(&p->lock);
    const struct cache_entry *e = index_find(p, &main);
    bool known = e != NULL || __atomic_load_n(&c->loading, __ATOMIC_ACQUIRE);
    pthread_mutex_unlock(&p->lock);
    if (!known)
        return;
    note(c, &main, NULL);
    remove_key(c, &main);
    remove_unknown(c, &main);
}

bool cache_purge(struct cache *c, struct str key) {
    CHECK(c->magic == CACHE_MAGIC);
    if (str_ends(key, STR("*"))) {
        struct str prefix = str_head(key, key.n - 1);
        note(c, NULL, &prefix);
        trim_wake(c);
        return true;
    }
    struct cache_id main;
    cache_id_of(key, &main);
    note(c, &main, NULL);
    bool known = remove_key(c, &main);
    return remove_unknown(c, &main) || known;
}

// --- the manager's part --------------------------------------------------------------------------------------------------

struct found {
    struct cache_id id;
    bool loaded;
};

// The names in a part, and whether their keys are in memory.
static struct found *names_of(struct cache_part *p, size_t *count) {
    pthread_mutex_lock(&p->lock);
    struct found *all = xmalloc((p->count + 1) * sizeof *all);
    size_t n = 0;
    list_each(e, &p->used, struct cache_entry, used) all[n++] = (struct found){e->id, e->object != NULL};
    pthread_mutex_unlock(&p->lock);
    *count = n;
    return all;
}

static bool remove_covered(struct cache *c, struct cache_part *p, const struct cache_id *id, const struct cache_object *loaded) {
    pthread_mutex_lock(&p->lock);
    struct cache_entry *e = index_find(p, id);
    const struct cache_object *o = e != NULL && e->object != NULL ? e->object : loaded;
    bool goes = e != NULL && o != NULL && purge_covers(c, o);
    if (goes)
        index_remove(c, p, e);
    pthread_mutex_unlock(&p->lock);
    return goes;
}

static void scan_part(struct cache *c, struct cache_part *p, struct pacer *pace) {
    size_t count;
    struct found *all = names_of(p, &count);
    for (size_t i = 0; i < count && !cache_stopping(c); i++) {
        struct cache_object *o = NULL;
        if (!all[i].loaded) {
            char path[PATH_MAX];
            const char *why;
            int err;
            cache_file_path(path, c->path, c->levels, &all[i].id);
            o = store_load(c, path, false, &why, &err);
        }
        bool goes = remove_covered(c, p, &all[i].id, o);
        cache_object_unref(o);
        if ((goes || !all[i].loaded) && !pacer_step(c, pace))
            break;
    }
    free(all);
}

// Rules of one key need none: what the loader has found since has been compared with them.
static bool wants_scan(struct cache *c, uint64_t upto) {
    pthread_mutex_lock(&c->lock);
    bool found = false;
    for (size_t i = 0; i < c->npurges && !found; i++)
        found = c->purges[i].prefix && !c->purges[i].scanned && c->purges[i].number <= upto;
    pthread_mutex_unlock(&c->lock);
    return found;
}

void purge_scan(struct cache *c) {
    uint64_t upto = __atomic_load_n(&c->purge_number, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&c->rules, __ATOMIC_ACQUIRE) == 0)
        return;
    struct pacer pace;
    pacer_init(c, &pace, &c->limits.purger);
    for (size_t i = 0; i < CACHE_PARTS && wants_scan(c, upto); i++)
        scan_part(c, &c->parts[i], &pace);
    if (cache_stopping(c))
        return;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->npurges; i++) {
        struct cache_purged *p = &c->purges[i];
        if (!p->scanned && p->number <= upto) {
            p->scanned = true;
            __atomic_sub_fetch(&c->rules, 1, __ATOMIC_RELEASE);
        }
    }
    pthread_mutex_unlock(&c->lock);
}
