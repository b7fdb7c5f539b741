// Timers of a loop. Cheap to move later: a timer that is set again to a later time stays where it is and is moved when it
// comes up. For tasks use the deadline of their wait; timers start a task or set a flag.
#pragma once
#include "base/list.h"
#include "io/loop.h"

struct timer {
    struct list node;   // in a slot of the wheel
    uint64_t due_ms;    // wanted; UINT64_MAX: not set
    uint64_t queued_ms; // where it lies in the wheel
    void (*fn)(struct timer *t); // on the loop, outside of tasks: must not wait; usually task_wake or task_new
};

void timer_init(struct timer *t, void (*fn)(struct timer *t));
void timer_set(struct loop *l, struct timer *t, uint64_t due_ms); // setting again moves it
void timer_clear(struct timer *t);  // stays in the wheel, silent: cheap
void timer_remove(struct timer *t); // out of the wheel: before its memory goes. Harmless when not set
