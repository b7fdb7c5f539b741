// open_log_file_cache, and the access logs that it is for: those whose path has variables. Without a cache such a log is opened
// for each line, and closed when the line is written. Each loop has one cache for all configurations. A timer lets go what
// nothing was written to during `inactive`.
#include "feature/log/open_log_file_cache.h"
#include "feature/content/files.h"
#include "io/loop_cache.h"

struct log_cache_conf {
    int64_t max; // 0: no cache
    uint64_t inactive_ms, valid_ms;
    int64_t min_uses;
};

struct entry {
    struct cached cached;  // by the path
    struct log_file *file; // NULL: not used often enough
    uint64_t checked_ms;
};

static void release(struct cached *e) { log_file_unref(container_of(e, struct entry, cached)->file); }

static struct loop_cache_kind kind = {.entry_size = sizeof(struct entry), .release = release};

static struct log_file *open_log(struct str path) {
    int err = 0;
    struct log_file *f = log_file_open(path.p, &err);
    if (f == NULL)
        log_msg(LOG_CRIT, -err, "open() \"" STR_FMT "\" failed", STR_ARG(path));
    return f;
}

static struct log_file *through_cache(struct req *r, const struct log_cache_conf *conf, struct str path) {
    struct loop_cache *c = loop_cache_of(r->loop, &kind);
    uint64_t now = loop_now(r->loop);
    struct cached *found = loop_cache_find(c, path, conf->inactive_ms);
    struct entry *e = container_of(found != NULL ? found : loop_cache_add(c, path, (size_t)conf->max, conf->inactive_ms), struct entry, cached);
    if (found == NULL)
        e->checked_ms = now;
    if (e->file != NULL && now - e->checked_ms >= conf->valid_ms) {
        log_file_reopen(e->file); // it may have been moved
        e->checked_ms = now;
    }
    if (e->file != NULL)
        return log_file_ref(e->file);
    struct log_file *f = open_log(path);
    e->checked_ms = now;
    if (f != NULL && e->cached.uses >= conf->min_uses)
        e->file = log_file_ref(f);
    return f;
}

// nginx makes no log for a host that has no root.
static bool root_exists(struct req *r) {
    struct str root;
    struct found_file found;
    if (!req_document_root(r, &root))
        return false;
    int err = file_look(r, arena_dup(&r->arena, root), &found);
    if (err == 0 && !found.info.is_dir)
        err = -ENOTDIR;
    if (err != 0)
        log_msg(LOG_ERR, -err, "testing \"" STR_FMT "\" existence failed", STR_ARG(root));
    return err == 0;
}

struct log_file *log_file_of_request(struct req *r, struct str path) {
    if (path.n == 0 || memchr(path.p, '\0', path.n) != NULL || !root_exists(r))
        return NULL;
    if (path.p[0] != '/') {
        struct str parts[2] = {r->conf->prefix, path};
        path = arena_join(&r->arena, parts, 2);
    }
    path = arena_dup(&r->arena, path);
    const struct log_cache_conf *conf = req_conf(r, &feature_open_log_file_cache);
    return conf->max != 0 ? through_cache(r, conf, path) : open_log(path);
}

// --- the row -------------------------------------------------------------------------------------------------------------

static bool take_parameter(struct log_cache_conf *c, struct str word) {
    int64_t s;
    if (str_starts(word, STR("max=")))
        return conf_parse_num(str_from(word, 4), &c->max);
    if (str_starts(word, STR("min_uses=")))
        return conf_parse_num(str_from(word, 9), &c->min_uses);
    bool inactive = str_starts(word, STR("inactive="));
    if (!inactive && !str_starts(word, STR("valid=")))
        return false;
    if (!conf_parse_sec(str_from(word, inactive ? 9 : 6), &s))
        return false;
    *(inactive ? &c->inactive_ms : &c->valid_ms) = (uint64_t)s * 1000;
    return true;
}

static bool set_cache(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct log_cache_conf *c = conf;
    *c = (struct log_cache_conf){.inactive_ms = 10000, .valid_ms = 60000, .min_uses = 1};
    bool off = false;
    for (unsigned i = 1; i < node->nargs; i++) {
        if (str_eq(node->args[i], STR("off")))
            off = true;
        else if (!take_parameter(c, node->args[i]))
            return conf_err(cx, node, "invalid \"open_log_file_cache\" parameter \"" STR_FMT "\"", STR_ARG(node->args[i]));
    }
    if (off)
        c->max = 0;
    else if (c->max == 0)
        return conf_err(cx, node, "\"open_log_file_cache\" must have \"max\" parameter");
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("open_log_file_cache", IN_HTTP_ALL, 1, 4, 0, set_cache, "off",
            "max=N [inactive=time] [min_uses=N] [valid=time] | off",
            "Up to N access logs whose paths have variables stay open in each event loop, until nothing is written to them "
            "during inactive (10s); after valid (60s) a path is opened anew."),
};

struct feature feature_open_log_file_cache = {.name = "open_log_file_cache",
                                              .rows = rows,
                                              .nrows = ARRAY_LEN(rows),
                                              .conf_size = sizeof(struct log_cache_conf)};
