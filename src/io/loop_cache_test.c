#include "base/test.h"
#include "io/loop.h"
#include "io/loop_cache.h"

struct thing {
    struct cached cached;
    int value;
};
static int released;
static void release(struct cached *e) { released += container_of(e, struct thing, cached)->value; }
static struct loop_cache_kind things = {.entry_size = sizeof(struct thing), .release = release};
static struct loop_cache_kind others = {.entry_size = sizeof(struct cached), .release = release};

static struct thing *add(struct loop_cache *c, const char *key, size_t max, int value) {
    struct thing *t = container_of(loop_cache_add(c, str_c(key), max, 1000), struct thing, cached);
    t->value = value;
    return t;
}

TEST(the_one_not_used_for_longest_goes_first) {
    struct loop *l = loop_new(0);
    struct loop_cache *c = loop_cache_of(l, &things);
    EXPECT(c == loop_cache_of(l, &things) && c != loop_cache_of(l, &others));
    add(c, "a", 3, 1);
    add(c, "b", 3, 10);
    add(c, "c", 3, 100);
    EXPECT_INT(loop_cache_find(c, STR("a"), 1000)->uses, 2);
    add(c, "d", 3, 1000);
    EXPECT_INT(released, 10);
    EXPECT(loop_cache_find(c, STR("b"), 1000) == NULL);
    add(c, "e", 1, 10000); // another's limit may be lower
    EXPECT_INT(released, 1111);
    loop_cache_remove(c, loop_cache_find(c, STR("e"), 1000));
    EXPECT_INT(released, 11111);
    add(c, "f", 3, 1);
    loop_free(l);
    EXPECT_INT(released, 11112);
}

TEST(what_nobody_uses_goes_by_itself) {
    struct loop *l = loop_new(0);
    struct loop_cache *c = loop_cache_of(l, &things);
    add(c, "a", 3, 1)->cached.inactive_ms = 10;
    add(c, "b", 3, 10)->cached.inactive_ms = 60000;
    uint64_t begun = loop_clock_now();
    while (released == 0 && loop_clock_now() - begun < 20000)
        loop_turn(l, 50);
    EXPECT_INT(released, 1);
    EXPECT(loop_cache_find(c, STR("a"), 1000) == NULL && loop_cache_find(c, STR("b"), 60000) != NULL);
    loop_free(l);
}
