// Names of objects, paths of their files, and which requests are one variant.
#include "base/test.h"
#include "cache/key.h"

TEST(cache_paths_are_those_of_nginx) {
    struct cache_id id;
    char path[128];
    EXPECT(cache_id_from_hex(STR("b7f54b2df7773722d382f4809d65029c"), &id));
    // The example of nginx's documentation.
    cache_file_path(path, STR("/data/nginx/cache"), (const unsigned char[]){1, 2, 0}, &id);
    EXPECT_STR(str_c(path), STR("/data/nginx/cache/c/29/b7f54b2df7773722d382f4809d65029c"));
    cache_file_path(path, STR("/c"), (const unsigned char[]){0, 0, 0}, &id);
    EXPECT_STR(str_c(path), STR("/c/b7f54b2df7773722d382f4809d65029c"));
    cache_file_path(path, STR("/c"), (const unsigned char[]){2, 2, 1}, &id);
    EXPECT_STR(str_c(path), STR("/c/9c/02/5/b7f54b2df7773722d382f4809d65029c"));
    cache_id_of(STR("abc"), &id);
    char hex[CACHE_NAME];
    cache_id_hex(&id, hex);
    EXPECT_STR(str_n(hex, sizeof hex), STR("900150983cd24fb0d6963f7d28e17f72"));
}

TEST(cache_names_are_32_small_digits) {
    struct cache_id id;
    EXPECT(!cache_id_from_hex(STR("b7f54b2df7773722d382f4809d65029"), &id));
    EXPECT(!cache_id_from_hex(STR("b7f54b2df7773722d382f4809d65029cc"), &id));
    EXPECT(!cache_id_from_hex(STR("B7f54b2df7773722d382f4809d65029c"), &id));
    EXPECT(!cache_id_from_hex(STR("g7f54b2df7773722d382f4809d65029c"), &id));
    EXPECT(!cache_id_from_hex(STR(""), &id));
}

static void read_fields(const char *fields, struct head *h, struct arena *arena) {
    head_init(h, arena);
    struct str rest = str_c(fields), line;
    while (rest.n != 0 && str_split(&rest, '\n', &line)) {
        ssize_t colon = str_chr(line, ':');
        struct str name = str_head(line, (size_t)colon);
        head_add(h, field_id_of(name), name, str_trim(str_from(line, (size_t)colon + 1)));
    }
}

TEST(cache_vary_in_one_form) {
    static const struct {
        const char *fields;
        const char *vary; // NULL: fits no other request
    } cases[] = {
        {"", ""},
        {"Vary: ", ""},
        {"Vary: Accept-Encoding", "accept-encoding"},
        {"Vary: Cookie , Accept", "accept,cookie"},
        {"Vary: b, a\nVary: A", "a,b"},
        {"Vary: *", NULL},
        {"Vary: a, *", NULL},
        {"Vary: a b", NULL},
        {"Vary: a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", "a"},
        {"Vary: a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        arena_init(&arena, NULL);
        struct head h;
        read_fields(cases[i].fields, &h, &arena);
        struct str vary = cache_vary(&h, &arena);
        EXPECT((vary.p == NULL) == (cases[i].vary == NULL));
        EXPECT_STR(vary, str_c(cases[i].vary));
        arena_done(&arena);
    }
}

TEST(cache_variants) {
    static const struct {
        const char *vary, *one, *other;
        bool same;
    } cases[] = {
        {"accept", "Accept: a", "Accept: a", true},
        {"accept", "Accept: a", "Accept: b", false},
        {"accept", "Accept: a, b", "Accept:  a,b ", true},
        {"accept", "Accept: a, b", "Accept: a\nAccept: b", true},
        {"accept", "Accept: a b", "Accept: ab", false},
        {"accept", "Accept: a", "", false},
        {"accept", "", "X: a", true},
        {"accept,x-a", "Accept: a\nX-A: b", "Accept: b\nX-A: a", false},
        {"accept,x-a", "X-A: 1", "Accept: 1", false},
        {"x-unknown", "x-unknown: 1", "X-Unknown: 1", true},
        {"x-unknown", "X-Unknown: 1", "X-Unknown: 2", false},
        {"", "Accept: a", "Accept: b", true},
    };
    struct cache_id main, other_main;
    cache_id_of(STR("key"), &main);
    cache_id_of(STR("other key"), &other_main);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        arena_init(&arena, NULL);
        struct head one, other;
        read_fields(cases[i].one, &one, &arena);
        read_fields(cases[i].other, &other, &arena);
        struct cache_id a, b, c;
        cache_variant_of(&main, str_c(cases[i].vary), &one, &a);
        cache_variant_of(&main, str_c(cases[i].vary), &other, &b);
        cache_variant_of(&other_main, str_c(cases[i].vary), &one, &c);
        if (cache_id_eq(&a, &b) != cases[i].same)
            test_fail(__FILE__, __LINE__, "case %zu", i);
        EXPECT(!cache_id_eq(&a, &c));
        arena_done(&arena);
    }
}
