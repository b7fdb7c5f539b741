// The pool of blocks: per size class a stack of free blocks, so that the one touched last, still warm, goes out first.
#include "base/block_private.h"
#include "base/poison.h"
#include <stdlib.h>

#define BLOCKS_MAGIC 0xb10c5001u

const size_t block_sizes[BLOCK_SIZES] = {512, 2048, 4096, 8192, 16384, 65536, 262144, (size_t)1 << 30};
static const uint32_t keep_max[BLOCK_SIZES] = {1024, 1024, 1024, 1024, 256, 64, 8, 0};

// The class by the number of bits of size - 1: up to 9 bits are up to 512 bytes.
static const uint8_t class_by_bits[65] = {
    [0 ... 9] = 0, [10 ... 11] = 1, [12] = 2, [13] = 3, [14] = 4, [15 ... 16] = 5, [17 ... 18] = 6, [19 ... 64] = 7,
};

static inline unsigned class_of(size_t size) {
    return class_by_bits[64 - __builtin_clzll((size - (size != 0)) | 1)];
}

struct blocks *blocks_new(void) {
    struct blocks *pool = xcalloc(1, sizeof(*pool));
    pool->magic = BLOCKS_MAGIC;
    for (unsigned i = 0; i < BLOCK_SIZES; i++)
        pool->classes[i].max = keep_max[i];
    return pool;
}

static void free_list(struct block *b, size_t size) {
    while (b != NULL) {
        unpoison(b, sizeof(*b) + size);
        struct block *next = b->next_free;
        free(b);
        b = next;
    }
}

void blocks_free(struct blocks *pool) {
    if (pool == NULL)
        return;
    CHECK_OBJ(pool, BLOCKS_MAGIC);
    CHECK(pool->in_use == 0);
    CHECK(pool->pieces_out == 0);
    for (unsigned i = 0; i < BLOCK_SIZES; i++)
        free_list(pool->classes[i].free, block_sizes[i]);
    pieces_free(pool->pieces);
    pool->magic = 0;
    free(pool);
}

static COLD struct block *from_system(struct blocks *pool, size_t size, unsigned class) {
    CHECK(size <= block_sizes[BLOCK_SIZES - 1]);
    size_t usable = class < BLOCK_SIZES - 1 ? block_sizes[class] : (size + 15) & ~(size_t)15;
    struct block *b = xmalloc(sizeof(*b) + usable);
    *b = (struct block){.pool = pool, .refs = 1, .size = (uint32_t)usable, .class = class};
    pool->in_use += usable;
    return b;
}

struct block *block_new(struct blocks *pool, size_t size) {
    unsigned class = class_of(size);
    struct block_class *c = &pool->classes[class];
    struct block *b = c->free; // always NULL in the last class
    if (UNLIKELY(b == NULL))
        return from_system(pool, size, class);
    unpoison(b, sizeof(*b) + block_sizes[class]);
    c->free = b->next_free;
    __builtin_prefetch(c->free, 1); // the next one to go out
    if (--c->kept < c->low)
        c->low = c->kept;
    b->refs = 1;
    pool->in_use += b->size;
    return b;
}

void block_last_unref(struct block *b) {
    struct blocks *pool = b->pool;
    struct block_class *c = &pool->classes[b->class];
    pool->in_use -= b->size;
    if (UNLIKELY(c->kept >= c->max)) {
        free(b);
        return;
    }
    b->next_free = c->free;
    c->free = b;
    c->kept++;
    poison(b, sizeof(*b) + b->size);
}

// Cuts off the coldest blocks, those at the bottom, that stayed in the stack for the whole period.
static void trim_class(struct block_class *c, size_t size) {
    struct block **cut = &c->free;
    for (uint32_t stay = c->kept - c->low; stay != 0; stay--) {
        unpoison(*cut, sizeof(**cut));
        cut = &(*cut)->next_free;
    }
    free_list(*cut, size);
    *cut = NULL;
    c->kept -= c->low;
    c->low = c->kept;
    for (struct block *b = c->free; WEIR_ASAN && b != NULL;) {
        struct block *next = b->next_free;
        poison(b, sizeof(*b));
        b = next;
    }
}

void blocks_trim(struct blocks *pool) {
    CHECK_OBJ(pool, BLOCKS_MAGIC);
    for (unsigned i = 0; i < BLOCK_SIZES; i++)
        trim_class(&pool->classes[i], block_sizes[i]);
    pieces_trim(pool);
}

size_t blocks_in_use(const struct blocks *pool) {
    return pool->in_use;
}

size_t blocks_kept(const struct blocks *pool) {
    size_t sum = 0;
    for (unsigned i = 0; i < BLOCK_SIZES; i++)
        sum += pool->classes[i].kept * block_sizes[i];
    return sum;
}
