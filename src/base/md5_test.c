// The test suite of RFC 1321 A.5, lengths around a block, and input in pieces.
#include "base/md5.h"
#include "base/test.h"
#include <stdio.h>

static void hex(const unsigned char *sum, char *to) {
    for (int i = 0; i < MD5_BYTES; i++)
        snprintf(to + 2 * i, 3, "%02x", sum[i]);
}

TEST(md5_of_the_rfc) {
    static const struct {
        struct str text;
        const char *sum;
    } cases[] = {
        {STR_INIT(""), "d41d8cd98f00b204e9800998ecf8427e"},
        {STR_INIT("a"), "0cc175b9c0f1b6a831c399e269772661"},
        {STR_INIT("abc"), "900150983cd24fb0d6963f7d28e17f72"},
        {STR_INIT("message digest"), "f96b697d7cb7938d525a2f31aaf161d0"},
        {STR_INIT("abcdefghijklmnopqrstuvwxyz"), "c3fcd3d76192e4007dfb496cca67e13b"},
        {STR_INIT("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"), "d174ab98d277d9f5a5611c2c9f419d9f"},
        {STR_INIT("12345678901234567890123456789012345678901234567890123456789012345678901234567890"),
         "57edf4a22be3c955ac49da2e2107b67a"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        unsigned char sum[MD5_BYTES];
        char text[33];
        md5_of(cases[i].text, sum);
        hex(sum, text);
        EXPECT_STR(str_c(text), str_c(cases[i].sum));
    }
}

TEST(md5_in_pieces) {
    char text[200];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7);
    for (size_t n = 0; n <= sizeof text; n++) {
        unsigned char whole[MD5_BYTES], parts[MD5_BYTES];
        md5_of(str_n(text, n), whole);
        for (size_t cut = 0; cut <= n; cut += 1 + cut / 8) {
            struct md5 m;
            md5_init(&m);
            md5_add(&m, str_n(text, cut));
            md5_add(&m, str_n(text + cut, n - cut));
            md5_end(&m, parts);
            EXPECT(memcmp(whole, parts, MD5_BYTES) == 0);
        }
    }
}
