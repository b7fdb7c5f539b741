#include "base/sbuf.h"
#include "base/test.h"
#include "wire/range.h"

static struct arena arena;

// "200", "416", or "first-last" of each range, as nginx answered for a file of `size` bytes with max_ranges.
static void expect_range(const char *value, uint64_t size, size_t max_ranges, const char *want) {
    char text[256];
    struct sbuf b;
    struct range *ranges = NULL;
    size_t count = 0;
    sbuf_init_fixed(&b, text, sizeof(text));
    switch (range_parse(str_c(value), size, max_ranges, &ranges, &count, &arena)) {
    case RANGE_WHOLE:
        sbuf_lit(&b, "200");
        break;
    case RANGE_UNSATISFIABLE:
        sbuf_lit(&b, "416");
        break;
    case RANGE_SOME:
        EXPECT(count >= 1 && count <= max_ranges);
        for (size_t i = 0; i < count; i++) {
            EXPECT(ranges[i].first < ranges[i].end && ranges[i].end <= size);
            sbuf_printf(&b, "%s%llu-%llu", i != 0 ? " " : "", (unsigned long long)ranges[i].first,
                        (unsigned long long)ranges[i].end - 1);
        }
    }
    if (!str_eq(sbuf_view(&b), str_c(want)))
        test_fail(__FILE__, __LINE__, "%s of %llu: got %.*s, want %s", value, (unsigned long long)size,
                  STR_ARG(sbuf_view(&b)), want);
}

TEST(ranges) {
    static const struct {
        const char *value, *want;
    } cases[] = {
        {"bytes=0-0", "0-0"},
        {"bytes=0-", "0-9"},
        {"bytes=-3", "7-9"},
        {"bytes=-20", "0-9"},
        {"bytes=9-", "9-9"},
        {"bytes=0-99", "0-9"},
        {"bytes=0-1,3-4", "0-1 3-4"},
        {"bytes=3-4, 0-1", "3-4 0-1"},
        {"bytes= 0 - 1 , 3-4 ", "0-1 3-4"},
        {"Bytes=0-0", "0-0"},
        {"BYTES=0-0", "0-0"},
        {"bytes=0-4,0-4", "0-4 0-4"},
        {"bytes=0-0,20-30", "0-0"},
        {"bytes=20-30,0-0", "0-0"},
        {"bytes=5-3,0-0", "0-0"},
        {"bytes=-0,0-0", "0-0"},
        {"bytes=0-9223372036854775807", "0-9"},
        {"bytes=0-1,2-3,4-5,6-7,8-8,9-9", "0-1 2-3 4-5 6-7 8-8 9-9"},
        {"bytes=-0", "416"},
        {"bytes=10-", "416"},
        {"bytes=5-3", "416"},
        {"bytes=20-30,40-50", "416"},
        {"bytes=9223372036854775807-", "416"},
        {"bytes=99999999999999999999-", "416"},
        {"bytes=0-99999999999999999999", "416"},
        {"bytes=-99999999999999999999", "416"},
        {"bytes=0-1,,3-4", "416"},
        {"bytes=0-1,", "416"},
        {"bytes=,0-1", "416"},
        {"bytes=-", "416"},
        {"bytes=a-b", "416"},
        {"bytes=1", "416"},
        {"bytes=0-1,x", "416"},
        {"bytes=0-1;", "416"},
        {"bytes=+0-1", "416"},
        {"bytes=-1-2", "416"},
        {"bytes=0-0\t,1-1", "416"},
        {"bytes=", "200"},
        {"bytes", "200"},
        {"", "200"},
        {"bytes =0-1", "200"},
        {"bits=0-0", "200"},
        {"bytes=0-5,0-5", "200"},
        {"bytes=0-9,0-0", "200"},
    };
    arena_init(&arena, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_range(cases[i].value, 10, INT32_MAX, cases[i].want);
    arena_done(&arena);
}

TEST(ranges_of_nothing) {
    static const struct {
        const char *value, *want;
    } cases[] = {
        {"bytes=0-0", "200"},     {"bytes=0-", "200"},        {"bytes=-3", "200"},          {"bytes=-0", "200"},
        {"bytes=0-1,3-4", "200"}, {"bytes=20-30,0-0", "200"}, {"bytes=20-30,40-50", "416"}, {"bytes=a-b", "416"},
    };
    arena_init(&arena, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_range(cases[i].value, 0, INT32_MAX, cases[i].want);
    arena_done(&arena);
}

TEST(ranges_are_limited) {
    arena_init(&arena, NULL);
    expect_range("bytes=0-0", 10, 0, "200");
    expect_range("bytes=a-b", 10, 0, "200");
    expect_range("bytes=20-30,40-50", 10, 0, "200");
    expect_range("bytes=0-0", 10, 1, "0-0");
    expect_range("bytes=0-0,20-30", 10, 1, "0-0");
    expect_range("bytes=0-1,3-4", 10, 1, "200");
    expect_range("bytes=-0", 10, 1, "416");
    expect_range("bytes=0-1,3-4", 10, 2, "0-1 3-4");
    expect_range("bytes=0-1,2-3,4-5", 10, 2, "200");
    expect_range("bytes=0-9223372036854775806,0-9223372036854775806", INT64_MAX, 9, "200");
    expect_range("bytes=0-9223372036854775807,0-0", (uint64_t)INT64_MAX, 9, "200");
    arena_done(&arena);
}

TEST(if_range) {
    static const char tag[] = "\"5e0d5da5-a\"", weak[] = "W/\"5e0d5da5-a\"";
    static const int64_t modified = 1577934245; // Thu, 02 Jan 2020 03:04:05 GMT
    static const struct {
        const char *if_range, *etag;
        int64_t last_modified;
        bool want;
    } cases[] = {
        {tag, tag, modified, true},
        {tag, tag, -1, true},
        {"\"x\"", tag, modified, false},
        {weak, tag, modified, false},
        {weak, weak, modified, false},
        {tag, weak, modified, false},
        {tag, "", modified, false},
        {"Thu, 02 Jan 2020 03:04:05 GMT", "", modified, true},
        {"Thu, 02 Jan 2020 03:04:05 GMT", tag, modified, true},
        {"Thu, 02 Jan 2020 03:04:04 GMT", tag, modified, false},
        {"Thu, 02 Jan 2020 03:04:06 GMT", tag, modified, false},
        {"Thu, 02 Jan 2020 03:04:05 GMT", tag, -1, false},
        {"x", tag, modified, false},
        {"", tag, modified, false},
        {"", "", -1, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (range_if_range(str_c(cases[i].if_range), str_c(cases[i].etag), cases[i].last_modified, modified) !=
            cases[i].want)
            test_fail(__FILE__, __LINE__, "case %zu: want %d", i, cases[i].want);
}
