// Filters in a whole site, in this process: their bodies are pulled in rooms of 1, 7, 1000 and 65536 bytes in turn.
#include "feature/test_site.h"
#include <zlib.h>

#define TEXT "hello <b>hello</b> \xE0\xE1 and hell and hello again, "
#define LONG TEXT TEXT TEXT TEXT TEXT TEXT TEXT TEXT

static const char conf[] =
    "events{} http { default_type text/html; charset_map windows-1251 utf-8 { E0 D0B0; E1 D0B1; }\n"
    "server { listen 127.0.0.1:1; server_name a.test;\n"
    "location = /plain { return 200 \"" LONG "\"; }\n"
    "location = /gz { gzip on; return 200 \"" LONG "\"; }\n"
    "location = /gz6 { gzip on; gzip_comp_level 6; gzip_vary on; return 200 \"" LONG "\"; }\n"
    "location = /sub { sub_filter hello WORLD; sub_filter again AGAIN; sub_filter_once off; return 200 \"" TEXT "\"; }\n"
    "location = /once { sub_filter hello WORLD; return 200 \"" TEXT "\"; }\n"
    "location = /ssi { ssi on; return 200 'a<!--#include virtual=\"/part\" -->b<!--#echo var=\"uri\" -->c'; }\n"
    "location = /part { return 200 \"[$uri]\"; }\n"
    "location = /add { add_before_body /part; add_after_body /ssi; return 200 mine; }\n"
    "location = /win { charset utf-8; source_charset windows-1251; return 200 \"" TEXT "\"; }\n"
    "location = /all { ssi on; sub_filter hello WORLD; charset utf-8; add_after_body /part; return 200 'hello <!--#echo var=\"uri\" -->'; }\n"
    "location = /denied { auth_request /no; }\n"
    "location = /no { return 403; } } }";

static struct str body_of(struct str answer) {
    ssize_t at = str_find(answer, STR("\n\n"));
    EXPECT(at >= 0);
    return str_from(answer, (size_t)at + 2);
}

// Four times, so that each room has its turn.
static void expect_body(struct site *s, const char *target, struct str want) {
    for (int i = 0; i < 4; i++)
        EXPECT_STR(body_of(site_get(s, target, "")), want);
}

static void open_site(struct site *s) {
    site_open(s, STR("/x"), str_c(conf));
    EXPECT_STR(site_errors(s), STR(""));
}

TEST(filters_in_small_rooms) {
    struct site s;
    open_site(&s);
    expect_body(&s, "/plain", STR(LONG));
    expect_body(&s, "/sub", STR("WORLD <b>WORLD</b> \xE0\xE1 and hell and WORLD AGAIN, "));
    expect_body(&s, "/once", STR("WORLD <b>hello</b> \xE0\xE1 and hell and hello again, "));
    expect_body(&s, "/win", STR("hello <b>hello</b> \xD0\xB0\xD0\xB1 and hell and hello again, "));
    expect_body(&s, "/ssi", STR("a[/part]b/ssic"));
    expect_body(&s, "/add", STR("[/part]minea[/part]b/ssi" "c"));
    expect_body(&s, "/all", STR("WORLD /all[/part]"));
    site_close(&s);
}

static void expect_gzip(struct site *s, const char *target) {
    for (int i = 0; i < 4; i++) {
        struct str body = body_of(site_get(s, target, "Accept-Encoding: gzip\r\n"));
        char plain[sizeof(LONG) + 100];
        z_stream z = {.next_in = (Bytef *)(uintptr_t)body.p, .avail_in = (uInt)body.n, .next_out = (Bytef *)plain, .avail_out = sizeof(plain)};
        EXPECT_INT(inflateInit2(&z, MAX_WBITS + 16), Z_OK);
        EXPECT_INT(inflate(&z, Z_FINISH), Z_STREAM_END);
        EXPECT_STR(str_n(plain, z.total_out), STR(LONG));
        EXPECT_INT(z.avail_in, 0);
        inflateEnd(&z);
    }
}

TEST(gzip_in_small_rooms) {
    struct site s;
    open_site(&s);
    expect_gzip(&s, "/gz");
    expect_gzip(&s, "/gz6");
    struct str answer = site_get(&s, "/gz6", "Accept-Encoding: gzip\r\n");
    EXPECT(str_find(answer, STR("Content-Encoding: gzip")) > 0 && str_find(answer, STR("Vary: Accept-Encoding")) > 0);
    EXPECT(str_find(answer, STR("Content-Length")) < 0);
    site_close(&s);
}

TEST(subrequests_leave_nothing) {
    struct site s;
    open_site(&s);
    EXPECT(str_starts(site_get(&s, "/denied", ""), STR("403 ")));
    for (int i = 0; i < 50; i++)
        EXPECT(str_starts(site_get(&s, "/add", ""), STR("200 ")));
    EXPECT_INT(blocks_in_use(loop_blocks(s.loop)), 0);
    EXPECT_INT(task_count(s.loop), 0);
    site_close(&s);
}
