// weir: from the command line to the supervisor.
#include "app/embedded.h"
#include "app/load.h"
#include "app/pid_file.h"
#include "app/privileges.h"
#include "app/signaller.h"
#include "app/sockets.h"
#include "app/supervisor.h"
#include "base/sbuf.h"
#include "feature/features.h"
#include "io/broker.h"
#include "io/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void greet_default(void) {
    fputs("weir is listening on port 8080 and proxies to a demo back end of its own.\n"
          "  Try:    curl -i http://127.0.0.1:8080/any/path\n"
          "  Yours:  weir proxy :8080 127.0.0.1:3000       in front of an application on port 3000\n"
          "          weir -c /path/to/nginx.conf           with a configuration of nginx\n"
          "          weir -t -c /path/to/nginx.conf        only to see whether it would run\n"
          "          weir help proxy_pass                  what a directive means\n"
          "  Ctrl-C ends it. Requests are logged below.\n",
          stderr);
}

static void greet_proxy(void) { fputs("weir proxies; Ctrl-C ends it. Requests are logged below.\n", stderr); }

// The one of the manual's forms that fits: directive, $variable, or all names.
static int help(const struct options *o) {
    features_register(all_features, all_features_count);
    struct sbuf out;
    sbuf_init_heap(&out, 8 << 20);
    int code = 0;
    struct str name = o->args[0];
    if (o->command == COMMAND_MANUAL) {
        manual_markdown(all_features, all_features_count, &out);
    } else if (o->nargs == 0) {
        sbuf_lit(&out, "weir help DIRECTIVE, weir help '$variable'; weir manual prints all of them; weir -h the options.\n");
    } else if (name.p[0] == '$' ? !manual_variable(all_features, all_features_count, str_from(name, 1), &out)
                                : !manual_directive(all_features, all_features_count, name, &out)) {
        struct arena a;
        arena_init(&a, NULL);
        struct str near = manual_similar(all_features, all_features_count, name, &a);
        fprintf(stderr, "weir has no \"" STR_FMT "\"%s" STR_FMT "\n", STR_ARG(name), near.n != 0 ? "; near to it: " : "", STR_ARG(near));
        arena_done(&a);
        code = 1;
    }
    fwrite(out.p, 1, out.n, stdout);
    sbuf_done(&out);
    return code;
}

// What a start needs besides a text without errors. All complaints come, not the first only.
static bool could_run(const struct conf *c) {
    const struct main_conf *m = main_conf(c);
    uid_t uid;
    gid_t gid;
    struct str name;
    bool pid = pid_file_try(m->pid.p);
    bool directories = privileges_user(m, &uid, &gid, &name) && load_make_directories(c, uid, gid);
    return sockets_try(c) && pid && directories;
}

static int test(const struct options *o, struct zones *zones) {
    struct arena a;
    arena_init(&a, NULL);
    struct str path = load_conf_path(o, &a);
    struct conf *c = load_conf(o, STR_NONE, zones);
    if (c != NULL && !o->quiet)
        fprintf(stderr, "nginx: the configuration file " STR_FMT " syntax is ok\n", STR_ARG(path));
    int code = c == NULL || !could_run(c);
    if (code != 0)
        fprintf(stderr, "nginx: configuration file " STR_FMT " test failed\n", STR_ARG(path));
    else if (!o->quiet)
        fprintf(stderr, "nginx: configuration file " STR_FMT " test is successful\n", STR_ARG(path));
    if (code == 0 && o->dump)
        load_dump(c);
    conf_unref(c);
    arena_done(&a);
    return code;
}

// Starts on a text of the program: in a directory of its own that goes away with it.
static int run_embedded(const struct options *o, char **argv, struct zones *zones) {
    const char *tmp = getenv("TMPDIR");
    char dir[80];
    if (tmp == NULL || tmp[0] != '/' || snprintf(dir, sizeof dir, "%s/weir-XXXXXX", tmp) >= (int)sizeof dir) // sockets have short names
        snprintf(dir, sizeof dir, "/tmp/weir-XXXXXX");
    if (mkdtemp(dir) == NULL || chmod(dir, 0755) != 0) {
        fprintf(stderr, "nginx: [emerg] mkdtemp() \"%s\" failed (%d: %s)\n", dir, errno, strerror(errno));
        return 1;
    }
    struct arena a;
    arena_init(&a, NULL);
    bool proxy = o->command == COMMAND_PROXY;
    struct str text = proxy ? embedded_proxy(&a, o->args[0], o->args[1], str_c(dir)) : embedded_default(&a, str_c(dir));
    struct conf *c = text.n != 0 ? load_conf(o, text, zones) : NULL;
    int code = c != NULL ? supervisor_run(c, o, text, argv, proxy ? greet_proxy : greet_default) : 1;
    if (code != 0 && !proxy)
        fputs("weir without a configuration serves on port 8080. On another one: weir proxy :PORT BACKEND\n", stderr);
    rmdir(dir);
    arena_done(&a);
    return code;
}

// Nobody named a file, and where it would be there is none.
static bool no_configuration(const struct options *o) {
    if (o->conf.n != 0 || o->prefix.n != 0)
        return false;
    struct arena a;
    arena_init(&a, NULL);
    bool none = access(load_conf_path(o, &a).p, F_OK) != 0 && errno == ENOENT;
    arena_done(&a);
    return none;
}

// A new binary has no terminal: its standard error is the error log of the old one.
static void speak_as_log(void) {
    static struct log log = {.level = LOG_NOTICE};
    int err;
    log.file = log_file_open("stderr", &err);
    if (log.file != NULL)
        log_set_default(&log);
}

static int run(const struct options *o, char **argv, struct zones *zones) {
    if (o->test)
        return test(o, zones);
    if (o->command == COMMAND_PROXY || (o->signal.n == 0 && no_configuration(o)))
        return run_embedded(o, argv, zones);
    if (o->signal.n == 0 && sockets_inherited())
        speak_as_log();
    broker_record();
    struct conf *c = load_conf(o, STR_NONE, zones);
    broker_end();
    if (c == NULL)
        return 1;
    if (o->signal.n == 0)
        return supervisor_run(c, o, STR_NONE, argv, NULL);
    int code = signaller_send(c, o->signal);
    conf_unref(c);
    return code;
}

int main(int argc, char **argv) {
    struct options o;
    if (!options_parse(&o, argc, argv))
        return 1;
    if (o.show_version || o.show_help) {
        options_version(o.show_configure);
        if (o.show_help)
            options_usage();
        if (!o.test)
            return 0;
    }
    if (o.command == COMMAND_HELP || o.command == COMMAND_MANUAL)
        return help(&o);
    struct zones *zones = zones_new();
    load_settle(&o);
    int code = run(&o, argv, zones);
    zones_free(zones);
    return code;
}
