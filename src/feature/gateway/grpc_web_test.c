// Answers of gRPC-Web in a whole site, in this process: their bodies are pulled in rooms of 1, 7, 1000 and 65536 bytes in turn.
#include "base/base64.h"
#include "feature/test_site.h"

#define PART "a message of gRPC, which is any bytes \x01\x02\xfe; "
#define LONG PART PART PART PART PART PART PART PART

static const char conf[] = "events{} http { grpc_web on; default_type application/grpc+json;\n"
                           "server { listen 127.0.0.1:1; server_name a.test;\n"
                           "location = /long { add_trailer grpc-status 0; add_trailer Grpc-Message '$arg_none'; return 200 \"" LONG "\"; }\n"
                           "location = /short { add_trailer grpc-status 0; return 200 ab; }\n"
                           "location = /other { default_type text/plain; return 200 ab; }\n"
                           "location = /off { grpc_web off; return 200 ab; } } }";

// The answer to a request of that type, four times, so that each room has its turn.
static void expect(struct site *s, const char *target, const char *type, const char *answered, struct str body) {
    char field[100], want[100];
    snprintf(field, sizeof field, "Content-Type: %s\r\n", type);
    snprintf(want, sizeof want, "\nContent-Type: %s\n", answered);
    for (int i = 0; i < 4; i++) {
        struct str answer = site_get(s, target, field);
        ssize_t at = str_find(answer, STR("\n\n"));
        EXPECT(at >= 0 && str_find(answer, str_c(want)) >= 0);
        EXPECT_STR(str_from(answer, (size_t)at + 2), body);
    }
}

static void put_frame(struct sbuf *to, struct str trailers) {
    char head[5] = {(char)0x80, 0, 0, 0, (char)trailers.n};
    sbuf_put(to, head, 5);
    sbuf_str(to, trailers);
}

TEST(grpc_web_in_small_rooms) {
    struct site s;
    struct sbuf plain, frame, text;
    site_open(&s, STR("/x"), str_c(conf));
    EXPECT_STR(site_errors(&s), STR(""));
    sbuf_init_heap(&plain, 4096);
    sbuf_init_heap(&frame, 4096);
    sbuf_init_heap(&text, 4096);
    put_frame(&frame, STR("grpc-status: 0\r\n"));
    sbuf_lit(&plain, LONG);
    sbuf_str(&plain, sbuf_view(&frame));
    expect(&s, "/long", "application/grpc-web+proto", "application/grpc-web+json", sbuf_view(&plain));
    base64_encode(&text, STR(LONG));
    base64_encode(&text, sbuf_view(&frame));
    expect(&s, "/long", "application/grpc-web-text", "application/grpc-web-text+json", sbuf_view(&text));
    text.n = 0;
    base64_encode(&text, STR("ab"));
    base64_encode(&text, sbuf_view(&frame));
    expect(&s, "/short", "application/grpc-web-text", "application/grpc-web-text+json", sbuf_view(&text));
    expect(&s, "/other", "application/grpc-web-text", "text/plain", STR("ab"));
    expect(&s, "/off", "application/grpc-web-text", "application/grpc+json", STR("ab"));
    expect(&s, "/short", "application/grpc", "application/grpc+json", STR("ab\ngrpc-status: 0"));
    EXPECT_INT(blocks_in_use(loop_blocks(s.loop)), 0);
    sbuf_done(&plain);
    sbuf_done(&frame);
    sbuf_done(&text);
    site_close(&s);
}
