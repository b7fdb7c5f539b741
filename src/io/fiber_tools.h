// What sanitizers and valgrind want to be told about stacks of our own making. Nothing in a plain build. Private to io/.
//
// A switch is told in three steps: fiber_leave before it on the old stack, fiber_arrive after it on the new one, with the
// record of the stack that was arrived at.
#pragma once
#include "base/base.h"

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define FIBER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FIBER_TSAN 1
#endif
#endif

#if defined(FIBER_ASAN) || defined(FIBER_TSAN)
enum { FIBER_STACK_FACTOR = 4 }; // instrumented frames are larger
#else
enum { FIBER_STACK_FACTOR = 1 };
#endif

// The tools' view of one stack: of a task, or of the thread that runs the loop (whose bounds are learnt on the way).
struct fiber {
    const void *low;
    size_t size;
#ifdef FIBER_ASAN
    void *fake;
#endif
#ifdef FIBER_TSAN
    void *tsan;
#endif
};

#ifdef FIBER_ASAN
void __sanitizer_start_switch_fiber(void **fake_save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake, const void **old_bottom, size_t *old_size);
void __asan_unpoison_memory_region(const volatile void *p, size_t n);
void __lsan_register_root_region(const void *p, size_t n);
void __lsan_unregister_root_region(const void *p, size_t n);

// `last`: the old stack will never be used again.
static inline void fiber_leave_asan(struct fiber *from, const struct fiber *to, bool last) {
    __sanitizer_start_switch_fiber(last ? NULL : &from->fake, to->low, to->size);
}
static inline void fiber_arrive(struct fiber *at, struct fiber *from) {
    __sanitizer_finish_switch_fiber(at->fake, &from->low, &from->size);
}
// Frames of the stack's last user may have left their red zones behind.
static inline void fiber_clean(void *low, size_t n) { __asan_unpoison_memory_region(low, n); }
// Leak checks look for pointers on task stacks too.
static inline void fiber_root_add(void *p, size_t n) { __lsan_register_root_region(p, n); }
static inline void fiber_root_remove(void *p, size_t n) { __lsan_unregister_root_region(p, n); }
static inline void fiber_reset_asan(struct fiber *f) { f->fake = NULL; }
#else
static inline void fiber_leave_asan(struct fiber *from, const struct fiber *to, bool last) {}
static inline void fiber_arrive(struct fiber *at, struct fiber *from) {}
static inline void fiber_clean(void *low, size_t n) {}
static inline void fiber_root_add(void *p, size_t n) {}
static inline void fiber_root_remove(void *p, size_t n) {}
static inline void fiber_reset_asan(struct fiber *f) {}
#endif

#ifdef FIBER_TSAN
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);

// Flag 0: the switch itself orders memory, as one thread does.
static inline void fiber_leave_tsan(const struct fiber *to) { __tsan_switch_to_fiber(to->tsan, 0); }
static inline void fiber_begin(struct fiber *f) {
    fiber_reset_asan(f);
    f->tsan = __tsan_create_fiber(0);
}
static inline void fiber_end(struct fiber *f) { __tsan_destroy_fiber(f->tsan); }
static inline void fiber_thread(struct fiber *f) { f->tsan = __tsan_get_current_fiber(); }
#else
static inline void fiber_leave_tsan(const struct fiber *to) {}
static inline void fiber_begin(struct fiber *f) { fiber_reset_asan(f); } // a task starts on this stack
static inline void fiber_end(struct fiber *f) {}                         // it has ended and been left
static inline void fiber_thread(struct fiber *f) {}                      // f stands for the calling thread's own stack
#endif

static inline void fiber_leave(struct fiber *from, const struct fiber *to, bool last) {
    fiber_leave_asan(from, to, last);
    fiber_leave_tsan(to);
}

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
static inline unsigned fiber_valgrind_add(void *low, void *high) { return VALGRIND_STACK_REGISTER(low, high); }
static inline void fiber_valgrind_remove(unsigned id) { VALGRIND_STACK_DEREGISTER(id); }
#else
static inline unsigned fiber_valgrind_add(void *low, void *high) { return 0; }
static inline void fiber_valgrind_remove(unsigned id) {}
#endif
