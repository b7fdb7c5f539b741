// error_log: where messages go and from which level on. The lines themselves are io/log.c's.
#include "feature/log/error_log.h"
#include "conf/paths.h"
#include "feature/log/log_open.h"
#include "http/core.h"

enum { RING_MIN = 4 << 10, RING_MAX = 1 << 30 };

struct target {
    struct log log;
    struct str path;
    struct target *next; // of all targets
};

struct error_log_scope {
    struct error_log_conf conf; // first: what core.h declares
    const struct scope *where;  // `conf.log` was begun there
    struct target **all;        // in the whole configuration; shared by all scopes
};

static struct target *add_target(struct conf_cx *cx, struct error_log_scope *c, struct str path, enum log_level level) {
    if (c->all == NULL)
        c->all = arena_new(cx->arena, struct target *);
    struct target *t = arena_new(cx->arena, struct target);
    *t = (struct target){.log.level = level, .path = path, .next = *c->all};
    *c->all = t;
    return t;
}

static void append(struct error_log_scope *c, struct target *t) {
    struct log **end = &c->conf.log;
    while (*end != NULL)
        end = (struct log **)&(*end)->next; // of this block: still being made
    *end = &t->log;
}

// debug_core and so on choose parts of nginx's debug log: weir has one.
static bool is_debug_part(struct str s) {
    static const struct str parts[] = {STR_INIT("debug_core"), STR_INIT("debug_alloc"), STR_INIT("debug_mutex"),
                                       STR_INIT("debug_event"), STR_INIT("debug_http"), STR_INIT("debug_mail"),
                                       STR_INIT("debug_stream")};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (str_eq(s, parts[i]))
            return true;
    }
    return false;
}

static bool take_level(struct conf_cx *cx, const struct conf_node *node, enum log_level *level) {
    bool named = false, parts = false;
    *level = LOG_ERR;
    for (unsigned i = 2; i < node->nargs; i++) {
        struct str word = node->args[i];
        enum log_level one;
        if (log_level_from(word, &one)) {
            if (named || parts)
                return conf_err(cx, node, "duplicate log level \"" STR_FMT "\"", STR_ARG(word));
            named = true;
            *level = one;
        } else if (is_debug_part(word) && !named) {
            parts = true;
            *level = LOG_DEBUG;
        } else {
            return conf_err(cx, node, "invalid log level \"" STR_FMT "\"", STR_ARG(word));
        }
    }
    return true;
}

static bool take_path(struct conf_cx *cx, const struct conf_node *node, struct str name, struct str *path) {
    if (str_starts(name, STR("syslog:")))
        return log_take_syslog(cx, node, name, -1, path);
    if (str_starts(name, STR("memory:"))) {
        struct str v = str_from(name, 7);
        uint64_t size;
        if (!conf_parse_size(v, &size) || size == 0 || size > RING_MAX)
            return conf_err(cx, node, "invalid buffer size \"" STR_FMT "\"", STR_ARG(v));
        *path = arena_printf(cx->arena, "memory:%llu", (unsigned long long)MAX(size, (uint64_t)RING_MIN));
        return true;
    }
    if (name.n != 0 && !str_eq(name, *path))
        *path = conf_full_path(cx, name, false);
    return true;
}

static bool set_error_log(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct error_log_scope *c = conf;
    struct str name = node->args[1], path = STR("stderr");
    enum log_level level;
    if (!take_path(cx, node, name, &path) || !take_level(cx, node, &level))
        return false;
    if (c->where != cx->scope) {
        c->where = cx->scope;
        c->conf = (struct error_log_conf){0};
    }
    append(c, add_target(cx, c, path, level));
    c->conf.debug |= level == LOG_DEBUG;
    return true;
}

static bool finish(struct conf_cx *cx, struct scope *s, void *conf) {
    struct error_log_scope *c = conf;
    if (s->outer != NULL || c->conf.log != NULL)
        return true;
    struct str name = cx->conf->error_log.n != 0 ? cx->conf->error_log : STR(WEIR_ERROR_LOG);
    c->where = s;
    append(c, add_target(cx, c, str_eq(name, STR("stderr")) ? name : conf_full_path(cx, name, false), LOG_ERR));
    return true;
}

static bool open_all(struct conf_cx *cx, struct scope *root) {
    const struct error_log_scope *c = scope_conf(root, &feature_error_log);
    struct target *turned = NULL; // into the order of the text
    for (struct target *t = *c->all, *next; t != NULL; t = next) {
        next = t->next;
        t->next = turned;
        turned = t;
    }
    *c->all = NULL;
    bool ok = true;
    for (struct target *t = turned; t != NULL; t = t->next)
        ok &= log_open(cx, t->path, &t->log.file);
    return ok;
}

const struct log *error_log_main(const struct conf *c) {
    const struct log *log = ((const struct error_log_conf *)scope_conf(c->root, &feature_error_log))->log;
    return log != NULL && log->file != NULL ? log : NULL;
}

static const struct conf_row rows[] = {
    ROW_FNS("error_log", IN_MAIN | IN_HTTP_ALL, 1, 0xffff, ROW_REPEAT, set_error_log, NULL, "file | stderr | syslog:server=address[,parameter=value] | memory:size [level]",
            "Where messages of this level (error) and worse go; several lines for several places."),
};

struct feature feature_error_log = {.name = "error_log",
                                    .rows = rows,
                                    .nrows = ARRAY_LEN(rows),
                                    .conf_size = sizeof(struct error_log_scope),
                                    .finish = finish,
                                    .link = open_all};
