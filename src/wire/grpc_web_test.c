#include "base/arena.h"
#include "base/base64.h"
#include "base/test.h"
#include "wire/grpc_web.h"

// Decodes in steps; "!" when it is malformed, "?" when it must not end there.
static void decode(struct sbuf *b, struct str text, size_t step) {
    struct grpc_web_decoder d = {0};
    b->n = 0;
    for (size_t at = 0; at < text.n; at += step) {
        if (!grpc_web_decode(&d, b, str_n(text.p + at, MIN(step, text.n - at)))) {
            b->n = 0;
            sbuf_chr(b, '!');
            return;
        }
    }
    if (!grpc_web_decoded(&d))
        sbuf_chr(b, '?');
}

TEST(grpc_web_text) {
    static const struct {
        struct str text, bytes;
    } cases[] = {
        {STR_INIT(""), STR_INIT("")},
        {STR_INIT("YWJj"), STR_INIT("abc")},
        {STR_INIT("YWI="), STR_INIT("ab")},
        {STR_INIT("YQ=="), STR_INIT("a")},
        {STR_INIT("YQ==YmM=ZGVm"), STR_INIT("abcdef")},
        {STR_INIT("+/+/"), STR_INIT("\xfb\xff\xbf")},
        {STR_INIT("YWI"), STR_INIT("?")},
        {STR_INIT("YQ="), STR_INIT("a?")},
        {STR_INIT("Y==="), STR_INIT("!")},
        {STR_INIT("="), STR_INIT("!")},
        {STR_INIT("YQ=a"), STR_INIT("!")},
        {STR_INIT("YW-j"), STR_INIT("!")},
        {STR_INIT("YWJj\n"), STR_INIT("!")},
        {STR_INIT("YWJj="), STR_INIT("!")},
    };
    char room[64];
    struct sbuf b;
    sbuf_init_fixed(&b, room, sizeof room);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t step = 1; step <= cases[i].text.n; step++) {
            decode(&b, cases[i].text, step);
            EXPECT_STR(sbuf_view(&b), cases[i].bytes);
        }
    }
}

TEST(grpc_web_text_is_base64) {
    char room[256], coded[512], bytes[256];
    struct sbuf b, c;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)i;
    for (size_t n = 0; n < sizeof bytes; n += 5) {
        sbuf_init_fixed(&b, room, sizeof room);
        sbuf_init_fixed(&c, coded, sizeof coded);
        base64_encode(&c, str_n(bytes, n));
        decode(&b, sbuf_view(&c), 7);
        EXPECT_STR(sbuf_view(&b), str_n(bytes, n));
    }
}

TEST(grpc_web_trailers) {
    struct arena a;
    struct head h;
    char room[100];
    struct sbuf b;
    arena_init(&a, NULL);
    head_init(&h, &a);
    sbuf_init_fixed(&b, room, sizeof room);
    grpc_web_put_trailers(&b, &h);
    EXPECT_STR(sbuf_view(&b), str_n("\x80\0\0\0\0", 5));
    head_add(&h, FIELD_UNKNOWN, STR("grpc-status"), STR("0"));
    head_add(&h, FIELD_UNKNOWN, STR("X-Upper"), STR(""));
    b.n = 0;
    grpc_web_put_trailers(&b, &h);
    EXPECT_STR(sbuf_view(&b), str_n("\x80\0\0\0\x1bgrpc-status: 0\r\nx-upper: \r\n", 32));
    arena_done(&a);
}

TEST(grpc_web_types) {
    static const struct {
        const char *type;
        int kind; // 0: none, 1: binary, 2: text
        const char *suffix;
    } cases[] = {
        {"application/grpc-web", 1, ""},
        {"application/grpc-web+proto", 1, "+proto"},
        {"Application/GRPC-Web-Text+thrift ; a=b", 2, "+thrift"},
        {"application/grpc-web-text", 2, ""},
        {" application/grpc-web;q=1", 1, ""},
        {"application/grpc", 0, ""},
        {"application/grpc+proto", 0, ""},
        {"application/grpc-webx", 0, ""},
        {"application/grpc-web-texts", 0, ""},
        {"text/plain", 0, ""},
        {"", 0, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool text = false;
        struct str suffix = STR("");
        int kind = grpc_web_type(str_c(cases[i].type), &text, &suffix) ? 1 + text : 0;
        EXPECT_INT(kind, cases[i].kind);
        EXPECT_STR(suffix, str_c(cases[i].suffix));
    }
}
