// Loading a snapshot, its references, and how setters report what they find.
#include "conf/conf.h"
#include "conf/vars.h"
#include "conf/build.h"
#include "conf/zone_private.h"
#include <stdlib.h>

static bool add_error(struct conf_cx *cx, const struct conf_node *node, bool warning, struct str hint, const char *fmt,
                      va_list ap) {
    struct conf_errors *errors = &cx->conf->errors;
    if (node == NULL)
        node = cx->node;
    errors->seq = node != NULL ? node->seq : UINT_MAX;
    const struct conf_file *file = node != NULL ? node->file : NULL;
    bool command_line = file != NULL && str_eq(file->path, STR("command line"));
    return conf_errors_vadd(errors, warning, file, node != NULL && !command_line ? node->line : 0, hint, fmt, ap);
}

bool conf_err(struct conf_cx *cx, const struct conf_node *node, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add_error(cx, node, false, STR_NONE, fmt, ap);
    va_end(ap);
    return false;
}

bool conf_err_hint(struct conf_cx *cx, const struct conf_node *node, struct str hint, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add_error(cx, node, false, hint, fmt, ap);
    va_end(ap);
    return false;
}

void conf_warn(struct conf_cx *cx, const struct conf_node *node, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add_error(cx, node, true, STR_NONE, fmt, ap);
    va_end(ap);
}

struct str conf_full_path(struct conf_cx *cx, struct str path, bool conf_prefix) {
    struct str prefix = conf_prefix ? cx->conf->conf_prefix : cx->conf->prefix;
    if ((path.n > 0 && path.p[0] == '/') || prefix.n == 0)
        return arena_dup(cx->arena, path);
    bool slash = str_ends(prefix, STR("/"));
    return arena_printf(cx->arena, STR_FMT "%s" STR_FMT, STR_ARG(prefix), slash ? "" : "/", STR_ARG(path));
}

void conf_needs_directory(struct conf_cx *cx, struct str path) {
    struct conf_directory *d = arena_new(cx->arena, struct conf_directory);
    d->path = path;
    d->next = cx->conf->directories;
    cx->conf->directories = d;
    conf_reach(cx, path, true);
}

static void add_reach(struct conf_cx *cx, struct str path, bool writes, bool stem) {
    const struct conf_reach *last = cx->conf->reaches;
    if (last != NULL && last->writes == writes && last->stem == stem && str_eq(last->path, path))
        return;
    struct conf_reach *p = arena_new(cx->arena, struct conf_reach);
    *p = (struct conf_reach){arena_dup(cx->arena, path), writes, stem, cx->conf->reaches};
    cx->conf->reaches = p;
}

void conf_reach(struct conf_cx *cx, struct str path, bool writes) { add_reach(cx, path, writes, false); }

void conf_reach_tmpl(struct conf_cx *cx, const struct tmpl *t, struct str prefix, bool writes, bool stem) {
    struct str text = t->constant ? t->text : t->count != 0 && t->parts[0].var == NULL ? t->parts[0].text : STR_NONE;
    if (text.n == 0)
        text = STR("/"); // anywhere
    if (text.p[0] != '/')
        text = arena_printf(cx->arena, STR_FMT "%s" STR_FMT, STR_ARG(prefix), str_ends(prefix, STR("/")) ? "" : "/", STR_ARG(text));
    add_reach(cx, text, writes, (stem || !t->constant) && !str_ends(text, STR("/")));
}

void features_register(struct feature *const *features, size_t n) {
    for (size_t i = 0; i < n; i++) {
        features[i]->index = (unsigned)i;
        for (size_t k = 0; k < features[i]->nrows; k++) {
            const struct conf_row *row = &features[i]->rows[k];
            CHECK(row->name != NULL && row->places != 0 && row->min_args <= row->max_args);
            CHECK(row->set != NULL || (row->block != 0 && row->block != 0xffff));
        }
    }
    // One name, one row in each place; one feature, one name.
    struct names names;
    names_init(&names, features, n);
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(&names.by_name, &at, &key, &value)) {
        uint32_t places = 0;
        for (const struct named_row *r = value; r != NULL; r = r->next) {
            if (places & r->row->places)
                check_failed(r->row->name, "one directive, two rows in one place", __LINE__, __func__);
            places |= r->row->places;
        }
    }
    names_done(&names);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            CHECK(strcmp(features[i]->name, features[k]->name) != 0);
}

static int read_text(void *arg, struct str path, struct arena *arena, struct str *text) {
    const struct conf_load *load = arg;
    if (str_eq(path, load->path)) {
        *text = arena_dup(arena, load->text);
        return 0;
    }
    return load->source != NULL ? load->source->read(load->source->arg, path, arena, text) : ENOENT;
}

static int glob_text(void *arg, struct str pattern, struct arena *arena, struct str **paths, size_t *count) {
    const struct conf_load *load = arg;
    *count = 0;
    return load->source != NULL ? load->source->glob(load->source->arg, pattern, arena, paths, count) : 0;
}

// Errors outlive the snapshot: into the caller's arena, files with them.
static void copy_errors(struct conf_errors *to, const struct conf_errors *from, struct arena *arena) {
    const struct conf_file *last = NULL;
    struct conf_file *last_copy = NULL;
    for (const struct conf_error *e = from->head; e != NULL; e = e->next) {
        struct conf_error *copy = arena_new(arena, struct conf_error);
        *copy = *e;
        copy->next = NULL;
        copy->text = arena_dup(arena, e->text);
        copy->hint = e->hint.n ? arena_dup(arena, e->hint) : STR_NONE;
        if (e->file != NULL) {
            if (e->file != last) {
                last = e->file;
                last_copy = arena_new(arena, struct conf_file);
                last_copy->path = arena_dup(arena, last->path);
            }
            copy->file = last_copy;
        }
        *to->tail = copy;
        to->tail = &copy->next;
    }
    to->errors += from->errors;
    to->warnings += from->warnings;
}

static void conf_free(struct conf *c) {
    arena_done(&c->arena);
    vars_done(&c->vars);
    c->magic = 0;
    free(c);
}

static struct conf *conf_new(const struct conf_load *load) {
    struct conf *c = xcalloc(1, sizeof(*c));
    c->magic = CONF_MAGIC;
    c->refs = 1;
    arena_init(&c->arena, NULL);
    conf_errors_init(&c->errors, &c->arena);
    vars_init(&c->vars, &c->arena, load->seed);
    c->features = load->features;
    c->nfeatures = load->nfeatures;
    c->zones = load->zones;
    c->generation = load->zones != NULL ? zones_next_generation(load->zones) : 1;
    c->seed = load->seed;
    c->path = arena_dup(&c->arena, load->path);
    c->prefix = arena_dup(&c->arena, load->prefix);
    c->error_log = arena_dup(&c->arena, load->error_log);
    ssize_t slash = str_rchr(c->path, '/');
    c->conf_prefix = load->source != NULL && load->source->prefix.n > 0 ? arena_dup(&c->arena, load->source->prefix)
                                                                        : str_head(c->path, (size_t)(slash + 1));
    for (size_t i = 0; i < load->nfeatures; i++)
        vars_define(&c->vars, load->features[i]->vars, load->features[i]->nvars);
    return c;
}

struct conf *conf_load(const struct conf_load *load, struct arena *arena, struct conf_errors *errors) {
    struct conf *c = conf_new(load);
    conf_errors_init(errors, arena);
    struct conf_build build = {0};
    names_init(&build.names, load->features, load->nfeatures);
    struct conf_cx cx = {.conf = c, .arena = &c->arena, .build = &build, .test = load->test};
    struct conf_source source = {0};
    if (load->source != NULL)
        source = *load->source;
    if (load->text.p != NULL)
        source = (struct conf_source){read_text, glob_text, (void *)(uintptr_t)load, c->conf_prefix};
    source.prefix = c->conf_prefix;
    conf_parse(&c->tree, c->path, load->extra, &source, &c->arena, &c->errors);
    bool ok = conf_build(&cx);
    copy_errors(errors, &c->errors, arena);
    names_done(&build.names);
    free(build.marks);
    free(build.failed);
    if (ok)
        return c;
    conf_free(c);
    return NULL;
}

struct conf *conf_ref(struct conf *c) {
    CHECK_OBJ(c, CONF_MAGIC);
    __atomic_fetch_add(&c->refs, 1, __ATOMIC_RELAXED);
    return c;
}

bool conf_is_last(const struct conf *c) {
    CHECK_OBJ(c, CONF_MAGIC);
    return __atomic_load_n(&c->refs, __ATOMIC_ACQUIRE) == 1;
}

void conf_unref(struct conf *c) {
    if (c == NULL)
        return;
    CHECK_OBJ(c, CONF_MAGIC);
    uint32_t before = __atomic_fetch_sub(&c->refs, 1, __ATOMIC_ACQ_REL);
    CHECK(before != 0);
    if (before == 1)
        conf_free(c);
}
