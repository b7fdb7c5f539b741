// The made-up features.
#include "conf/fake.h"

static void note(struct fake *f, char c) {
    size_t n = strlen(f->order);
    if (n + 1 < sizeof(f->order)) {
        f->order[n] = c;
        f->order[n + 1] = 0;
    }
}

static bool set_item(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct fake *f = conf;
    struct str *item = conf_list_add(cx, row, &f->items, sizeof(*item));
    *item = node->args[1];
    note(f, 'i');
    return true;
}

static bool set_pairs(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct fake *f = conf;
    for (const struct conf_node *c = node->children; c != NULL; c = c->next) {
        if (c->block)
            return conf_err(cx, c, "unexpected \"{\"");
        if (c->nargs != 2)
            return conf_err(cx, c, "invalid number of the map parameters");
        struct str *pair = conf_list_add(cx, row, &f->pairs, 2 * sizeof(*pair));
        pair[0] = c->args[0];
        pair[1] = c->args[1];
    }
    return true;
}

static bool get_made(struct eval *e, const struct var *v, struct str *out) {
    *out = STR("made");
    return true;
}

static bool set_set(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct str name = node->args[1];
    if (name.n < 2 || name.p[0] != '$')
        return conf_err(cx, node, "invalid variable name \"" STR_FMT "\"", STR_ARG(name));
    return var_make(cx, str_from(name, 1), VAR_CHANGEABLE | VAR_WEAK, get_made, NULL, 0, node) != NULL;
}

static bool open_location(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node,
                          struct scope *inner) {
    struct fake *f = conf;
    CHECK(inner->outer == cx->scope && scope_conf(inner, &fake_core) == conf);
    if (str_eq(node->args[1], STR("bad")))
        return conf_err(cx, node, "bad location");
    f->order[0] = 0;
    inner->data = f;
    struct fake_other *outer = conf_own(cx, cx->scope, &fake_other);
    outer->opened++;
    return true;
}

static bool finish_core(struct conf_cx *cx, struct scope *s, void *conf) {
    struct fake *f = conf;
    note(f, 'F');
    f->finishes++;
    f->derived = f->num * 2;
    return true;
}

static bool bind_core(struct conf_cx *cx, struct scope *s, void *conf) {
    note(conf, 'B');
    return s->outer == NULL || s->outer->plan != NULL ? (s->plan = s) != NULL
                                                      : conf_err(cx, NULL, "bound before outer");
}

static const struct conf_word modes[] = {{"fast", 1}, {"slow", 2}, {NULL, 0}};

#define EVERYWHERE (IN_MAIN | IN_HTTP_ALL)
static const struct conf_row core_rows[] = {
    ROW_FLAG("daemon", IN_MAIN, struct fake, daemon, "on", "Whether to go to the background."),
    ROW_BLOCK("events", IN_MAIN, 0, 0, IN_EVENTS, NULL, "Events."),
    ROW_NUM("worker_connections", IN_EVENTS, struct fake, connections, "512", 0, 0, "Connections."),
    ROW_BLOCK("http", IN_MAIN, 0, 0, IN_HTTP, NULL, "HTTP."),
    ROW_BLOCK("server", IN_HTTP, 0, 0, IN_SERVER, NULL, "A server."),
    ROW_BLOCK("upstream", IN_HTTP, 1, 1, IN_UPSTREAM, NULL, "A group."),
    ROW_FN("server", IN_UPSTREAM, 1, 0xffff, ROW_REPEAT, conf_set_nothing, NULL, "A peer."),
    ROW_BLOCK("location", IN_SERVER | IN_LOCATION, 1, 2, IN_LOCATION, open_location, "A location."),
    ROW_FLAG("flag", EVERYWHERE, struct fake, flag, "off", "A flag."),
    ROW_NUM("num", EVERYWHERE, struct fake, num, "3", 1, 9, "A number."),
    ROW_SIZE("size", EVERYWHERE, struct fake, size, "1k", 0, 0, "A size."),
    ROW_MSEC("time", EVERYWHERE, struct fake, time, "60s", 0, 0, "A time."),
    ROW_SEC("secs", EVERYWHERE, struct fake, secs, NULL, 0, 0, "Seconds."),
    ROW_STR("text", EVERYWHERE, struct fake, text, "none", "A text."),
    ROW_TMPL("tmpl", EVERYWHERE, struct fake, tmpl, NULL, "A template."),
    ROW_ENUM("mode", EVERYWHERE, struct fake, mode, "slow", modes, "A mode."),
    ROW_BITS("bits", EVERYWHERE, struct fake, bits, NULL, modes, "Modes."),
    ROW_BUFS("bufs", EVERYWHERE, struct fake, bufs, "8 4k", "Buffers."),
    ROW_FN("item", EVERYWHERE, 1, 1, ROW_LISTED, set_item, "first", "An item."),
    ROW_DATA("map", EVERYWHERE, 0, 2, ROW_LISTED, set_pairs, "Pairs."),
    ROW_FN("set", IN_SERVER | IN_LOCATION, 2, 2, ROW_REPEAT, set_set, NULL, "Sets a variable."),
    ROW_NOOP("worker_rlimit_nofile", IN_MAIN, 1, 1, "Not needed."),
};

static bool get_fixed(struct eval *e, const struct var *v, struct str *out) {
    *out = STR("http");
    return true;
}
static const struct var_def core_vars[] = {
    {"scheme", false, 0, get_fixed, NULL, 0, "The scheme."},
    {"http_", true, 0, get_fixed, NULL, 0, "A request header field."},
    {"args", false, VAR_CHANGEABLE, get_fixed, NULL, 0, "The arguments."},
};

struct feature fake_core = {
    .name = "core",
    .rows = core_rows,
    .nrows = ARRAY_LEN(core_rows),
    .conf_size = sizeof(struct fake),
    .vars = core_vars,
    .nvars = ARRAY_LEN(core_vars),
    .finish = finish_core,
    .bind = bind_core,
};

static const struct conf_row other_rows[] = {
    ROW_NUM("other_num", IN_HTTP_ALL, struct fake_other, num, "7", 0, 0, "Another number."),
};
struct feature fake_other = {
    .name = "other", .rows = other_rows, .nrows = ARRAY_LEN(other_rows), .conf_size = sizeof(struct fake_other)};

static const struct conf_row family_rows[] = {
    ROW_NUM("*_tries", IN_HTTP_ALL, struct fake_other, num, "1", 0, 0, "How often to try."),
};
struct feature fake_proxy = {.name = "proxy",
                             .family = "proxy",
                             .rows = family_rows,
                             .nrows = ARRAY_LEN(family_rows),
                             .conf_size = sizeof(struct fake_other)};
struct feature fake_fastcgi = {.name = "fastcgi",
                               .family = "fastcgi",
                               .rows = family_rows,
                               .nrows = ARRAY_LEN(family_rows),
                               .conf_size = sizeof(struct fake_other)};

struct feature *const fake_features[FAKE_FEATURES] = {&fake_core, &fake_other, &fake_proxy, &fake_fastcgi};

struct files {
    const struct fake_file *at;
    size_t count;
};

static int read_fake(void *arg, struct str path, struct arena *arena, struct str *text) {
    const struct files *files = arg;
    for (size_t i = 0; i < files->count; i++)
        if (str_eq(path, str_c(files->at[i].path))) {
            *text = arena_dup(arena, str_c(files->at[i].text));
            return 0;
        }
    return ENOENT;
}

static int glob_fake(void *arg, struct str pattern, struct arena *arena, struct str **paths, size_t *count) {
    const struct files *files = arg;
    *paths = arena_array(arena, struct str, files->count);
    for (size_t i = 0; i < files->count; i++)
        if (fnmatch(arena_dup(arena, pattern).p, files->at[i].path, FNM_PATHNAME) == 0)
            (*paths)[(*count)++] = str_c(files->at[i].path);
    return 0;
}

void fake_load_files(struct fake_load *l, const struct fake_file *files, size_t count, const char *extra) {
    features_register(fake_features, FAKE_FEATURES);
    *l = (struct fake_load){.zones = zones_new()};
    arena_init(&l->arena, NULL);
    struct files arg = {files, count};
    struct conf_source source = {.read = read_fake, .glob = glob_fake, .arg = &arg, .prefix = STR("/etc/w/")};
    struct conf_load load = {.path = str_c(files[0].path),
                             .extra = str_c(extra),
                             .prefix = STR("/usr/w"),
                             .source = &source,
                             .features = fake_features,
                             .nfeatures = FAKE_FEATURES,
                             .zones = l->zones,
                             .seed = 1};
    l->conf = conf_load(&load, &l->arena, &l->errors);
    struct sbuf out;
    sbuf_init_arena(&out, &l->arena, 256, 1 << 20);
    for (const struct conf_error *e = l->errors.head; e != NULL; e = e->next) {
        sbuf_str(&out, e->warning ? STR("warning: ") : STR(""));
        conf_error_print(e, &out);
        if (e->hint.n > 0)
            sbuf_printf(&out, " [" STR_FMT "]", STR_ARG(e->hint));
        sbuf_chr(&out, '\n');
    }
    l->said = sbuf_view(&out);
}

void fake_load(struct fake_load *l, const char *text) {
    struct fake_file file = {"F", text};
    fake_load_files(l, &file, 1, NULL);
}

void fake_done(struct fake_load *l) {
    conf_unref(l->conf);
    arena_done(&l->arena);
    zones_free(l->zones);
}

struct scope *fake_inner(struct scope *s, unsigned n) {
    struct scope *inner = s->children;
    while (n-- > 0 && inner != NULL)
        inner = inner->next;
    if (inner == NULL)
        test_fail(__FILE__, __LINE__, "no such block");
    return inner;
}
