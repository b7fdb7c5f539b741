// Loading: the world's side of conf/ (files, globs), messages on the terminal, directories for temp files.
#include "app/load.h"
#include "conf/paths.h"
#include "feature/core/main.h"
#include "feature/features.h"
#include "feature/gateway/gateway.h"
#include "http/core.h"
#include "http/vhost.h"
#include "io/broker.h"
#include "io/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONF_FILE_MAX = 64 << 20 };

static int read_file(void *arg, struct str path, struct arena *arena, struct str *text) {
    return broker_read(arena_dup(arena, path).p, arena, CONF_FILE_MAX, text);
}

static int find_files(void *arg, struct str pattern, struct arena *arena, struct str **paths, size_t *count) {
    return broker_glob(arena_dup(arena, pattern).p, arena, paths, count);
}

// nginx makes the prefix and the path of the file absolute against the working directory, then against the prefix.
static struct str absolute(struct arena *a, struct str path) {
    if (path.n != 0 && path.p[0] == '/')
        return arena_dup(a, path);
    char cwd[PATH_MAX];
    if (getcwd(cwd, sizeof cwd) == NULL)
        return arena_dup(a, path);
    return arena_printf(a, "%s/" STR_FMT, cwd, STR_ARG(path));
}

static struct str prefix_of(const struct options *o, struct arena *a) {
    if (o->prefix.n == 0)
        return STR(WEIR_PREFIX);
    struct str p = o->prefix.p[0] == '/' ? o->prefix : absolute(a, o->prefix);
    return p.p[p.n - 1] == '/' ? p : arena_printf(a, STR_FMT "/", STR_ARG(p));
}

struct str load_conf_path(const struct options *o, struct arena *a) {
    struct str conf = o->conf.n != 0 ? o->conf : STR(WEIR_CONF);
    if (conf.p[0] == '/')
        return arena_dup(a, conf);
    struct str prefix = prefix_of(o, a);
    return arena_printf(a, STR_FMT STR_FMT, STR_ARG(prefix), STR_ARG(conf));
}

void load_settle(struct options *o) {
    static struct arena paths; // as long as the process
    arena_init(&paths, NULL);
    if (o->prefix.n != 0)
        o->prefix = prefix_of(o, &paths);
    if (o->conf.n != 0)
        o->conf = load_conf_path(o, &paths);
}

// To the error log: of a running weir nobody sees the terminal. The first error also to `why`, which may be
// NULL.
static void log_errors(const struct conf_errors *errors, bool warnings, struct sbuf *why) {
    struct sbuf line;
    sbuf_init_heap(&line, 64 << 10);
    for (const struct conf_error *e = errors->head; e != NULL; e = e->next) {
        if (e->warning && !warnings)
            continue;
        line.n = 0;
        conf_error_print(e, &line);
        log_msg(e->warning ? LOG_WARN : LOG_EMERG, 0, STR_FMT, STR_ARG(sbuf_view(&line)));
        if (!e->warning && why != NULL && why->n == 0)
            sbuf_str(why, sbuf_view(&line));
    }
    sbuf_done(&line);
}

static void print_errors(const struct conf_errors *errors) {
    struct sbuf line;
    sbuf_init_heap(&line, 64 << 10);
    for (const struct conf_error *e = errors->head; e != NULL; e = e->next) {
        line.n = 0;
        sbuf_printf(&line, "nginx: [%s] ", e->warning ? "warn" : "emerg");
        conf_error_print(e, &line);
        sbuf_chr(&line, '\n');
        if (e->hint.n != 0)
            sbuf_printf(&line, "  hint: " STR_FMT "\n", STR_ARG(e->hint));
        fwrite(line.p, 1, line.n, stderr);
    }
    sbuf_done(&line);
}

// nginx's rules, which hold for a configuration that is to run, not for every text that can be read.
static bool has_events(const struct conf *c, struct conf_errors *errors) {
    const struct http_world *w = http_world(c);
    unsigned sockets = 0;
    for (unsigned i = 0; w != NULL && i < w->count; i++)
        sockets += vhosts_own_socket(w, w->at[i]) ? 1 : 0;
    if (main_conf(c)->events == NULL)
        return conf_errors_add(errors, false, NULL, 0, STR_NONE, "no \"events\" section in configuration");
    if (events_conf(c)->worker_connections >= (int64_t)sockets + 1)
        return true;
    return conf_errors_add(errors, false, NULL, 0, STR_NONE, "%lld worker_connections are not enough for %u listening sockets",
                           (long long)events_conf(c)->worker_connections, sockets);
}

static struct conf *load(const struct options *o, struct str text, struct zones *zones, struct arena *a,
                         struct conf_errors *errors) {
    static bool registered;
    if (!registered)
        features_register(all_features, all_features_count);
    registered = true;
    struct conf_source source = {.read = read_file, .glob = find_files};
    struct conf_load load = {
        .path = load_conf_path(o, a),
        .text = text,
        .extra = o->directives,
        .prefix = prefix_of(o, a),
        .error_log = o->error_log,
        .source = &source,
        .features = all_features,
        .nfeatures = all_features_count,
        .zones = zones,
        .test = o->test,
    };
    source.prefix = str_head(load.path, (size_t)str_rchr(load.path, '/') + 1);
    if (getrandom(&load.seed, sizeof load.seed, 0) != sizeof load.seed)
        load.seed = (uint64_t)getpid();
    conf_errors_init(errors, a);
    struct conf *c = conf_load(&load, a, errors);
    if (c == NULL || has_events(c, errors))
        return c;
    conf_unref(c);
    return NULL;
}

struct conf *load_conf(const struct options *o, struct str text, struct zones *zones) {
    struct arena a;
    arena_init(&a, NULL);
    struct conf_errors errors;
    struct conf *c = load(o, text, zones, &a, &errors);
    if (log_has_default())
        log_errors(&errors, true, NULL);
    else
        print_errors(&errors);
    arena_done(&a);
    return c;
}

struct conf *load_conf_again(const struct options *o, struct str text, struct zones *zones, bool warnings, struct sbuf *why) {
    struct arena a;
    arena_init(&a, NULL);
    struct conf_errors errors;
    struct conf *c = load(o, text, zones, &a, &errors);
    log_errors(&errors, warnings, why);
    arena_done(&a);
    return c;
}

void load_dump(const struct conf *c) {
    for (const struct conf_file *f = c->tree.files; f != NULL; f = f->next) {
        if (str_eq(f->path, STR("command line")))
            continue;
        printf("# configuration file " STR_FMT ":\n", STR_ARG(f->path));
        fwrite(f->text.p, 1, f->text.n, stdout);
        putchar('\n');
    }
    fflush(stdout);
}

// --- directories ---------------------------------------------------------------------------------------------------------

static bool make_directory(struct str path, uid_t uid, gid_t gid) {
    if (path.n == 0)
        return true;
    struct stat st;
    if (mkdir(path.p, 0700) == 0) {
        if (geteuid() == 0 && chown(path.p, uid, gid) != 0) {
            log_msg(LOG_EMERG, errno, "chown(\"%s\", %u) failed", path.p, uid);
            return false;
        }
        return true;
    }
    if (errno == EEXIST && stat(path.p, &st) == 0 && S_ISDIR(st.st_mode)) {
        if (geteuid() == 0 && st.st_uid != uid && !(st.st_mode & S_ISVTX) && chown(path.p, uid, gid) != 0)
            return false;
        return true;
    }
    log_msg(LOG_EMERG, errno, "mkdir() \"%s\" failed", path.p);
    return false;
}

static bool make_below(const struct scope *s, uid_t uid, gid_t gid) {
    const struct http_core *core = scope_conf(s, &feature_http_core);
    const struct gateway_conf *gw = scope_conf(s, &feature_gateway_proxy);
    const struct scope *o = s->outer;
    bool ok = true;
    if (s->place != IN_MAIN && s->place != IN_EVENTS && core != NULL) {
        if (o == NULL || scope_conf(o, &feature_http_core) != core || o->place == IN_MAIN)
            ok = make_directory(core->client_body_temp_path, uid, gid);
        if (gw != NULL && (o == NULL || scope_conf(o, &feature_gateway_proxy) != gw || o->place == IN_MAIN))
            ok = ok && make_directory(gw->temp_path, uid, gid);
    }
    for (const struct scope *c = s->children; ok && c != NULL; c = c->next)
        ok = make_below(c, uid, gid);
    return ok;
}

bool load_make_directories(const struct conf *c, uid_t uid, gid_t gid) { return make_below(c->root, uid, gid); }
