// The supervisor: daemon, pid file, signals, and one worker that is replaced when it dies. Not here: configurations
// (supervisor_reload.c), new binaries (upgrade.c), sockets (sockets.c).
#include "app/load.h"
#include "app/log_watch.h"
#include "app/messages.h"
#include "app/notify.h"
#include "app/opener.h"
#include "app/pid_file.h"
#include "app/privileges.h"
#include "app/signaller.h"
#include "app/signals.h"
#include "app/supervisor_private.h"
#include "feature/log/error_log.h"
#include "io/broker.h"
#include "io/channel.h"
#include "io/log.h"
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// A worker that lived for HEALTHY_MS is replaced at once; one that keeps dying after twice as long each time.
enum { RESTART_MIN_MS = 20, RESTART_MAX_MS = 5000, HEALTHY_MS = 5000, KILL_MS = 5000 };
// Who renames a log makes the next file himself, with the owner and the mode that he wants, and may tell us: he has so long.
enum { LOGS_MS = 1000 };

uint64_t supervisor_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

// --- the worker ------------------------------------------------------------------------------------------------------------

// In the child: what it got from its parent, ended in an order that leak checkers understand.
NORETURN static void be_worker(struct supervisor *s, int channel) {
    s->opts.channel = channel;
    int code = worker_run(&s->opts);
    for (unsigned i = 0; i < s->sockets.count; i++)
        s->sockets.at[i].fd = -1; // the listeners closed them
    sockets_close(&s->sockets, NULL, false, false);
    log_set_default(NULL);
    exit(code);
}

bool supervisor_start_worker(struct supervisor *s) {
    int ends[2], asks[2];
    s->started_ms = supervisor_now();
    s->restart_ms = UINT64_MAX;
    s->opts.supervisor = getpid();
    if (!channel_pair(ends) || !channel_pair(asks)) {
        log_msg(LOG_ALERT, errno, "socketpair() failed while spawning \"worker process\"");
        s->restart_ms = s->started_ms + RESTART_MAX_MS;
        return false;
    }
    log_files_flush();
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        close(asks[0]);
        if (s->log_watch >= 0)
            close(s->log_watch);
        s->opts.ask_channel = asks[1];
        be_worker(s, ends[1]);
    }
    close(ends[1]);
    close(asks[1]);
    if (pid < 0) {
        log_msg(LOG_ALERT, errno, "fork() failed while spawning \"worker process\"");
        close(ends[0]);
        close(asks[0]);
        s->restart_ms = s->started_ms + RESTART_MAX_MS;
        return false;
    }
    s->worker = pid;
    s->channel = ends[0];
    s->ask_channel = asks[0];
    log_msg(LOG_NOTICE, 0, "start worker process %d", (int)pid);
    return true;
}

static void close_questions(struct supervisor *s) {
    if (s->ask_channel >= 0)
        close(s->ask_channel);
    s->ask_channel = -1;
}

static void close_channel(struct supervisor *s) {
    if (s->channel >= 0)
        close(s->channel);
    s->channel = -1;
    close_questions(s);
}

static void replace_worker(struct supervisor *s, int status) {
    if (s->stopping || s->not_accepting)
        return;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2) {
        log_msg(LOG_ALERT, 0, "worker process exited with fatal code 2 and cannot be respawned");
        s->stopping = true;
        return;
    }
    bool healthy = supervisor_now() - s->started_ms > HEALTHY_MS;
    s->backoff_ms = healthy ? 0 : MIN(MAX(s->backoff_ms * 2, (unsigned)RESTART_MIN_MS), (unsigned)RESTART_MAX_MS);
    s->restart_ms = supervisor_now() + (s->backoff_ms > RESTART_MIN_MS ? s->backoff_ms : 0);
}

static void note_end(const char *what, pid_t pid, int status) {
    if (WIFSIGNALED(status))
        log_msg(LOG_ALERT, 0, "%s %d exited on signal %d%s", what, (int)pid, WTERMSIG(status), WCOREDUMP(status) ? " (core dumped)" : "");
    else
        log_msg(LOG_NOTICE, 0, "%s %d exited with code %d", what, (int)pid, WEXITSTATUS(status));
}

static void worker_ended(struct supervisor *s, int status) {
    pid_t pid = s->worker;
    s->worker = 0;
    s->kill_ms = UINT64_MAX;
    note_end("worker process", pid, status);
    close_channel(s);
    replace_worker(s, status);
    if (s->next != NULL) // it was sound, and the next worker begins with it
        supervisor_reload_end(s, true, STR_NONE);
}

static void reap(struct supervisor *s) {
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == s->worker) {
            worker_ended(s, status);
        } else if (pid == s->new_binary) {
            note_end("new binary process", pid, status);
            upgrade_ended(s, status);
        }
    }
}

static void listen_to_worker(struct supervisor *s) {
    static struct channel_message m;
    int r;
    while ((r = channel_receive(s->channel, &m, false)) == 1) {
        if (m.fd >= 0)
            close(m.fd); // a worker has nothing to hand up
        if (m.kind == SAY_ALIVE)
            notify_alive();
        else if ((m.kind == SAY_TAKEN || m.kind == SAY_REFUSED) && s->next != NULL)
            supervisor_reload_end(s, m.kind == SAY_TAKEN, str_n(m.bytes, m.n));
        if (s->channel < 0)
            return;
    }
    if (r != -EAGAIN)
        close_channel(s);
}

// --- signals ---------------------------------------------------------------------------------------------------------------

static void forward(const struct supervisor *s, int sig) {
    if (s->worker > 0)
        kill(s->worker, sig);
}

static bool old_binary_lives(const struct supervisor *s) { return s->old_binary != 0 && getppid() == s->old_binary; }

bool supervisor_shares_sockets(const struct supervisor *s) { return s->new_binary > 0 || old_binary_lives(s); }

static void terminate(struct supervisor *s) {
    if (!s->stopping)
        notify_stopping();
    s->stopping = true;
    if (s->worker > 0 && s->kill_ms == UINT64_MAX)
        s->kill_ms = supervisor_now() + KILL_MS;
    forward(s, SIGTERM);
}

static void quit(struct supervisor *s) {
    if (s->stopping)
        return;
    s->stopping = true;
    if (s->new_binary > 0)
        notify_main_process(s->new_binary);
    else
        notify_stopping();
    // Nobody begins a connection to sockets that nobody will serve; the worker accepts what has begun. Sockets that are shared
    // are looked at again in the end.
    if (!supervisor_shares_sockets(s))
        sockets_close(&s->sockets, NULL, true, true);
    forward(s, SIGQUIT);
}

void supervisor_change_binary(struct supervisor *s) {
    s->upgrade_waits = s->next != NULL;
    if (s->upgrade_waits || s->stopping || s->new_binary > 0 || old_binary_lives(s))
        return;
    upgrade_start(s);
}

static void hang_up(struct supervisor *s, pid_t from) {
    if (s->stopping)
        return;
    if (s->new_binary > 0) { // the way back from an upgrade: the old configuration, as it is
        if (s->worker == 0) {
            s->not_accepting = false;
            log_msg(LOG_NOTICE, 0, "start worker processes");
            supervisor_start_worker(s);
        }
        return;
    }
    supervisor_reload(s, from);
    if (s->not_accepting && s->worker == 0) {
        log_msg(LOG_NOTICE, 0, "start worker processes");
        supervisor_start_worker(s);
    }
    s->not_accepting = false;
}

static void note(const struct supervisor *s, const struct signalfd_siginfo *info) {
    bool ignored = info->ssi_signo == SIGUSR2 && (s->new_binary > 0 || old_binary_lives(s));
    signal_note(info, ignored ? ", ignoring" : signal_words(info->ssi_signo));
    if (ignored)
        log_msg(LOG_CRIT, 0, "the changing binary signal is ignored: you should shutdown or terminate before either old or new "
                             "binary's process");
}

static void obey(struct supervisor *s, const struct signalfd_siginfo *info) {
    if (signal_of_a_window(info))
        return;
    note(s, info);
    switch (info->ssi_signo) {
    case SIGCHLD:
        reap(s);
        break;
    case SIGTERM:
    case SIGINT:
        terminate(s);
        break;
    case SIGQUIT:
        quit(s);
        break;
    case SIGWINCH:
        s->not_accepting = true;
        forward(s, SIGQUIT);
        break;
    case SIGUSR1:
        log_msg(LOG_NOTICE, 0, "reopening logs");
        supervisor_reopen_logs(s);
        break;
    case SIGUSR2:
        supervisor_change_binary(s);
        break;
    case SIGHUP:
        hang_up(s, (pid_t)info->ssi_pid);
        break;
    default:
        break;
    }
}

static int on_time(struct supervisor *s) {
    uint64_t now = supervisor_now();
    if (s->restart_ms <= now && !s->stopping)
        supervisor_start_worker(s);
    if (s->kill_ms <= now) {
        s->kill_ms = UINT64_MAX;
        forward(s, SIGKILL);
    }
    if (s->next != NULL && s->give_up_ms <= now) {
        s->give_up_ms = UINT64_MAX;
        log_msg(LOG_ALERT, 0, "the worker process %d does not answer whether it takes the new configuration", (int)s->worker);
        signaller_answer(s->asked_by, RELOAD_FAILED, STR("the worker process does not answer yet whether it takes the new configuration"));
    }
    if (s->logs_ms <= now) {
        s->logs_ms = UINT64_MAX;
        if (log_watch_strayed()) {
            log_msg(LOG_NOTICE, 0, "log files were renamed or removed, reopening logs");
            supervisor_reopen_logs(s);
        }
    }
    uint64_t next = MIN(MIN(s->kill_ms, s->logs_ms), s->stopping ? UINT64_MAX : s->restart_ms);
    if (s->next != NULL)
        next = MIN(next, s->give_up_ms);
    return next == UINT64_MAX ? -1 : next <= now ? 0 : (int)MIN(next - now, (uint64_t)INT_MAX);
}

static int start_opener(void *arg) {
    const struct supervisor *s = arg;
    return opener_start(s->conf, s->next, &s->opts);
}

static void attend(struct supervisor *s, int signal_fd) {
    while (s->worker > 0 || !s->stopping) {
        struct pollfd p[] = {{signal_fd, POLLIN, 0}, {s->channel, POLLIN, 0}, {s->ask_channel, POLLIN, 0}, {s->log_watch, POLLIN, 0}};
        poll(p, ARRAY_LEN(p), on_time(s));
        if (p[2].revents != 0 && !broker_serve(s->ask_channel, start_opener, s))
            close_questions(s);
        if (p[1].revents != 0)
            listen_to_worker(s);
        if (p[3].revents != 0 && log_watch_heard(s->log_watch) && s->logs_ms == UINT64_MAX)
            s->logs_ms = supervisor_now() + LOGS_MS;
        struct signalfd_siginfo info;
        while (read(signal_fd, &info, sizeof info) == sizeof info)
            obey(s, &info);
    }
}

// --- from start to end -----------------------------------------------------------------------------------------------------

// The parent waits for this byte: 0 is success.
static bool go_daemon(int *ready_fd) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    pid_t pid = fork();
    if (pid < 0)
        return false;
    if (pid > 0) {
        char code = 1;
        close(ends[1]);
        if (read(ends[0], &code, 1) != 1)
            code = 1;
        _exit(code);
    }
    close(ends[0]);
    setsid();
    umask(0);
    *ready_fd = ends[1];
    return true;
}

// Standard error is the error log then, for the words of libraries and of checks that fail.
static void leave_terminal(const struct supervisor *s) {
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    const struct log *log = error_log_main(s->conf);
    int err = log != NULL ? log_file_dup(log->file) : -1;
    if (fd < 0)
        return;
    dup2(fd, STDIN_FILENO);
    dup2(fd, STDOUT_FILENO);
    if (log == NULL || strcmp(log_file_path(log->file), "stderr") != 0)
        dup2(err >= 0 ? err : fd, STDERR_FILENO);
    close(fd);
    if (err >= 0)
        close(err);
}

static bool find_user(struct supervisor *s) {
    struct str name; // of a snapshot, which a reload may end
    if (!privileges_user(s->m, &s->opts.uid, &s->opts.gid, &name))
        return false;
    s->opts.user = name.n != 0 ? str_n(str_xdup(name), name.n) : STR_NONE;
    return true;
}

static int block_signals(struct supervisor *s) {
    static const int heard[] = {SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGQUIT, SIGTERM, SIGINT, SIGCHLD};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(heard); i++)
        sigaddset(&set, heard[i]);
    sigprocmask(SIG_BLOCK, &set, &s->before);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); // a file at its limit (ulimit -f) is an error of write()
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void introduce(void) {
    struct utsname u;
    struct rlimit rl;
    log_msg(LOG_NOTICE, 0, "using the \"epoll\" event method");
    log_msg(LOG_NOTICE, 0, "weir " WEIR_VERSION);
    if (uname(&u) == 0)
        log_msg(LOG_NOTICE, 0, "OS: %s %s", u.sysname, u.release);
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0)
        log_msg(LOG_NOTICE, 0, "getrlimit(RLIMIT_NOFILE): %llu:%llu", (unsigned long long)rl.rlim_cur, (unsigned long long)rl.rlim_max);
}

static int serve(struct supervisor *s, int signal_fd, int ready_fd, void (*ready)(void)) {
    introduce();
    if (!pid_file_write(s->m->pid.p, (int)getpid()))
        return 1;
    if (ready_fd >= 0) {
        if (write(ready_fd, "", 1) != 1)
            return 1;
        close(ready_fd);
        leave_terminal(s);
    }
    if (ready != NULL)
        ready();
    int code = 0;
    if (s->opts.alone) {
        notify_ready();
        code = worker_run(&s->opts);
        s->conf = NULL;
        for (unsigned i = 0; i < s->sockets.count; i++)
            s->sockets.at[i].fd = -1; // the listeners closed them
    } else {
        log_msg(LOG_NOTICE, 0, "start worker processes");
        supervisor_start_worker(s);
        notify_ready();
        s->log_watch = log_watch_new();
        log_watch_all(s->log_watch);
        attend(s, signal_fd);
        if (s->log_watch >= 0)
            close(s->log_watch);
        log_msg(LOG_NOTICE, 0, "exit");
    }
    return code;
}

// The pid file is the new binary's when there is one; ours is then the one beside it.
static void remove_pid_file(const struct supervisor *s, const char *path) {
    struct arena a;
    arena_init(&a, NULL);
    pid_file_remove(s->new_binary > 0 ? arena_printf(&a, "%s.oldbin", path).p : path);
    arena_done(&a);
}

int supervisor_run(struct conf *c, const struct options *o, struct str text, char **argv, void (*ready)(void)) {
    struct supervisor s = {.conf = c, .m = main_conf(c), .options = o, .text = text, .argv = argv, .channel = -1, .ask_channel = -1};
    s.restart_ms = s.kill_ms = s.give_up_ms = s.logs_ms = UINT64_MAX;
    s.log_watch = -1;
    int code = 1, ready_fd = -1, signal_fd = block_signals(&s);
    upgrade_remember(argv);
    broker_accept();
    struct sockets inherited;
    bool upgrade = sockets_inherit(&inherited);
    s.old_binary = upgrade ? getppid() : 0;
    s.opts = (struct worker_opts){.options = o, .text = text, .conf = c, .sockets = &s.sockets, .alone = !s.m->master_process,
                                  .channel = -1, .ask_channel = -1, .watchdog_ms = s.m->master_process ? notify_watchdog_ms() : 0};
    struct arena a;
    arena_init(&a, NULL);
    struct str pid = arena_dup(&a, s.m->pid);
    bool ok = find_user(&s) && load_make_directories(c, s.opts.uid, s.opts.gid) && sockets_open(&s.sockets, c, &inherited, NULL);
    if (ok) {
        sockets_close(&inherited, &s.sockets, false, false);
        if (s.m->daemon && !upgrade && !go_daemon(&ready_fd)) {
            log_msg(LOG_EMERG, errno, "fork() failed");
            ok = false;
        }
    }
    if (ok) {
        log_set_default(error_log_main(c));
        code = serve(&s, signal_fd, ready_fd, ready);
        remove_pid_file(&s, s.conf != NULL ? s.m->pid.p : pid.p);
        log_files_flush();
        log_set_default(NULL);
    }
    sockets_close(&s.sockets, NULL, !supervisor_shares_sockets(&s), false);
    conf_unref(s.conf);
    free((void *)s.opts.user.p);
    arena_done(&a);
    close(signal_fd);
    return code;
}
