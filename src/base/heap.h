// A binary min-heap of objects that hold their own node; the smallest key is on top. One thread.
#pragma once
#include "base/base.h"

struct heap_node {
    uint64_t key;
    size_t index; // 1-based place in the heap; 0: not in a heap
};

struct heap {
    struct heap_node **at; // at[1..count]
    size_t count, cap;
};

void heap_init(struct heap *h);
void heap_done(struct heap *h);
void heap_add(struct heap *h, struct heap_node *n, uint64_t key); // n must not be in a heap
void heap_remove(struct heap *h, struct heap_node *n);            // harmless when not in a heap
void heap_change(struct heap *h, struct heap_node *n, uint64_t key);
static inline struct heap_node *heap_top(const struct heap *h) { return h->count ? h->at[1] : NULL; }
