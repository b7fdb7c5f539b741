// Memory for the stacks of tasks: many stacks to a mapping, reused last in, first out while they are warm. Private to io/.
//
//   slab ─ one mmap of SLAB_STACKS slots       slot:  low                                               high
//                                                     guard page │ usable (grows down) │ object │ colour
//
// The user's object (struct task) lies at the top of its stack, so that it and the first frames share pages. The colour
// spreads the tops over cache sets.
//
// A slot's guard page is one of three kinds, chosen for a slab at its birth: a guard marker in the page table
// (MADV_GUARD_INSTALL, Linux 6.13), which costs no mapping; mprotect, which splits the mapping, for as many as fit below
// half of vm.max_map_count; or else a canary at the stack's low end, which stack_check looks at.
#pragma once
#include "base/base.h"
#include "io/fiber_tools.h"

struct stacks; // the pool of one loop
struct slab;

enum stack_guard { GUARD_INSTALL, GUARD_PROTECT, GUARD_CANARY };

// The first member of the object at the top of a stack. It stays as it is while the stack lies in the pool, unless the
// pool gave the memory back: then `slab` is NULL and the object starts from zeroes.
struct stack {
    struct slab *slab;
    uint32_t index;       // in the slab
    bool canary;          // stack_check has something to look at
    unsigned valgrind_id; // 0: not registered
    char *low;            // the lowest usable byte; the object is the upper end
};

struct stacks *stacks_new(size_t object_size);
// All stacks must have come back. `forget` is called for each object that was in use once, before its memory goes.
void stacks_free(struct stacks *s, void (*forget)(void *object));
// An object with a fresh stack below it, or NULL when there is no memory. *fresh: the object is all zero but for its stack.
void *stack_get(struct stacks *s, bool *fresh);
void stack_put(struct stacks *s, void *object);
// Gives the memory of stacks that were not needed since the last call back to the system. From a slow timer.
void stacks_trim(struct stacks *s, void (*forget)(void *object));

enum { STACK_CANARY_WORDS = 8 };
#define STACK_CANARY 0x7765697263616e61ull
bool stack_intact_slow(const struct stack *s);
// False when the stack ran over its end and nothing else would have caught it.
static inline bool stack_intact(const struct stack *s) { return LIKELY(!s->canary) || stack_intact_slow(s); }

// The object of the stack into whose guard page addr points, or NULL. Reads only; for a SIGSEGV handler.
void *stacks_guarded(const struct stacks *s, const void *addr);

// Debug builds: fills what a finished task used, and remembers how deep it went.
void stack_measure(struct stack *s);
size_t stack_high_water(void); // of all loops; 0 in release builds

// Tests: the best kind that slabs made from now on may have.
void stack_test_best_guard(enum stack_guard best);
