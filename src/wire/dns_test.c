// DNS: what is asked, what is understood, and what is not let through.
#include "base/test.h"
#include "wire/dns.h"

static struct dns_answer a;

// A response under construction.
static char text[4096];
static struct sbuf m;

static void put16(unsigned v) {
    sbuf_chr(&m, (char)(v >> 8));
    sbuf_chr(&m, (char)v);
}
static void begin(unsigned flags, unsigned answers, unsigned authorities) {
    sbuf_init_fixed(&m, text, sizeof(text));
    put16(7);
    put16(flags);
    put16(1);
    put16(answers);
    put16(authorities);
    put16(0);
}
static void put_name(const char *name) {
    struct str rest = str_c(name), label;
    while (rest.n != 0 && str_split(&rest, '.', &label)) {
        sbuf_chr(&m, (char)label.n);
        sbuf_str(&m, label);
    }
    sbuf_chr(&m, 0);
}
static void question(const char *name, unsigned type) {
    put_name(name);
    put16(type);
    put16(1);
}
static void record(const char *name, unsigned type, unsigned ttl, const void *data, size_t n) {
    if (name == NULL)
        put16(0xc00c); // the question's
    else
        put_name(name);
    put16(type);
    put16(1);
    put16(ttl >> 16);
    put16(ttl & 0xffff);
    put16((unsigned)n);
    sbuf_put(&m, data, n);
}
static enum dns_result parse(const char *name, enum dns_type type) { return dns_parse(&a, sbuf_view(&m), 7, str_c(name), type); }

TEST(dns_query) {
    sbuf_init_fixed(&m, text, sizeof(text));
    dns_put_query(&m, 0x1234, STR("www.example.com."), DNS_AAAA);
    EXPECT_STR(sbuf_view(&m), STR("\x12\x34\1\0\0\1\0\0\0\0\0\1\3www\7example\3com\0\0\x1c\0\1\0\0\x29\4\xd0\0\0\0\0\0\0"));
    EXPECT(!m.overflow && m.n <= DNS_QUERY_MAX);
}

TEST(dns_names) {
    char long_label[70], long_name[300];
    memset(long_label, 'a', sizeof(long_label));
    for (size_t i = 0; i < sizeof(long_name); i++)
        long_name[i] = i % 2 ? '.' : 'a';
    EXPECT(dns_name_ok(STR("a")) && dns_name_ok(STR("a.b")) && dns_name_ok(STR("_http._tcp.x.test.")));
    EXPECT(dns_name_ok(str_n(long_label, 63)) && !dns_name_ok(str_n(long_label, 64)));
    EXPECT(dns_name_ok(str_n(long_name, 253)) && !dns_name_ok(str_n(long_name, 255)));
    EXPECT(!dns_name_ok(STR("")) && !dns_name_ok(STR(".")) && !dns_name_ok(STR("a..b")) && !dns_name_ok(STR(".a")));
    EXPECT(!dns_name_ok(STR("a\0b")));
}

TEST(dns_addresses) {
    begin(0x8180, 2, 0);
    question("A.Test", DNS_A);
    record(NULL, DNS_A, 300, "\1\2\3\4", 4);
    record("a.TEST", DNS_A, 20, "\5\6\7\x8", 4);
    EXPECT_INT(parse("a.test", DNS_A), DNS_ANSWER);
    EXPECT_INT(a.count, 2);
    EXPECT(memcmp(a.at[0].addr, "\1\2\3\4", 4) == 0 && memcmp(a.at[1].addr, "\5\6\7\x8", 4) == 0);
    EXPECT_INT(a.ttl, 20);
    EXPECT_INT(parse("b.test", DNS_A), DNS_NOT_OURS);
    EXPECT_INT(parse("a.test", DNS_AAAA), DNS_NOT_OURS);
    EXPECT_INT(dns_parse(&a, sbuf_view(&m), 8, STR("a.test"), DNS_A), DNS_NOT_OURS);
    // Cut anywhere it is no answer, and never a crash.
    for (size_t n = 0; n < m.n; n++)
        EXPECT(dns_parse(&a, str_n(text, n), 7, STR("a.test"), DNS_A) != DNS_ANSWER);
}

TEST(dns_aliases) {
    begin(0x8180, 3, 0);
    question("a.test", DNS_AAAA);
    record("c.test", DNS_AAAA, 50, "0123456789abcdef", 16); // the order of records says nothing
    record("b.test", DNS_CNAME, 40, "\1c\4test", 8);
    record("a.test", DNS_CNAME, 30, "\1b\4test", 8);
    EXPECT_INT(parse("a.test", DNS_AAAA), DNS_ANSWER);
    EXPECT_INT(a.count, 1);
    EXPECT_INT(a.ttl, 30);
    // An alias of itself ends.
    begin(0x8180, 1, 0);
    question("a.test", DNS_A);
    record(NULL, DNS_CNAME, 30, "\xc0\x0c", 2);
    EXPECT_INT(parse("a.test", DNS_A), DNS_ANSWER);
    EXPECT_INT(a.count, 0);
    // Records of another name are no answer.
    begin(0x8180, 1, 0);
    question("a.test", DNS_A);
    record("evil.test", DNS_A, 30, "\1\2\3\4", 4);
    EXPECT_INT(parse("a.test", DNS_A), DNS_ANSWER);
    EXPECT_INT(a.count, 0);
}

TEST(dns_services) {
    begin(0x8180, 3, 0);
    question("_http._tcp.a.test", DNS_SRV);
    record(NULL, DNS_SRV, 9, "\0\1\0\5\x1f\x90\3one\4test", 16);
    record(NULL, DNS_SRV, 10, "\0\2\0\0\0\x50\3TWO\xc0\x17", 12);
    record(NULL, DNS_SRV, 10, "\0\0\0\0\0\0", 7);
    EXPECT_INT(parse("_http._tcp.a.test", DNS_SRV), DNS_ANSWER);
    EXPECT_INT(a.count, 2);
    EXPECT(a.at[0].priority == 1 && a.at[0].weight == 5 && a.at[0].port == 8080);
    EXPECT_STR(str_c(a.at[0].target), STR("one.test"));
    EXPECT_STR(str_c(a.at[1].target), STR("two.a.test"));
}

TEST(dns_negative) {
    begin(0x8183, 0, 1);
    question("a.test", DNS_A);
    record("test", DNS_SOA, 600, "\1m\0\1h\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\x1e", 26);
    EXPECT_INT(parse("a.test", DNS_A), DNS_ANSWER);
    EXPECT_INT(a.rcode, DNS_NXDOMAIN);
    EXPECT(a.has_ttl);
    EXPECT_INT(a.ttl, 30);
    begin(0x8182, 0, 0);
    question("a.test", DNS_A);
    EXPECT_INT(parse("a.test", DNS_A), DNS_ANSWER);
    EXPECT_INT(a.rcode, DNS_SERVFAIL);
    EXPECT(!a.has_ttl);
    begin(0x8380, 0, 0);
    question("a.test", DNS_A);
    EXPECT_INT(parse("a.test", DNS_A), DNS_ANSWER);
    EXPECT(a.truncated);
    begin(0x0100, 0, 0); // a query
    question("a.test", DNS_A);
    EXPECT_INT(parse("a.test", DNS_A), DNS_NOT_OURS);
}

TEST(dns_hostile) {
    // Pointers: to itself, forward, into a loop; labels that reach beyond; wrong lengths of addresses; a NUL in a name.
    static const struct {
        const char *data;
        size_t n;
    } names[] = {{"\xc0\x18", 2}, {"\xc0\xff", 2}, {"\1a\xc0\x18", 4}, {"\x3f" "ab", 3}, {"\x80\1", 2}, {"\xc0", 1}, {"\1\0\0", 3},
                 {"\1.\0", 3}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        begin(0x8180, 1, 0);
        question("a.test", DNS_A);
        sbuf_put(&m, names[i].data, names[i].n);
        EXPECT_INT(parse("a.test", DNS_A), DNS_MALFORMED);
    }
    begin(0x8180, 1, 0);
    question("a.test", DNS_A);
    record(NULL, DNS_A, 1, "\1\2\3\4\5", 5);
    EXPECT_INT(parse("a.test", DNS_A), DNS_MALFORMED);
    begin(0x8180, 65535, 0);
    question("a.test", DNS_A);
    EXPECT_INT(parse("a.test", DNS_A), DNS_MALFORMED);
    // More records than are kept.
    static char many[DNS_RECORDS_MAX * 20 + 100];
    begin(0x8180, DNS_RECORDS_MAX + 5, 0);
    question("a.test", DNS_A);
    memcpy(many, text, m.n);
    sbuf_init_fixed(&m, many, sizeof(many));
    m.n = 12 + 8 + 4;
    for (int i = 0; i < DNS_RECORDS_MAX + 5; i++)
        record(NULL, DNS_A, 1, "\1\2\3\4", 4);
    EXPECT_INT(parse("a.test", DNS_A), DNS_ANSWER);
    EXPECT_INT(a.count, DNS_RECORDS_MAX);
}
