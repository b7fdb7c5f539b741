#include "base/test.h"
#include "wire/fastcgi.h"
#include <stdlib.h>

static struct str view(const struct sbuf *b) { return sbuf_view(b); }

TEST(fastcgi_writes_records) {
    char room[4096];
    struct sbuf b;
    sbuf_init_fixed(&b, room, sizeof(room));
    fcgi_put_begin(&b, true);
    EXPECT_STR(view(&b), STR("\1\1\0\1\0\10\0\0\0\1\1\0\0\0\0\0"));
    b.n = 0;
    fcgi_put_param(&b, STR("A"), STR("bc"));
    EXPECT_STR(view(&b), STR("\1\2Abc"));
    fcgi_put_stream(&b, FCGI_STDIN, STR_NONE);
    EXPECT_STR(str_from(view(&b), 5), STR("\1\5\0\1\0\0\0\0"));
}

TEST(fastcgi_lengths_of_params) {
    char room[70000], value[66000];
    memset(value, 'v', sizeof(value));
    static const struct {
        size_t n;
        const char *length;
        size_t bytes;
    } cases[] = {{0, "\0", 1}, {127, "\x7f", 1}, {128, "\x80\0\0\x80", 4}, {65536, "\x80\1\0\0", 4}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sbuf b;
        sbuf_init_fixed(&b, room, sizeof(room));
        fcgi_put_param(&b, STR("N"), str_n(value, cases[i].n));
        EXPECT(b.n == 1 + cases[i].bytes + 1 + cases[i].n);
        EXPECT(memcmp(b.p + 1, cases[i].length, cases[i].bytes) == 0);
    }
}

TEST(fastcgi_long_streams_are_several_records) {
    struct sbuf b;
    sbuf_init_heap(&b, 1 << 20);
    char *bytes = xmalloc(70000);
    memset(bytes, 'x', 70000);
    fcgi_put_stream(&b, FCGI_PARAMS, str_n(bytes, 70000));
    EXPECT(b.n == 70000 + 3 * FCGI_HEAD);
    EXPECT(memcmp(b.p, "\1\4\0\1\xff\xff\0\0", 8) == 0);
    EXPECT(memcmp(b.p + 8 + 65535, "\1\4\0\1\x11\x71\0\0", 8) == 0);
    EXPECT(memcmp(b.p + b.n - 8, "\1\4\0\1\0\0\0\0", 8) == 0);
    sbuf_done(&b);
    free(bytes);
}

TEST(fastcgi_reads_cut_anywhere) {
    static const char in[] = "\1\6\0\1\0\3\5\0abc\0\0\0\0\0\1\7\0\1\0\1\0\0e\1\6\0\1\0\0\0\0\1\3\0\1\0\10\0\0\0\0\0\0\0\0\0\0";
    for (size_t step = 1; step < sizeof(in); step++) {
        struct fcgi_parse p;
        fcgi_parse_init(&p);
        char out[64];
        size_t n = 0, ends = 0;
        for (size_t at = 0; at < sizeof(in) - 1;) {
            size_t piece = MIN(step, sizeof(in) - 1 - at), used = fcgi_parse(&p, in + at, piece);
            EXPECT(p.state != FCGI_BAD);
            if (p.state == FCGI_IN_CONTENT) {
                size_t take = MIN((size_t)p.left, piece - used);
                for (size_t i = 0; i < take && p.type != FCGI_END_REQUEST; i++) {
                    out[n++] = p.type == FCGI_STDOUT ? 'o' : 'e';
                    out[n++] = in[at + used + i];
                }
                ends += p.type == FCGI_END_REQUEST && take == p.left;
                if (take != 0 || p.left == 0)
                    fcgi_content(&p, take);
                used += take;
            }
            at += used;
        }
        EXPECT(n == 8 && memcmp(out, "oaobocee", 8) == 0 && ends == 1 && fcgi_between(&p));
    }
}

TEST(fastcgi_refuses) {
    static const struct str bad[] = {
        STR_INIT("\2\6\0\1\0\0\0\0"), STR_INIT("\1\1\0\1\0\10\0\0"), STR_INIT("\1\6\0\2\0\0\0\0"), STR_INIT("\1\6\1\1\0\0\0\0"),
        STR_INIT("\1\13\0\0\0\0\0\0"), STR_INIT("HTTP/1.1 200 OK"), STR_INIT("\1\3\0\1\0\7\0\0"), STR_INIT("\1\3\0\1\0\0\0\0"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct fcgi_parse p;
        fcgi_parse_init(&p);
        EXPECT(fcgi_parse(&p, bad[i].p, bad[i].n) == FCGI_HEAD);
        EXPECT(p.state == FCGI_BAD && p.why != NULL);
    }
}
