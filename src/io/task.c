// Tasks: making and ending them, waiting, waking, cancelling. The stacks come from stack.c, the switch from task_switch.c;
// when a task runs is the loop's business.
#include "io/task.h"
#include "io/loop_private.h"
#include "io/task_switch.h"
#include <stdio.h>

static __thread void *thread_log_slot; // the log context outside of tasks

// The loop keeps running tasks in one turn until none is ready, up to this many: two tasks that wake each other must not
// keep it from its sockets.
enum { RUNS_PER_TURN = 1024, RUN_BUDGET = 1 << 20, PREFETCH_LINES = 6 };

static void on_deadline(struct timer *timer) {
    struct task *t = container_of(timer, struct task, timer);
    t->timed_out = true;
    if (t->parked && !t->queued) {
        t->queued = true;
        task_queue_push(&t->loop->ready, t);
    }
}

// --- switching -----------------------------------------------------------------------------------------------------------

static void switch_to_loop(struct task *t, bool last) {
    struct loop *l = t->loop;
    CHECK_SLOW(stack_intact(&t->stack));
    fiber_leave(&t->fiber, &l->fiber, last);
    task_switch(&t->sp, l->sp);
    fiber_arrive(&t->fiber, &l->fiber);
}

static void overflown(const struct task *t) {
    fprintf(stderr, "weir: stack overflow in task \"%s\"\n", t->name);
    CHECK(stack_intact(&t->stack));
}

static void release(struct task *t) {
    struct loop *l = t->loop;
    stack_measure(&t->stack);
    fiber_end(&t->fiber);
    t->magic = 0;
    l->tasks--;
    stack_put(l->stacks, t);
}

static void resume(struct loop *l, struct task *t) {
    t->queued = false;
    l->current = t;
    l->budget = RUN_BUDGET;
    fiber_leave(&l->fiber, &t->fiber, false);
    task_switch(&l->sp, t->sp);
    fiber_arrive(&l->fiber, &t->fiber);
    l->current = NULL;
    if (UNLIKELY(!stack_intact(&t->stack)))
        overflown(t);
    if (UNLIKELY(t->ended) && !t->joinable)
        release(t);
}

void task_run_ready(struct loop *l) {
    task_queue_append(&l->ready, &l->yielded);
    for (int i = 0; i < RUNS_PER_TURN; i++) {
        struct task *t = task_queue_pop(&l->ready);
        if (t == NULL)
            break;
        if (l->ready.head != NULL) { // its frames come in while this one runs
            const char *sp = l->ready.head->sp;
            for (int line = 0; line < PREFETCH_LINES; line++)
                __builtin_prefetch(sp + line * CACHE_LINE, 1);
        }
        resume(l, t);
    }
}

// The first frame of every task. Not instrumented: it is left in its middle, for ever.
__attribute__((no_sanitize("thread"))) static void task_main(void *arg) {
    struct task *t = arg;
    fiber_arrive(&t->fiber, &t->loop->fiber);
    t->fn(t->arg);
    t->ended = true;
    if (t->joiner != NULL)
        task_wake(t->joiner);
    switch_to_loop(t, true);
    CHECK(!"an ended task runs");
}

// --- making and joining --------------------------------------------------------------------------------------------------

static struct task *make(task_fn *fn, void *arg, const char *name, bool joinable) {
    struct loop *l = loop_this;
    CHECK(l != NULL);
    bool fresh;
    struct task *t = stack_get(l->stacks, &fresh);
    if (UNLIKELY(t == NULL))
        return NULL;
    if (UNLIKELY(fresh)) {
        timer_init(&t->timer, on_deadline);
        t->fiber.low = t->stack.low;
        t->fiber.size = (size_t)((char *)t - t->stack.low);
        t->loop = l;
    }
    CHECK(t->magic == 0);
    t->magic = TASK_MAGIC;
    t->parked = t->woken = t->timed_out = t->cancelled = t->shielded = t->ended = false;
    t->joinable = joinable;
    t->fn = fn;
    t->arg = arg;
    t->name = name;
    t->joiner = NULL;
    t->log_slot = *task_log_slot();
    fiber_clean(t->stack.low, t->fiber.size);
    fiber_begin(&t->fiber);
    t->sp = task_switch_prepare(t, task_main, t);
    l->tasks++;
    stat_add(&l->stats.tasks_started, 1);
    t->queued = true;
    task_queue_push(&l->ready, t);
    return t;
}

struct task *task_new(task_fn *fn, void *arg, const char *name) { return make(fn, arg, name, false); }
struct task *task_new_joinable(task_fn *fn, void *arg, const char *name) { return make(fn, arg, name, true); }

void task_join(struct task *t) {
    CHECK_OBJ(t, TASK_MAGIC);
    struct task *self = task_self();
    CHECK(self != NULL && t != self && t->joinable && t->joiner == NULL);
    bool shielded = self->shielded, news = false;
    self->shielded = true;
    t->joiner = self;
    while (!t->ended) {
        task_park(UINT64_MAX);
        news = true;
    }
    self->shielded = shielded;
    self->woken |= news; // may have been somebody else's: who waits next looks for itself
    release(t);
}

void task_forget(void *task) {
    struct task *t = task;
    timer_remove(&t->timer);
}

// --- waiting and waking --------------------------------------------------------------------------------------------------

int task_park(uint64_t deadline_ms) {
    struct loop *l = loop_this;
    struct task *t = l->current;
    CHECK_OBJ(t, TASK_MAGIC);
    if (task_is_cancelled(t))
        return -ECANCELED;
    if (t->woken) {
        t->woken = false;
        return 0;
    }
    if (deadline_ms <= l->now)
        return -ETIMEDOUT;
    timer_set(l, &t->timer, deadline_ms);
    t->timed_out = false;
    t->parked = true;
    switch_to_loop(t, false);
    t->parked = false;
    timer_clear(&t->timer);
    if (task_is_cancelled(t))
        return -ECANCELED;
    if (t->woken) {
        t->woken = false;
        return 0;
    }
    return t->timed_out ? -ETIMEDOUT : 0;
}

int task_yield(void) {
    struct task *t = task_self();
    CHECK_OBJ(t, TASK_MAGIC);
    if (task_is_cancelled(t))
        return -ECANCELED;
    t->queued = true;
    task_queue_push(&t->loop->yielded, t);
    switch_to_loop(t, false);
    return task_is_cancelled(t) ? -ECANCELED : 0;
}

int task_sleep_ms(uint64_t ms) {
    struct task *t = task_self();
    CHECK_OBJ(t, TASK_MAGIC);
    uint64_t now = t->loop->now, until = ms < UINT64_MAX - now ? now + ms : UINT64_MAX;
    bool news = false;
    int r;
    while ((r = task_park(until)) == 0)
        news = true;
    t->woken |= news;
    return r == -ETIMEDOUT ? 0 : r;
}

static void queue_parked(struct task *t) {
    if (t->parked && !t->queued) {
        t->queued = true;
        task_queue_push(&t->loop->ready, t);
    }
}

void task_wake(struct task *t) {
    CHECK_OBJ(t, TASK_MAGIC);
    CHECK_SLOW(t->loop == loop_this);
    if (t->woken)
        return;
    t->woken = true;
    queue_parked(t);
}

void task_cancel(struct task *t) {
    CHECK_OBJ(t, TASK_MAGIC);
    CHECK_SLOW(t->loop == loop_this);
    t->cancelled = true;
    if (!t->shielded)
        queue_parked(t);
}

// --- facts ---------------------------------------------------------------------------------------------------------------

struct task *task_self(void) { return loop_this != NULL ? loop_this->current : NULL; }
struct loop *task_loop(const struct task *t) { return t->loop; }
const char *task_name(const struct task *t) { return t->name; }

bool task_cancelled(void) {
    const struct task *t = task_self();
    CHECK_OBJ(t, TASK_MAGIC);
    return t->cancelled;
}

void task_shield(bool on) {
    struct task *t = task_self();
    CHECK_OBJ(t, TASK_MAGIC);
    t->shielded = on;
}

void **task_log_slot(void) {
    struct task *t = task_self();
    return t != NULL ? &t->log_slot : &thread_log_slot;
}

size_t task_count(const struct loop *l) { return l->tasks; }
size_t task_high_water(void) { return stack_high_water(); }

bool task_is_guard(const void *addr) { return task_guard_name(addr) != NULL; }

const char *task_guard_name(const void *addr) {
    const struct loop *l = loop_this;
    const struct task *t = l != NULL ? stacks_guarded(l->stacks, addr) : NULL;
    return t != NULL && t->magic == TASK_MAGIC ? t->name : NULL;
}
