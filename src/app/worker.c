// The worker process: threads with loops, privileges given up, signals waited for in the first thread.
#include "app/worker.h"
#include "app/privileges.h"
#include "feature/core/main.h"
#include "feature/log/error_log.h"
#include "http/conn.h"
#include "io/inbox.h"
#include "io/log.h"
#include "io/loop.h"
#include "upstream/group.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 512, BODY_MEMORY = 64 << 20, HELPERS = 2 };

struct worker;

struct thread {
    struct worker *worker;
    pthread_t id;
    unsigned index;
    struct loop *loop;
    bool stopping; // of its loop
    struct message stop;
};

struct worker {
    const struct worker_opts *o;
    struct http_service *service;
    struct listener **listeners;
    unsigned nlisteners, nthreads, limit;
    struct thread *threads;
    struct loop **loops;
    pthread_barrier_t ready;  // all loops are made
    pthread_barrier_t stopped; // all loops stand still; helpers have ended
    unsigned ended;            // atomic: threads whose loop stands still
    unsigned deaf;             // atomic: loops that have stopped listening
};

unsigned worker_threads(const struct conf *c) {
    int64_t n = main_conf(c)->worker_processes;
    if (n <= 0) {
        cpu_set_t set;
        n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    }
    return (unsigned)MAX((int64_t)1, MIN(n, (int64_t)THREADS_MAX));
}

// --- a loop's thread -----------------------------------------------------------------------------------------------------

// Graceful: the loop ends when its last connection and task have.
static void see_if_done(void *arg) {
    struct thread *t = arg;
    if (t->stopping && list_empty(&http_loop(t->loop)->conns) && task_count(t->loop) == 0)
        loop_stop(t->loop);
}

static void stop_listening(struct message *m) {
    struct thread *t = container_of(m, struct thread, stop);
    for (unsigned i = 0; i < t->worker->nlisteners; i++)
        listener_stop(t->worker->listeners[i], t->loop);
    // When no loop listens any more, the sockets refuse: nobody may wait in a queue that is not served.
    if (__atomic_add_fetch(&t->worker->deaf, 1, __ATOMIC_ACQ_REL) == t->worker->nthreads) {
        for (unsigned i = 0; i < t->worker->nlisteners; i++)
            shutdown(listener_fd(t->worker->listeners[i]), SHUT_RDWR);
    }
    t->stopping = true;
    http_loop_stop(t->loop);
}

static void *run_thread(void *arg) {
    struct thread *t = arg;
    struct worker *w = t->worker;
    t->loop = loop_new(t->index);
    if (t->loop == NULL) {
        log_msg(LOG_EMERG, errno, "event loop cannot be made");
        _exit(2);
    }
    w->loops[t->index] = t->loop;
    http_loop_start(w->service, t->loop);
    loop_at_turn_end(t->loop, see_if_done, t);
    pthread_barrier_wait(&w->ready);
    for (unsigned i = 0; i < w->nlisteners; i++)
        listener_start(w->listeners[i], t->loop, w->loops, w->nthreads, w->limit);
    loop_run(t->loop);
    __atomic_add_fetch(&w->ended, 1, __ATOMIC_RELEASE);
    // All loops stand still, and no helper works for one, before any of them is taken apart.
    pthread_barrier_wait(&w->stopped);
    pools_close();
    http_loop_end(t->loop);
    loop_free(t->loop);
    return NULL;
}

// --- the process ---------------------------------------------------------------------------------------------------------

static void raise_limits(const struct main_conf *m) {
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
    if (m->worker_priority != 0 && setpriority(PRIO_PROCESS, 0, (int)m->worker_priority) != 0)
        log_msg(LOG_WARN, errno, "setpriority(%d) failed", (int)m->worker_priority);
}

static bool start(struct worker *w) {
    const struct worker_opts *o = w->o;
    w->nthreads = worker_threads(o->conf);
    w->threads = xcalloc(w->nthreads, sizeof *w->threads);
    w->loops = xcalloc(w->nthreads, sizeof *w->loops);
    w->listeners = xcalloc(o->sockets->count + 1, sizeof *w->listeners);
    w->limit = (unsigned)events_conf(o->conf)->worker_connections;
    w->service = http_service_new(conf_ref(o->conf), BODY_MEMORY);
    for (unsigned i = 0; i < o->sockets->count; i++) {
        const struct socket *s = &o->sockets->at[i];
        w->listeners[w->nlisteners++] = listener_new(s->fd, &s->addr, conn_accept, w->service);
    }
    helpers_start(HELPERS);
    pthread_barrier_init(&w->ready, NULL, w->nthreads + 1);
    pthread_barrier_init(&w->stopped, NULL, w->nthreads + 1);
    for (unsigned i = 0; i < w->nthreads; i++) {
        struct thread *t = &w->threads[i];
        *t = (struct thread){.worker = w, .index = i, .stop.fn = stop_listening};
        int err = pthread_create(&t->id, NULL, run_thread, t);
        if (err != 0) {
            log_msg(LOG_EMERG, err, "thread cannot be made");
            return false;
        }
    }
    pthread_barrier_wait(&w->ready); // signals may be obeyed now
    return true;
}

static void finish(struct worker *w) {
    helpers_stop();
    pthread_barrier_wait(&w->stopped);
    for (unsigned i = 0; i < w->nthreads; i++)
        pthread_join(w->threads[i].id, NULL);
    for (unsigned i = 0; i < w->nlisteners; i++)
        listener_free(w->listeners[i]);
    http_service_free(w->service);
    pthread_barrier_destroy(&w->ready);
    pthread_barrier_destroy(&w->stopped);
    free(w->listeners);
    free(w->loops);
    free(w->threads);
}

static void stop_gracefully(struct worker *w) {
    log_msg(LOG_NOTICE, 0, "gracefully shutting down");
    for (unsigned i = 0; i < w->nthreads; i++)
        inbox_post(w->loops[i], &w->threads[i].stop);
}

NORETURN static void stop_fast(void) {
    log_msg(LOG_NOTICE, 0, "exiting");
    log_files_flush();
    _exit(0);
}

// Waits for signals until the loops have ended. TERM and INT do not wait for anybody.
static void obey_signals(struct worker *w) {
    sigset_t set;
    sigemptyset(&set);
    static const int signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGHUP, SIGWINCH};
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        sigaddset(&set, signals[i]);
    bool stopping = false;
    uint64_t waited_ms = 0, limit_ms = main_conf(w->o->conf)->worker_shutdown_timeout;
    while (__atomic_load_n(&w->ended, __ATOMIC_ACQUIRE) < w->nthreads) {
        struct timespec step = {.tv_nsec = 10 * 1000 * 1000};
        int sig = stopping ? sigtimedwait(&set, NULL, &step) : sigwaitinfo(&set, NULL);
        waited_ms += stopping ? 10 : 0;
        if (sig == SIGTERM || sig == SIGINT || (limit_ms != 0 && waited_ms > limit_ms))
            stop_fast();
        if (sig == SIGUSR1)
            log_files_reopen();
        if ((sig == SIGQUIT || sig == SIGWINCH) && !stopping) {
            stopping = true;
            stop_gracefully(w);
        }
    }
}

int worker_run(const struct worker_opts *o) {
    struct worker w = {.o = o};
    const struct main_conf *m = main_conf(o->conf);
    raise_limits(m);
    if (geteuid() == 0 && o->user.n != 0 && !privileges_drop(o->user, o->uid, o->gid))
        return 2;
    if (!o->alone) {
        prctl(PR_SET_PDEATHSIG, SIGQUIT);
        if (getppid() == 1)
            return 0;
    }
    if (m->working_directory.n != 0 && chdir(m->working_directory.p) != 0) {
        log_msg(LOG_ALERT, errno, "chdir(\"%s\") failed", m->working_directory.p);
        return 2;
    }
    if (!start(&w))
        return 2;
    obey_signals(&w);
    finish(&w);
    log_msg(LOG_NOTICE, 0, "exiting");
    log_files_flush();
    return 0;
}
