#include "base/test.h"
#include "wire/memcached.h"
#include <stdlib.h>

static const char *const kinds[] = {[MEMCACHED_MORE] = "more",           [MEMCACHED_VALUE] = "value",
                                    [MEMCACHED_NOT_FOUND] = "not found", [MEMCACHED_BAD_REPLY] = "bad reply",
                                    [MEMCACHED_BAD_KEY] = "bad key",     [MEMCACHED_BAD_LENGTH] = "bad length"};

// Of bytes that end where memory does. Text: the kind, the line, and of a value its flags, its length and where it begins.
static void parse(struct sbuf *b, struct str in, struct str key) {
    char *copy = in.n != 0 ? xmalloc(in.n) : NULL;
    if (in.n != 0)
        memcpy(copy, in.p, in.n);
    struct memcached_reply reply;
    enum memcached_reply_kind kind = memcached_parse(&reply, copy, in.n, key);
    sbuf_printf(b, "%s", kinds[kind]);
    if (kind != MEMCACHED_MORE)
        sbuf_printf(b, " [" STR_FMT "]", STR_ARG(reply.line));
    if (kind == MEMCACHED_VALUE)
        sbuf_printf(b, " [" STR_FMT "] %lld at %zu", STR_ARG(reply.flags), (long long)reply.length, reply.end);
    free(copy);
}

TEST(memcached_reads_replies) {
    static const struct {
        struct str in;
        const char *want;
    } cases[] = {
        {STR_INIT("VALUE key 0 5\r\n"), "value [VALUE key 0 5] [0] 5 at 15"},
        {STR_INIT("VALUE key 4294967295 0\r\n\r\nEND\r\n"), "value [VALUE key 4294967295 0] [4294967295] 0 at 24"},
        {STR_INIT("VALUE key x 05\r\nhello"), "value [VALUE key x 05] [x] 5 at 16"},
        {STR_INIT("VALUE key  5\r\nhello"), "value [VALUE key  5] [] 5 at 14"},
        {STR_INIT("VALUE key 0 9223372036854775807\r\n"), "value [VALUE key 0 9223372036854775807] [0] 9223372036854775807 at 33"},
        {STR_INIT("END\r\n"), "not found [END]"},
        {STR_INIT("END\r\nmore"), "not found [END]"},
        {STR_INIT("END\n"), "bad reply [END]"},
        {STR_INIT("END \r\n"), "bad reply [END ]"},
        {STR_INIT("ENDx\r\n"), "bad reply [ENDx]"},
        {STR_INIT("ERROR\r\n"), "bad reply [ERROR]"},
        {STR_INIT("SERVER_ERROR out of memory\r\n"), "bad reply [SERVER_ERROR out of memory]"},
        {STR_INIT("\r\n"), "bad reply []"},
        {STR_INIT("\n"), "bad reply []"},
        {STR_INIT("value key 0 5\r\n"), "bad reply [value key 0 5]"},
        {STR_INIT("VALUE\r\n"), "bad reply [VALUE]"},
        {STR_INIT("VALUE key\r\n"), "bad reply [VALUE key]"},
        {STR_INIT("VALUE key 0\r\n"), "bad reply [VALUE key 0]"},
        {STR_INIT("VALUE keys 0 5\r\n"), "bad reply [VALUE keys 0 5]"},
        {STR_INIT("VALUE key 0 5\n"), "bad reply [VALUE key 0 5]"},
        {STR_INIT("VALUE \r\n"), "bad key [VALUE ]"},
        {STR_INIT("VALUE ke 0 5\r\n"), "bad key [VALUE ke 0 5]"},
        {STR_INIT("VALUE other 0 5\r\n"), "bad key [VALUE other 0 5]"},
        {STR_INIT("VALUE key 0 \r\n"), "bad length [VALUE key 0 ]"},
        {STR_INIT("VALUE key 0 x\r\n"), "bad length [VALUE key 0 x]"},
        {STR_INIT("VALUE key 0 -1\r\n"), "bad length [VALUE key 0 -1]"},
        {STR_INIT("VALUE key 0 +1\r\n"), "bad length [VALUE key 0 +1]"},
        {STR_INIT("VALUE key 0 5 \r\n"), "bad length [VALUE key 0 5 ]"},
        {STR_INIT("VALUE key 0 5 77\r\n"), "bad length [VALUE key 0 5 77]"},
        {STR_INIT("VALUE key  0 5\r\n"), "bad length [VALUE key  0 5]"},
        {STR_INIT("VALUE key 0 9223372036854775808\r\n"), "bad length [VALUE key 0 9223372036854775808]"},
        {STR_INIT("VALUE key 0 99999999999999999999\r\n"), "bad length [VALUE key 0 99999999999999999999]"},
        {STR_INIT(""), "more"},
        {STR_INIT("E"), "more"},
        {STR_INIT("VALUE key 0 5\r"), "more"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[128];
        struct sbuf b;
        sbuf_init_fixed(&b, text, sizeof(text));
        parse(&b, cases[i].in, STR("key"));
        EXPECT_STR(sbuf_view(&b), str_c(cases[i].want));
        // Whatever is cut off, the rest says nothing until the line has come to its end.
        ssize_t lf = str_chr(cases[i].in, '\n');
        for (size_t n = 0; n <= cases[i].in.n; n++) {
            b.n = 0;
            parse(&b, str_head(cases[i].in, n), STR("key"));
            EXPECT_STR(sbuf_view(&b), lf < 0 || n <= (size_t)lf ? STR("more") : str_c(cases[i].want));
        }
    }
}

TEST(memcached_reads_flags) {
    static const struct {
        struct str in;
        long long want; // -1: no number
    } cases[] = {
        {STR_INIT("0"), 0},  {STR_INIT("2"), 2},  {STR_INIT("002"), 2}, {STR_INIT("4294967295"), 4294967295},
        {STR_INIT(""), -1},  {STR_INIT("-1"), -1}, {STR_INIT("x"), -1},  {STR_INIT("99999999999999999999"), -1},
        {STR_INIT("0\r"), -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t flags = 7;
        bool good = memcached_flags(&(struct memcached_reply){.flags = cases[i].in}, &flags);
        EXPECT_INT(good, cases[i].want >= 0);
        EXPECT_INT(flags, good ? cases[i].want : 7);
    }
}

TEST(memcached_knows_the_trailer) {
    static const char trailer[] = "\r\nEND\r\n", *const others[] = {"END\r\n", "\r\nENDx\r\n", "\r\nEND\n", "x", "\r\nEND\r\nx"};
    for (size_t n = 0; n <= MEMCACHED_TRAILER; n++)
        EXPECT(memcached_is_trailer(trailer, n));
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        EXPECT(!memcached_is_trailer(others[i], strlen(others[i])));
}

TEST(memcached_asks) {
    struct sbuf b;
    sbuf_init_heap(&b, 64);
    memcached_put_get(&b, STR("a%20b"));
    EXPECT_STR(sbuf_view(&b), STR("get a%20b\r\n"));
    sbuf_done(&b);
}
