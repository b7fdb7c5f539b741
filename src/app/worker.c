// The worker process: privileges given up, loops started, then signals and the supervisor's messages until the end. The first
// thread runs no loop: it reads configurations, so that no request waits for that. Not here: taking them (worker_reload.c).
#include "app/worker_private.h"
#include "app/crash.h"
#include "app/environment.h"
#include "app/messages.h"
#include "app/opener.h"
#include "app/pid_file.h"
#include "app/privileges.h"
#include "app/signals.h"
#include "feature/log/error_log.h"
#include "io/broker.h"
#include "io/channel.h"
#include "io/inbox.h"
#include "io/log.h"
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

// LISTEN_GRACE_MS: a graceful stop goes on accepting so long what began before the sockets refused.
enum { BODY_MEMORY = 64 << 20, HELPERS = 2, LISTEN_GRACE_MS = 100 };

uint64_t worker_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void worker_say(const struct worker *w, uint32_t kind, struct str text) {
    if (w->o->channel >= 0 && channel_send(w->o->channel, kind, text, -1) != 0)
        log_msg(LOG_ALERT, errno, "the supervisor cannot be told");
}

void worker_raise_limits(const struct main_conf *m) {
    struct rlimit rl;
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rlim_t want = m->worker_rlimit_nofile > 0 ? (rlim_t)m->worker_rlimit_nofile : rl.rlim_max;
        struct rlimit set = {want, MAX(want, rl.rlim_max)};
        if (m->worker_rlimit_nofile <= 0)
            set.rlim_max = rl.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &set) != 0)
            log_msg(LOG_WARN, errno, "setrlimit(RLIMIT_NOFILE, %llu) failed", (unsigned long long)want);
    }
    if (m->core_limited) {
        struct rlimit core = {m->worker_rlimit_core, m->worker_rlimit_core};
        if (setrlimit(RLIMIT_CORE, &core) != 0)
            log_msg(LOG_WARN, errno, "setrlimit(RLIMIT_CORE) failed");
    }
}

static void confine(const struct worker_opts *o) {
    size_t count;
    struct reach_place *places = opener_places(o->conf, NULL, &count);
    if (privileges_confine(places, count))
        reach_through(broker_ask_opener);
    free(places);
}

static bool become(const struct worker_opts *o) {
    const struct main_conf *m = main_conf(o->conf);
    environment_apply(m);
    worker_raise_limits(m);
    if (m->worker_priority != 0 && setpriority(PRIO_PROCESS, 0, (int)m->worker_priority) != 0)
        log_msg(LOG_WARN, errno, "setpriority(%d) failed", (int)m->worker_priority);
    if (!o->alone && geteuid() == 0 && o->user.n != 0 && !privileges_drop(o->user, o->uid, o->gid, o->conf->privileges))
        return false;
    if (m->core_limited)
        prctl(PR_SET_DUMPABLE, 1); // a change of user took it away
    if (!o->alone)
        confine(o);
    if (m->working_directory.n != 0 && chdir(m->working_directory.p) != 0) {
        log_msg(LOG_ALERT, errno, "chdir(\"%s\") failed", m->working_directory.p);
        return false;
    }
    return true;
}

void worker_crash_log(const struct worker *w) {
    const struct log *log = error_log_main(w->conf);
    crash_log_to(log != NULL ? log->file : NULL);
}

static bool start(struct worker *w) {
    const struct worker_opts *o = w->o;
    w->conf = o->conf;
    w->service = http_service_new(conf_ref(w->conf), BODY_MEMORY);
    loops_init(&w->loops, w->service);
    crash_install();
    worker_crash_log(w);
    helpers_start(HELPERS);
    struct listeners first = {xcalloc(o->sockets->count + 1, sizeof(struct listener *)), 0};
    for (unsigned i = 0; i < o->sockets->count; i++) {
        const struct socket *s = &o->sockets->at[i];
        first.at[first.count++] = listener_new(s->fd, &s->addr, conn_accept, w->service);
    }
    bool ok = loops_serve(&w->loops, w->conf, &first) || w->loops.count != 0;
    free(first.at);
    return ok;
}

// As nginx does it: one process says less.
static void say_exit(const struct worker *w) {
    if (!w->o->alone)
        log_msg(LOG_NOTICE, 0, "exiting");
    log_msg(LOG_NOTICE, 0, "exit");
}

static void finish(struct worker *w) {
    helpers_stop();
    loops_finish(&w->loops);
    worker_forget_all(w);
    http_service_free(w->service);
    loops_done(&w->loops);
    crash_log_to(NULL);
    sbuf_done(&w->told_sockets);
    say_exit(w);
    log_files_flush();
    log_set_default(NULL); // it is the snapshot's
    conf_unref(w->conf);
}

// Without a supervisor nobody else tidies up.
static void tidy(const struct worker *w) {
    pid_file_remove(main_conf(w->conf)->pid.p);
    sockets_close(w->o->sockets, NULL, true, false);
}

NORETURN static void stop_fast(struct worker *w) {
    loops_halt(&w->loops);
    if (w->o->alone)
        tidy(w);
    say_exit(w);
    log_files_flush();
    _exit(0);
}

static void stop_gracefully(struct worker *w) {
    if (w->stopping)
        return;
    if (!w->o->alone)
        log_msg(LOG_NOTICE, 0, "gracefully shutting down");
    w->stopping = true;
    uint64_t now = worker_now(), limit = main_conf(w->conf)->worker_shutdown_timeout;
    w->stop_listening_ms = now + LISTEN_GRACE_MS;
    w->stop_fast_ms = limit != 0 ? now + limit : UINT64_MAX;
    loops_wind_down(&w->loops);
    if (!w->o->alone)
        return; // the supervisor knows whether somebody else goes on listening
    for (unsigned i = 0; i < w->loops.listeners.count; i++)
        listen_refuse(listener_fd(w->loops.listeners.at[i]));
}

// What the supervisor asks for is in the log already.
static void note_signal(const struct worker *w, const struct signalfd_siginfo *info) {
    unsigned n = info->ssi_signo;
    const char *words = signal_words(n);
    if (n == SIGWINCH)
        words = main_conf(w->conf)->daemon ? signal_words(SIGQUIT) : "";
    else if (n == SIGUSR2 || (n == SIGHUP && !w->o->alone))
        words = ", ignoring";
    if (w->o->alone || (pid_t)info->ssi_pid != w->o->supervisor)
        signal_note(info, words);
}

static void obey_signal(struct worker *w, const struct signalfd_siginfo *info) {
    if (signal_of_a_window(info))
        return;
    note_signal(w, info);
    switch (info->ssi_signo) {
    case SIGTERM:
    case SIGINT:
        stop_fast(w);
    case SIGQUIT:
        stop_gracefully(w);
        break;
    case SIGWINCH:
        if (main_conf(w->conf)->daemon && !w->o->alone)
            stop_gracefully(w);
        break;
    case SIGUSR1:
        if (!w->o->alone)
            break; // the supervisor opens them
        log_msg(LOG_NOTICE, 0, "reopening logs");
        log_files_reopen();
        worker_crash_log(w);
        break;
    case SIGHUP:
        if (w->o->alone && !w->stopping)
            worker_reload_alone(w);
        break;
    default:
        break;
    }
}

// What is due; then how long until something is, in ms.
static int on_time(struct worker *w) {
    uint64_t now = worker_now();
    if (now >= w->stop_listening_ms) {
        w->stop_listening_ms = UINT64_MAX;
        worker_finish_drop(w);
        loops_stop(&w->loops);
    }
    if (now >= w->stop_fast_ms)
        stop_fast(w);
    if (now >= w->drop_ms)
        worker_finish_drop(w);
    if (now >= w->old_ms)
        worker_look_at_old(w, now);
    if (now >= w->alive_ms) {
        w->alive_ms = now + w->o->watchdog_ms;
        if (loops_alive(&w->loops))
            worker_say(w, SAY_ALIVE, STR_NONE);
    }
    uint64_t next = MIN(MIN(MIN(w->stop_listening_ms, w->stop_fast_ms), MIN(w->drop_ms, w->old_ms)), w->alive_ms);
    now = worker_now();
    return next == UINT64_MAX ? -1 : next <= now ? 0 : (int)MIN(next - now, (uint64_t)INT_MAX);
}

static void listen_to_supervisor(struct worker *w) {
    static struct channel_message m;
    int r;
    while ((r = channel_receive(w->o->channel, &m, false)) == 1 || r == -EBADMSG) {
        if (r == 1)
            worker_told(w, &m);
    }
    if (r == -EAGAIN)
        return;
    if (!w->stopping)
        log_msg(LOG_ALERT, r < 0 ? -r : 0, "the supervisor is gone");
    w->channel_ended = true;
    stop_gracefully(w);
}

static int open_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    static const int signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGHUP, SIGWINCH};
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        sigaddset(&set, signals[i]);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    CHECK(fd >= 0);
    return fd;
}

// Until the loops have ended.
static void attend(struct worker *w, int signal_fd) {
    while (!(w->stopping && loops_ended(&w->loops))) {
        struct pollfd p[] = {{signal_fd, POLLIN, 0},
                             {w->loops.changed_fd, POLLIN, 0},
                             {w->channel_ended ? -1 : w->o->channel, POLLIN, 0}};
        poll(p, ARRAY_LEN(p), on_time(w));
        struct signalfd_siginfo info;
        while (read(signal_fd, &info, sizeof info) == sizeof info)
            obey_signal(w, &info);
        uint64_t count;
        if (read(w->loops.changed_fd, &count, sizeof count) == sizeof count)
            loops_reap(&w->loops);
        if (p[2].revents != 0)
            listen_to_supervisor(w);
    }
    close(signal_fd);
}

int worker_run(const struct worker_opts *o) {
    struct worker w = {.o = o, .pack_fd = -1};
    w.stop_listening_ms = w.stop_fast_ms = w.drop_ms = w.old_ms = UINT64_MAX;
    w.alive_ms = o->watchdog_ms != 0 ? worker_now() : UINT64_MAX;
    sbuf_init_heap(&w.told_sockets, 64 << 20);
    if (!o->alone) {
        prctl(PR_SET_PDEATHSIG, SIGQUIT);
        if (getppid() != o->supervisor)
            return 0;
    }
    if (!become(o))
        return 2;
    broker_ask_on(o->ask_channel);
    int signal_fd = open_signals(); // while there are descriptors: clients may take the rest
    if (!start(&w))
        return 2;
    attend(&w, signal_fd);
    finish(&w);
    return 0;
}
