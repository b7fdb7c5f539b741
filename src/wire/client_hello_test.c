#include "base/test.h"
#include "wire/client_hello.h"
#include <stdlib.h>

// Of a real client: TLS 1.2, name a.b.test, ALPN http/1.1.
static const char hello[] =
    "\x16\x03\x01\x00\xbd\x01\x00\x00\xb9\x03\x03\x39\xf1\xef\x87\x81\xf9\x51\x25\xd5\x2c\x38\xd6\xba"
    "\x50\x91\x01\xbb\x4a\xc4\x67\x1d\x6c\x53\x39\xb4\xc9\x5f\xa7\x8d\x5e\x3c\xd9\x00\x00\x1e\xc0\x2c"
    "\xc0\x30\xc0\x2b\xc0\x2f\xcc\xa9\xcc\xa8\xc0\x24\xc0\x28\xc0\x23\xc0\x27\x00\x9f\x00\x9e\x00\x6b"
    "\x00\x67\x00\xff\x01\x00\x00\x72\x00\x00\x00\x0d\x00\x0b\x00\x00\x08\x61\x2e\x62\x2e\x74\x65\x73"
    "\x74\x00\x0b\x00\x04\x03\x00\x01\x02\x00\x0a\x00\x0c\x00\x0a\x00\x1d\x00\x17\x00\x1e\x00\x19\x00"
    "\x18\x00\x23\x00\x00\x00\x10\x00\x0b\x00\x09\x08\x68\x74\x74\x70\x2f\x31\x2e\x31\x00\x16\x00\x00"
    "\x00\x17\x00\x00\x00\x0d\x00\x2a\x00\x28\x04\x03\x05\x03\x06\x03\x08\x07\x08\x08\x08\x09\x08\x0a"
    "\x08\x0b\x08\x04\x08\x05\x08\x06\x04\x01\x05\x01\x06\x01\x03\x03\x03\x01\x03\x02\x04\x02\x05\x02"
    "\x06\x02";
enum { HELLO = sizeof(hello) - 1 };

static char room[CLIENT_HELLO_MAX];

static void expect_read(const char *p, size_t n) {
    struct client_hello h;
    EXPECT_INT(client_hello_parse(p, n, &h, room), CLIENT_HELLO_OK);
    EXPECT_STR(h.server_name, STR("a.b.test"));
    EXPECT_STR(h.alpn, STR("\x08http/1.1"));
    EXPECT(alpn_has(h.alpn, STR("http/1.1")) && !alpn_has(h.alpn, STR("h2")));
    EXPECT_INT(h.version, 0x303);
    EXPECT_INT(h.ciphers.n, 30);
    EXPECT_INT(h.groups.n, 10);
    EXPECT_INT(h.versions.n, 0);
    EXPECT(!h.early_data);
}

TEST(client_hello_real) {
    expect_read(hello, HELLO);
    char more[HELLO + 3];
    memcpy(more, hello, HELLO);
    memcpy(more + HELLO, "\x14\x03\x03", 3); // what follows does not matter
    expect_read(more, sizeof more);
}

// Each prefix, in memory of just its size, so that a read beyond it is seen.
TEST(client_hello_cut_everywhere) {
    for (size_t n = 0; n < HELLO; n++) {
        char *p = malloc(n + 1);
        struct client_hello h;
        memcpy(p, hello, n);
        EXPECT_INT(client_hello_parse(p, n, &h, room), CLIENT_HELLO_MORE);
        free(p);
    }
}

// The message cut into records of each size.
TEST(client_hello_in_several_records) {
    size_t message = HELLO - 5;
    for (size_t size = 1; size <= message; size++) {
        char p[HELLO * 6];
        size_t n = 0;
        for (size_t at = 0; at < message; at += size) {
            size_t len = MIN(size, message - at);
            const char head[5] = {0x16, 3, 1, (char)(len >> 8), (char)len};
            memcpy(p + n, head, 5);
            memcpy(p + n + 5, hello + 5 + at, len);
            n += 5 + len;
        }
        struct client_hello h;
        EXPECT_INT(client_hello_parse(p, n - 1, &h, room), CLIENT_HELLO_MORE);
        expect_read(p, n);
    }
}

TEST(client_hello_other_protocols) {
    struct client_hello h;
    static const struct {
        const char *p;
        size_t n;
        enum client_hello_result want;
    } cases[] = {
        {"", 0, CLIENT_HELLO_MORE},
        {"G", 1, CLIENT_HELLO_NOT_TLS},
        {"\r\n", 2, CLIENT_HELLO_NOT_TLS},
        {"\x80\x2e\x01\x03\x01", 5, CLIENT_HELLO_BAD},     // SSL 2
        {"\x16\x02\x01\x00\x05", 5, CLIENT_HELLO_BAD},     // a version that never was
        {"\x16\x03\x01\x00\x00", 5, CLIENT_HELLO_BAD},     // an empty record
        {"\x16\x03\x01\xff\xff", 5, CLIENT_HELLO_BAD},     // a record that is too long
        {"\x16\x03\x01\x00\x04\x02\x00\x00\x00", 9, CLIENT_HELLO_BAD}, // another message
        {"\x16\x03\x01\x00\x04\x01\xff\xff\xff", 9, CLIENT_HELLO_BAD}, // a message that is too long
        {"\x16\x03\x01\x00\x04\x01\x00\x00\x00", 9, CLIENT_HELLO_BAD}, // one that is too short
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        EXPECT_INT(client_hello_parse(cases[i].p, cases[i].n, &h, room), cases[i].want);
}

// One byte changed: never a crash, and a name with a NUL or of another length is none.
TEST(client_hello_changed) {
    struct client_hello h;
    char p[HELLO];
    for (size_t at = 0; at < HELLO; at++) {
        for (unsigned x = 0; x < 256; x++) {
            memcpy(p, hello, HELLO);
            p[at] = (char)x;
            if (client_hello_parse(p, HELLO, &h, room) == CLIENT_HELLO_OK)
                EXPECT(h.server_name.n <= 255 && str_chr(h.server_name, '\0') < 0);
        }
    }
    memcpy(p, hello, HELLO);
    size_t at = (size_t)str_find(str_n(hello, HELLO), STR("a.b.test"));
    p[at + 1] = '\0';
    EXPECT_INT(client_hello_parse(p, HELLO, &h, room), CLIENT_HELLO_BAD);
}
