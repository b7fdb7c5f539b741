#include "base/test.h"
#include "wire/resolv.h"

static const char *text_of(const struct addr_full *a) {
    static char text[ADDR_TEXT_MAX + 1];
    struct sbuf b;
    sbuf_init_fixed(&b, text, sizeof(text));
    addr_put(&b, &a->sa, true);
    return sbuf_cstr(&b);
}

TEST(resolv_conf) {
    struct resolv_conf rc;
    resolv_parse(&rc, STR("# comment\nnameserver 10.0.0.1\nnameserver\t::1 ; x\nnameserver fe80::1%eth0\nnameserver nonsense\n"
                          "domain old.test\nsearch a.test b.test. ..bad..\noptions timeout:1 ndots:3\r\n"));
    EXPECT_INT(rc.nservers, 3);
    EXPECT_STR(str_c(text_of(&rc.servers[0])), STR("10.0.0.1:53"));
    EXPECT_STR(str_c(text_of(&rc.servers[1])), STR("[::1]:53"));
    EXPECT_STR(str_c(text_of(&rc.servers[2])), STR("[fe80::1]:53"));
    EXPECT_INT(rc.nsearch, 2);
    EXPECT_INT(rc.ndots, 3);
    resolv_parse(&rc, STR(""));
    EXPECT_STR(str_c(text_of(&rc.servers[0])), STR("127.0.0.1:53"));
    EXPECT_INT(rc.ndots, 1);
}

static const char *candidates(const struct resolv_conf *rc, const char *name) {
    static char all[1024];
    char one[DNS_NAME_MAX + 1];
    struct sbuf b;
    sbuf_init_fixed(&b, all, sizeof(all));
    for (unsigned i = 0; resolv_candidate(rc, str_c(name), i, one); i++)
        sbuf_printf(&b, "%s ", one);
    return sbuf_cstr(&b);
}

TEST(resolv_candidates) {
    struct resolv_conf rc;
    resolv_parse(&rc, STR("search a.test b.test\n"));
    EXPECT_STR(str_c(candidates(&rc, "x")), STR("x.a.test x.b.test x "));
    EXPECT_STR(str_c(candidates(&rc, "x.y")), STR("x.y x.y.a.test x.y.b.test "));
    EXPECT_STR(str_c(candidates(&rc, "x.")), STR("x "));
    resolv_parse(&rc, STR("options ndots:5\nsearch svc.cluster.local\n"));
    EXPECT_STR(str_c(candidates(&rc, "api.prod")), STR("api.prod.svc.cluster.local api.prod "));
    resolv_parse(&rc, STR("nameserver 1.1.1.1\n"));
    EXPECT_STR(str_c(candidates(&rc, "x")), STR("x "));
}

TEST(resolv_hosts) {
    struct addr_full found[4];
    struct str text = STR("127.0.0.1 localhost\n::1 localhost ip6-localhost # localhost2\n10.0.0.5\tDb db.test\r\n10.0.0.5 db\nbad db\n");
    EXPECT_INT(hosts_find(text, STR("localhost"), found, 4), 2);
    EXPECT_STR(str_c(text_of(&found[1])), STR("[::1]:0"));
    EXPECT_INT(hosts_find(text, STR("db"), found, 4), 1);
    EXPECT_INT(hosts_find(text, STR("DB.test."), found, 4), 1);
    EXPECT_INT(hosts_find(text, STR("localhost2"), found, 4), 0);
    EXPECT_INT(hosts_find(text, STR("127.0.0.1"), found, 4), 0);
    EXPECT_INT(hosts_find(text, STR("localhost"), found, 1), 1);
}
