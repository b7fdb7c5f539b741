#include "base/heap.h"
#include "base/test.h"

static uint32_t random_u32(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static void verify(const struct heap *h) {
    for (size_t i = 1; i <= h->count; i++) {
        EXPECT_INT(h->at[i]->index, i);
        EXPECT(i == 1 || h->at[i / 2]->key <= h->at[i]->key);
    }
}

TEST(the_smallest_is_on_top_whatever_happens) {
    enum { NODES = 300 };
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct heap_node nodes[NODES] = {{0}};
        struct heap h;
        uint64_t state = seed, range = seed % 2 ? 50 : UINT32_MAX;
        heap_init(&h);
        EXPECT(heap_top(&h) == NULL);
        for (int op = 0; op < 5000; op++) {
            struct heap_node *n = &nodes[random_u32(&state) % NODES];
            uint64_t key = random_u32(&state) % range;
            if (n->index == 0)
                heap_add(&h, n, key);
            else if (random_u32(&state) % 3 == 0)
                heap_remove(&h, n);
            else
                heap_change(&h, n, key);
            verify(&h);
            size_t count = 0;
            uint64_t smallest = UINT64_MAX;
            for (int i = 0; i < NODES; i++) {
                count += nodes[i].index != 0;
                smallest = nodes[i].index != 0 ? MIN(smallest, nodes[i].key) : smallest;
            }
            EXPECT_INT(h.count, count);
            EXPECT(count == 0 ? heap_top(&h) == NULL : heap_top(&h)->key == smallest);
        }
        uint64_t last = 0;
        while (heap_top(&h) != NULL) {
            struct heap_node *n = heap_top(&h);
            EXPECT(n->key >= last);
            last = n->key;
            heap_remove(&h, n);
            heap_remove(&h, n); // harmless
            EXPECT_INT(n->index, 0);
        }
        heap_done(&h);
    }
}

TEST(extreme_keys_and_done) {
    struct heap_node a = {0}, b = {0}, c = {0};
    struct heap h;
    heap_init(&h);
    heap_add(&h, &a, UINT64_MAX);
    heap_add(&h, &b, 0);
    heap_add(&h, &c, (uint64_t)1 << 63);
    EXPECT(heap_top(&h) == &b);
    heap_change(&h, &b, UINT64_MAX);
    EXPECT(heap_top(&h) == &c);
    heap_done(&h);
    EXPECT(a.index == 0 && b.index == 0 && c.index == 0); // they may go into another
}

static void add_twice(void *arg) {
    struct heap h;
    heap_init(&h);
    heap_add(&h, arg, 1);
    heap_add(&h, arg, 1);
}

TEST(adding_twice_is_found) {
    struct heap_node n = {0};
    EXPECT(test_dies(add_twice, &n));
}
