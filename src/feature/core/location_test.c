// Expressions: a hostile subject costs a bounded time and no stack; captures by number and by name.
#include "feature/test_site.h"
#include "http/regex.h"

static struct str ask_with_tail(struct site *s, const char *prefix, size_t n, const char *end) {
    char *target = arena_bytes(&s->arena, n + 64);
    size_t at = (size_t)snprintf(target, 64, "%s", prefix);
    memset(target + at, 'a', n);
    snprintf(target + at + n, 32, "%s", end);
    return site_get(s, target, "");
}

TEST(hostile_subjects) {
    struct site s;
    site_open(&s, STR("/x"), STR("events {} http { server { location ~ ^/x(a+)+$ { return 200 yes; } location ~ ^/y(?:a|a?)+$ { "
                                 "return 200 yes; } location ~ ^/z(.|a)*b$ { return 200 yes; } location / { return 200 no; } } }"));
    EXPECT_STR(site_errors(&s), STR(""));
    log_set_default(&(struct log){.level = LOG_STDERR});
    EXPECT(str_ends(ask_with_tail(&s, "/x", 30, ""), STR("yes")));
    EXPECT(str_ends(ask_with_tail(&s, "/x", 60, "b"), STR("no")));   // 2^60 steps without a limit
    EXPECT(str_ends(ask_with_tail(&s, "/y", 60, "b"), STR("no")));
    EXPECT(str_ends(ask_with_tail(&s, "/z", 30000, "c"), STR("no"))); // deep recursion without a limit
    log_set_default(NULL);
    site_close(&s);
}

TEST(captures) {
    struct site s;
    site_open(&s, STR("/x"),
              STR("events {} http { server { server_name ~^(?<who>\\w+)\\.(\\w+)$;"
                  "location ~ ^/(?<a>[0-9]+)(-(?<b>[0-9]+))?$ { return 200 \"[$a][$b][$1][$2][$3][$4][$who]\"; }"
                  "location / { return 200 \"[$1][$2][$who][$a]\"; } } }"));
    EXPECT_STR(site_errors(&s), STR(""));
    EXPECT(str_ends(site_get(&s, "/12-34", "Host: me.test\r\n"), STR("\n\n[12][34][12][-34][34][][me]")));
    EXPECT(str_ends(site_get(&s, "/12", "Host: me.test\r\n"), STR("\n\n[12][][12][][][][me]")));
    EXPECT(str_ends(site_get(&s, "/x", "Host: me.test\r\n"), STR("\n\n[me][test][me][]")));
    site_close(&s);
}
