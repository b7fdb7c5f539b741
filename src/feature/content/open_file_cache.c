// open_file_cache: open descriptors, sizes and times of files, and errors, are remembered, so that a file need not be opened
// for each request. Each loop has one cache for all configurations, because descriptors are counted without atomics; every
// location looks at it with its own limits.
#include "feature/content/files.h"
#include "io/loop_cache.h"

struct cache_conf {
    int64_t max; // entries; 0: no cache
    uint64_t inactive_ms, valid_ms;
    int64_t min_uses;
    bool errors;
};

struct entry {
    struct cached cached;  // by the path, and how it was looked up
    struct file_ref *file; // NULL: only looked at
    struct file_info info;
    int err;               // 0 or -errno
    const char *call;
    uint64_t checked_ms;
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

static void release(struct cached *e) { file_unref(container_of(e, struct entry, cached)->file); }

static struct loop_cache_kind kind = {.entry_size = sizeof(struct entry), .release = release};

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
    e->file = err == 0 && f->file != NULL && e->cached.uses >= conf->min_uses ? file_ref(f->file) : NULL;
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
    struct loop_cache *c = loop_cache_of(r->loop, &kind);
    size_t trusted;
    enum links links = links_wanted(r, path, &trusted);
    struct str key = key_of(r, path, links, trusted);
    struct cached *cached = loop_cache_find(c, key, conf->inactive_ms);
    struct entry *e = cached != NULL ? container_of(cached, struct entry, cached) : NULL;
    uint64_t now = loop_now(r->loop);
    if (e != NULL) {
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
            loop_cache_remove(c, &e->cached);
        return err;
    }
    if (e == NULL)
        e = container_of(loop_cache_add(c, key, (size_t)conf->max, conf->inactive_ms), struct entry, cached);
    e->checked_ms = now;
    remember(e, conf, err, out);
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
