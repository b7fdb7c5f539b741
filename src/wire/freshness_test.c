// Tables of what nginx (1.22, and its documentation for what came later) and RFC 9111 say.
#include "wire/freshness.h"
#include "base/test.h"

#define NOW    1577934245 // Thu, 02 Jan 2020 03:04:05 GMT
#define LATER  "Thu, 02 Jan 2020 03:05:05 GMT" // 60 seconds
#define BEFORE "Thu, 02 Jan 2020 03:04:04 GMT"

static void read_fields(const char *fields, struct head *h, struct arena *arena) {
    head_init(h, arena);
    struct str rest = str_c(fields), line;
    while (rest.n != 0 && str_split(&rest, '\n', &line)) {
        ssize_t colon = str_chr(line, ':');
        struct str name = str_head(line, (size_t)colon);
        head_add(h, field_id_of(name), name, str_trim(str_from(line, (size_t)colon + 1)));
    }
}

TEST(freshness_of_responses) {
    static const struct {
        const char *fields;
        unsigned ignore;
        int kind;
        int64_t in; // seconds from now
        bool by_origin;
        int64_t swr, sie;
    } cases[] = {
        {"", 0, FRESHNESS_UNSAID, 0, false, 0, 0},
        {"Cache-Control: max-age=60", 0, FRESHNESS_UNTIL, 60, true, 0, 0},
        {"Cache-Control: MAX-AGE=60", 0, FRESHNESS_UNTIL, 60, true, 0, 0},
        {"Cache-Control: max-age=\"60\"", 0, FRESHNESS_UNTIL, 60, true, 0, 0},
        {"Cache-Control: public, max-age=60", 0, FRESHNESS_UNTIL, 60, true, 0, 0},
        {"Cache-Control: max-age=0", 0, FRESHNESS_NEVER, 0, true, 0, 0},
        {"Cache-Control: max-age=x", 0, FRESHNESS_NEVER, 0, false, 0, 0},
        {"Cache-Control: max-age=", 0, FRESHNESS_NEVER, 0, false, 0, 0},
        {"Cache-Control: max-age=-1", 0, FRESHNESS_NEVER, 0, false, 0, 0},
        {"Cache-Control: max-age=1.5", 0, FRESHNESS_NEVER, 0, false, 0, 0},
        {"Cache-Control: max-age=99999999999999999999", 0, FRESHNESS_UNTIL, (int64_t)1 << 31, true, 0, 0},
        {"Cache-Control: s-maxage=10, max-age=60", 0, FRESHNESS_UNTIL, 10, true, 0, 0},
        {"Cache-Control: max-age=10, s-maxage=60", 0, FRESHNESS_UNTIL, 60, true, 0, 0},
        {"Cache-Control: max-age=60, max-age=10", 0, FRESHNESS_UNTIL, 10, true, 0, 0},
        {"Cache-Control: max-age=10, s-maxage=0", 0, FRESHNESS_NEVER, 0, true, 0, 0},
        {"Cache-Control: no-cache", 0, FRESHNESS_NEVER, 0, false, 0, 0},
        {"Cache-Control: no-cache, max-age=60", 0, FRESHNESS_NEVER, 0, false, 0, 0},
        {"Cache-Control: max-age=60\nCache-Control: no-store", 0, FRESHNESS_NEVER, 0, false, 0, 0},
        {"Cache-Control: private=\"x, y\", max-age=60", 0, FRESHNESS_NEVER, 0, false, 0, 0},
        {"Cache-Control: public", 0, FRESHNESS_UNSAID, 0, false, 0, 0},
        {"Cache-Control: xmax-age=60", 0, FRESHNESS_UNSAID, 0, false, 0, 0},
        {"Cache-Control: public\nExpires: " LATER, 0, FRESHNESS_UNTIL, 60, true, 0, 0},
        {"Cache-Control: max-age=60", FRESHNESS_NO_CACHE_CONTROL, FRESHNESS_UNSAID, 0, false, 0, 0},
        {"Cache-Control: max-age=60, stale-while-revalidate=5, stale-if-error=7", 0, FRESHNESS_UNTIL, 60, true, 5, 7},
        {"Cache-Control: stale-while-revalidate=x, max-age=60", 0, FRESHNESS_UNTIL, 60, true, 0, 0},
        {"Cache-Control: stale-if-error=9\nX-Accel-Expires: 5", 0, FRESHNESS_UNTIL, 5, false, 0, 9},
        {"Expires: " LATER, 0, FRESHNESS_UNTIL, 60, true, 0, 0},
        {"Expires: " BEFORE, 0, FRESHNESS_NEVER, -1, true, 0, 0},
        {"Expires: 0", 0, FRESHNESS_NEVER, -NOW, true, 0, 0},
        {"Expires: Thu, 02 Jan 2020 03:04:05 GMT", 0, FRESHNESS_NEVER, 0, true, 0, 0},
        {"Expires: " LATER, FRESHNESS_NO_EXPIRES, FRESHNESS_UNSAID, 0, false, 0, 0},
        {"Expires: " LATER "\nCache-Control: max-age=10", 0, FRESHNESS_UNTIL, 10, true, 0, 0},
        {"Expires: " LATER "\nCache-Control: no-store", 0, FRESHNESS_NEVER, 0, false, 0, 0},
        {"X-Accel-Expires: 10", 0, FRESHNESS_UNTIL, 10, false, 0, 0},
        {"X-Accel-Expires: 0", 0, FRESHNESS_NEVER, 0, false, 0, 0},
        {"X-Accel-Expires: @1577934255", 0, FRESHNESS_UNTIL, 10, false, 0, 0},
        {"X-Accel-Expires: @0", 0, FRESHNESS_NEVER, -NOW, false, 0, 0},
        {"X-Accel-Expires: x", 0, FRESHNESS_UNSAID, 0, false, 0, 0},
        {"X-Accel-Expires: x\nCache-Control: max-age=3", 0, FRESHNESS_UNTIL, 3, true, 0, 0},
        {"Cache-Control: no-cache\nX-Accel-Expires: 10", 0, FRESHNESS_UNTIL, 10, false, 0, 0},
        {"X-Accel-Expires: 0\nCache-Control: max-age=60", 0, FRESHNESS_NEVER, 0, false, 0, 0},
        {"X-Accel-Expires: 10", FRESHNESS_NO_ACCEL, FRESHNESS_UNSAID, 0, false, 0, 0},
        {"Cache-Control: max-age=60\nAge: 20", 0, FRESHNESS_UNTIL, 40, true, 0, 0},
        {"Cache-Control: max-age=60\nAge: 60", 0, FRESHNESS_NEVER, 0, true, 0, 0},
        {"Cache-Control: max-age=60\nAge: x", 0, FRESHNESS_UNTIL, 60, true, 0, 0},
        {"X-Accel-Expires: 10\nAge: 20", 0, FRESHNESS_UNTIL, 10, false, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        arena_init(&arena, NULL);
        struct head h;
        read_fields(cases[i].fields, &h, &arena);
        struct freshness f;
        freshness_of(&h, cases[i].ignore, NOW, &f);
        if (f.kind != (enum freshness_kind)cases[i].kind || f.by_origin != cases[i].by_origin ||
            f.while_revalidate != cases[i].swr || f.if_error != cases[i].sie ||
            (f.kind == FRESHNESS_UNTIL && f.until - NOW != cases[i].in))
            test_fail(__FILE__, __LINE__, "%s: kind %d until %+lld origin %d swr %lld sie %lld", cases[i].fields, f.kind,
                      (long long)(f.until - NOW), f.by_origin, (long long)f.while_revalidate, (long long)f.if_error);
        arena_done(&arena);
    }
}
