// Tasks: code that waits. A task is a coroutine with a stack of its own, bound for life to one loop. It runs until it waits;
// while it waits it costs its stack and nothing else. A wake carries news and never calls: it only puts the task in its
// loop's queue, and the task looks for itself.
//
// Every function of io/ that may suspend says "Waits." and, when its task is cancelled, returns -ECANCELED at once, then
// and at each later wait: the task unwinds by returning. No lock may be held across a wait.
#pragma once
#include "base/base.h"

struct loop;
struct task;

typedef void task_fn(void *arg);

enum { TASK_STACK = 64 << 10 }; // usable bytes (256 KiB under ASan); 16 KiB is a lot for one call path of ours

// Makes a task on the current thread's loop and puts it in the run queue: it starts in this turn of the loop, after the
// caller has waited or returned. `name` is a literal, for logs and crash reports. NULL when no stack can be had (memory):
// the caller refuses the work. The task frees itself when fn returns, unless it is joinable.
struct task *task_new(task_fn *fn, void *arg, const char *name);
// The same, but its end is awaited: exactly one task must call task_join.
struct task *task_new_joinable(task_fn *fn, void *arg, const char *name) MUST_USE;
// Waits (uncancellably: cancel the joined task to hurry it) until `t` has ended, and frees it.
void task_join(struct task *t);

struct task *task_self(void);      // NULL outside of tasks
struct loop *task_loop(const struct task *t);
const char *task_name(const struct task *t);

// Waits until task_wake, the deadline (ms of the loop's clock; UINT64_MAX: none) or cancellation: 0, -ETIMEDOUT, -ECANCELED.
// A wake that came since the last park is not lost: park returns 0 at once.
int task_park(uint64_t deadline_ms);
// Lets all others that are ready run first. Waits.
int task_yield(void);
int task_sleep_ms(uint64_t ms); // 0 after that time, or -ECANCELED. Waits.

void task_wake(struct task *t);   // same loop only; harmless when running or already woken
void task_cancel(struct task *t); // same loop only; sticky
bool task_cancelled(void);        // of the running task
// While shielded, the running task's waits ignore cancellation (clean-up that must talk to a peer, within a deadline).
void task_shield(bool on);

// The place where io/log keeps the running task's context (a struct log_context): a new task starts with its maker's value;
// outside of tasks it is a place of the thread, NULL at first. Never NULL itself. Only io/log.c uses it.
void **task_log_slot(void);

size_t task_count(const struct loop *l); // living tasks
// Debug builds: the deepest stack use seen, in bytes.
size_t task_high_water(void);

// For a SIGSEGV handler on the faulting thread: whether addr lies in the guard page of a task's stack (a stack overflow),
// and that task's name, or NULL. Reads only.
bool task_is_guard(const void *addr);
const char *task_guard_name(const void *addr);
