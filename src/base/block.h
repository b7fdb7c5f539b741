// Counted blocks of bytes and the pool that they return to. A pool belongs to one loop: neither it nor its blocks may be
// touched by another thread. Freed blocks are kept warm, last in first out, up to a bound for each size class.
#pragma once
#include "base/base.h"

struct blocks; // the pool

enum { BLOCK_SIZES = 8 };
// Usable sizes of the classes, in bytes: 512, 2 Ki, 4 Ki, 8 Ki, 16 Ki, 64 Ki, 256 Ki, and one for anything larger (never kept).
// Each is the usable size; the header is on top of it.
extern const size_t block_sizes[BLOCK_SIZES];

struct block {
    struct blocks *pool;
    uint32_t refs;
    uint32_t size; // usable bytes
    struct block *next_free;
    uint32_t class; // index into block_sizes
    char data[] __attribute__((aligned(16)));
};

struct blocks *blocks_new(void);
void blocks_free(struct blocks *pool); // every block must have come back (checked)
// Returns kept blocks beyond what the last period used to the system; called from a slow timer. Does not wait.
void blocks_trim(struct blocks *pool);
size_t blocks_in_use(const struct blocks *pool);    // bytes handed out
size_t blocks_kept(const struct blocks *pool);      // bytes waiting in the pool

// At least `size` usable bytes, one reference. Never NULL up to 1 GiB (memory out aborts the worker, as a full stop is
// safer than a half-made answer); size above 1 GiB is a bug of ours.
struct block *block_new(struct blocks *pool, size_t size) MUST_USE;
static inline struct block *block_ref(struct block *b) {
    b->refs++;
    return b;
}
void block_last_unref(struct block *b);
static inline void block_unref(struct block *b) {
    if (b != NULL && --b->refs == 0)
        block_last_unref(b);
}
