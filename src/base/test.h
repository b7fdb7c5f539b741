// Unit tests: TEST(name) { ... } in any x_test.c is found by itself and run by build/unit [-j N] [substring...]. Each test
// runs in a process of its own, so that a crash is one failure. Not part of the product.
#pragma once
#include "base/str.h"

// The build has a sanitizer, which is slower and reports crashes itself.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TEST_SANITIZED 1
#endif
#endif
#ifndef TEST_SANITIZED
#define TEST_SANITIZED 0
#endif

struct test {
    const char *name, *file;
    void (*fn)(void);
    struct test *next;
};
void test_register(struct test *t);

#define TEST(id)                                                                                                       \
    static void test_##id(void);                                                                                       \
    static struct test test_entry_##id = {#id, __FILE__, test_##id, NULL};                                             \
    __attribute__((constructor)) static void test_constructor_##id(void) { test_register(&test_entry_##id); }           \
    static void test_##id(void)

// A failed expectation prints both sides and ends the test.
#define EXPECT(cond)                                                                                                   \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            test_fail(__FILE__, __LINE__, "expected: %s", #cond);                                                      \
    } while (0)
#define EXPECT_INT(got, want)                                                                                          \
    do {                                                                                                               \
        long long g_ = (long long)(got), w_ = (long long)(want);                                                       \
        if (g_ != w_)                                                                                                  \
            test_fail(__FILE__, __LINE__, "%s: got %lld, want %lld", #got, g_, w_);                                    \
    } while (0)
#define EXPECT_STR(got, want)                                                                                          \
    do {                                                                                                               \
        struct str g_ = (got), w_ = (want);                                                                            \
        if (!str_eq(g_, w_))                                                                                           \
            test_fail(__FILE__, __LINE__, "%s: got \"%.*s\", want \"%.*s\"", #got, STR_ARG(g_), STR_ARG(w_));          \
    } while (0)
NORETURN void test_fail(const char *file, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);

// Runs fn(arg) in a child with its stderr thrown away; true when the child ended otherwise than by returning: a failed
// CHECK, a sanitizer's finding, a crash.
bool test_dies(void (*fn)(void *arg), void *arg) MUST_USE;
