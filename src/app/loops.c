#include "app/loops.h"
#include "app/crash.h"
#include "io/inbox.h"
#include "io/log.h"
#include "upstream/group.h"
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { HALT_MS = 500 }; // who takes longer is in the middle of something that has no end

struct loop_thread {
    struct loops *all;
    pthread_t id;
    unsigned number;
    struct loop *loop;
    const struct conf *conf; // while it starts: whose worker_cpu_affinity holds
    bool stopping; // the loop's own
    bool started;  // under all->lock
    bool failed;   // under all->lock: there is no loop, and the thread ends
    bool ended;    // under all->lock: its loop does not run any more
    bool retired;  // under all->lock: it ends while others go on
    struct message ping;
    bool pinged, answered; // answered: atomic
};

unsigned loops_wanted(const struct conf *c) {
    int64_t n = main_conf(c)->worker_processes;
    if (n <= 0) {
        cpu_set_t set;
        n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    }
    return (unsigned)MAX((int64_t)1, MIN(n, (int64_t)LOOP_THREADS_MAX));
}

void loops_init(struct loops *l, struct http_service *service) {
    *l = (struct loops){.service = service, .changed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->changed, &attr);
    pthread_condattr_destroy(&attr);
}

void loops_done(struct loops *l) {
    close(l->changed_fd);
    free(l->serving);
    free(l->listeners.at);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->changed);
}

// --- telling loops -------------------------------------------------------------------------------------------------------

typedef void order_fn(struct loop_thread *t, void *arg);

struct order {
    struct message message;
    struct loop_thread *thread;
    order_fn *fn;
    void *arg;
};

static void obey(struct message *m) {
    struct order *o = container_of(m, struct order, message);
    struct loops *l = o->thread->all;
    if (!o->thread->ended)
        o->fn(o->thread, o->arg);
    pthread_mutex_lock(&l->lock);
    l->unheard--;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    free(o);
}

// Under l->lock: each running loop is told.
static void post_orders(struct loops *l, void (*how)(struct message *m), order_fn *fn, void *arg) {
    for (unsigned i = 0; i < LOOP_THREADS_MAX; i++) {
        struct loop_thread *t = l->threads[i];
        if (t == NULL || t->ended)
            continue;
        struct order *o = xcalloc(1, sizeof *o);
        *o = (struct order){.message.fn = how, .thread = t, .fn = fn, .arg = arg};
        l->unheard++;
        inbox_post(t->loop, &o->message);
    }
}

// Each running loop does fn(thread, arg), and this waits until all have.
static void everywhere(struct loops *l, order_fn *fn, void *arg) {
    pthread_mutex_lock(&l->lock);
    post_orders(l, obey, fn, arg);
    while (l->unheard > 0)
        pthread_cond_wait(&l->changed, &l->lock);
    pthread_mutex_unlock(&l->lock);
}

// --- a thread ------------------------------------------------------------------------------------------------------------

// Graceful: the loop ends when its last connection and task have.
static void see_if_done(void *arg) {
    struct loop_thread *t = arg;
    if (t->stopping && list_empty(&http_loop(t->loop)->conns) && task_count(t->loop) == 0)
        loop_stop(t->loop);
}

static void use_cores(const struct loop_thread *t) {
    const struct main_conf *m = main_conf(t->conf);
    cpu_set_t set;
    CPU_ZERO(&set);
    if (m->cpu_auto) {
        cpu_set_t may;
        unsigned nth = 0, cores = 0;
        if (sched_getaffinity(0, sizeof may, &may) != 0)
            return;
        for (unsigned i = 0; i < CPU_SETSIZE; i++) {
            if (m->cpu_auto_mask != 0 && (i >= 64 || !(m->cpu_auto_mask >> i & 1)))
                CPU_CLR(i, &may);
            cores += CPU_ISSET(i, &may) ? 1 : 0;
        }
        for (unsigned i = 0; i < CPU_SETSIZE && cores > 0; i++) {
            if (CPU_ISSET(i, &may) && nth++ == t->number % cores)
                CPU_SET(i, &set);
        }
    } else if (m->cpu_masks.count != 0) {
        const uint64_t *masks = m->cpu_masks.at;
        uint64_t mask = masks[MIN((size_t)t->number, m->cpu_masks.count - 1)];
        for (unsigned i = 0; i < 64; i++) {
            if (mask >> i & 1)
                CPU_SET(i, &set);
        }
    }
    if (CPU_COUNT(&set) == 0)
        return;
    int err = pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    if (err != 0)
        log_msg(LOG_ALERT, err, "sched_setaffinity() failed");
}

static void say_ended(struct loop_thread *t) {
    struct loops *l = t->all;
    pthread_mutex_lock(&l->lock);
    t->ended = true;
    l->running--;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    uint64_t one = 1;
    ssize_t n = write(l->changed_fd, &one, sizeof one);
    (void)n; // a full counter is readable too
}

static void say_failed(struct loop_thread *t, int err) {
    struct loops *l = t->all;
    log_msg(l->count == 0 ? LOG_EMERG : LOG_ALERT, err, "event loop cannot be made");
    pthread_mutex_lock(&l->lock);
    t->failed = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

static void *run_thread(void *arg) {
    struct loop_thread *t = arg;
    struct loops *l = t->all;
    crash_watch_thread();
    use_cores(t);
    t->loop = loop_new(t->number);
    if (t->loop == NULL) {
        say_failed(t, errno);
        crash_forget_thread();
        return NULL;
    }
    http_loop_start(l->service, t->loop);
    loop_at_turn_end(t->loop, see_if_done, t);
    pthread_mutex_lock(&l->lock);
    l->running++;
    t->started = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    loop_run(t->loop);
    say_ended(t);
    loop_turn(t->loop, 0); // orders that came before that
    if (!t->retired) {
        // All loops stand still, and no helper works for one, before any of them is taken apart.
        pthread_mutex_lock(&l->lock);
        while (!l->taken_apart)
            pthread_cond_wait(&l->changed, &l->lock);
        pthread_mutex_unlock(&l->lock);
    }
    pools_close();
    http_loop_end(t->loop);
    loop_free(t->loop);
    crash_forget_thread();
    return NULL;
}

static bool start_thread(struct loops *l, unsigned number, const struct conf *c) {
    struct loop_thread *t = xcalloc(1, sizeof *t);
    *t = (struct loop_thread){.all = l, .number = number, .conf = c};
    pthread_mutex_lock(&l->lock);
    int err = pthread_create(&t->id, NULL, run_thread, t);
    while (err == 0 && !t->started && !t->failed)
        pthread_cond_wait(&l->changed, &l->lock);
    if (t->started) {
        l->threads[number] = t;
        l->living++;
    }
    pthread_mutex_unlock(&l->lock);
    if (t->started)
        return true;
    if (err == 0)
        pthread_join(t->id, NULL);
    else
        log_msg(LOG_ALERT, err, "a thread for an event loop cannot be made");
    free(t);
    return false;
}

// --- serving -------------------------------------------------------------------------------------------------------------

struct share {
    struct loops *l;
    const struct listeners *old, *more; // of loops that serve already
};

static bool serves(const struct loops *l, const struct loop *loop) {
    for (unsigned i = 0; i < l->count; i++) {
        if (l->serving[i] == loop)
            return true;
    }
    return false;
}

static void start_listeners(struct loop_thread *t, const struct listeners *which) {
    struct loops *l = t->all;
    for (unsigned i = 0; i < which->count; i++)
        listener_start(which->at[i], t->loop, l->serving, l->count, l->limit);
}

static void take_share(struct loop_thread *t, void *arg) {
    const struct share *s = arg;
    struct loops *l = t->all;
    bool fresh = t->conf != NULL;
    t->conf = NULL;
    listeners_share(t->loop, l->serving, l->count, l->limit);
    if (!serves(l, t->loop))
        return;
    if (fresh)
        start_listeners(t, s->old);
    start_listeners(t, s->more);
}

static void retire(struct loop_thread *t, void *arg) {
    struct loops *l = t->all;
    if (serves(l, t->loop) || t->stopping)
        return;
    for (unsigned i = 0; i < l->listeners.count; i++)
        listener_stop(l->listeners.at[i], t->loop, false);
    t->retired = t->stopping = true;
    http_loop_retire(t->loop);
}

// Numbers of loops are given anew: the lowest that are free. A loop that retires keeps its until it has ended. Where one cannot be
// made, those that are there go on.
static bool count_loops(struct loops *l, const struct conf *c, unsigned want) {
    struct loop **serving = xcalloc(want, sizeof(struct loop *));
    unsigned n = 0;
    bool ok = true;
    for (unsigned i = 0; i < LOOP_THREADS_MAX && n < want; i++) {
        if (l->threads[i] == NULL)
            ok = ok && start_thread(l, i, c);
        if (l->threads[i] != NULL && !l->threads[i]->stopping)
            serving[n++] = l->threads[i]->loop;
    }
    l->serving = serving;
    l->count = n;
    return ok;
}

bool loops_serve(struct loops *l, const struct conf *c, const struct listeners *more) {
    struct loop **before = l->serving;
    loops_reap(l);
    l->limit = (unsigned)MIN(events_conf(c)->worker_connections, (int64_t)UINT_MAX);
    bool ok = count_loops(l, c, loops_wanted(c));
    if (l->count == 0)
        return false;
    struct share share = {l, &l->listeners, more};
    everywhere(l, take_share, &share);
    free(before);
    l->listeners.at = xrealloc(l->listeners.at, (l->listeners.count + more->count + 1) * sizeof(struct listener *));
    for (unsigned i = 0; i < more->count; i++)
        l->listeners.at[l->listeners.count++] = more->at[i];
    everywhere(l, retire, NULL); // nobody gives them a connection any more
    return ok;
}

static void stop_listeners(struct loop_thread *t, void *arg) {
    const struct listeners *gone = arg;
    for (unsigned i = 0; i < gone->count; i++)
        listener_stop(gone->at[i], t->loop, true);
}

void loops_drop(struct loops *l, const struct listeners *gone) {
    if (gone->count == 0)
        return;
    everywhere(l, stop_listeners, (void *)gone);
    unsigned n = 0;
    for (unsigned i = 0; i < l->listeners.count; i++) {
        bool goes = false;
        for (unsigned k = 0; k < gone->count; k++)
            goes |= gone->at[k] == l->listeners.at[i];
        if (!goes)
            l->listeners.at[n++] = l->listeners.at[i];
    }
    l->listeners.count = n;
    for (unsigned k = 0; k < gone->count; k++)
        listener_free(gone->at[k]);
}

static void refresh(struct loop_thread *t, void *arg) { http_loop_refresh(t->loop); }
void loops_refresh(struct loops *l) { everywhere(l, refresh, NULL); }

struct closing {
    uint64_t generation;
    unsigned closed; // atomic
};

static void close_older(struct loop_thread *t, void *arg) {
    struct closing *c = arg;
    __atomic_add_fetch(&c->closed, http_loop_close_older(t->loop, c->generation), __ATOMIC_RELAXED);
}

unsigned loops_close_older(struct loops *l, uint64_t generation) {
    struct closing c = {.generation = generation};
    everywhere(l, close_older, &c);
    return c.closed;
}

static void answer_ping(struct message *m) {
    __atomic_store_n(&container_of(m, struct loop_thread, ping)->answered, true, __ATOMIC_RELEASE);
}

bool loops_alive(struct loops *l) {
    bool all = true;
    pthread_mutex_lock(&l->lock);
    for (unsigned i = 0; i < LOOP_THREADS_MAX; i++) {
        struct loop_thread *t = l->threads[i];
        if (t == NULL || t->ended)
            continue;
        if (t->pinged && !__atomic_load_n(&t->answered, __ATOMIC_ACQUIRE)) {
            all = false;
            continue;
        }
        t->pinged = true;
        t->answered = false;
        t->ping.fn = answer_ping;
        inbox_post(t->loop, &t->ping);
    }
    pthread_mutex_unlock(&l->lock);
    return all;
}

// --- ending --------------------------------------------------------------------------------------------------------------

static void wind_down(struct loop_thread *t, void *arg) { http_loop_retire(t->loop); }
void loops_wind_down(struct loops *l) { everywhere(l, wind_down, NULL); }

static void stop(struct loop_thread *t, void *arg) {
    t->stopping = true;
    http_loop_stop(t->loop);
}

void loops_stop(struct loops *l) {
    l->stopping = true;
    everywhere(l, stop_listeners, &l->listeners); // what one accepts last may be given to another: none may end before that
    everywhere(l, stop, NULL);
    for (unsigned i = 0; i < l->listeners.count; i++)
        listener_free(l->listeners.at[i]);
    l->listeners.count = 0;
}

bool loops_ended(struct loops *l) {
    pthread_mutex_lock(&l->lock);
    bool ended = l->running == 0;
    pthread_mutex_unlock(&l->lock);
    return ended;
}

static void join(struct loops *l, unsigned i) {
    pthread_join(l->threads[i]->id, NULL);
    free(l->threads[i]);
    l->threads[i] = NULL;
    l->living--;
}

void loops_reap(struct loops *l) {
    for (unsigned i = 0; i < LOOP_THREADS_MAX; i++) {
        struct loop_thread *t = l->threads[i];
        if (t == NULL)
            continue;
        pthread_mutex_lock(&l->lock);
        bool gone = t->ended && t->retired;
        pthread_mutex_unlock(&l->lock);
        if (gone)
            join(l, i);
    }
}

NORETURN static void stand_still(struct message *m) {
    struct loops *l = container_of(m, struct order, message)->thread->all;
    log_loop_hand_over();
    pthread_mutex_lock(&l->lock);
    l->unheard--;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    for (;;)
        pause();
}

void loops_halt(struct loops *l) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += HALT_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&l->lock);
    post_orders(l, stand_still, NULL, NULL);
    int err = 0;
    while (l->unheard > 0 && err == 0)
        err = pthread_cond_timedwait(&l->changed, &l->lock, &until);
    pthread_mutex_unlock(&l->lock);
}

void loops_finish(struct loops *l) {
    pthread_mutex_lock(&l->lock);
    l->taken_apart = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    for (unsigned i = 0; i < LOOP_THREADS_MAX; i++) {
        if (l->threads[i] != NULL)
            join(l, i);
    }
}
