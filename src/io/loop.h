// The event loop of one thread: epoll, timers, the run queue of tasks, the inbox of other threads, the pools of blocks and
// stacks. Everything made on a loop stays on it.
#pragma once
#include "base/block.h"
#include "io/task.h"

struct loop;

// Binds the loop to the calling thread until loop_free. `id` 0.. is for logs and for arrays of one place per loop.
// Fails (NULL, errno) when the kernel gives no descriptors.
struct loop *loop_new(unsigned id);
// No tasks or links may be left (checked), and no other thread may be about to post to it: helpers are stopped and the
// other loops have returned from loop_run.
void loop_free(struct loop *l);
// Runs until loop_stop. Outside of tasks only.
void loop_run(struct loop *l);
// One turn: waits at most timeout_ms (-1: until something happens) for events, then runs all that is ready. For tests.
void loop_turn(struct loop *l, int timeout_ms);
void loop_stop(struct loop *l); // from any thread or signal handler; loop_run returns after its turn

struct loop *loop_self(void); // of the calling thread, or NULL
unsigned loop_id(const struct loop *l);
struct blocks *loop_blocks(struct loop *l);

// Clocks, read once a turn. Milliseconds of a monotonic clock; never 0.
uint64_t loop_now(const struct loop *l);
// Wall clock of the same instant, in ms since 1970.
uint64_t loop_wall_ms(const struct loop *l);
uint64_t loop_clock_now(void); // reads the clock anew (same scale as loop_now): for measuring inside a long turn
// The wall clock as text, made once a second: Date header, $time_local, $time_iso8601, error log. NUL-terminated, valid
// until the task waits.
const char *loop_text_http(struct loop *l);
const char *loop_text_log(struct loop *l);
const char *loop_text_iso(struct loop *l);
const char *loop_text_error(struct loop *l);
// Tests bring their own clock: fn(arg) gives monotonic ms; NULL back to the real one.
void loop_set_clock(struct loop *l, uint64_t (*fn)(void *arg), void *arg);

// Code that runs at the end of each turn before the loop sleeps (log flush). Registered once; fn must not wait.
void loop_at_turn_end(struct loop *l, void (*fn)(void *arg), void *arg);
// Code that runs first in loop_free, for rooms that have timers on the loop or something of it to hand on.
void loop_at_free(struct loop *l, void (*fn)(void *arg), void *arg);

// Per-loop places for other rooms (the pool's shard, the log's lines): an index from loop_slot_new(), taken once at
// start-up, then a pointer per loop.
unsigned loop_slot_new(void);
void **loop_slot(struct loop *l, unsigned slot);

// Counters for the status API. One writer (the loop), read by others without order (__atomic_load_n, relaxed).
struct loop_stats {
    uint64_t turns, events, tasks_started, accepted, spins;
};
const struct loop_stats *loop_stats(const struct loop *l);
