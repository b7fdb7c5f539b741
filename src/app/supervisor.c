// The supervisor: sockets, daemon, pid file, and one worker that is replaced when it dies.
#include "app/supervisor.h"
#include "app/load.h"
#include "app/pid_file.h"
#include "app/privileges.h"
#include "app/worker.h"
#include "feature/core/main.h"
#include "feature/log/error_log.h"
#include "http/vhost.h"
#include "io/log.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BIND_TRIES = 5, BIND_WAIT_MS = 500, RESTART_MIN_MS = 20, RESTART_MAX_MS = 2000 };

struct supervisor {
    struct conf *conf;
    const struct main_conf *m;
    struct sockets sockets;
    struct worker_opts opts;
    sigset_t signals, before;
    pid_t worker;
    uint64_t started_ms;
    unsigned backoff_ms;
    bool stopping;
};

static void sleep_ms(unsigned ms) {
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

static uint64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

// What the user must see before there is a log: on the terminal and in the log.
static void say(enum log_level level, int err, struct str what) {
    if (err != 0)
        fprintf(stderr, "nginx: [" STR_FMT "] " STR_FMT " (%d: %s)\n", STR_ARG(log_level_name(level)), STR_ARG(what), err,
                strerror(err));
    else
        fprintf(stderr, "nginx: [" STR_FMT "] " STR_FMT "\n", STR_ARG(log_level_name(level)), STR_ARG(what));
}

// --- listening sockets -----------------------------------------------------------------------------------------------

// One round over the addresses that are not open yet. True when all are.
static bool open_round(struct supervisor *s, struct http_world *w, bool report) {
    bool all = true;
    for (unsigned i = 0; i < w->count; i++) {
        struct vhosts *v = w->at[i];
        if (!vhosts_own_socket(w, v) || s->sockets.at[i].fd >= 0)
            continue;
        const char *what = "";
        int fd = listen_open(&v->addr, &v->opts, &what);
        if (fd >= 0) {
            s->sockets.at[i] = (struct socket){.addr = v->addr, .fd = fd};
            continue;
        }
        all = false;
        char text[ADDR_TEXT_MAX + 64];
        struct sbuf b;
        sbuf_init_fixed(&b, text, sizeof text);
        sbuf_printf(&b, "%s to ", what);
        addr_put(&b, &v->addr.sa, true);
        sbuf_lit(&b, " failed");
        if (report)
            say(LOG_EMERG, -fd, sbuf_view(&b));
        if (fd != -EADDRINUSE)
            return false;
    }
    return all;
}

static bool open_sockets(struct supervisor *s) {
    struct http_world *w = http_world(s->conf);
    if (w == NULL)
        return true;
    s->sockets.at = xcalloc(w->count + 1, sizeof *s->sockets.at);
    for (unsigned i = 0; i < w->count; i++)
        s->sockets.at[i].fd = -1;
    bool ok = false;
    for (int i = 0; i < BIND_TRIES && !ok; i++) {
        if (i > 0)
            sleep_ms(BIND_WAIT_MS);
        ok = open_round(s, w, true);
        if (!ok && errno != 0 && i == 0 && w->count == 0)
            break;
    }
    if (!ok) {
        say(LOG_EMERG, 0, STR("still could not bind()"));
        return false;
    }
    for (unsigned i = 0; i < w->count; i++) { // close the gaps of addresses that share a socket
        if (s->sockets.at[i].fd >= 0)
            s->sockets.at[s->sockets.count++] = s->sockets.at[i];
    }
    return true;
}

static void close_sockets(struct supervisor *s, bool remove_files) {
    for (unsigned i = 0; i < s->sockets.count; i++) {
        struct socket *k = &s->sockets.at[i];
        if (remove_files && k->addr.sa.sa_family == AF_UNIX && k->addr.un.sun_path[0] != '\0')
            unlink(k->addr.un.sun_path);
        if (k->fd >= 0)
            close(k->fd);
    }
    free(s->sockets.at);
}

// --- processes -----------------------------------------------------------------------------------------------------------

// Into the background. The first process ends only when the pid file is there, so that whoever started it can read it.
static bool go_daemon(int *ready_fd) {
    int p[2];
    if (pipe2(p, O_CLOEXEC) != 0)
        return false;
    pid_t pid = fork();
    if (pid < 0)
        return false;
    if (pid > 0) {
        close(p[1]);
        char ok;
        ssize_t n = read(p[0], &ok, 1);
        _exit(n == 1 ? 0 : 1);
    }
    close(p[0]);
    setsid();
    umask(0);
    *ready_fd = p[1];
    return true;
}

static void leave_terminal(void) {
    int fd = open("/dev/null", O_RDWR);
    if (fd < 0)
        return;
    dup2(fd, STDIN_FILENO);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

static bool start_worker(struct supervisor *s) {
    s->started_ms = now_ms();
    s->worker = fork();
    if (s->worker < 0) {
        log_msg(LOG_ALERT, errno, "fork() failed while spawning the worker process");
        s->worker = 0;
        return false;
    }
    if (s->worker == 0) {
        int code = worker_run(&s->opts);
        // Its copy of what the supervisor holds.
        for (unsigned i = 0; i < s->sockets.count; i++)
            s->sockets.at[i].fd = -1; // closed by the listeners
        close_sockets(s, false);
        log_set_default(NULL);
        conf_unref(s->conf);
        exit(code);
    }
    log_msg(LOG_NOTICE, 0, "start worker process %d", (int)s->worker);
    return true;
}

// The worker has ended: as told, or by itself, and then a new one serves from the same sockets.
static void reap(struct supervisor *s) {
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0 || pid != s->worker)
        return;
    s->worker = 0;
    if (WIFSIGNALED(status))
        log_msg(LOG_ALERT, 0, "worker process %d exited on signal %d%s", (int)pid, WTERMSIG(status),
                WCOREDUMP(status) ? " (core dumped)" : "");
    else
        log_msg(LOG_NOTICE, 0, "worker process %d exited with code %d", (int)pid, WEXITSTATUS(status));
    if (s->stopping)
        return;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2) {
        log_msg(LOG_ALERT, 0, "worker process %d exited with fatal code 2 and cannot be respawned", (int)pid);
        s->stopping = true;
        return;
    }
    s->backoff_ms = now_ms() - s->started_ms > 10000 ? RESTART_MIN_MS : MIN(MAX(s->backoff_ms, RESTART_MIN_MS) * 2, RESTART_MAX_MS);
    sleep_ms(s->backoff_ms);
    start_worker(s);
}

static void forward(struct supervisor *s, int sig) {
    if (s->worker > 0)
        kill(s->worker, sig);
}

static void obey(struct supervisor *s) {
    while (s->worker > 0 || !s->stopping) {
        int sig = sigwaitinfo(&s->signals, NULL);
        switch (sig) {
        case SIGCHLD:
            reap(s);
            break;
        case SIGTERM:
        case SIGINT:
            s->stopping = true;
            forward(s, SIGTERM);
            break;
        case SIGQUIT:
            log_msg(LOG_NOTICE, 0, "signal 3 (SIGQUIT) received, shutting down");
            s->stopping = true;
            forward(s, SIGQUIT);
            break;
        case SIGUSR1:
            log_msg(LOG_NOTICE, 0, "reopening logs");
            log_files_reopen();
            forward(s, SIGUSR1);
            break;
        case SIGHUP:
            log_msg(LOG_ERR, 0, "a running weir cannot take a new configuration yet: stop and start it");
            break;
        default:
            break;
        }
    }
}

static bool find_user(struct supervisor *s) {
    struct worker_opts *o = &s->opts;
    o->uid = getuid();
    o->gid = getgid();
    if (geteuid() != 0)
        return true;
    if (s->m->user.n != 0) {
        o->user = s->m->user;
        o->uid = s->m->uid;
        o->gid = s->m->gid;
        return true;
    }
    if (!privileges_nobody(&o->uid, &o->gid)) {
        say(LOG_EMERG, 0, STR("getpwnam(\"nobody\") failed: name a user with the directive \"user\""));
        return false;
    }
    o->user = STR("nobody");
    return true;
}

static void block_signals(struct supervisor *s) {
    static const int signals[] = {SIGCHLD, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGHUP, SIGUSR2, SIGWINCH};
    sigemptyset(&s->signals);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        sigaddset(&s->signals, signals[i]);
    sigprocmask(SIG_BLOCK, &s->signals, &s->before);
    signal(SIGPIPE, SIG_IGN);
}

static int serve(struct supervisor *s, int ready_fd, void (*ready)(void)) {
    if (!pid_file_write(s->m->pid.p, (int)getpid()))
        return 1;
    if (ready_fd >= 0) {
        if (write(ready_fd, "1", 1) != 1)
            return 1;
        close(ready_fd);
        leave_terminal();
    }
    if (ready != NULL)
        ready();
    log_msg(LOG_NOTICE, 0, "weir " WEIR_VERSION);
    int code = 0;
    if (s->opts.alone) {
        code = worker_run(&s->opts);
        s->sockets.count = 0; // closed by the listeners
    } else {
        log_msg(LOG_NOTICE, 0, "start worker processes");
        if (start_worker(s))
            obey(s);
        log_msg(LOG_NOTICE, 0, "exit");
    }
    pid_file_remove(s->m->pid.p);
    return code;
}

int supervisor_run(struct conf *c, void (*ready)(void)) {
    struct supervisor s = {.conf = c, .m = main_conf(c)};
    int code = 1, ready_fd = -1;
    block_signals(&s);
    s.opts = (struct worker_opts){.conf = c, .sockets = &s.sockets, .alone = !s.m->master_process};
    if (!find_user(&s) || !load_make_directories(c, s.opts.uid, s.opts.gid) || !open_sockets(&s))
        goto out;
    if (s.m->daemon && !go_daemon(&ready_fd)) {
        say(LOG_EMERG, errno, STR("fork() failed"));
        goto out;
    }
    log_set_default(error_log_main(c));
    code = serve(&s, ready_fd, ready);
    log_files_flush();
    log_set_default(NULL);
out:
    close_sockets(&s, true);
    conf_unref(c);
    return code;
}

int supervisor_signal(const struct conf *c, struct str name) {
    const char *path = main_conf(c)->pid.p;
    int pid = pid_file_read(path);
    if (pid == 0)
        return 1;
    int sig = str_eq(name, STR("stop")) ? SIGTERM : str_eq(name, STR("quit")) ? SIGQUIT : str_eq(name, STR("reopen")) ? SIGUSR1 : SIGHUP;
    if (kill(pid, sig) == 0)
        return 0;
    fprintf(stderr, "nginx: [alert] kill(%d, %d) failed (%d: %s)\n", pid, sig, errno, strerror(errno));
    return 1;
}
