#include "base/test.h"
#include "wire/grpc_health.h"

TEST(grpc_health_questions) {
    char room[512];
    struct sbuf b;
    sbuf_init_fixed(&b, room, sizeof(room));
    grpc_health_put(&b, STR(""));
    EXPECT_STR(sbuf_view(&b), str_n("\0\0\0\0\0", 5));
    sbuf_init_fixed(&b, room, sizeof(room));
    grpc_health_put(&b, STR("shop.Cart"));
    EXPECT_STR(sbuf_view(&b), str_n("\0\0\0\0\x0b\x0a\x09shop.Cart", 16));
    char name[200];
    memset(name, 'n', sizeof(name));
    sbuf_init_fixed(&b, room, sizeof(room));
    grpc_health_put(&b, str_n(name, sizeof(name)));
    EXPECT_STR(str_head(sbuf_view(&b), 8), str_n("\0\0\0\0\xcb\x0a\xc8\x01", 8));
    EXPECT_INT(b.n, 5 + 3 + 200);
}

static const struct {
    const char *bytes;
    size_t n;
    int status;
} answers[] = {
#define A(text, status) {text, sizeof(text) - 1, status}
    A("\0\0\0\0\x02\x08\x01", GRPC_HEALTH_SERVING),
    A("\0\0\0\0\x02\x08\x02", GRPC_HEALTH_NOT_SERVING),
    A("\0\0\0\0\x00", GRPC_HEALTH_UNKNOWN),
    A("\0\0\0\0\x06\x12\x02xy\x08\x01", GRPC_HEALTH_SERVING),             // a field that is new
    A("\0\0\0\0\x0b\x19" "12345678\x08\x01", GRPC_HEALTH_SERVING),
    A("\0\0\0\0\x07\x1d" "1234\x08\x01", GRPC_HEALTH_SERVING),
    A("\0\0\0\0\x05\x10\x80\x01\x08\x01", GRPC_HEALTH_SERVING),
    A("\0\0\0\0\x03\x08\x80\x01", 128),
    A("", GRPC_HEALTH_MALFORMED),
    A("\0\0\0\0", GRPC_HEALTH_MALFORMED),
    A("\1\0\0\0\x02\x08\x01", GRPC_HEALTH_MALFORMED),
    A("\0\0\0\0\x03\x08\x01", GRPC_HEALTH_MALFORMED),
    A("\0\0\0\0\x01\x08\x01", GRPC_HEALTH_MALFORMED),
    A("\0\0\0\0\x01\x08", GRPC_HEALTH_MALFORMED),
    A("\0\0\0\0\x02\x12\x05", GRPC_HEALTH_MALFORMED),
    A("\0\0\0\0\x02\x0b\x01", GRPC_HEALTH_MALFORMED),
    A("\0\0\0\0\x06\x08\xff\xff\xff\xff\x0f", GRPC_HEALTH_MALFORMED),
    A("\0\0\0\0\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", GRPC_HEALTH_MALFORMED),
#undef A
};

TEST(grpc_health_answers) {
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        int got = grpc_health_parse(str_n(answers[i].bytes, answers[i].n));
        if (got != answers[i].status)
            test_fail(__FILE__, __LINE__, "answer %zu: %d", i, got);
    }
}
