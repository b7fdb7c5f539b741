// The inside of the pool: what chain.c needs to take its pieces from it. Private to base.
#pragma once
#include "base/block.h"

struct piece;

enum { PIECES_MAX = 8192 };               // kept at most

struct block_class {
    struct block *free; // newest first
    uint32_t kept, max; // kept <= max; max is 0 for the last class
    uint32_t low;       // the fewest kept since the last trim: so many were not needed
};

// Invariant: in_use is the sum of `size` over the blocks handed out. Thread: the loop that owns the pool.
struct blocks {
    uint32_t magic;
    uint32_t pieces_kept, pieces_low;
    struct piece *pieces; // free ones, newest first
    size_t pieces_out;
    size_t in_use;
    struct block_class classes[BLOCK_SIZES];
};

void pieces_free(struct piece *first); // a list of free pieces, back to the system
void pieces_trim(struct blocks *pool);
