// Messages from any thread to a loop, and work handed to helper threads. The only doors between threads in io/.
#pragma once
#include "io/loop.h"

struct message {
    struct message *next;
    void (*fn)(struct message *m); // on the receiving loop, outside of tasks: must not wait. Owns m.
};
// From any thread. Order from one sender is kept. Wakes the loop when it sleeps (one write for many messages).
void inbox_post(struct loop *to, struct message *m);

// Runs fn(arg) on a helper thread and waits until it has ended; the result is fn's. For blocking work on files and names.
// Waits, uncancellably (fn has the stack's pointers). fn must not touch the loop or its pools.
int helper_run(int (*fn)(void *arg), void *arg);
// Without waiting for the end; where there are no helpers fn is called at once. fn owns arg.
void helper_post(void (*fn)(void *arg), void *arg);
// The same for callers who hold a lock that fn takes. False: there are no helpers (any more), and fn is not called.
bool helper_offer(void (*fn)(void *arg), void *arg);
void helpers_start(unsigned threads); // once, by the worker
void helpers_stop(void);              // finishes what is queued, joins the threads
