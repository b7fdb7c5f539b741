// Binary min-heap. Children of place i are 2i and 2i+1.
#include "base/heap.h"
#include <stdlib.h>

void heap_init(struct heap *h) {
    *h = (struct heap){0};
}

void heap_done(struct heap *h) {
    for (size_t i = 1; i <= h->count; i++)
        h->at[i]->index = 0;
    free(h->at);
    heap_init(h);
}

static inline void set(struct heap *h, size_t i, struct heap_node *n) {
    h->at[i] = n;
    n->index = i;
}

// Finds n its place, from the hole at i upwards.
static void sift_up(struct heap *h, size_t i, struct heap_node *n) {
    for (; i > 1 && h->at[i / 2]->key > n->key; i /= 2)
        set(h, i, h->at[i / 2]);
    set(h, i, n);
}

static void sift_down(struct heap *h, size_t i, struct heap_node *n) {
    for (size_t child = i * 2; child <= h->count; child = i * 2) {
        if (child < h->count && h->at[child + 1]->key < h->at[child]->key)
            child++;
        if (h->at[child]->key >= n->key)
            break;
        set(h, i, h->at[child]);
        i = child;
    }
    set(h, i, n);
}

static void sift(struct heap *h, size_t i, struct heap_node *n) {
    if (i > 1 && h->at[i / 2]->key > n->key)
        sift_up(h, i, n);
    else
        sift_down(h, i, n);
}

void heap_add(struct heap *h, struct heap_node *n, uint64_t key) {
    CHECK(n->index == 0);
    if (h->count + 1 >= h->cap) {
        h->cap = h->cap != 0 ? h->cap * 2 : 16;
        h->at = xrealloc(h->at, h->cap * sizeof(struct heap_node *));
    }
    n->key = key;
    sift_up(h, ++h->count, n);
}

void heap_remove(struct heap *h, struct heap_node *n) {
    size_t i = n->index;
    if (i == 0)
        return;
    CHECK(i <= h->count && h->at[i] == n);
    struct heap_node *last = h->at[h->count--];
    if (last != n)
        sift(h, i, last);
    n->index = 0;
}

void heap_change(struct heap *h, struct heap_node *n, uint64_t key) {
    CHECK(n->index != 0 && n->index <= h->count && h->at[n->index] == n);
    n->key = key;
    sift(h, n->index, n);
}
