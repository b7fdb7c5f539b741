// access_log: one line per request, to any number of files. What is in a line is log_format.c's, how it reaches the disk is
// io/log_file.c's.
#include "conf/paths.h"
#include "feature/log/log_format.h"
#include "feature/log/log_open.h"
#include "feature/log/open_log_file_cache.h"
#include "http/plan.h"

struct feature feature_access_log;

enum {
    LINE_FIRST = 512, // bytes on the stack; longer lines move to the request's arena
    GZIP_BUFFER = 64 << 10,
    SEVERITY_INFO = 6,
};

// A path and how it is written: one for the whole configuration, however many directives name it.
struct access_file {
    struct str path;
    struct log_file *file;
    uint64_t buffer, flush_ms; // 0: none
    int64_t gzip;              // level; 0: none
    struct access_file *next;
};

struct access_entry {
    struct access_file *to; // NULL: path
    struct tmpl *path;      // with variables
    const struct log_format *format;
    struct tmpl *cond; // if=: logged unless empty or "0"; NULL: always
};

struct access_log_conf {
    struct conf_list logs;     // struct access_entry
    bool off;
    const struct scope *where; // that said so; NULL: nobody
    struct access_file **files; // shared by all scopes, in the order of the text
};

static bool wanted(const struct access_entry *e, struct req *r) {
    if (LIKELY(e->cond == NULL))
        return true;
    struct str v = req_eval(r, e->cond);
    return v.n != 0 && !(v.n == 1 && v.p[0] == '0');
}

static NOINLINE void write_by_path(struct req *r, const struct tmpl *path, struct str line) {
    struct log_file *f = log_file_of_request(r, req_eval(r, path));
    if (f != NULL)
        log_file_write(f, line, 0, 0);
    log_file_unref(f);
}

static enum step log_request(struct req *r, const void *conf) {
    const struct access_log_conf *c = conf;
    if (r != r->main && !req_core(r)->log_subrequest)
        return STEP_NEXT;
    char first[LINE_FIRST];
    conf_list_each(const struct access_entry, e, c->logs) {
        if (!wanted(e, r))
            continue;
        struct sbuf line = {.p = first, .cap = sizeof first, .max = LOG_FORMAT_LINE_MAX, .arena = &r->arena};
        log_format_write(e->format, r, &line);
        if (LIKELY(e->to != NULL))
            log_file_write(e->to->file, sbuf_view(&line), e->to->buffer, e->to->flush_ms);
        else
            write_by_path(r, e->path, sbuf_view(&line));
    }
    return STEP_NEXT;
}

static struct access_file *file_of(struct conf_cx *cx, struct access_log_conf *c, struct str path) {
    if (c->files == NULL) // after an error outside of http, nothing was finished there
        c->files = arena_new(cx->arena, struct access_file *);
    struct access_file **at = c->files;
    for (; *at != NULL; at = &(*at)->next) {
        if (str_eq((*at)->path, path))
            return *at;
    }
    *at = arena_new(cx->arena, struct access_file);
    (*at)->path = path;
    return *at;
}

struct options {
    uint64_t buffer, flush_ms;
    int64_t gzip; // level; 0: none
    struct tmpl *cond;
};

static bool take_option(struct conf_cx *cx, const struct conf_node *node, struct str word, struct options *o) {
    if (str_starts(word, STR("buffer="))) {
        struct str v = str_from(word, 7);
        return (conf_parse_size(v, &o->buffer) && o->buffer != 0) ||
               conf_err(cx, node, "invalid buffer size \"" STR_FMT "\"", STR_ARG(v));
    }
    if (str_starts(word, STR("flush="))) {
        struct str v = str_from(word, 6);
        return (conf_parse_msec(v, &o->flush_ms) && o->flush_ms != 0) ||
               conf_err(cx, node, "invalid flush time \"" STR_FMT "\"", STR_ARG(v));
    }
    if (str_starts(word, STR("if="))) {
        o->cond = tmpl_compile(cx, str_from(word, 3), node);
        return o->cond != NULL;
    }
    if (str_eq(word, STR("gzip"))) {
        o->gzip = 1;
        return true;
    }
    if (str_starts(word, STR("gzip="))) {
        struct str v = str_from(word, 5);
        return (conf_parse_num(v, &o->gzip) && o->gzip >= 1 && o->gzip <= 9) ||
               conf_err(cx, node, "invalid compression level \"" STR_FMT "\"", STR_ARG(v));
    }
    return conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(word));
}

static bool take_options(struct conf_cx *cx, const struct conf_node *node, struct options *o) {
    for (unsigned i = 3; i < node->nargs; i++) {
        if (!take_option(cx, node, node->args[i], o))
            return false;
    }
    if (o->gzip != 0 && o->buffer == 0)
        o->buffer = GZIP_BUFFER;
    if (o->flush_ms != 0 && o->buffer == 0)
        return conf_err(cx, node, "no buffer is defined for access_log \"" STR_FMT "\"", STR_ARG(node->args[1]));
    return true;
}

static bool set_off(struct conf_cx *cx, struct access_log_conf *c, const struct conf_node *node) {
    if (node->nargs > 2)
        return conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(node->args[2]));
    c->off = true;
    return true;
}

// Of buffered logs to a file: all directives that name it must agree.
static bool share_buffer(struct conf_cx *cx, const struct conf_node *node, struct access_file *file, const struct options *o) {
    if (o->buffer == 0)
        return true;
    if (file->buffer != 0 && (file->buffer != o->buffer || file->flush_ms != o->flush_ms || file->gzip != o->gzip))
        return conf_err(cx, node, "access_log \"" STR_FMT "\" already defined with conflicting parameters",
                        STR_ARG(node->args[1]));
    file->buffer = o->buffer;
    file->flush_ms = o->flush_ms;
    file->gzip = o->gzip;
    return true;
}

// Where the lines go: e->to or e->path.
static bool take_target(struct conf_cx *cx, struct access_log_conf *c, const struct conf_node *node, const struct options *o,
                        struct access_entry *e) {
    struct str name = node->args[1], path = STR("stderr");
    if (str_starts(name, STR("syslog:"))) {
        if (!log_take_syslog(cx, node, name, SEVERITY_INFO, &path))
            return false;
        if (o->buffer != 0)
            return conf_err(cx, node, "logs to syslog cannot be buffered");
    } else if (tmpl_has_var(name)) {
        if (o->buffer != 0)
            return conf_err(cx, node, "buffered logs cannot have variables in name");
        e->path = tmpl_compile(cx, name, node);
        if (e->path != NULL)
            conf_reach_tmpl(cx, e->path, cx->conf->prefix, true, true);
        return e->path != NULL;
    } else if (name.n != 0) {
        path = conf_full_path(cx, name, false);
    }
    e->to = file_of(cx, c, path);
    return share_buffer(cx, node, e->to, o);
}

static bool set_access_log(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct access_log_conf *c = conf;
    struct str name = node->args[1];
    if (c->where != cx->scope) { // the first of this block: nothing is inherited
        c->where = cx->scope;
        c->logs = (struct conf_list){0};
        c->off = false;
    }
    if (str_eq(name, STR("off")))
        return set_off(cx, c, node);
    struct str format = node->nargs > 2 ? node->args[2] : STR("combined");
    const struct log_format *f = log_format_find(cx, format);
    if (f == NULL)
        return conf_err(cx, node, "unknown log format \"" STR_FMT "\"", STR_ARG(format));
    struct options o = {0};
    struct access_entry e = {.format = f};
    if (!take_options(cx, node, &o) || !take_target(cx, c, node, &o, &e))
        return false;
    e.cond = o.cond;
    struct access_entry *to = conf_list_add(cx, row, &c->logs, sizeof *to);
    *to = e;
    return true;
}

// The default, for whoever says nothing: its file is opened only if somebody is left to write to it.
static bool finish(struct conf_cx *cx, struct scope *s, void *conf) {
    struct access_log_conf *c = conf;
    if (s->outer != NULL)
        return true;
    c->files = arena_new(cx->arena, struct access_file *);
    struct access_entry *e = arena_new(cx->arena, struct access_entry);
    e->format = log_format_find(cx, STR("combined"));
    c->logs = (struct conf_list){e, 1};
    return true;
}

static bool open_one(struct conf_cx *cx, struct access_file *f) {
    if (!log_open(cx, f->path, &f->file))
        return false;
    if (f->file != NULL && f->gzip != 0)
        log_file_set_gzip(f->file, (int)f->gzip);
    return true;
}

static bool open_all(struct conf_cx *cx, struct scope *root) {
    struct access_log_conf *c = scope_conf(root, &feature_access_log);
    struct access_entry *dflt = c->logs.at;
    for (struct scope *h = root->children; h != NULL; h = h->next) {
        for (struct scope *s = h->place == IN_HTTP ? h->children : NULL; s != NULL; s = s->next) {
            const struct access_log_conf *own = scope_conf(s, &feature_access_log);
            if (s->place == IN_SERVER && own->where == NULL && dflt->to == NULL)
                dflt->to = file_of(cx, c, conf_full_path(cx, STR(WEIR_ACCESS_LOG), false));
        }
    }
    bool ok = true;
    for (struct access_file *f = *c->files; f != NULL; f = f->next)
        ok &= open_one(cx, f);
    return ok;
}

static struct conf_list asks_of(struct conf_cx *cx, const struct access_log_conf *c) {
    struct conf_list asks = {0};
    conf_list_each(const struct access_entry, e, c->logs) {
        log_format_asks(e->format, cx->arena, &asks);
        for (unsigned i = 0; e->cond != NULL && i < e->cond->count; i++) {
            if (e->cond->parts[i].var != NULL)
                log_asks_add(cx->arena, &asks, e->cond->parts[i].var);
        }
    }
    return asks;
}

static bool bind_access_log(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct access_log_conf *c = conf;
    if ((s->place & (IN_SERVER | IN_LOCATION | IN_IF | IN_LIMIT_EXCEPT)) != 0 && !c->off && c->logs.count != 0) {
        struct conf_list asks = asks_of(cx, c);
        plan_add_log(cx, s, log_request, c, "access_log", asks.at, (unsigned)asks.count);
    }
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("access_log", IN_HTTP_ALL | IN_IF | IN_LIMIT_EXCEPT, 1, 0xffff, ROW_LISTED, set_access_log, NULL,
            "path [format [buffer=size] [gzip[=level]] [flush=time] [if=condition]] | off",
            "Where a line for each request goes; logs/access.log in the format \"combined\" when nothing is said."),
};

struct feature feature_access_log = {.name = "access_log",
                                     .rows = rows,
                                     .nrows = ARRAY_LEN(rows),
                                     .conf_size = sizeof(struct access_log_conf),
                                     .finish = finish,
                                     .link = open_all,
                                     .bind = bind_access_log};
