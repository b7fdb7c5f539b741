// Words that every file uses: standard headers, attributes, and the checks on our own bugs. Not a place for data types.
#pragma once

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#define LIKELY(x)      __builtin_expect(!!(x), 1)
#define UNLIKELY(x)    __builtin_expect(!!(x), 0)
#define ARRAY_LEN(a)   (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)      ((a) < (b) ? (a) : (b))
#define MAX(a, b)      ((a) > (b) ? (a) : (b))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define MUST_USE       __attribute__((warn_unused_result))
#define NORETURN       __attribute__((noreturn))
#define NOINLINE       __attribute__((noinline))
#define COLD           __attribute__((cold, noinline))
#define UNUSED         __attribute__((unused))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

// A check finds bugs of ours: it prints the place to stderr and aborts. No bytes from outside may make one fail.
#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (UNLIKELY(!(cond)))                                                                                         \
            check_failed(#cond, __FILE__, __LINE__, __func__);                                                         \
    } while (0)

// Too dear for release builds; in force with -Ddebug_checks=true.
#ifdef WEIR_DEBUG
#define CHECK_SLOW(cond) CHECK(cond)
#else
#define CHECK_SLOW(cond) ((void)sizeof(cond))
#endif

// Objects that cross a boundary begin with `uint32_t magic`. CHECK_OBJ is for the callee's first line.
#define CHECK_OBJ(p, m) CHECK((p) != NULL && (p)->magic == (m))

NORETURN COLD void check_failed(const char *cond, const char *file, int line, const char *func);

// malloc and friends that abort with a message when memory is out: for start-up and configuration, where there is
// nothing better to do. xfree(NULL) does nothing. On the request path memory comes from blocks.h and arena.h.
void *xmalloc(size_t size) MUST_USE;
void *xcalloc(size_t count, size_t size) MUST_USE;
void *xrealloc(void *old, size_t size) MUST_USE;
char *xstrdup(const char *s) MUST_USE;
