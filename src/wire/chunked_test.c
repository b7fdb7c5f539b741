#include "base/sbuf.h"
#include "base/test.h"
#include "wire/chunked.h"
#include <stdio.h>
#include <stdlib.h>

// Reads a coded body in steps of `step` bytes. Text: the data, then "." and what is left before the trailers, or "!"
// and the offset of what is malformed, or "?" when more is needed.
static void decode(struct sbuf *b, struct str in, size_t step) {
    struct chunked c;
    size_t at = 0;
    chunked_init(&c);
    for (size_t end = MIN(step, in.n);; end = MIN(end + step, in.n)) {
        while (at < end) {
            char *copy = xmalloc(end - at);
            memcpy(copy, in.p + at, end - at);
            at += chunked_parse(&c, copy, end - at);
            free(copy);
            if (c.state != CHUNKED_DATA)
                break;
            size_t data = MIN(c.left, end - at);
            sbuf_put(b, in.p + at, data);
            at += data;
            chunked_data(&c, data);
        }
        if (c.state == CHUNKED_TRAILER || c.state == CHUNKED_BAD || end == in.n)
            break;
        EXPECT_INT(at, end);
    }
    if (c.state == CHUNKED_TRAILER)
        sbuf_printf(b, ".%zu", in.n - at);
    else if (c.state == CHUNKED_BAD)
        sbuf_printf(b, "!%zu", at);
    else
        sbuf_lit(b, "?");
}

TEST(chunked_decodes) {
    static const struct {
        struct str in;
        const char *want;
    } cases[] = {
        {STR_INIT("0\r\n\r\n"), ".2"},
        {STR_INIT("5\r\nhello\r\n0\r\n\r\n"), "hello.2"},
        {STR_INIT("5\r\nhello\r\n1\r\n!\r\n000\r\nA: b\r\n\r\nx"), "hello!.9"},
        {STR_INIT("0000000000000005\r\nhello\r\n0\r\n"), "hello.0"},
        {STR_INIT("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n"), "01234567890123456789.0"},
        {STR_INIT("3;x=y\r\nabc\r\n0;last\r\n"), "abc.0"},
        {STR_INIT("3 \t ;x=\"\xff y\"\tz\r\nabc\r\n0 \r\n"), "abc.0"},
        {STR_INIT("5\r\nhel"), "hel?"},
        {STR_INIT("ffffffffffffffff\r\nab"), "ab?"},
        {STR_INIT(""), "?"},
        {STR_INIT("5"), "?"},
        {STR_INIT("00000000000000005\r\n"), "!16"},
        {STR_INIT("\r\n"), "!0"},
        {STR_INIT(";x\r\n"), "!0"},
        {STR_INIT(" 5\r\n"), "!0"},
        {STR_INIT("-5\r\n"), "!0"},
        {STR_INIT("+5\r\n"), "!0"},
        {STR_INIT("0x5\r\n"), "!1"},
        {STR_INIT("g\r\n"), "!0"},
        {STR_INIT("5 5\r\nhello"), "!2"},
        {STR_INIT("5\nhello\r\n"), "!1"},
        {STR_INIT("5\r\rhello\r\n"), "!2"},
        {STR_INIT("5 \nhello\r\n"), "!2"},
        {STR_INIT("5;x\nhello\r\n"), "!3"},
        {STR_INIT("5;x\0\r\nhello\r\n"), "!3"},
        {STR_INIT("5;x\x7f\r\nhello\r\n"), "!3"},
        {STR_INIT("5;x\rhello\r\n"), "!4"},
        {STR_INIT("5\r\nhello5\r\n"), "hello!8"},
        {STR_INIT("5\r\nhello\n5\r\n"), "hello!8"},
        {STR_INIT("5\r\nhello\r5\r\n"), "hello!9"},
        {STR_INIT("5\r\nhello\r\n\r\n"), "hello!10"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t step = 1; step <= cases[i].in.n + 1; step++) {
            char text[64];
            struct sbuf b;
            sbuf_init_fixed(&b, text, sizeof(text));
            decode(&b, cases[i].in, step);
            EXPECT_STR(sbuf_view(&b), str_c(cases[i].want));
        }
}

TEST(chunked_counts_framing) {
    struct chunked c;
    chunked_init(&c);
    EXPECT_INT(chunked_parse(&c, "5;xxx\r\nhello", 12), 7);
    EXPECT_INT(c.overhead, 7);
    EXPECT_INT(c.left, 5);
    EXPECT_INT(chunked_parse(&c, "hello", 5), 0);
    chunked_data(&c, 2);
    EXPECT_INT(c.overhead, 0);
    chunked_data(&c, 3);
    EXPECT_INT(chunked_parse(&c, "\r\n1;", 4), 4);
    EXPECT_INT(c.overhead, 4);
    EXPECT_INT(c.left, 1);
    c.overhead = UINT32_MAX - 1;
    EXPECT_INT(chunked_parse(&c, "aaaa", 4), 4);
    EXPECT(c.overhead == UINT32_MAX);
}

TEST(chunked_says_nothing_after_the_end) {
    struct chunked c = {.state = CHUNKED_TRAILER};
    EXPECT_INT(chunked_parse(&c, "0\r\n", 3), 0);
    c.state = CHUNKED_DONE;
    EXPECT_INT(chunked_parse(&c, "0\r\n", 3), 0);
    c.state = CHUNKED_BAD;
    EXPECT_INT(chunked_parse(&c, "0\r\n", 3), 0);
    EXPECT_INT(c.state, CHUNKED_BAD);
}

// What is written is what is read, at the edges of every digit.
TEST(chunked_writes_heads) {
    for (unsigned bit = 0; bit < 64; bit++)
        for (int off = -1; off <= 1; off++) {
            uint64_t n = ((uint64_t)1 << bit) + (uint64_t)(int64_t)off;
            char line[CHUNKED_HEAD_MAX];
            char want[32];
            if (n == 0)
                continue;
            size_t len = chunked_put_head(line, n);
            snprintf(want, sizeof(want), "%llx\r\n", (unsigned long long)n);
            EXPECT_STR(str_n(line, len), str_c(want));
            struct chunked c;
            chunked_init(&c);
            EXPECT_INT(chunked_parse(&c, line, len), len);
            EXPECT_INT(c.state, CHUNKED_DATA);
            EXPECT(c.left == n);
        }
    char line[CHUNKED_HEAD_MAX];
    EXPECT_INT(chunked_put_head(line, UINT64_MAX), CHUNKED_HEAD_MAX);
}
