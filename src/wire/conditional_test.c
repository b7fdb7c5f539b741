#include "base/test.h"
#include "wire/conditional.h"

#define DAY   "Thu, 02 Jan 2020 03:04:05 GMT"
#define OLD   "Thu, 02 Jan 2020 03:04:04 GMT"
#define NEW   "Thu, 02 Jan 2020 03:04:06 GMT"
#define MTIME 1577934245

// nginx 1.22 answered the same for a file with this tag and date, except where a comment says what it answers.
TEST(conditional_requests) {
    static const struct {
        const char *fields; // "Name: value\n..."
        unsigned exact, before, off;
    } cases[] = {
        {"", 200, 200, 200},
        {"If-None-Match: \"t\"", 304, 304, 304},
        {"If-None-Match: W/\"t\"", 304, 304, 304},
        {"If-None-Match: \"x\", \"t\"", 304, 304, 304},
        {"If-None-Match: \"a,b\",\"t\"", 304, 304, 304},
        {"If-None-Match: *", 304, 304, 304},
        {"If-None-Match: \"x\"", 200, 200, 200},
        {"If-None-Match: t", 200, 200, 200},
        {"If-None-Match: \"t\"x", 200, 200, 200},
        {"If-None-Match: x\"t\"", 200, 200, 200},
        {"If-None-Match: \"t", 200, 200, 200},
        {"If-None-Match: w/\"t\"", 200, 200, 200},
        {"If-None-Match: *, \"x\"", 200, 200, 200},
        {"If-None-Match: ", 200, 200, 200},
        {"If-None-Match: \"x\"\nIf-None-Match: \"t\"", 304, 304, 304},    // 400
        {"If-None-Match: \"t\"\nIf-Modified-Since: " OLD, 304, 304, 304}, // 200
        {"If-None-Match: \"x\"\nIf-Modified-Since: " DAY, 200, 200, 200},
        {"If-None-Match: \"t\"\nIf-Modified-Since: " DAY, 304, 304, 304}, // off: 200
        {"If-Modified-Since: " DAY, 304, 304, 200},
        {"If-Modified-Since: " OLD, 200, 200, 200},
        {"If-Modified-Since: " NEW, 200, 304, 200},
        {"If-Modified-Since: x", 200, 200, 200},
        {"If-Unmodified-Since: " DAY, 200, 200, 200},
        {"If-Unmodified-Since: " OLD, 412, 412, 412},
        {"If-Unmodified-Since: " NEW, 200, 200, 200},
        {"If-Unmodified-Since: x", 200, 200, 200}, // 412
        {"If-Match: \"t\"", 200, 200, 200},
        {"If-Match: W/\"t\"", 412, 412, 412},
        {"If-Match: *", 200, 200, 200},
        {"If-Match: \"x\"", 412, 412, 412},
        {"If-Match: \"x\",\"t\"", 200, 200, 200},
        {"If-Match: t", 412, 412, 412},
        {"If-Match: ", 412, 412, 412},
        {"If-Match: \"t\"\nIf-Unmodified-Since: " OLD, 200, 200, 200}, // 412
        {"If-Match: \"x\"\nIf-Unmodified-Since: " DAY, 412, 412, 412},
        {"If-Match: \"t\"\nIf-None-Match: \"t\"", 304, 304, 304},
        {"If-Match: \"x\"\nIf-None-Match: \"t\"", 412, 412, 412},
        {"If-Unmodified-Since: " DAY "\nIf-Modified-Since: " DAY, 304, 304, 200},
    };
    static const unsigned statuses[] = {200, 304, 412};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct head h;
        arena_init(&arena, NULL);
        head_init(&h, &arena);
        h.method = METHOD_GET;
        struct str rest = str_c(cases[i].fields), line;
        while (rest.n != 0 && str_split(&rest, '\n', &line)) {
            ssize_t colon = str_chr(line, ':');
            struct str name = str_head(line, (size_t)colon);
            head_add(&h, field_id_of(name), name, str_trim(str_from(line, (size_t)colon + 1)));
        }
        unsigned got[] = {
            statuses[conditional_check(&h, STR("\"t\""), MTIME, IF_MODIFIED_SINCE_EXACT, MTIME)],
            statuses[conditional_check(&h, STR("\"t\""), MTIME, IF_MODIFIED_SINCE_BEFORE, MTIME)],
            statuses[conditional_check(&h, STR("\"t\""), MTIME, IF_MODIFIED_SINCE_OFF, MTIME)],
        };
        if (got[0] != cases[i].exact || got[1] != cases[i].before || got[2] != cases[i].off)
            test_fail(__FILE__, __LINE__, "%s: got %u %u %u", cases[i].fields, got[0], got[1], got[2]);
        arena_done(&arena);
    }
}

static enum conditional check(enum method method, enum field_id id, const char *value, const char *etag,
                              int64_t modified) {
    struct arena arena;
    struct head h;
    arena_init(&arena, NULL);
    head_init(&h, &arena);
    h.method = method;
    head_add_known(&h, id, str_c(value));
    enum conditional c = conditional_check(&h, str_c(etag), modified, IF_MODIFIED_SINCE_EXACT, MTIME);
    arena_done(&arena);
    return c;
}

TEST(conditional_by_method_and_validator) {
    EXPECT_INT(check(METHOD_HEAD, FIELD_IF_NONE_MATCH, "\"t\"", "\"t\"", MTIME), CONDITIONAL_NOT_MODIFIED);
    EXPECT_INT(check(METHOD_PUT, FIELD_IF_NONE_MATCH, "\"t\"", "\"t\"", MTIME), CONDITIONAL_FAILED);
    EXPECT_INT(check(METHOD_PUT, FIELD_IF_NONE_MATCH, "*", "", -1), CONDITIONAL_FAILED);
    EXPECT_INT(check(METHOD_POST, FIELD_IF_MODIFIED_SINCE, DAY, "\"t\"", MTIME), CONDITIONAL_GO_ON);
    EXPECT_INT(check(METHOD_DELETE, FIELD_IF_UNMODIFIED_SINCE, OLD, "\"t\"", MTIME), CONDITIONAL_FAILED);
    EXPECT_INT(check(METHOD_GET, FIELD_IF_NONE_MATCH, "\"\"", "", MTIME), CONDITIONAL_GO_ON);
    EXPECT_INT(check(METHOD_GET, FIELD_IF_MATCH, "\"\"", "", MTIME), CONDITIONAL_FAILED);
    EXPECT_INT(check(METHOD_GET, FIELD_IF_MATCH, "\"t\"", "W/\"t\"", MTIME), CONDITIONAL_FAILED);
    EXPECT_INT(check(METHOD_GET, FIELD_IF_MATCH, "W/\"t\"", "W/\"t\"", MTIME), CONDITIONAL_FAILED);
    EXPECT_INT(check(METHOD_GET, FIELD_IF_NONE_MATCH, "\"t\"", "W/\"t\"", MTIME), CONDITIONAL_NOT_MODIFIED);
    EXPECT_INT(check(METHOD_GET, FIELD_IF_MODIFIED_SINCE, DAY, "", -1), CONDITIONAL_GO_ON);
    EXPECT_INT(check(METHOD_GET, FIELD_IF_UNMODIFIED_SINCE, OLD, "", -1), CONDITIONAL_GO_ON);
}

TEST(etag_lists) {
    static const struct {
        const char *list, *tags;
    } cases[] = {
        {"", ""},
        {"\"a\"", "\"a\" "},
        {" \"a\" ,, W/\"b,c\"\t,\"\"", "\"a\" W/\"b,c\" \"\" "},
        {"\"a\"b, \"c\"", ""},
        {"\"a\", b, \"c\"", "\"a\" "},
        {"W/", ""},
        {"W/\"", ""},
        {"\"", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        arena_init(&arena, NULL);
        struct str rest = str_c(cases[i].list), tag, got = STR("");
        while (etag_next(&rest, &tag))
            got = arena_printf(&arena, "%.*s%.*s ", STR_ARG(got), STR_ARG(tag));
        EXPECT_STR(got, str_c(cases[i].tags));
        arena_done(&arena);
    }
}
