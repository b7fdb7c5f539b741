#include "base/map.h"
#include "base/test.h"
#include <stdio.h>
#include <stdlib.h>

static uint32_t random_u32(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

enum { KEYS = 700 };

static void verify_all(const struct map *m, char names[KEYS][16], void *const *model) {
    size_t count = 0, seen = 0, at = 0;
    for (int i = 0; i < KEYS; i++) {
        EXPECT(map_get(m, str_c(names[i])) == model[i]);
        count += model[i] != NULL;
    }
    EXPECT_INT(m->count, count);
    struct str key;
    void *value;
    while (map_next(m, &at, &key, &value)) {
        uint64_t i;
        EXPECT(str_u64(str_from(key, 3), KEYS, &i));
        EXPECT(model[i] == value);
        seen++;
    }
    EXPECT_INT(seen, count);
}

TEST(random_operations_agree_with_an_array) {
    static char names[KEYS][16];
    for (int i = 0; i < KEYS; i++)
        snprintf(names[i], sizeof(names[i]), "Key%d", i);
    for (uint64_t seed = 1; seed <= 6; seed++) {
        void *model[KEYS] = {NULL};
        static char values[1000];
        uint64_t state = seed;
        struct map m;
        map_init(&m, seed % 2, seed * 12345);
        for (int op = 0; op < 20000; op++) {
            // Few keys first: long life in a small table; then more.
            int i = (int)(random_u32(&state) % (op < 10000 ? 30 : KEYS));
            void *value = &values[random_u32(&state) % sizeof(values)];
            if (random_u32(&state) % 2) {
                EXPECT(map_put(&m, str_c(names[i]), value) == model[i]);
                model[i] = value;
            } else {
                EXPECT(map_del(&m, str_c(names[i])) == model[i]);
                model[i] = NULL;
            }
            if (op % 500 == 0)
                verify_all(&m, names, model);
        }
        verify_all(&m, names, model);
        map_done(&m);
        EXPECT(map_get(&m, STR("Key1")) == NULL && m.count == 0);
    }
}

TEST(an_empty_map_answers) {
    struct map m;
    map_init(&m, false, 1);
    size_t at = 0;
    struct str key;
    void *value;
    EXPECT(map_get(&m, STR("a")) == NULL && map_del(&m, STR("a")) == NULL && !map_next(&m, &at, &key, &value));
    EXPECT(map_put(&m, STR_NONE, &m) == NULL && map_get(&m, STR("")) == &m);
    map_done(&m);
}

TEST(case_counts_unless_folded) {
    struct map m;
    int a, b;
    map_init(&m, true, 3);
    EXPECT(map_put(&m, STR("Host"), &a) == NULL);
    EXPECT(map_put(&m, STR("HOST"), &b) == &a);
    EXPECT(map_get(&m, STR("host")) == &b && m.count == 1);
    map_done(&m);
    map_init(&m, false, 3);
    EXPECT(map_put(&m, STR("Host"), &a) == NULL && map_put(&m, STR("HOST"), &b) == NULL);
    EXPECT(map_get(&m, STR("host")) == NULL && m.count == 2);
    map_done(&m);
}

// A value often holds its own key: when it goes, the map must not look at the old key any more.
TEST(a_new_value_brings_its_key) {
    struct map m;
    int a, b;
    map_init(&m, false, 4);
    char *key = xstrdup("key");
    EXPECT(map_put(&m, str_c(key), &a) == NULL);
    EXPECT(map_put(&m, STR("key"), &b) == &a);
    free(key);
    EXPECT(map_get(&m, STR("key")) == &b);
    map_done(&m);
}
