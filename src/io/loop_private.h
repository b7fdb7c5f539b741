// The inside of struct loop and struct task, shared by the files of io/.
#pragma once
#include "io/inbox.h"
#include "io/loop.h"
#include "io/stack.h"
#include "io/timer.h"
#include <stdatomic.h>
#include <sys/epoll.h>

// --- timers: a wheel whose levels are the 6-bit digits of a time ---------------------------------------------------------
//
// A timer lies in the level of the highest digit in which its time differs from the wheel's now, in the slot of that
// digit's value. So all timers of a level come before those of the levels above, a level's slots are in order, and when
// now reaches a slot its timers move down. Nothing depends on how far a time is away.

enum { WHEEL_BITS = 6, WHEEL_SLOTS = 64, WHEEL_LEVELS = 11 };

struct wheel {
    uint64_t now;                // everything up to here has come up
    uint64_t until;              // where wheel_run is going; else now
    uint32_t levels;             // bit i: level i may have timers
    uint64_t used[WHEEL_LEVELS]; // bit j: slot j may have timers
    struct list slot[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, uint64_t now);
// A time not after the next timer's, and never before now: UINT64_MAX when there is none.
uint64_t wheel_next(struct wheel *w);
void wheel_run(struct wheel *w, uint64_t to); // fires all that are due at `to`
void wheel_rebase(struct wheel *w, uint64_t now); // the clock was set anew
void wheel_done(struct wheel *w);                 // no timer may be set (checked); silent ones are taken out

// --- tasks ---------------------------------------------------------------------------------------------------------------

#define TASK_MAGIC 0x7461736bu

struct task {
    struct stack stack; // first; kept by the pool
    uint32_t magic;     // 0 while in the pool
    bool queued;        // in the run queue
    bool parked;        // inside task_park
    bool woken;         // news since the last park
    bool timed_out;     // the timer fired during this park
    bool cancelled, shielded, joinable, ended;
    void *sp;          // while it does not run
    struct task *next; // in the run queue
    struct loop *loop;
    struct timer timer; // the deadline of the wait. Left in the wheel between uses and even between tasks
    task_fn *fn;
    void *arg;
    const char *name;
    struct task *joiner;
    void *log_slot;
    struct fiber fiber;
};

void task_run_ready(struct loop *l);
void task_forget(void *task); // before the memory of a pooled task goes
static inline bool task_is_cancelled(const struct task *t) { return UNLIKELY(t->cancelled) && !t->shielded; }

// --- the loop ------------------------------------------------------------------------------------------------------------

#define LOOP_MAGIC 0x6c6f6f70u

// What epoll's data points at begins with one of these: its magic says what it is.
struct source {
    uint32_t magic;
};
#define SOURCE_DEAD     0u // freed while events were handled: this batch may still name it
#define SOURCE_WAKE     0x77616b65u
#define SOURCE_LINK     0x6c696e6bu
#define SOURCE_LISTENER 0x6c73746eu

struct task_queue {
    struct task *head, **tail;
};

// Parked connections of clients that have something to say, in their order: new work, begun a few at a time after the work in
// hand went on. With hundreds of busy connections the requests under way so stay few enough for the processor's cache.
// Measured with 512 connections: CPU per request 0.74 of nginx's instead of 0.87.
struct arrivals {
    struct link **at; // a ring of `cap` (a power of two); NULL where the link has gone
    uint32_t first, count, cap;
};

enum { LOOP_EVENTS = 256, LOOP_SLOTS = 16, LOOP_HOOKS = 8, CACHE_LINE = 64 };

struct loop {
    uint32_t magic;
    unsigned id;
    int epoll_fd, event_fd;
    struct task *current; // the running task
    void *sp;             // the loop's own stack while a task runs
    struct task_queue ready, yielded;
    uint64_t now; // ms
    int budget;   // bytes that the running task may still read before it lets others run
    bool dispatching; // inside the handling of events: links freed now may have more events coming
    bool closing;     // inside loop_free
    bool test_clock;
    struct blocks *blocks;
    struct stacks *stacks;
    size_t tasks;
    struct loop_stats stats;
    struct fiber fiber;
    struct list links;
    struct arrivals arrivals;
    struct conduit *conduits; // idle ones
    unsigned conduits_kept, conduits_used;
    struct list listeners;
    struct link *dead; // freed while dispatching
    struct list dead_listeners;
    bool accept_paused; // some listener of this loop is paused because of `limit`

    uint64_t spin_worth; // moving success rate of spinning, 0..SPIN_ONE
    unsigned spin_skipped;

    uint64_t (*clock_fn)(void *arg);
    void *clock_arg;
    int64_t wall_offset; // wall clock minus monotonic, ms
    uint64_t wall_checked;
    int64_t text_second; // what the texts below say
    char text_http[32], text_log[32], text_iso[32], text_error[32];

    struct {
        void (*fn)(void *arg);
        void *arg;
    } hooks[LOOP_HOOKS], free_hooks[LOOP_HOOKS]; // at the end of a turn; in loop_free
    unsigned hook_count, free_hook_count;
    void *slots[LOOP_SLOTS];
    struct timer trim_timer;
    struct wheel wheel;
    struct epoll_event events[LOOP_EVENTS];

    // Written by other threads.
    _Alignas(CACHE_LINE) _Atomic(struct message *) inbox; // newest first
    _Atomic unsigned posting; // threads that are inside inbox_post: the loop stays until they have left
    _Atomic bool asleep; // or about to: who posts must write to event_fd
    _Atomic bool stop;
    _Alignas(CACHE_LINE) _Atomic unsigned connections; // accepted links that live here or are on the way
};

extern __thread struct loop *loop_this;

void loop_wake(struct loop *l); // any thread
void inbox_run(struct loop *l);

// Others may be reading it.
static inline void stat_add(uint64_t *stat, uint64_t n) { __atomic_store_n(stat, *stat + n, __ATOMIC_RELAXED); }

static inline bool inbox_empty(struct loop *l) {
    return atomic_load_explicit(&l->inbox, memory_order_relaxed) == NULL;
}

static inline void task_queue_init(struct task_queue *q) {
    q->head = NULL;
    q->tail = &q->head;
}
static inline void task_queue_push(struct task_queue *q, struct task *t) {
    t->next = NULL;
    *q->tail = t;
    q->tail = &t->next;
}
static inline struct task *task_queue_pop(struct task_queue *q) {
    struct task *t = q->head;
    if (t != NULL && (q->head = t->next) == NULL)
        q->tail = &q->head;
    return t;
}
static inline void task_queue_append(struct task_queue *q, struct task_queue *from) {
    if (from->head == NULL)
        return;
    *q->tail = from->head;
    q->tail = from->tail;
    task_queue_init(from);
}

// Event handlers of the sources, called by the loop.
void link_event(struct link *l, uint32_t events);
void links_start_arrived(struct loop *l); // a few of them
void links_free_dead(struct loop *l);
void conduits_free(struct loop *l);
struct listen_source;
void listener_event(struct listen_source *s);
void listeners_free_dead(struct loop *l);
void listeners_resume(struct loop *l); // an accepted link has ended
void link_take_prepare(void); // link_take.c: once for the process
