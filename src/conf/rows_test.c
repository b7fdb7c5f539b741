// Formats of values, and what is said of bad ones. The tables were asked of nginx -t (1.22).
#include "conf/fake.h"

enum { BAD = -1 };
struct value {
    const char *text;
    int64_t want;
};

static const struct value sizes[] = {
    {"0", 0},
    {"1", 1},
    {"1k", 1024},
    {"1K", 1024},
    {"1m", 1 << 20},
    {"1M", 1 << 20},
    {"01", 1},
    {"1g", BAD},
    {"k", BAD},
    {"", BAD},
    {"-1", BAD},
    {"1kk", BAD},
    {"1 k", BAD},
    {"9223372036854775807", INT64_MAX},
    {"9223372036854775808", BAD},
    {"9007199254740991k", 9007199254740991 * 1024},
    {"9007199254740992k", BAD},
};
static const struct value offsets[] = {
    {"1g", 1 << 30},      {"1G", 1 << 30}, {"8589934591g", 8589934591 * (1 << 30)},
    {"8589934592g", BAD}, {"1t", BAD},     {"g", BAD},
};
static const struct value times_ms[] = {
    {"0", 0},
    {"1", 1000},
    {"1s", 1000},
    {"1m", 60000},
    {"1h", 3600000},
    {"1d", 86400000},
    {"1w", 604800000},
    {"1ms", 1},
    {"1h30m", 5400000},
    {"1h 30m", 5400000},
    {"1h30", 3630000},
    {"1s5ms", 1005},
    {"1s1", 2000},
    {" 1", 1000},
    {"1 ", 1000},
    {"1m1h", BAD},
    {"1h1h", BAD},
    {"5ms1s", BAD},
    {"", BAD},
    {"-1", BAD},
    {"1.5", BAD},
    {"1D", BAD},
    {"1S", BAD},
    {"1M", BAD},
    {"1y", BAD},
    {"ms", BAD},
    {"s", BAD},
    {"1 m", BAD},
    {"9223372036854775s", 9223372036854775000},
    {"9223372036854776s", BAD},
    {"99999999999999999999", BAD},
    {"1x", BAD},
};
static const struct value times_s[] = {
    {"1", 1},
    {"1s", 1},
    {"1h5", 3605},
    {"0", 0},
    {"1y", 31536000},
    {"1M", 2592000},
    {"1ms", BAD},
    {"1s1ms", BAD},
    {"9223372036854775807", INT64_MAX},
    {"9223372036854775808", BAD},
    {"", BAD},
    {"1M1y", BAD},
};
static const struct value numbers[] = {
    {"0", 0},
    {"00", 0},
    {"-1", BAD},
    {"+1", BAD},
    {"1k", BAD},
    {"", BAD},
    {"9223372036854775807", INT64_MAX},
    {"9223372036854775808", BAD},
};

static bool parse_u(bool (*fn)(struct str, uint64_t *), struct str s, int64_t *out) {
    uint64_t v = 0;
    bool ok = fn(s, &v);
    *out = (int64_t)v;
    return ok;
}

#define CHECK_TABLE(table, call)                                                                              \
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {                                                           \
        int64_t v = 0;                                                                                        \
        struct str s = str_c(table[i].text);                                                                  \
        bool ok = (call);                                                                                     \
        if (ok != (table[i].want != BAD) || (ok && v != table[i].want))                                       \
            test_fail(__FILE__, __LINE__, "\"%s\": %s %lld", table[i].text, ok ? "ok" : "bad", (long long)v); \
    }

TEST(conf_formats) {
    CHECK_TABLE(sizes, parse_u(conf_parse_size, s, &v))
    CHECK_TABLE(offsets, parse_u(conf_parse_offset, s, &v))
    CHECK_TABLE(times_ms, parse_u(conf_parse_msec, s, &v))
    CHECK_TABLE(times_s, conf_parse_sec(s, &v))
    CHECK_TABLE(numbers, conf_parse_num(s, &v))
}

static const struct {
    const char *text, *said;
} bad_values[] = {
    {"flag maybe;", "invalid value \"maybe\" in \"flag\" directive, it must be \"on\" or \"off\" in F:1\n"},
    {"num x;", "\"num\" directive invalid number in F:1\n"},
    {"num 10;", "value must be between 1 and 9 in F:1\n"},
    {"size x;", "\"size\" directive invalid value in F:1\n"},
    {"time x;", "\"time\" directive invalid value in F:1\n"},
    {"secs x;", "\"secs\" directive invalid value in F:1\n"},
    {"mode x;", "invalid value \"x\" in F:1 [it may be: fast slow]\n"},
    {"bits fast x;", "invalid value \"x\" in F:1 [it may be: fast slow]\n"},
    {"bufs 0 4k;", "\"bufs\" directive invalid value in F:1\n"},
    {"bufs 8 0;", "\"bufs\" directive invalid value in F:1\n"},
    {"bufs x 4k;", "\"bufs\" directive invalid value in F:1\n"},
    {"bufs 8;", "invalid number of arguments in \"bufs\" directive in F:1\n"},
    {"bits;", "invalid number of arguments in \"bits\" directive in F:1\n"},
};

TEST(conf_bad_values) {
    for (size_t i = 0; i < ARRAY_LEN(bad_values); i++) {
        struct fake_load l;
        fake_load(&l, bad_values[i].text);
        EXPECT_STR(l.said, str_c(bad_values[i].said));
        fake_done(&l);
    }
}

TEST(conf_good_values) {
    struct fake_load l;
    fake_load(&l, "flag ON; num 9; size 2m; time 1h30m; secs 1d; text \"a b\"; mode FAST; bits slow fast; bufs 2 8k;\n"
                  "tmpl x; worker_rlimit_nofile 5;");
    EXPECT_STR(l.said, STR(""));
    const struct fake *f = FAKE(l.conf->root);
    EXPECT(f->flag);
    EXPECT_INT(f->num, 9);
    EXPECT_INT(f->size, 2 << 20);
    EXPECT_INT(f->time, 5400000);
    EXPECT_INT(f->secs, 86400);
    EXPECT_STR(f->text, STR("a b"));
    EXPECT_INT(f->mode, 1);
    EXPECT_INT(f->bits, 3);
    EXPECT_INT(f->bufs.count, 2);
    EXPECT_INT(f->bufs.size, 8192);
    EXPECT(f->tmpl->constant);
    fake_done(&l);
}
