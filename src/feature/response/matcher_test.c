#include "feature/response/matcher.h"
#include "base/test.h"

// The plain way: at each place, each text in its order.
static int plain_at(const struct str *texts, unsigned count, struct str s) {
    for (unsigned i = 0; i < count; i++) {
        if (texts[i].n != 0 && str_istarts(s, texts[i]))
            return (int)i;
    }
    return MATCH_NONE;
}

static uint32_t random_next(uint32_t *state) { return *state = *state * 1664525 + 1013904223; }

TEST(matcher_agrees_with_the_plain_way) {
    struct arena a;
    arena_init(&a, NULL);
    uint32_t seed = 7;
    for (int round = 0; round < 300; round++) {
        char letters[6][8], text[200];
        struct str texts[6];
        unsigned count = 1 + random_next(&seed) % 6;
        for (unsigned i = 0; i < count; i++) {
            size_t n = (random_next(&seed) >> 8) % 7;
            for (size_t k = 0; k < n; k++)
                letters[i][k] = "abAB<"[(random_next(&seed) >> 8) % 5];
            texts[i] = str_n(letters[i], n);
        }
        for (size_t i = 0; i < sizeof(text); i++)
            text[i] = "abAB<x"[(random_next(&seed) >> 8) % 6];
        struct matcher m;
        matcher_init(&m, texts, count, &a);
        if (m.shortest == 0)
            continue;
        for (size_t from = 0; from + m.shortest <= sizeof(text);) {
            size_t at = matcher_scan(&m, text, sizeof(text), from);
            // Nothing was jumped over.
            for (size_t i = from; i < at && i + m.shortest <= sizeof(text); i++)
                EXPECT_INT(plain_at(texts, count, str_n(text + i, sizeof(text) - i)), MATCH_NONE);
            if (at == sizeof(text))
                break;
            EXPECT_INT(matcher_at(&m, text + at, sizeof(text) - at, true, NULL), plain_at(texts, count, str_n(text + at, sizeof(text) - at)));
            from = at + 1;
        }
    }
    arena_done(&a);
}

TEST(matcher_says_when_it_needs_more) {
    struct arena a;
    arena_init(&a, NULL);
    struct str texts[] = {STR("hello"), STR("he"), STR("")};
    struct matcher m;
    matcher_init(&m, texts, 3, &a);
    EXPECT_INT(m.shortest, 2);
    EXPECT_INT(m.longest, 5);
    EXPECT_INT(matcher_at(&m, "HELL", 4, false, NULL), MATCH_MORE); // the first text may still come
    EXPECT_INT(matcher_at(&m, "HELL", 4, true, NULL), 1);
    EXPECT_INT(matcher_at(&m, "HELP", 4, false, NULL), 1);
    EXPECT_INT(matcher_at(&m, "Hello", 5, false, NULL), 0);
    EXPECT_INT(matcher_at(&m, "hx", 2, false, NULL), MATCH_NONE);
    bool done[] = {true, false, false};
    EXPECT_INT(matcher_at(&m, "hello", 5, false, done), 1);
    arena_done(&a);
}

TEST(matcher_takes_long_texts) {
    struct arena a;
    arena_init(&a, NULL);
    char text[700];
    memset(text, 'x', sizeof(text));
    text[650] = 'Y';
    struct str one = str_n(text + 100, 551); // 550 x and the Y
    struct matcher m;
    matcher_init(&m, &one, 1, &a);
    size_t at = 0;
    while ((at = matcher_scan(&m, text, sizeof(text), at)) < sizeof(text) && matcher_at(&m, text + at, sizeof(text) - at, true, NULL) < 0)
        at++;
    EXPECT_INT(at, 100);
    arena_done(&a);
}
