// Switching stacks. Private to io/.
#pragma once
#include "base/base.h"

// Leaves the running stack (its place goes to *save) and goes on at `to`, which an earlier call saved or
// task_switch_prepare made. Returns when somebody switches back.
void task_switch(void **save, void *to);

// A first frame below `top` (aligned to 16): the first switch to the result calls fn(arg), which must never return.
void *task_switch_prepare(void *top, void (*fn)(void *arg), void *arg);
