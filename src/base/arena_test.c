#include "base/arena.h"
#include "base/block.h"
#include "base/poison.h"
#include "base/sbuf.h"
#include "base/test.h"
#include <stdlib.h>

static uint32_t random_u32(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

// Objects and text of all sizes: aligned, apart from each other, and they stay what was written.
static void fill_and_verify(struct blocks *pool, uint64_t seed) {
    enum { COUNT = 2000 };
    static struct {
        char *p;
        size_t n;
    } held[COUNT];
    struct arena a;
    arena_init(&a, pool);
    EXPECT_INT(a.total, 0);
    size_t sum = 0;
    for (int i = 0; i < COUNT; i++) {
        size_t n = random_u32(&seed) % (random_u32(&seed) % 50 == 0 ? 30000 : 200);
        bool text = random_u32(&seed) % 2;
        held[i].n = n;
        held[i].p = text ? arena_bytes(&a, n) : arena_alloc(&a, n);
        EXPECT(text || (uintptr_t)held[i].p % 16 == 0);
        memset(held[i].p, i & 0xff, n);
        sum += n;
    }
    for (int i = 0; i < COUNT; i++) {
        for (size_t k = 0; k < held[i].n; k++)
            EXPECT_INT((unsigned char)held[i].p[k], i & 0xff);
    }
    EXPECT(a.total >= sum);
    arena_done(&a);
    EXPECT_INT(a.total, 0);
    EXPECT(a.chunks == NULL);
}

TEST(objects_do_not_overlap) {
    struct blocks *pool = blocks_new();
    for (uint64_t seed = 1; seed < 6; seed++) {
        fill_and_verify(pool, seed);
        fill_and_verify(NULL, seed);
        EXPECT_INT(blocks_in_use(pool), 0);
    }
    blocks_free(pool);
}

TEST(the_first_chunk_is_small_and_comes_from_the_pool) {
    struct blocks *pool = blocks_new();
    struct arena a;
    arena_init(&a, pool);
    EXPECT_INT(blocks_in_use(pool), 0);
    memset(arena_alloc(&a, 100), 1, 100);
    if (!WEIR_ASAN) { // there each object has memory of its own
        EXPECT_INT(blocks_in_use(pool), 8192);
        EXPECT_INT(a.total, 8192);
        for (int i = 0; i < 80; i++)
            memset(arena_bytes(&a, 100), 1, 100);
        EXPECT_INT(a.total, 8192);
        memset(arena_alloc(&a, 200), 1, 200);
        EXPECT_INT(a.total, 8192 + 16384);
        char *at = a.at;
        memset(arena_alloc(&a, 50000), 1, 50000); // alone; the open chunk stays open
        EXPECT(a.at == at);
        EXPECT_INT(a.total, 8192 + 16384 + 65536);
    }
    arena_done(&a);
    EXPECT_INT(blocks_in_use(pool), 0);
    blocks_free(pool);
}

TEST(a_large_first_object_leaves_the_first_chunk_small) {
    struct blocks *pool = blocks_new();
    struct arena a;
    arena_init(&a, pool);
    memset(arena_alloc(&a, 7000), 1, 7000);
    memset(arena_alloc(&a, 30), 1, 30);
    if (!WEIR_ASAN)
        EXPECT_INT(a.total, 8192 + 8192);
    arena_done(&a);
    blocks_free(pool);
}

TEST(text) {
    struct arena a;
    arena_init(&a, NULL);
    struct str s = arena_dup(&a, str_n("abcdef", 3));
    EXPECT_STR(s, STR("abc"));
    EXPECT_INT(s.p[3], 0);
    EXPECT_INT(arena_dup(&a, STR_NONE).n, 0);
    EXPECT_STR(arena_lower(&a, STR("X-Forwarded-FOR[\xc4")), STR("x-forwarded-for[\xc4"));
    struct str parts[] = {STR("a"), STR_NONE, STR("bc"), STR("")};
    s = arena_join(&a, parts, 4);
    EXPECT_STR(s, STR("abc"));
    EXPECT_INT(s.p[3], 0);
    EXPECT_STR(arena_join(&a, NULL, 0), STR(""));
    EXPECT_STR(arena_printf(&a, "%s-%d", "x", -5), STR("x--5"));
    for (int n = 250; n < 260; n++) {
        s = arena_printf(&a, "%0*d", n, 7);
        EXPECT_INT(s.n, n);
        EXPECT_INT(s.p[n - 1], '7');
        EXPECT_INT(s.p[n], 0);
    }
    arena_done(&a);
}

struct note {
    struct sbuf *log;
    char letter;
};

static void write_note(void *arg) {
    struct note *n = arg;
    sbuf_chr(n->log, n->letter);
}

TEST(cleanups_run_last_first_while_the_memory_is_there) {
    char storage[8];
    struct sbuf log;
    sbuf_init_fixed(&log, storage, sizeof(storage));
    struct arena a;
    arena_init(&a, NULL);
    for (char c = 'a'; c < 'd'; c++) {
        struct note *n = arena_new(&a, struct note);
        *n = (struct note){&log, c};
        arena_cleanup(&a, write_note, n);
    }
    arena_done(&a);
    EXPECT_STR(sbuf_view(&log), STR("cba"));
    arena_done(&a); // nothing twice
    EXPECT_STR(sbuf_view(&log), STR("cba"));
    int *again = arena_array(&a, int, 10);
    EXPECT_INT(again[9], 0);
    arena_done(&a);
}

static void overflow_an_array(void *arg) {
    memset(arena_array((struct arena *)arg, uint64_t, SIZE_MAX / 4), 1, 8);
}
static void ask_for_too_much(void *arg) {
    memset(arena_zalloc(arg, SIZE_MAX), 1, 1);
}
static void write_past_the_end(void *arg) {
    volatile char *p = arena_alloc(arg, 16);
    p[16] = 1;
}

TEST(misuse_is_found) {
    struct arena a;
    arena_init(&a, NULL);
    EXPECT(test_dies(overflow_an_array, &a));
    EXPECT(test_dies(ask_for_too_much, &a));
    if (WEIR_ASAN)
        EXPECT(test_dies(write_past_the_end, &a));
    arena_done(&a);
}
