#include "base/base64.h"
#include "base/test.h"
#include <stdlib.h>

static const struct {
    const char *plain, *text, *url;
} vectors[] = {
    // RFC 4648 section 10
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xfe", "+//+", "-__-"},
    {"Aladdin:open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "QWxhZGRpbjpvcGVuIHNlc2FtZQ"},
};

TEST(vectors_both_ways) {
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        char storage[128];
        struct sbuf b;
        sbuf_init_fixed(&b, storage, sizeof(storage));
        base64_encode(&b, str_c(vectors[i].plain));
        EXPECT_STR(sbuf_view(&b), str_c(vectors[i].text));
        b.n = 0;
        base64url_encode(&b, str_c(vectors[i].plain));
        EXPECT_STR(sbuf_view(&b), str_c(vectors[i].url));
        b.n = 0;
        EXPECT(base64_decode(&b, str_c(vectors[i].text)));
        EXPECT_STR(sbuf_view(&b), str_c(vectors[i].plain));
        b.n = 0;
        EXPECT(base64url_decode(&b, str_c(vectors[i].url)));
        EXPECT_STR(sbuf_view(&b), str_c(vectors[i].plain));
    }
    char storage[8];
    struct sbuf b;
    sbuf_init_fixed(&b, storage, sizeof(storage));
    EXPECT(base64_decode(&b, STR("Zg")) && base64url_decode(&b, STR("Zg=="))); // padding is optional in both
    EXPECT_STR(sbuf_view(&b), STR("ff"));
}

TEST(malformed_text_leaves_nothing) {
    static const struct str bad[] = {
        STR_INIT("Z"),       STR_INIT("Zm9vY"),    STR_INIT("Zg="),   STR_INIT("Zg==="),     STR_INIT("="),
        STR_INIT("=="),      STR_INIT("===="),     STR_INIT("Z==="),  STR_INIT("Zm9v="),     STR_INIT("Zm9v=="),
        STR_INIT("Zm8=="),   STR_INIT("Zg==Zg=="), STR_INIT("Zm 9v"), STR_INIT("Zm9v\n"),    STR_INIT("Zm9\0"),
        STR_INIT("Zm9\xff"), STR_INIT("Zm9="),     STR_INIT("Zh=="),  STR_INIT("Zm9vYg=\n"), STR_INIT("Z=g="),
        STR_INIT("Zm9."),    STR_INIT("Zm9@"),     STR_INIT("Zm9["),  STR_INIT("Zm9`"),      STR_INIT("Zm9{"),
        STR_INIT("Zm9:"),
    };
    char storage[64];
    struct sbuf b;
    sbuf_init_fixed(&b, storage, sizeof(storage));
    sbuf_lit(&b, "kept");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (base64_decode(&b, bad[i]) || base64url_decode(&b, bad[i]))
            test_fail(__FILE__, __LINE__, "taken: %.*s", STR_ARG(bad[i]));
        EXPECT_STR(sbuf_view(&b), STR("kept"));
    }
    EXPECT(!base64_decode(&b, STR("-__-")) && !base64url_decode(&b, STR("+//+"))); // the other's alphabet
    EXPECT(!b.overflow);
}

TEST(no_room_is_said) {
    char storage[3];
    struct sbuf b;
    sbuf_init_fixed(&b, storage, 3);
    base64_encode(&b, STR("f"));
    EXPECT(b.overflow && b.n == 0);
    b.overflow = false;
    EXPECT(!base64_decode(&b, STR("Zm9vYg==")) && b.overflow && b.n == 0);
    b.overflow = false;
    EXPECT(base64_decode(&b, STR("Zm9v")) && !b.overflow && b.n == 3); // exactly full
}

TEST(all_lengths_come_back) {
    for (size_t n = 0; n < 200; n++) {
        char *bytes = xmalloc(n); // exactly n bytes: a sanitizer sees a read past them
        for (size_t i = 0; i < n; i++)
            bytes[i] = (char)(i * 151 + n);
        struct sbuf text, back;
        sbuf_init_heap(&text, 400);
        sbuf_init_heap(&back, n);
        base64_encode(&text, str_n(bytes, n));
        EXPECT_INT(text.n, (n + 2) / 3 * 4);
        EXPECT(base64_decode(&back, sbuf_view(&text)));
        EXPECT_STR(sbuf_view(&back), str_n(bytes, n));
        text.n = back.n = 0;
        base64url_encode(&text, str_n(bytes, n));
        EXPECT(base64url_decode(&back, sbuf_view(&text)));
        EXPECT_STR(sbuf_view(&back), str_n(bytes, n));
        sbuf_done(&text);
        sbuf_done(&back);
        free(bytes);
    }
}
