// open_file_cache: open descriptors, sizes and times of files, and errors, are remembered, so that a file need not be opened
// for each request. Each loop has one cache for all configurations, because descriptors are counted without atomics; every
// location looks at it with its own limits. A timer lets go what was not asked for during `inactive`, so a file that was
// removed does not keep its space for ever, and a cache that nobody uses after a reload empties itself.
#include "base/list.h"
#include "base/map.h"
#include "feature/content/files.h"
#include "io/timer.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

enum { SWEEP_MIN_MS = 1000 };

struct cache_conf {
    int64_t max; // entries; 0: no cache
    uint64_t inactive_ms, valid_ms;
    int64_t min_uses;
    bool errors;
};

struct entry {
    struct list node; // in cache.used, the last used first
    struct str key;
    struct file_ref *file; // NULL: only looked at
    struct file_info info;
    int err;               // 0 or -errno
    const char *call;
    uint64_t checked_ms, used_ms, inactive_ms;
    int64_t uses;
    char text[];           // of the key
};

struct cache {
    struct loop *loop;
    struct map entries;
    struct list used;
    struct timer timer;
    bool timed;
};

// --- without a cache -----------------------------------------------------------------------------------------------------

static int look_up(struct str path, enum links links, size_t trusted, bool open, struct found_file *out) {
    int err = 0;
    out->file = NULL;
    if (LIKELY(links == LINKS_FOLLOWED)) {
        out->call = open ? "open()" : "stat()";
        if (!open)
            return file_stat(path.p, &out->info);
        out->file = file_open(path.p, &out->info, &err);
        return err;
    }
    out->call = "openat()";
    if (!open)
        return file_stat_unlinked(path.p, trusted, links == LINKS_OWN, &out->info);
    out->file = file_open_unlinked(path.p, trusted, links == LINKS_OWN, &out->info, &err);
    return err;
}

// --- the cache of a loop -------------------------------------------------------------------------------------------------

static unsigned cache_slot;
static pthread_once_t cache_once = PTHREAD_ONCE_INIT;

static void cache_init(void) { cache_slot = loop_slot_new(); }

static void entry_free(struct cache *c, struct entry *e) {
    map_del(&c->entries, e->key);
    list_remove(&e->node);
    file_unref(e->file);
    free(e);
}

static void sweep(struct timer *t) {
    struct cache *c = container_of(t, struct cache, timer);
    uint64_t now = loop_now(c->loop), next = UINT64_MAX;
    list_each_safe(e, &c->used, struct entry, node) {
        uint64_t due = e->used_ms + e->inactive_ms;
        if (due <= now)
            entry_free(c, e);
        else
            next = MIN(next, due);
    }
    c->timed = next != UINT64_MAX;
    if (c->timed)
        timer_set(c->loop, &c->timer, MAX(next, now + SWEEP_MIN_MS));
}

static void cache_end(void *arg) {
    struct cache *c = arg;
    list_each_safe(e, &c->used, struct entry, node) entry_free(c, e);
    timer_remove(&c->timer);
    map_done(&c->entries);
    *loop_slot(c->loop, cache_slot) = NULL;
    free(c);
}

static struct cache *cache_here(struct loop *l) {
    pthread_once(&cache_once, cache_init);
    struct cache *c = *loop_slot(l, cache_slot);
    if (LIKELY(c != NULL))
        return c;
    c = xcalloc(1, sizeof *c);
    c->loop = l;
    list_init(&c->used);
    timer_init(&c->timer, sweep);
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed)
        seed = loop_clock_now();
    map_init(&c->entries, false, seed);
    *loop_slot(l, cache_slot) = c;
    loop_at_free(l, cache_end, c);
    return c;
}

static struct entry *entry_new(struct cache *c, const struct cache_conf *conf, struct str key) {
    while (c->entries.count >= (size_t)conf->max)
        entry_free(c, list_last(&c->used, struct entry, node));
    struct entry *e = xcalloc(1, sizeof *e + key.n);
    memcpy(e->text, key.p, key.n);
    e->key = str_n(e->text, key.n);
    list_push_front(&c->used, &e->node);
    map_put(&c->entries, e->key, e);
    return e;
}

// What is remembered may be answered with.
static bool usable(const struct entry *e, const struct cache_conf *conf, uint64_t now, bool open) {
    if (now - e->checked_ms >= conf->valid_ms)
        return false;
    if (e->err != 0)
        return conf->errors;
    return !open || e->file != NULL || e->info.is_dir;
}

// The open file is still the one that has the name, as it was.
static bool unchanged(const struct entry *e, struct str path, enum links links, size_t trusted, bool open) {
    if (e->err != 0 || (open && e->file == NULL))
        return false;
    struct found_file now;
    const struct file_info *a = &e->info, *b = &now.info;
    return look_up(path, links, trusted, false, &now) == 0 && a->inode == b->inode && a->device == b->device &&
           a->mtime_s == b->mtime_s && a->size == b->size && a->is_dir == b->is_dir;
}

static void remember(struct entry *e, const struct cache_conf *conf, int err, const struct found_file *f) {
    file_unref(e->file);
    e->file = err == 0 && f->file != NULL && e->uses >= conf->min_uses ? file_ref(f->file) : NULL;
    e->info = f->info;
    e->err = err;
    e->call = f->call;
}

static int give(const struct entry *e, bool open, struct found_file *out) {
    out->info = e->info;
    out->call = e->call;
    out->file = open && e->file != NULL ? file_ref(e->file) : NULL;
    return e->err;
}

// The path, and how it was looked up.
static struct str key_of(struct req *r, struct str path, enum links links, size_t trusted) {
    if (links == LINKS_FOLLOWED)
        return path;
    char mode[1 + sizeof trusted] = {(char)links};
    memcpy(mode + 1, &trusted, sizeof trusted);
    struct str parts[2] = {path, str_n(mode, sizeof mode)};
    return arena_join(&r->arena, parts, 2);
}

static NOINLINE int through_cache(struct req *r, const struct cache_conf *conf, struct str path, bool open,
                                  struct found_file *out) {
    struct cache *c = cache_here(r->loop);
    size_t trusted;
    enum links links = links_wanted(r, path, &trusted);
    struct str key = key_of(r, path, links, trusted);
    struct entry *e = map_get(&c->entries, key);
    uint64_t now = loop_now(r->loop);
    if (e != NULL) {
        e->uses = now - e->used_ms < conf->inactive_ms ? e->uses + 1 : 1;
        e->used_ms = now;
        e->inactive_ms = conf->inactive_ms;
        list_remove(&e->node);
        list_push_front(&c->used, &e->node);
        if (usable(e, conf, now, open))
            return give(e, open, out);
        if (unchanged(e, path, links, trusted, open)) {
            e->checked_ms = now;
            return give(e, open, out);
        }
    }
    int err = look_up(path, links, trusted, open, out);
    if (err != 0 && !conf->errors) {
        if (e != NULL)
            entry_free(c, e);
        return err;
    }
    if (e == NULL) {
        e = entry_new(c, conf, key);
        e->uses = 1;
        e->used_ms = now;
        e->inactive_ms = conf->inactive_ms;
    }
    e->checked_ms = now;
    remember(e, conf, err, out);
    if (!c->timed) {
        c->timed = true;
        timer_set(r->loop, &c->timer, now + MAX(conf->inactive_ms, (uint64_t)SWEEP_MIN_MS));
    }
    return err;
}

static int find(struct req *r, struct str path, bool open, struct found_file *out) {
    const struct cache_conf *conf = req_conf(r, &feature_open_file_cache);
    if (conf->max != 0)
        return through_cache(r, conf, path, open, out);
    size_t trusted;
    enum links links = links_wanted(r, path, &trusted);
    return look_up(path, links, trusted, open, out);
}

int file_get(struct req *r, struct str path, struct found_file *out) { return find(r, path, true, out); }

int file_look(struct req *r, struct str path, struct found_file *out) { return find(r, path, false, out); }

// --- the rows ------------------------------------------------------------------------------------------------------------

static bool set_cache(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct cache_conf *c = conf;
    bool off = false;
    c->max = 0;
    c->inactive_ms = 60000;
    for (unsigned i = 1; i < node->nargs; i++) {
        struct str word = node->args[i];
        int64_t s;
        if (str_eq(word, STR("off")))
            off = true;
        else if (str_starts(word, STR("max=")) && conf_parse_num(str_from(word, 4), &c->max) && c->max > 0)
            continue;
        else if (str_starts(word, STR("inactive=")) && conf_parse_sec(str_from(word, 9), &s))
            c->inactive_ms = (uint64_t)s * 1000;
        else
            return conf_err(cx, node, "invalid \"open_file_cache\" parameter \"" STR_FMT "\"", STR_ARG(word));
    }
    if (off)
        c->max = 0;
    else if (c->max == 0)
        return conf_err(cx, node, "\"open_file_cache\" must have the \"max\" parameter");
    return true;
}

#define S struct cache_conf
static const struct conf_row rows[] = {
    ROW_FNS("open_file_cache", IN_HTTP_ALL, 1, 2, 0, set_cache, "off", "off | max=N [inactive=time]",
            "Descriptors, sizes and times of up to N files are remembered by each event loop, until they are not asked for "
            "during inactive (60s)."),
    ROW_MSEC("open_file_cache_valid", IN_HTTP_ALL, S, valid_ms, "60s", 0, 0,
             "For how long what open_file_cache remembers is not checked again."),
    ROW_NUM("open_file_cache_min_uses", IN_HTTP_ALL, S, min_uses, "1", 0, 0,
            "How often a file must be asked for, no more than inactive apart, for its descriptor to stay open."),
    ROW_FLAG("open_file_cache_errors", IN_HTTP_ALL, S, errors, "off",
             "open_file_cache remembers also that a file could not be opened."),
};

struct feature feature_open_file_cache = {
    .name = "open_file_cache", .rows = rows, .nrows = ARRAY_LEN(rows), .conf_size = sizeof(struct cache_conf)};
