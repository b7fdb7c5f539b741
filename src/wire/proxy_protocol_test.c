#include "wire/proxy_protocol.h"
#include "base/arena.h"
#include "base/test.h"

static struct str text_of(const struct addr *a, struct arena *arena) {
    struct sbuf b;
    sbuf_init_arena(&b, arena, 64, ADDR_TEXT_MAX);
    addr_put(&b, &a->sa, true);
    return sbuf_view(&b);
}

// The first k bytes are a beginning for every k below the header's length, and bytes behind it do not count.
static enum proxy_result parse_cut(struct proxy_header *h, struct str bytes) {
    enum proxy_result whole = proxy_protocol_parse(h, bytes);
    for (size_t n = 0; n < bytes.n; n++) {
        struct proxy_header part;
        enum proxy_result r = proxy_protocol_parse(&part, str_head(bytes, n));
        if (whole == PROXY_OK)
            EXPECT_INT(r, n < h->n ? PROXY_MORE : PROXY_OK);
        else
            EXPECT(r == PROXY_MORE || r == whole);
    }
    return whole;
}

TEST(proxy_v1) {
    static const struct {
        const char *line;
        enum proxy_result result;
        const char *source, *destination; // NULL: none
    } cases[] = {
        {"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET", PROXY_OK, "192.0.2.1:56324", "192.0.2.2:443"},
        {"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", PROXY_OK, "[2001:db8::1]:1", "[::1]:65535"},
        {"PROXY TCP4 0.0.0.0 255.255.255.255 0 0\r\n", PROXY_OK, "0.0.0.0:0", "255.255.255.255:0"},
        {"PROXY UNKNOWN\r\n", PROXY_OK, NULL, NULL},
        {"PROXY UNKNOWN ffff::1 what ever\r\n", PROXY_OK, NULL, NULL},
        {"PROXY UNKNOWNX\r\n", PROXY_BAD, NULL, NULL},
        {"PROXY \r\n", PROXY_BAD, NULL, NULL},
        {"PROXY\r\n", PROXY_BAD, NULL, NULL},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\n", PROXY_BAD, NULL, NULL},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n", PROXY_BAD, NULL, NULL},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 \r\n", PROXY_BAD, NULL, NULL},
        {"PROXY TCP4 192.0.2.1  192.0.2.2 56324 443\r\n", PROXY_BAD, NULL, NULL},
        {"PROXY TCP4 ::1 ::1 1 2\r\n", PROXY_BAD, NULL, NULL},
        {"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", PROXY_BAD, NULL, NULL},
        {"PROXY TCP6 [::1] ::1 1 2\r\n", PROXY_BAD, NULL, NULL},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", PROXY_BAD, NULL, NULL},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", PROXY_BAD, NULL, NULL},
        {"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", PROXY_BAD, NULL, NULL},
        {"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", PROXY_BAD, NULL, NULL},
        {"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", PROXY_BAD, NULL, NULL},
        {"GET / HTTP/1.1\r\n", PROXY_BAD, NULL, NULL},
        {"PROXX", PROXY_BAD, NULL, NULL},
        {"", PROXY_MORE, NULL, NULL},
    };
    struct arena arena;
    arena_init(&arena, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct proxy_header h;
        EXPECT_INT(parse_cut(&h, str_c(cases[i].line)), cases[i].result);
        if (cases[i].result != PROXY_OK)
            continue;
        EXPECT_INT(h.version, 1);
        EXPECT_INT(h.has_addrs, cases[i].source != NULL);
        if (!h.has_addrs)
            continue;
        EXPECT_STR(text_of(&h.source, &arena), str_c(cases[i].source));
        EXPECT_STR(text_of(&h.destination, &arena), str_c(cases[i].destination));
    }
    arena_done(&arena);
}

TEST(proxy_v1_line_is_bounded) {
    char line[200];
    memset(line, 'x', sizeof(line));
    memcpy(line, "PROXY UNKNOWN ", 14);
    struct proxy_header h;
    EXPECT_INT(proxy_protocol_parse(&h, str_n(line, PROXY_V1_MAX - 1)), PROXY_MORE);
    EXPECT_INT(proxy_protocol_parse(&h, str_n(line, PROXY_V1_MAX)), PROXY_BAD);
    memcpy(line + PROXY_V1_MAX - 2, "\r\n", 2);
    EXPECT_INT(proxy_protocol_parse(&h, str_n(line, sizeof(line))), PROXY_OK);
    EXPECT_INT(h.n, PROXY_V1_MAX);
}

static char frame[PROXY_V2_MAX + 100];

static struct str v2(unsigned command, unsigned kind, const char *body, size_t n) {
    memcpy(frame, "\r\n\r\n\0\r\nQUIT\n", 12);
    frame[12] = (char)command;
    frame[13] = (char)kind;
    frame[14] = (char)(n >> 8);
    frame[15] = (char)n;
    memmove(frame + 16, body, n);
    memcpy(frame + 16 + n, "GET", 3);
    return str_n(frame, 16 + n + 3);
}

static const char four[] = "\1\2\3\4\5\6\7\10\x10\x00\x00\x50\x02\x00\x03xyz\x20\x00\x00";
enum { FOUR = sizeof(four) - 1 };

TEST(proxy_v2) {
    struct arena arena;
    arena_init(&arena, NULL);
    struct proxy_header h;
    EXPECT_INT(parse_cut(&h, v2(0x21, 0x11, four, FOUR)), PROXY_OK);
    EXPECT_INT(h.version, 2);
    EXPECT_STR(text_of(&h.source, &arena), STR("1.2.3.4:4096"));
    EXPECT_STR(text_of(&h.destination, &arena), STR("5.6.7.8:80"));
    struct str value;
    EXPECT(proxy_tlv(h.tlvs, 2, &value));
    EXPECT_STR(value, STR("xyz"));
    EXPECT(proxy_tlv(h.tlvs, 0x20, &value));
    EXPECT_INT(value.n, 0);
    EXPECT(!proxy_tlv(h.tlvs, 3, &value));

    char six[36] = {0};
    six[15] = six[31] = 1;
    six[33] = six[35] = 9;
    EXPECT_INT(parse_cut(&h, v2(0x21, 0x21, six, 36)), PROXY_OK);
    EXPECT_STR(text_of(&h.source, &arena), STR("[::1]:9"));
    arena_done(&arena);
}

TEST(proxy_v2_without_addresses) {
    static const char zeros[216];
    struct proxy_header h;
    EXPECT_INT(parse_cut(&h, v2(0x20, 0x11, "\xff\xff\xff", 3)), PROXY_OK); // LOCAL: nothing is looked at
    EXPECT(!h.has_addrs && h.tlvs.n == 0);
    EXPECT_INT(parse_cut(&h, v2(0x21, 0x31, zeros, 216)), PROXY_OK);
    EXPECT(!h.has_addrs);
    EXPECT_INT(parse_cut(&h, v2(0x21, 0x12, four, FOUR)), PROXY_OK); // UDP
    EXPECT(!h.has_addrs);
    EXPECT_INT(parse_cut(&h, v2(0x21, 0x00, "", 0)), PROXY_OK);
    EXPECT(!h.has_addrs);
}

TEST(proxy_v2_refused) {
    struct proxy_header h;
    EXPECT_INT(parse_cut(&h, v2(0x11, 0x11, four, FOUR)), PROXY_BAD);      // version 1
    EXPECT_INT(parse_cut(&h, v2(0x22, 0x11, four, FOUR)), PROXY_BAD);      // command
    EXPECT_INT(parse_cut(&h, v2(0x21, 0x41, four, FOUR)), PROXY_BAD);      // family
    EXPECT_INT(parse_cut(&h, v2(0x21, 0x11, four, 11)), PROXY_BAD);        // addresses cut
    EXPECT_INT(parse_cut(&h, v2(0x21, 0x21, four, FOUR)), PROXY_BAD);      // the same
    EXPECT_INT(parse_cut(&h, v2(0x21, 0x11, four, FOUR - 1)), PROXY_BAD);  // a TLV cut
    EXPECT_INT(proxy_protocol_parse(&h, v2(0x21, 0x11, frame, PROXY_V2_MAX - 15)), PROXY_BAD); // too long
}
