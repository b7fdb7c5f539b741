#include "base/test.h"
#include "wire/addr.h"

// The words are those of nginx -t.
TEST(addr_parses) {
    static const struct {
        const char *text;
        int default_port;
        bool wildcard;
        const char *want; // as addr_put says it, or what is wrong
    } cases[] = {
        {"127.0.0.1", 80, false, "127.0.0.1:80"},
        {"127.0.0.1:8080", 80, false, "127.0.0.1:8080"},
        {"127.0.0.1:00080", 0, false, "127.0.0.1:80"},
        {"127.0.0.1", 0, false, "127.0.0.1:0"},
        {"01.2.3.004", 80, false, "1.2.3.4:80"},
        {"255.255.255.255:65535", 80, false, "255.255.255.255:65535"},
        {"127.0.0.1", -1, false, "127.0.0.1:0"},
        {"[::1]", 80, false, "[::1]:80"},
        {"[2001:DB8:0:0:0:0:0:1]:443", 80, false, "[2001:db8::1]:443"},
        {"[::ffff:1.2.3.4]", 1, false, "[::ffff:1.2.3.4]:1"},
        {"[::]", 80, true, "[::]:80"},
        {"80", 8000, true, "0.0.0.0:80"},
        {"*:80", 8000, true, "0.0.0.0:80"},
        {"*", 8000, true, "0.0.0.0:8000"},
        {"unix:/run/a.sock", 80, false, "unix:/run/a.sock"},
        {"unix:/a/b:c", 80, true, "unix:/a/b:c"},
        {"unix:rel", -1, false, "unix:rel"},
        {"localhost", 80, false, "host not found"},
        {"localhost:80", 80, true, "host not found"},
        {"1.2.3", 80, false, "host not found"},
        {"1.2.3.4.5", 80, false, "host not found"},
        {"1.2.3.256", 80, false, "host not found"},
        {"80", 80, false, "host not found"},
        {"*", 80, false, "host not found"},
        {"", 80, false, "no host"},
        {":80", 80, true, "no host"},
        {"[]:80", 80, false, "no host"},
        {"127.0.0.1:", 80, false, "invalid port"},
        {"127.0.0.1:0", 80, false, "invalid port"},
        {"127.0.0.1:65536", 80, false, "invalid port"},
        {"127.0.0.1:80x", 80, false, "invalid port"},
        {"localhost:x", 80, false, "invalid port"},
        {"::1", 80, true, "invalid port"},
        {"0", 80, true, "invalid port"},
        {"65536", 80, true, "invalid port"},
        {"*:", 80, true, "invalid port"},
        {"[::1]:", 80, false, "invalid port"},
        {"[::1", 80, false, "invalid host"},
        {"[::1]x", 80, false, "invalid host"},
        {"[::1]:80", -1, false, "invalid host"},
        {"127.0.0.1:80", -1, false, "invalid host"},
        {"127.0.0.1/x", 80, false, "invalid host"},
        {"[zz]:80", 80, false, "invalid IPv6 address"},
        {"[1.2.3.4]", 80, false, "invalid IPv6 address"},
        {"[::1%lo]", 80, false, "invalid IPv6 address"},
        {"unix:", 80, false, "no path in the unix domain socket"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[ADDR_TEXT_MAX];
        struct sbuf b;
        struct addr_full a;
        const char *why = NULL;
        sbuf_init_fixed(&b, text, sizeof(text));
        if (addr_parse(&a, str_c(cases[i].text), cases[i].default_port, cases[i].wildcard, &why)) {
            addr_put(&b, &a.sa, true);
        } else {
            EXPECT_INT(why == addr_is_name, strcmp(cases[i].want, "host not found") == 0);
            sbuf_str(&b, str_c(why));
        }
        if (!str_eq(sbuf_view(&b), str_c(cases[i].want)))
            test_fail(__FILE__, __LINE__, "%s: got \"%.*s\", want \"%s\"", cases[i].text, STR_ARG(sbuf_view(&b)),
                      cases[i].want);
    }
}

TEST(addr_unix_paths) {
    char text[256];
    struct addr_full a;
    const char *why = NULL;
    memset(text, 'a', sizeof(text));
    memcpy(text, "unix:/", 6);
    EXPECT(addr_parse(&a, str_n(text, 5 + 107), 0, false, &why));
    EXPECT_INT(a.len, sizeof(struct sockaddr_un));
    EXPECT_INT(strlen(a.un.sun_path), 107);
    char out[ADDR_TEXT_MAX];
    struct sbuf b;
    sbuf_init_fixed(&b, out, sizeof(out));
    addr_put(&b, &a.sa, true);
    EXPECT_STR(sbuf_view(&b), str_n(text, 5 + 107));
    EXPECT(!addr_parse(&a, str_n(text, 5 + 108), 0, false, &why));
    EXPECT_STR(str_c(why), STR("too long path in the unix domain socket"));
    EXPECT(!addr_parse(&a, STR("unix:/a\0b"), 0, false, &why));
}

TEST(addr_ips) {
    static const struct {
        struct str text;
        const char *ip; // NULL: refused
    } cases[] = {
        {STR_INIT("1.2.3.4"), "1.2.3.4"},
        {STR_INIT("::"), "::"},
        {STR_INIT("::FFFF:1.2.3.4"), "::ffff:1.2.3.4"},
        {STR_INIT("[fe80::1]"), "fe80::1"},
        {STR_INIT(""), NULL},
        {STR_INIT("1.2.3.4:80"), NULL},
        {STR_INIT("[1.2.3.4]"), NULL},
        {STR_INIT("1.2.3."), NULL},
        {STR_INIT("1..2.3"), NULL},
        {STR_INIT("1.2.3.+4"), NULL},
        {STR_INIT("1.2.3.0004"), NULL},
        {STR_INIT("1.2.3.4\0"), NULL},
        {STR_INIT("::1\0"), NULL},
        {STR_INIT("[::1"), NULL},
        {STR_INIT("::1]"), NULL},
        {STR_INIT("0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"), NULL},
        {STR_INIT("1::2::3"), NULL},
        {STR_INIT("12345::"), NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[ADDR_TEXT_MAX];
        struct sbuf b;
        struct addr a;
        sbuf_init_fixed(&b, text, sizeof(text));
        bool ok = addr_parse_ip(&a, cases[i].text);
        EXPECT_INT(ok, cases[i].ip != NULL);
        if (!ok)
            continue;
        addr_put_ip(&b, &a.sa);
        EXPECT_STR(sbuf_view(&b), str_c(cases[i].ip));
        EXPECT_INT(addr_port(&a.sa), 0);
    }
}

static struct addr_full parsed(const char *text) {
    struct addr_full a;
    const char *why = "";
    if (!addr_parse(&a, str_c(text), 1, false, &why))
        test_fail(__FILE__, __LINE__, "%s: %s", text, why);
    return a;
}

TEST(addr_equality) {
    static const char *const texts[] = {"1.2.3.4", "1.2.3.4:2",        "1.2.3.5", "[::1]",   "[::1]:2",
                                        "[::2]",   "[::ffff:1.2.3.4]", "unix:/a", "unix:/ab"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        for (size_t j = 0; j < ARRAY_LEN(texts); j++) {
            struct addr_full a = parsed(texts[i]), b = parsed(texts[j]);
            EXPECT_INT(addr_eq(&a.sa, &b.sa), i == j);
        }
    struct addr_full a = parsed("1.2.3.4");
    EXPECT_STR(addr_bytes(&a.sa), STR("\x01\x02\x03\x04"));
    addr_set_port(&a.sa, 65535);
    EXPECT_INT(addr_port(&a.sa), 65535);
    a = parsed("[::1]:7");
    EXPECT_STR(addr_bytes(&a.sa), STR("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"));
    EXPECT_INT(addr_port(&a.sa), 7);
    addr_set_port(&a.sa, 8);
    EXPECT_INT(addr_port(&a.sa), 8);
    a = parsed("unix:/a");
    EXPECT_STR(addr_bytes(&a.sa), STR("unix:"));
    EXPECT_INT(addr_port(&a.sa), 0);
}

TEST(cidr_parses) {
    static const struct {
        const char *text;
        int bits; // -1: refused
        bool truncated;
    } cases[] = {
        {"10.0.0.0/8", 8, false},
        {"10.1.0.0/8", 8, true},
        {"1.2.3.4", 32, false},
        {"1.2.3.4/0", 0, true},
        {"0.0.0.0/0", 0, false},
        {"1.2.3.4/08", 8, true},
        {"::/0", 0, false},
        {"::1", 128, false},
        {"::1/128", 128, false},
        {"2001:db8::1/32", 32, true},
        {"2001:db8::/33", 33, false},
        {"1.2.3.128/25", 25, false},
        {"1.2.3.128/24", 24, true},
        {"1.2.3.4/33", -1, false},
        {"::1/129", -1, false},
        {"1.2.3.4/", -1, false},
        {"1.2.3.4/-1", -1, false},
        {"1.2.3.4/x", -1, false},
        {"[::1]", -1, false},
        {"1.2.3/8", -1, false},
        {"::1/64/3", -1, false},
        {"", -1, false},
        {"/8", -1, false},
        {"a/8", -1, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct cidr c;
        bool truncated = false;
        bool ok = cidr_parse(&c, str_c(cases[i].text), &truncated);
        if (ok != (cases[i].bits >= 0))
            test_fail(__FILE__, __LINE__, "%s: %s", cases[i].text, ok ? "accepted" : "refused");
        if (ok) {
            EXPECT_INT(c.bits, cases[i].bits);
            EXPECT_INT(truncated, cases[i].truncated);
        }
    }
}

TEST(cidr_members) {
    static const struct {
        const char *network, *address;
        bool has;
    } cases[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"10.1.2.3/8", "10.9.9.9", true},
        {"1.2.3.128/25", "1.2.3.128", true},
        {"1.2.3.128/25", "1.2.3.127", false},
        {"1.2.3.4", "1.2.3.4", true},
        {"1.2.3.4", "1.2.3.5", false},
        {"0.0.0.0/0", "9.9.9.9", true},
        {"0.0.0.0/0", "[::1]", false},
        {"10.0.0.0/8", "[::ffff:10.1.1.1]", true},
        {"10.0.0.0/8", "[::ffff:11.1.1.1]", false},
        {"10.0.0.0/8", "[::10.1.1.1]", false},
        {"::/0", "[2001::1]", true},
        {"::/0", "1.2.3.4", false},
        {"2001:db8::/33", "[2001:db8:7fff::1]", true},
        {"2001:db8::/33", "[2001:db8:8000::1]", false},
        {"::ffff:0:0/96", "[::ffff:1.2.3.4]", true},
        {"::1", "unix:/a", false},
        {"0.0.0.0/0", "unix:/a", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct cidr c;
        bool truncated;
        struct addr_full a = parsed(cases[i].address);
        EXPECT(cidr_parse(&c, str_c(cases[i].network), &truncated));
        if (cidr_has(&c, &a.sa) != cases[i].has)
            test_fail(__FILE__, __LINE__, "%s in %s: want %d", cases[i].address, cases[i].network, cases[i].has);
    }
}
