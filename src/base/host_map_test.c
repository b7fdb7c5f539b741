#include "base/host_map.h"
#include "base/test.h"

static char value[16];

TEST(host_map_finds_the_best_name) {
    static const struct {
        const char *name;
        size_t value;
    } names[] = {{"example.com", 1}, {"*.example.com", 2},  {"*.deep.example.com", 3}, {"mail.*", 4}, {"mail.example.*", 5},
                 {".dot.com", 6},    {"www.dot.com", 7},    {"", 8}};
    static const struct {
        const char *host;
        size_t value; // 0: none
    } cases[] = {{"example.com", 1},  {"a.example.com", 2}, {"a.b.example.com", 2}, {"deep.example.com", 2},
                 {"x.deep.example.com", 3}, {"mail.org", 4}, {"mail.co.uk", 4},     {"mail.example.org", 5},
                 {"mail", 0},         {"dot.com", 6},       {"a.dot.com", 6},       {"www.dot.com", 7},
                 {"xdot.com", 0},     {"", 8},              {".example.com", 0},    {"mail.", 0},
                 {"EXAMPLE.com", 1},  {"A.DEEP.example.COM", 3}};
    struct host_map m;
    host_map_init(&m, true, 7);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        EXPECT(host_map_valid(str_c(names[i].name)));
        EXPECT(host_map_add(&m, str_c(names[i].name), value + names[i].value));
        EXPECT(!host_map_add(&m, str_c(names[i].name), value));
    }
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *found = host_map_find(&m, str_c(cases[i].host));
        EXPECT_INT(found != NULL ? found - value : 0, cases[i].value);
    }
    host_map_done(&m);
}

TEST(host_map_refuses_misplaced_wildcards) {
    static const char *const bad[] = {"*", "*.", "a*", "*a.b", "a.*.b", "*.a.*", "a..b", "..", "**.a", "*.a..b", ".a..b"};
    static const char *const good[] = {"", "a", ".", "a.", "*.a", "a.*", ".a", ".*", "*.a.b", "a.b.*", "a_b", "[::1]"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        EXPECT(!host_map_valid(str_c(bad[i])));
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        EXPECT(host_map_valid(str_c(good[i])));
    EXPECT(!host_map_valid(str_n("a\0b", 3)));
}

TEST(host_map_dot_name_takes_the_exact_one_too) {
    struct host_map m;
    host_map_init(&m, false, 1);
    EXPECT(host_map_add(&m, STR(".a.b"), value + 1));
    EXPECT(!host_map_add(&m, STR("a.b"), value + 2));
    EXPECT(!host_map_add(&m, STR("*.a.b"), value + 3));
    EXPECT(host_map_find(&m, STR("A.b")) == NULL);
    host_map_done(&m);
}
