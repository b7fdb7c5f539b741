#include "base/arena.h"
#include "base/sbuf.h"
#include "base/test.h"
#include <stdio.h>
#include <stdlib.h>

TEST(numbers_as_text) {
    static const uint64_t values[] = {0,
                                      9,
                                      10,
                                      99,
                                      100,
                                      101,
                                      255,
                                      256,
                                      999,
                                      1000,
                                      65535,
                                      65536,
                                      INT32_MAX,
                                      (uint64_t)INT32_MAX + 1,
                                      UINT32_MAX,
                                      INT64_MAX,
                                      (uint64_t)INT64_MAX + 1,
                                      9999999999999999999u,
                                      10000000000000000000u,
                                      UINT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        char want[32], storage[32];
        struct sbuf b;
        sbuf_init_fixed(&b, storage, sizeof(storage));
        sbuf_u64(&b, values[i]);
        snprintf(want, sizeof(want), "%llu", (unsigned long long)values[i]);
        EXPECT_STR(sbuf_view(&b), str_c(want));
        b.n = 0;
        sbuf_hex(&b, values[i]);
        snprintf(want, sizeof(want), "%llx", (unsigned long long)values[i]);
        EXPECT_STR(sbuf_view(&b), str_c(want));
    }
    for (uint64_t v = 0; v < 20000; v++) {
        char want[32], storage[5];
        struct sbuf b;
        sbuf_init_fixed(&b, storage, sizeof(storage));
        sbuf_u64(&b, v);
        snprintf(want, sizeof(want), "%llu", (unsigned long long)v);
        EXPECT_STR(sbuf_view(&b), str_c(want));
    }
}

TEST(fixed_storage_is_never_left) {
    char storage[8];
    memset(storage, '#', sizeof(storage));
    struct sbuf b;
    sbuf_init_fixed(&b, storage, 5);
    sbuf_lit(&b, "abc");
    sbuf_lit(&b, "def"); // dropped whole
    EXPECT(b.overflow);
    EXPECT_STR(sbuf_view(&b), STR("abc"));
    sbuf_lit(&b, "de");
    EXPECT_STR(sbuf_view(&b), STR("abcde"));
    EXPECT_STR(str_n(storage, 8), STR("abcde###"));
    EXPECT(strcmp(sbuf_cstr(&b), "abcd") == 0); // the last byte gives way
    EXPECT_INT(b.n, 4);
    sbuf_done(&b);
}

TEST(an_exact_fit_is_no_overflow) {
    char storage[4];
    struct sbuf b;
    sbuf_init_fixed(&b, storage, sizeof(storage));
    sbuf_lit(&b, "abcd");
    EXPECT(!b.overflow);
    sbuf_put(&b, NULL, 0);
    EXPECT(!b.overflow);
    sbuf_chr(&b, 'e');
    EXPECT(b.overflow);
    EXPECT_STR(sbuf_view(&b), STR("abcd"));
}

TEST(a_full_buffer_becomes_a_c_string) {
    char storage[1];
    struct sbuf b;
    sbuf_init_fixed(&b, storage, 0);
    EXPECT(strcmp(sbuf_cstr(&b), "") == 0);
    sbuf_init_fixed(&b, storage, 1);
    EXPECT(strcmp(sbuf_cstr(&b), "") == 0 && !b.overflow);
    sbuf_init_heap(&b, 0);
    EXPECT(strcmp(sbuf_cstr(&b), "") == 0 && b.overflow);
    sbuf_done(&b);
    sbuf_init_heap(&b, 100);
    sbuf_lit(&b, "text");
    EXPECT(strcmp(sbuf_cstr(&b), "text") == 0);
    EXPECT_INT(b.n, 4);
    sbuf_done(&b);
}

TEST(heap_storage_grows_to_its_bound) {
    static const size_t bounds[] = {1, 2, 255, 256, 257, 1000, 65535, 65536, 65537};
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        struct sbuf b;
        sbuf_init_heap(&b, bounds[i]);
        for (size_t n = 0; n < bounds[i]; n++)
            sbuf_chr(&b, (char)('a' + n % 26));
        EXPECT(!b.overflow && b.n == bounds[i] && b.cap <= b.max);
        for (size_t n = 0; n < bounds[i]; n++)
            EXPECT_INT(b.p[n], 'a' + n % 26);
        sbuf_chr(&b, 'x');
        EXPECT(b.overflow && b.n == bounds[i]);
        sbuf_done(&b);
    }
}

TEST(room_that_cannot_be_had) {
    struct sbuf b;
    sbuf_init_heap(&b, 0);
    EXPECT(sbuf_room(&b, 0) != NULL && !b.overflow);
    EXPECT(sbuf_room(&b, 1) == NULL && b.overflow);
    sbuf_done(&b);
    sbuf_init_heap(&b, SIZE_MAX);
    sbuf_lit(&b, "abc");
    EXPECT(sbuf_room(&b, SIZE_MAX - 2) == NULL && b.overflow);
    EXPECT_STR(sbuf_view(&b), STR("abc"));
    b.overflow = false;
    EXPECT(sbuf_room(&b, 10000) != NULL && !b.overflow && b.n == 3);
    sbuf_done(&b);
}

TEST(arena_storage_grows) {
    struct arena a;
    arena_init(&a, NULL);
    struct sbuf b;
    sbuf_init_arena(&b, &a, 4, 100000);
    for (int i = 0; i < 20000; i++)
        sbuf_lit(&b, "weir,");
    EXPECT(!b.overflow && b.n == 100000);
    for (size_t i = 0; i < b.n; i += 5)
        EXPECT(memcmp(b.p + i, "weir,", 5) == 0);
    sbuf_chr(&b, '!');
    EXPECT(b.overflow);
    sbuf_done(&b);
    sbuf_init_arena(&b, &a, 1000, 10); // the bound counts, not the hint
    EXPECT(sbuf_room(&b, 11) == NULL && sbuf_room(&b, 10) != NULL);
    arena_done(&a);
}

// Every length of text against every size of storage: the prefix that fits, and overflow exactly when it was cut.
TEST(printing_is_cut_at_the_bound) {
    for (size_t cap = 0; cap < 12; cap++) {
        for (int len = 0; len < 12; len++) {
            char storage[16];
            memset(storage, '#', sizeof(storage));
            struct sbuf b;
            sbuf_init_fixed(&b, storage, cap);
            sbuf_printf(&b, "%.*s", len, "abcdefghijkl");
            EXPECT_INT(b.overflow, (size_t)len > cap);
            EXPECT_INT(b.n, (size_t)len <= cap ? (size_t)len : cap != 0 ? cap - 1 : 0);
            EXPECT_STR(sbuf_view(&b), str_n("abcdefghijkl", b.n));
            EXPECT_INT(storage[cap], '#');
        }
    }
}

TEST(printing_grows_the_heap) {
    for (size_t max = 290; max < 310; max++) {
        struct sbuf b;
        sbuf_init_heap(&b, max);
        sbuf_printf(&b, "%0100d", 1);
        sbuf_printf(&b, "%0200d", 2);
        EXPECT_INT(b.overflow, max < 300);
        EXPECT_INT(b.n, MIN(max - (max < 300), (size_t)300));
        EXPECT(b.p[99] == '1' && b.p[100] == '0');
        if (max >= 300)
            EXPECT_INT(b.p[299], '2');
        sbuf_done(&b);
    }
}
