// What stands outside of all blocks: user, processes, files of the process.
#include "feature/core/main.h"
#include "conf/paths.h"
#include "io/broker.h"
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

static bool invalid_value(struct conf_cx *cx, const struct conf_node *node) {
    return conf_err(cx, node, "\"" STR_FMT "\" directive invalid value", STR_ARG(node->args[0]));
}

static bool set_user(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct main_conf *m = conf;
    if (geteuid() != 0) {
        conf_warn(cx, node, "the \"user\" directive makes sense only if the master process runs with super-user privileges, "
                            "ignored");
        return true;
    }
    struct str group = node->args[node->nargs - 1];
    m->user = arena_dup(cx->arena, node->args[1]);
    m->group = arena_dup(cx->arena, group);
    m->user_given = true;
    struct str key = arena_printf(cx->arena, "ids " STR_FMT ":" STR_FMT, STR_ARG(m->user), STR_ARG(m->group)), told;
    unsigned ids[2];
    if (broker_recall(key, cx->arena, &told) && told.n == sizeof ids) { // a worker that is root all the same
        memcpy(ids, told.p, sizeof ids);
        m->uid = ids[0];
        m->gid = ids[1];
        return true;
    }
    const struct passwd *pw = getpwnam(m->user.p);
    if (pw == NULL)
        return conf_err(cx, node, "getpwnam(\"" STR_FMT "\") failed", STR_ARG(m->user));
    m->uid = ids[0] = pw->pw_uid;
    const struct group *gr = getgrnam(m->group.p);
    if (gr == NULL)
        return conf_err(cx, node, "getgrnam(\"" STR_FMT "\") failed", STR_ARG(m->group));
    m->gid = ids[1] = gr->gr_gid;
    broker_tell(key, str_n((const char *)ids, sizeof ids));
    return true;
}

static bool set_processes(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct main_conf *m = conf;
    if (str_eq(node->args[1], STR("auto"))) {
        m->worker_processes = WORKERS_AUTO;
        return true;
    }
    int64_t n;
    if (!conf_parse_num(node->args[1], &n) || n > 512)
        return invalid_value(cx, node);
    m->worker_processes = n == 0 ? 1 : n;
    return true;
}

static bool set_path(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    *(struct str *)((char *)conf + row->offset) = conf_full_path(cx, node->args[1], false);
    return true;
}

// Core files are written there.
static bool set_working_directory(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    if (!set_path(cx, row, conf, node))
        return false;
    conf_reach(cx, ((const struct main_conf *)conf)->working_directory, true);
    return true;
}

static bool set_priority(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct str v = node->args[1];
    bool minus = v.n != 0 && v.p[0] == '-';
    if (minus || (v.n != 0 && v.p[0] == '+'))
        v = str_from(v, 1);
    int64_t n;
    if (!conf_parse_num(v, &n))
        return conf_err(cx, node, "\"worker_priority\" directive invalid number");
    ((struct main_conf *)conf)->worker_priority = minus ? -n : n;
    return true;
}

static bool take_mask(struct conf_cx *cx, const struct conf_node *node, struct str text, uint64_t *mask) {
    *mask = 0;
    if (text.n > 64)
        return conf_err(cx, node, "\"worker_cpu_affinity\" directive supports up to 64 CPUs only");
    for (size_t i = text.n; i-- > 0;) { // nginx names the last wrong one
        if (text.p[i] != '0' && text.p[i] != '1')
            return conf_err(cx, node, "invalid character \"%c\" in \"worker_cpu_affinity\"", text.p[i]);
        *mask |= (uint64_t)(text.p[i] - '0') << (text.n - 1 - i);
    }
    return true;
}

static bool set_affinity(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct main_conf *m = conf;
    unsigned from = 1;
    if (str_eq(node->args[1], STR("auto"))) {
        if (node->nargs > 3)
            return conf_err(cx, node, "invalid number of arguments in \"worker_cpu_affinity\" directive");
        m->cpu_auto = true;
        return node->nargs == 2 || take_mask(cx, node, node->args[2], &m->cpu_auto_mask);
    }
    for (unsigned i = from; i < node->nargs; i++) {
        uint64_t *mask = conf_list_add(cx, row, &m->cpu_masks, sizeof *mask);
        if (!take_mask(cx, node, node->args[i], mask))
            return false;
    }
    return true;
}

static bool set_env(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct str *e = conf_list_add(cx, row, &((struct main_conf *)conf)->env, sizeof *e);
    *e = arena_dup(cx->arena, node->args[1]);
    return true;
}

static bool set_rlimit_core(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    uint64_t v;
    if (!conf_parse_offset(node->args[1], &v))
        return invalid_value(cx, node);
    ((struct main_conf *)conf)->worker_rlimit_core = v;
    ((struct main_conf *)conf)->core_limited = true;
    return true;
}

static const struct conf_word debug_points[] = {{"stop", 1}, {"abort", 2}, {NULL}};

static bool set_debug_points(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    for (const struct conf_word *w = row->extra; w->word != NULL; w++) {
        if (str_ieq(node->args[1], str_c(w->word)))
            return true;
    }
    return conf_err(cx, node, "invalid value \"" STR_FMT "\"", STR_ARG(node->args[1]));
}

static bool check_masks(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct main_conf *m = conf;
    if (m->cpu_masks.count > 1 && m->worker_processes != WORKERS_AUTO && (int64_t)m->cpu_masks.count != m->worker_processes)
        conf_warn(cx, NULL, "the number of \"worker_processes\" is not equal to the number of \"worker_cpu_affinity\" masks, "
                            "using last mask for remaining worker processes");
    return true;
}

// Accepted; what nginx refuses is refused here too.
static bool set_thread_pool(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    bool threads = false;
    for (unsigned i = 2; i < node->nargs; i++) {
        struct str word = node->args[i];
        int64_t n;
        if (str_starts(word, STR("threads="))) {
            threads = conf_parse_num(str_from(word, 8), &n) && n != 0;
            if (!threads)
                return conf_err(cx, node, "invalid threads value \"" STR_FMT "\"", STR_ARG(word));
        } else if (str_starts(word, STR("max_queue=")) && !conf_parse_num(str_from(word, 10), &n)) {
            return conf_err(cx, node, "invalid max_queue value \"" STR_FMT "\"", STR_ARG(word));
        }
    }
    return threads || conf_err(cx, node, "\"thread_pool\" must have \"threads\" parameter");
}

#define S struct main_conf
static const struct conf_row rows[] = {
    ROW_FNS("user", IN_MAIN, 1, 2, 0, set_user, NULL, "user [group]", "Who the worker runs as."),
    ROW_FNS("worker_processes", IN_MAIN, 1, 1, 0, set_processes, "1", "number | auto",
            "How many event loops serve, each on a thread of the one worker; auto: one for each core."),
    ROW_FLAG("daemon", IN_MAIN, S, daemon, "on", "weir goes to the background."),
    ROW_FLAG("master_process", IN_MAIN, S, master_process, "on", "A supervisor starts the worker and looks after it."),
    {"pid", IN_MAIN, 1, 1, 0, 0, set_path, NULL, FIELD_AT(S, pid, struct str), WEIR_PID, 0, 0, NULL,
     "The file with the number of the supervisor's process.", "file"},
    {"lock_file", IN_MAIN, 1, 1, 0, 0, set_path, NULL, FIELD_AT(S, lock_file, struct str), NULL, 0, 0, NULL,
     "Accepted for nginx's sake; weir needs no lock file.", "file"},
    {"working_directory", IN_MAIN, 1, 1, 0, 0, set_working_directory, NULL, FIELD_AT(S, working_directory, struct str), NULL, 0, 0, NULL,
     "The directory that the worker is in, for core files.", "directory"},
    ROW_NUM("worker_rlimit_nofile", IN_MAIN, S, worker_rlimit_nofile, NULL, 0, 0, "How many files the worker may have open."),
    ROW_FNS("worker_rlimit_core", IN_MAIN, 1, 1, 0, set_rlimit_core, NULL, "size", "How large a core file may be."),
    ROW_FNS("worker_priority", IN_MAIN, 1, 1, 0, set_priority, "0", "number", "The priority of the worker, as nice has it."),
    ROW_FNS("worker_cpu_affinity", IN_MAIN, 1, 0xffff, 0, set_affinity, NULL, "mask ... | auto [mask]",
            "The cores that each event loop may run on."),
    ROW_FLAG("pcre_jit", IN_MAIN, S, pcre_jit, "on", "Expressions are compiled to machine code; always so in weir."),
    ROW_MSEC("timer_resolution", IN_MAIN, S, timer_resolution, "0", 0, 0,
             "Accepted for nginx's sake; weir reads its clock once a turn."),
    ROW_MSEC("worker_shutdown_timeout", IN_MAIN, S, worker_shutdown_timeout, "0", 0, 0,
             "How long a graceful stop waits for the connections that are still busy."),
    ROW_FNS("env", IN_MAIN, 1, 1, ROW_LISTED, set_env, NULL, "name[=value]",
            "A variable of the environment that the worker keeps or gets."),
    {"debug_points", IN_MAIN, 1, 1, 0, 0, set_debug_points, NULL, 0, NULL, 0, 0, debug_points,
     "Accepted for nginx's sake.", "stop | abort"},
    {"thread_pool", IN_MAIN, 2, 3, ROW_IGNORED | ROW_REPEAT, 0, set_thread_pool, NULL, 0, NULL, 0, 0, NULL, "weir has its own helpers for files."},
    ROW_NOOP_OF("ssl_object_cache_inheritable", IN_MAIN, conf_set_flag, "Certificates and keys are read anew when their files change."),
    ROW_NOOP("ssl_engine", IN_MAIN, 1, 1, "Accepted for nginx's sake."),
};

struct feature feature_main = {
    .name = "main", .rows = rows, .nrows = ARRAY_LEN(rows), .conf_size = sizeof(struct main_conf), .finish = check_masks};
