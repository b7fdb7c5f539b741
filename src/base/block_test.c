#include "base/block_private.h"
#include "base/chain.h"
#include "base/poison.h"
#include "base/test.h"
#include <stdlib.h>

TEST(sizes_and_classes) {
    struct blocks *pool = blocks_new();
    static const struct {
        size_t want, usable;
    } cases[] = {
        {0, 512},       {1, 512},        {512, 512},       {513, 2048},      {2048, 2048},
        {2049, 4096},   {4096, 4096},    {4097, 8192},     {8192, 8192},    {8193, 16384},    {16384, 16384},   {16385, 65536},
        {65536, 65536}, {65537, 262144}, {262144, 262144}, {262145, 262160}, {1 << 20, 1 << 20}, {3000000, 3000000}, {3000000, 3000000},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct block *b = block_new(pool, cases[i].want);
        EXPECT_INT(b->size, cases[i].usable);
        EXPECT_INT(b->refs, 1);
        EXPECT_INT((uintptr_t)b->data % 16, 0);
        EXPECT_INT(blocks_in_use(pool), cases[i].usable);
        memset(b->data, 0xaa, b->size);
        block_unref(b);
        EXPECT_INT(blocks_in_use(pool), 0);
    }
    EXPECT_INT(blocks_kept(pool), 512 + 2048 + 4096 + 8192 + 16384 + 65536 + 262144);
    block_unref(NULL);
    blocks_free(pool);
    blocks_free(NULL);
}

TEST(the_last_freed_goes_out_first) {
    struct blocks *pool = blocks_new();
    struct block *a = block_new(pool, 4096), *b = block_new(pool, 4096);
    block_ref(a);
    block_unref(a);
    EXPECT_INT(blocks_kept(pool), 0);
    block_unref(a);
    block_unref(b);
    EXPECT_INT(blocks_kept(pool), 8192);
    EXPECT(block_new(pool, 3000) == b);
    EXPECT(block_new(pool, 4000) == a);
    EXPECT_INT(blocks_kept(pool), 0);
    block_unref(a);
    block_unref(b);
    blocks_free(pool);
}

TEST(what_is_kept_is_bounded) {
    static const struct {
        size_t size, max;
    } cases[] = {{512, 1024}, {2048, 1024}, {4096, 1024}, {8192, 1024}, {16384, 256}, {65536, 64}, {262144, 8}, {262145, 0}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct blocks *pool = blocks_new();
        size_t count = cases[i].max + 5;
        struct block **held = xcalloc(count, sizeof(*held));
        for (size_t k = 0; k < count; k++)
            held[k] = block_new(pool, cases[i].size);
        for (size_t k = 0; k < count; k++)
            block_unref(held[k]);
        EXPECT_INT(blocks_kept(pool), cases[i].max * cases[i].size);
        EXPECT_INT(blocks_in_use(pool), 0);
        free(held);
        blocks_free(pool);
    }
}

static void use_at_most(struct blocks *pool, size_t size, int count) {
    struct block *held[64];
    for (int i = 0; i < count; i++)
        held[i] = block_new(pool, size);
    while (count > 0)
        block_unref(held[--count]);
}

TEST(trimming_keeps_what_the_last_period_used) {
    struct blocks *pool = blocks_new();
    use_at_most(pool, 4096, 64);
    use_at_most(pool, 512, 3);
    blocks_trim(pool); // all were used in the first period
    EXPECT_INT(blocks_kept(pool), 64 * 4096 + 3 * 512);
    use_at_most(pool, 4096, 10);
    blocks_trim(pool);
    EXPECT_INT(blocks_kept(pool), 10 * 4096);
    use_at_most(pool, 4096, 10);
    EXPECT_INT(blocks_kept(pool), 10 * 4096); // they came from the pool
    blocks_trim(pool);
    EXPECT_INT(blocks_kept(pool), 10 * 4096);
    blocks_trim(pool); // nothing was used
    EXPECT_INT(blocks_kept(pool), 0);
    blocks_free(pool);
}

TEST(pieces_are_trimmed_too) {
    struct blocks *pool = blocks_new();
    struct chain c;
    chain_init(&c, pool);
    for (int i = 0; i < PIECES_MAX + 10; i++)
        chain_add_const(&c, "x", 1);
    EXPECT_INT(pool->pieces_out, PIECES_MAX + 10);
    chain_done(&c);
    EXPECT_INT(pool->pieces_kept, PIECES_MAX);
    EXPECT_INT(pool->pieces_out, 0);
    blocks_trim(pool);
    for (int i = 0; i < 7; i++)
        chain_add_const(&c, "x", 1);
    chain_done(&c);
    blocks_trim(pool);
    EXPECT_INT(pool->pieces_kept, 7);
    blocks_trim(pool);
    EXPECT_INT(pool->pieces_kept, 0);
    blocks_free(pool);
}

static void free_a_pool_in_use(void *arg) {
    struct blocks *pool = blocks_new();
    struct block *b = block_new(pool, 1);
    blocks_free(pool);
    block_unref(b);
}

static void ask_for_too_much(void *arg) {
    block_unref(block_new(arg, ((size_t)1 << 30) + 1));
}

TEST(misuse_is_found) {
    EXPECT(test_dies(free_a_pool_in_use, NULL));
    struct blocks *pool = blocks_new();
    EXPECT(test_dies(ask_for_too_much, pool));
    blocks_free(pool);
}

static void touch_after_unref(void *arg) {
    struct block *b = block_new(arg, 100);
    block_unref(b);
    ((volatile char *)b->data)[99] = 1;
}

static void unref_twice(void *arg) {
    struct block *b = block_new(arg, 100);
    block_unref(b);
    block_unref(b);
}

static void touch_a_dropped_piece(void *arg) {
    struct chain c;
    chain_init(&c, arg);
    chain_add_const(&c, "abc", 3);
    struct piece *p = c.head;
    chain_drop(&c, 3);
    ((volatile struct piece *)p)->n = 1;
}

TEST(the_address_sanitizer_sees_use_after_the_last_unref) {
    struct blocks *pool = blocks_new();
    if (WEIR_ASAN) { // other builds cannot tell
        EXPECT(test_dies(touch_after_unref, pool));
        EXPECT(test_dies(unref_twice, pool));
        EXPECT(test_dies(touch_a_dropped_piece, pool));
    }
    blocks_free(pool);
}
