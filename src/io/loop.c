// The event loop: one thread's epoll, clocks, and the order of things in a turn:
//
//   sleep (epoll_wait) ─► clock ─► events ─► messages ─► timers ─► ready tasks ─► new arrivals ─► hooks, frees ─► again
//
// Events, messages and timers only mark links and put tasks in the queue; what they lead to runs in the tasks.
#include "io/loop.h"
#include "base/date.h"
#include "io/loop_private.h"
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

__thread struct loop *loop_this;

enum { TRIM_MS = 10000, WALL_CHECK_MS = 1000 };

// --- clocks --------------------------------------------------------------------------------------------------------------

static uint64_t clock_ms(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}
static uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t monotonic(const struct loop *l) {
    uint64_t ms = UNLIKELY(l->clock_fn != NULL) ? l->clock_fn(l->clock_arg) : clock_ms(CLOCK_MONOTONIC);
    return MAX(ms, 1);
}

// The wall clock may be stepped or slewed. Small differences are left alone, so that it does not tremble.
static void wall_check(struct loop *l) {
    l->wall_checked = l->now;
    if (l->clock_fn != NULL)
        return;
    int64_t offset = (int64_t)clock_ms(CLOCK_REALTIME) - (int64_t)l->now;
    if (offset - l->wall_offset > 1 || l->wall_offset - offset > 1)
        l->wall_offset = offset;
}

static void clock_update(struct loop *l) {
    l->now = monotonic(l);
    if (UNLIKELY(l->now - l->wall_checked >= WALL_CHECK_MS))
        wall_check(l);
}

uint64_t loop_now(const struct loop *l) { return l->now; }
uint64_t loop_wall_ms(const struct loop *l) { return (uint64_t)((int64_t)l->now + l->wall_offset); }
uint64_t loop_clock_now(void) {
    return loop_this != NULL ? monotonic(loop_this) : clock_ms(CLOCK_MONOTONIC);
}

void loop_set_clock(struct loop *l, uint64_t (*fn)(void *arg), void *arg) {
    l->clock_fn = fn;
    l->clock_arg = arg;
    l->now = l->wall_checked = monotonic(l);
    l->wall_offset = (int64_t)clock_ms(CLOCK_REALTIME) - (int64_t)l->now;
    l->text_second = INT64_MIN;
    wheel_rebase(&l->wheel, l->now);
    timer_set(l, &l->trim_timer, l->now + TRIM_MS);
}

static void texts_make(struct loop *l) {
    int64_t second = (int64_t)loop_wall_ms(l) / 1000;
    if (LIKELY(second == l->text_second))
        return;
    l->text_second = second;
    struct tm tm;
    time_t t = (time_t)second;
    localtime_r(&t, &tm);
    int zone_min = (int)(tm.tm_gmtoff / 60);
    date_http(second, l->text_http);
    date_log(second, zone_min, l->text_log);
    date_iso(second, zone_min, l->text_iso);
    date_error(second, zone_min, l->text_error);
    l->text_http[DATE_HTTP_LEN] = l->text_log[DATE_LOG_LEN] = '\0';
    l->text_iso[DATE_ISO_LEN] = l->text_error[DATE_ERROR_LEN] = '\0';
}

const char *loop_text_http(struct loop *l) { return texts_make(l), l->text_http; }
const char *loop_text_log(struct loop *l) { return texts_make(l), l->text_log; }
const char *loop_text_iso(struct loop *l) { return texts_make(l), l->text_iso; }
const char *loop_text_error(struct loop *l) { return texts_make(l), l->text_error; }

// --- making and ending ---------------------------------------------------------------------------------------------------

static void on_trim(struct timer *t) {
    struct loop *l = container_of(t, struct loop, trim_timer);
    stacks_trim(l->stacks, task_forget);
    blocks_trim(l->blocks);
    timer_set(l, t, l->now + TRIM_MS);
}

static struct source wake_source = {SOURCE_WAKE};

static bool open_descriptors(struct loop *l) {
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0)
        return false;
    l->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    // Edge-triggered: each write is an event, and the counter need never be read.
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.ptr = &wake_source};
    if (l->event_fd >= 0 && epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->event_fd, &e) == 0)
        return true;
    int err = errno;
    if (l->event_fd >= 0)
        close(l->event_fd);
    close(l->epoll_fd);
    errno = err;
    return false;
}

struct loop *loop_new(unsigned id) {
    link_take_prepare();
    CHECK(loop_this == NULL);
    struct loop *l = aligned_alloc(CACHE_LINE, (sizeof(*l) + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
    CHECK(l != NULL);
    memset(l, 0, sizeof(*l));
    if (!open_descriptors(l)) {
        int err = errno;
        free(l);
        errno = err;
        return NULL;
    }
    signal(SIGPIPE, SIG_IGN); // sendfile knows no MSG_NOSIGNAL
    l->magic = LOOP_MAGIC;
    l->id = id;
    task_queue_init(&l->ready);
    task_queue_init(&l->yielded);
    list_init(&l->links);
    list_init(&l->listeners);
    list_init(&l->dead_listeners);
    l->now = monotonic(l);
    l->text_second = INT64_MIN;
    wall_check(l);
    wheel_init(&l->wheel, l->now);
    l->blocks = blocks_new();
    l->stacks = stacks_new(sizeof(struct task));
    fiber_thread(&l->fiber);
    timer_init(&l->trim_timer, on_trim);
    timer_set(l, &l->trim_timer, l->now + TRIM_MS);
    loop_this = l;
    return l;
}

void loop_free(struct loop *l) {
    if (l == NULL)
        return;
    CHECK_OBJ(l, LOOP_MAGIC);
    CHECK(loop_this == l && l->current == NULL);
    l->closing = true;
    inbox_run(l);
    for (unsigned i = 0; i < l->free_hook_count; i++)
        l->free_hooks[i].fn(l->free_hooks[i].arg);
    links_free_dead(l);
    listeners_free_dead(l);
    free(l->arrivals.at);
    conduits_free(l);
    CHECK(l->tasks == 0 && list_empty(&l->links) && list_empty(&l->listeners));
    timer_remove(&l->trim_timer);
    stacks_free(l->stacks, task_forget);
    wheel_done(&l->wheel);
    blocks_free(l->blocks);
    while (atomic_load_explicit(&l->posting, memory_order_acquire) != 0) // the last message may be here before its sender is done
        sched_yield();
    close(l->event_fd);
    close(l->epoll_fd);
    loop_this = NULL;
    l->magic = 0;
    free(l);
}

// --- a turn --------------------------------------------------------------------------------------------------------------

// Waking a sleeping thread costs more than a few empty looks at epoll, and the peer of a lone connection often answers
// within microseconds. So before sleeping the loop looks on for a while, as long as that has lately paid: `spin_worth` is
// the moving rate of success. When it does not pay, one sleep in SPIN_RETRY tries again.
//
// Only for few connections. Measured with a forwarder on one core, spinning against sleeping: with 1, 2 and 4 connections
// 0.74 to 0.9 of the CPU per request and 1.8 to 3 times the requests; with 8 connections 1.07 of the CPU, with 64 1.1:
// sleeping there lets events gather, and each turn then serves several.
enum { SPIN_NS = 50000, SPIN_ONE = 1024, SPIN_ENOUGH = 512, SPIN_RETRY = 256, SPIN_CONNECTIONS = 4 };

static int spin(struct loop *l) {
    uint64_t until = 0;
    stat_add(&l->stats.spins, 1);
    for (;;) {
        int n = epoll_wait(l->epoll_fd, l->events, LOOP_EVENTS, 0);
        if (n != 0 || !inbox_empty(l))
            return n;
        uint64_t now = clock_ns();
        if (until == 0)
            until = now + SPIN_NS;
        else if (now >= until)
            return 0;
    }
}

static bool spin_pays(struct loop *l) {
    if (atomic_load_explicit(&l->connections, memory_order_relaxed) - 1 >= SPIN_CONNECTIONS)
        return false; // too many, or none
    if (l->spin_worth >= SPIN_ENOUGH)
        return true;
    if (++l->spin_skipped < SPIN_RETRY)
        return false;
    l->spin_skipped = 0;
    return true;
}

// Blocks until an event, a message, or the time has passed. asleep is set first and the inbox looked at after: who posts
// does it in the other order, so one of the two sees the other.
static int sleep_for(struct loop *l, int timeout_ms) {
    atomic_store(&l->asleep, true);
    if (atomic_load(&l->inbox) != NULL || atomic_load(&l->stop))
        timeout_ms = 0;
    int n = epoll_wait(l->epoll_fd, l->events, LOOP_EVENTS, timeout_ms);
    atomic_store_explicit(&l->asleep, false, memory_order_relaxed);
    return n;
}

static int wait_events(struct loop *l, int timeout_ms) {
    if (l->ready.head != NULL || l->yielded.head != NULL || l->arrivals.count != 0)
        timeout_ms = 0;
    uint64_t next = wheel_next(&l->wheel);
    if (next <= l->now)
        timeout_ms = 0;
    else if (next != UINT64_MAX && l->clock_fn == NULL && (timeout_ms < 0 || next - l->now < (uint64_t)timeout_ms))
        timeout_ms = (int)MIN(next - l->now, (uint64_t)INT_MAX);
    if (timeout_ms == 0)
        return epoll_wait(l->epoll_fd, l->events, LOOP_EVENTS, 0);
    if (spin_pays(l)) {
        int n = spin(l);
        bool paid = n != 0 || !inbox_empty(l);
        if (paid)
            l->spin_worth = MAX(l->spin_worth, SPIN_ENOUGH) + (SPIN_ONE - MAX(l->spin_worth, SPIN_ENOUGH)) / 8;
        else
            l->spin_worth -= l->spin_worth / 8;
        if (paid)
            return n;
    }
    return sleep_for(l, timeout_ms);
}

static void dispatch(struct loop *l, int n) {
    for (int i = 0; i < n; i++) {
        struct source *s = l->events[i].data.ptr;
        if (i + 1 < n) { // a link is two or three cache lines, seldom warm with many connections
            const char *next = l->events[i + 1].data.ptr;
            __builtin_prefetch(next, 1);
            __builtin_prefetch(next + CACHE_LINE, 1);
        }
        if (LIKELY(s->magic == SOURCE_LINK))
            link_event((struct link *)s, l->events[i].events);
        else if (s->magic == SOURCE_LISTENER)
            listener_event((struct listen_source *)s);
        else
            CHECK(s->magic == SOURCE_WAKE || s->magic == SOURCE_DEAD);
    }
}

static void turn(struct loop *l, int timeout_ms) {
    int n = wait_events(l, timeout_ms);
    CHECK(n >= 0 || errno == EINTR);
    clock_update(l);
    stat_add(&l->stats.turns, 1);
    l->dispatching = true;
    if (n > 0) {
        stat_add(&l->stats.events, (uint64_t)n);
        dispatch(l, n);
    }
    if (UNLIKELY(!inbox_empty(l)))
        inbox_run(l);
    if (l->wheel.now < l->now)
        wheel_run(&l->wheel, l->now);
    l->dispatching = false;
    task_run_ready(l);
    if (l->arrivals.count != 0) {
        links_start_arrived(l);
        task_run_ready(l);
    }
    for (unsigned i = 0; i < l->hook_count; i++)
        l->hooks[i].fn(l->hooks[i].arg);
    if (UNLIKELY(l->dead != NULL))
        links_free_dead(l);
    if (UNLIKELY(!list_empty(&l->dead_listeners)))
        listeners_free_dead(l);
}

void loop_turn(struct loop *l, int timeout_ms) {
    CHECK_OBJ(l, LOOP_MAGIC);
    CHECK(loop_this == l && l->current == NULL);
    turn(l, timeout_ms);
}

void loop_run(struct loop *l) {
    CHECK_OBJ(l, LOOP_MAGIC);
    CHECK(loop_this == l && l->current == NULL);
    while (!atomic_load_explicit(&l->stop, memory_order_relaxed))
        turn(l, -1);
    atomic_store(&l->stop, false);
}

void loop_wake(struct loop *l) {
    int err = errno; // may be called from a signal handler
    uint64_t one = 1;
    ssize_t n = write(l->event_fd, &one, sizeof(one));
    (void)n; // a full counter is an event too
    errno = err;
}

void loop_stop(struct loop *l) {
    atomic_store(&l->stop, true);
    loop_wake(l);
}

// --- facts and places ----------------------------------------------------------------------------------------------------

struct loop *loop_self(void) { return loop_this; }
unsigned loop_id(const struct loop *l) { return l->id; }
struct blocks *loop_blocks(struct loop *l) { return l->blocks; }
const struct loop_stats *loop_stats(const struct loop *l) { return &l->stats; }

void loop_at_turn_end(struct loop *l, void (*fn)(void *arg), void *arg) {
    CHECK(l->hook_count < LOOP_HOOKS);
    l->hooks[l->hook_count].fn = fn;
    l->hooks[l->hook_count++].arg = arg;
}

void loop_at_free(struct loop *l, void (*fn)(void *arg), void *arg) {
    CHECK(l->free_hook_count < LOOP_HOOKS);
    l->free_hooks[l->free_hook_count].fn = fn;
    l->free_hooks[l->free_hook_count++].arg = arg;
}

static _Atomic unsigned slots_taken;

unsigned loop_slot_new(void) {
    unsigned slot = atomic_fetch_add(&slots_taken, 1);
    CHECK(slot < LOOP_SLOTS);
    return slot;
}

void **loop_slot(struct loop *l, unsigned slot) {
    CHECK_SLOW(slot < LOOP_SLOTS);
    return &l->slots[slot];
}
