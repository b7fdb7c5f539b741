#include "base/json.h"
#include "base/test.h"

TEST(escaping) {
    static const struct {
        struct str in, out;
    } cases[] = {
        {STR_INIT(""), STR_INIT("")},
        {STR_INIT("plain / text"), STR_INIT("plain / text")},
        {STR_INIT("\"\\"), STR_INIT("\\\"\\\\")},
        {STR_INIT("a\b\f\n\r\tz"), STR_INIT("a\\b\\f\\n\\r\\tz")},
        {STR_INIT("\0\1\x1f\x7f"), STR_INIT("\\u0000\\u0001\\u001f\x7f")},
        // Valid: the ends of each length.
        {STR_INIT("\xc2\x80\xdf\xbf"), STR_INIT("\xc2\x80\xdf\xbf")},
        {STR_INIT("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"),
         STR_INIT("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf")},
        {STR_INIT("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), STR_INIT("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")},
        // Not valid: one mark for each longest part that could have begun a character.
        {STR_INIT("\x80"), STR_INIT("\xef\xbf\xbd")},
        {STR_INIT("a\xffz"), STR_INIT("a\xef\xbf\xbdz")},
        {STR_INIT("\xc0\x80"), STR_INIT("\xef\xbf\xbd\xef\xbf\xbd")},                 // overlong
        {STR_INIT("\xe0\x9f\xbf"), STR_INIT("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd")}, // overlong
        {STR_INIT("\xed\xa0\x80"), STR_INIT("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd")}, // surrogate
        {STR_INIT("\xf4\x90\x80\x80"), STR_INIT("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd")},
        {STR_INIT("\xf5\x80"), STR_INIT("\xef\xbf\xbd\xef\xbf\xbd")},
        {STR_INIT("\xc3"), STR_INIT("\xef\xbf\xbd")}, // cut short
        {STR_INIT("\xe2\x82"), STR_INIT("\xef\xbf\xbd")},
        {STR_INIT("\xf0\x9f\x98"), STR_INIT("\xef\xbf\xbd")},
        {STR_INIT("\xf0\x9f\x98\""), STR_INIT("\xef\xbf\xbd\\\"")}, // what follows is not swallowed
        {STR_INIT("\xe2\x82\xc3\xa9"), STR_INIT("\xef\xbf\xbd\xc3\xa9")},
        {STR_INIT("\xc3\n"), STR_INIT("\xef\xbf\xbd\\n")},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char storage[128];
        struct sbuf b;
        sbuf_init_fixed(&b, storage, sizeof(storage));
        json_escape(&b, cases[i].in);
        EXPECT_STR(sbuf_view(&b), cases[i].out);
    }
}

TEST(nesting_and_commas) {
    char storage[512];
    struct sbuf b;
    struct json j;
    sbuf_init_fixed(&b, storage, sizeof(storage));
    json_init(&j, &b);
    json_object(&j, NULL);
    json_str(&j, "s", STR("a\"b"));
    json_u64(&j, "max", UINT64_MAX);
    json_i64(&j, "min", INT64_MIN);
    json_i64(&j, "one", 1);
    json_array(&j, "list");
    json_u64(&j, NULL, 0);
    json_object(&j, NULL);
    json_object_end(&j);
    json_array(&j, NULL);
    json_array_end(&j);
    json_bool(&j, NULL, false);
    json_array_end(&j);
    json_bool(&j, "k\ney", true);
    json_null(&j, "none");
    json_object_end(&j);
    EXPECT_STR(sbuf_view(&b),
               STR("{\"s\":\"a\\\"b\",\"max\":18446744073709551615,\"min\":-9223372036854775808,\"one\":1,"
                   "\"list\":[0,{},[],false],\"k\\ney\":true,\"none\":null}"));
    EXPECT(!b.overflow && j.depth == 0);
}

static void with_writer(void (*fn)(struct json *j)) {
    char storage[512];
    struct sbuf b;
    struct json j;
    sbuf_init_fixed(&b, storage, sizeof(storage));
    json_init(&j, &b);
    fn(&j);
}
static void end_too_often(struct json *j) {
    json_object_end(j);
}
static void end_the_wrong_kind(struct json *j) {
    json_array(j, NULL);
    json_object_end(j);
}
static void forget_a_key(struct json *j) {
    json_object(j, NULL);
    json_null(j, NULL);
}
static void give_a_key_in_an_array(struct json *j) {
    json_array(j, NULL);
    json_null(j, "key");
}
static void two_values_at_the_top(struct json *j) {
    json_null(j, NULL);
    json_null(j, NULL);
}
static void nest_too_deep(struct json *j) {
    for (int i = 0; i < 32; i++)
        json_array(j, NULL);
}
static void nest_deep_enough(struct json *j) {
    for (int i = 0; i < 31; i++)
        json_array(j, NULL);
    for (int i = 0; i < 31; i++)
        json_array_end(j);
}

static void run(void *arg) {
    with_writer(*(void (**)(struct json *))arg);
}

TEST(misuse_is_found) {
    static void (*const bad[])(struct json *) = {end_too_often,          end_the_wrong_kind,    forget_a_key,
                                                 give_a_key_in_an_array, two_values_at_the_top, nest_too_deep};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        void (*fn)(struct json *) = bad[i];
        if (!test_dies(run, &fn))
            test_fail(__FILE__, __LINE__, "case %zu was let through", i);
    }
    with_writer(nest_deep_enough);
}
