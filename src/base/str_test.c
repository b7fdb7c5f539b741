#include "base/swar.h"
#include "base/test.h"
#include <stdlib.h>

static int sign(int v) {
    return (v > 0) - (v < 0);
}

TEST(comparing) {
    static const struct {
        struct str a, b;
        int cmp, icmp;
        bool starts, istarts, ends;
    } cases[] = {
        {STR_INIT(""), STR_INIT(""), 0, 0, true, true, true},
        {STR_INIT("a"), STR_INIT(""), 1, 1, true, true, true},
        {STR_INIT(""), STR_INIT("a"), -1, -1, false, false, false},
        {STR_INIT("abc"), STR_INIT("ABC"), 1, 0, false, true, false},
        {STR_INIT("abc"), STR_INIT("abd"), -1, -1, false, false, false},
        {STR_INIT("ab"), STR_INIT("abc"), -1, -1, false, false, false},
        {STR_INIT("abcab"), STR_INIT("ab"), 1, 1, true, true, true},
        {STR_INIT("\xff"), STR_INIT("a"), 1, 1, false, false, false},
        {STR_INIT("a\0b"), STR_INIT("a\0c"), -1, -1, false, false, false},
        {STR_INIT("Content-Length"), STR_INIT("content-length"), -1, 0, false, true, false},
        {STR_INIT("content-length"), STR_INIT("CONTENT-LENGTX"), 1, -1, false, false, false},
        {STR_INIT("[[[[[[[["), STR_INIT("{{{{{{{{"), -1, -1, false, false, false},
        {STR_INIT("@@@@@@@@"), STR_INIT("````````"), -1, -1, false, false, false},
        {STR_INIT("\xc1\xc1\xc1\xc1\xc1\xc1\xc1\xc1"), STR_INIT("\xe1\xe1\xe1\xe1\xe1\xe1\xe1\xe1"), -1, -1, false,
         false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str a = cases[i].a, b = cases[i].b;
        EXPECT_INT(sign(str_cmp(a, b)), cases[i].cmp);
        EXPECT_INT(sign(str_cmp(b, a)), -cases[i].cmp);
        EXPECT_INT(sign(str_icmp(a, b)), cases[i].icmp);
        EXPECT_INT(sign(str_icmp(b, a)), -cases[i].icmp);
        EXPECT_INT(str_eq(a, b), cases[i].cmp == 0);
        EXPECT_INT(str_ieq(a, b), cases[i].icmp == 0);
        EXPECT_INT(str_starts(a, b), cases[i].starts);
        EXPECT_INT(str_istarts(a, b), cases[i].istarts);
        EXPECT_INT(str_ends(a, b), cases[i].ends);
    }
    EXPECT(str_eq(STR_NONE, STR("")) && str_ieq(STR(""), STR_NONE) && str_cmp(STR_NONE, STR_NONE) == 0);
}

TEST(eight_bytes_fold_as_one_does) {
    for (unsigned c = 0; c < 256; c++) {
        for (unsigned at = 0; at < 8; at++) {
            unsigned char text[8] = {0xff, 'Z', 0x80, '[', 'a', '@', 0, 'A'}, want[8], got[8];
            text[at] = (unsigned char)c;
            for (unsigned i = 0; i < 8; i++)
                want[i] = ascii_lower(text[i]);
            uint64_t w = swar_lower64(swar_load64(text));
            memcpy(got, &w, 8);
            EXPECT(memcmp(got, want, 8) == 0);
        }
    }
}

TEST(searching) {
    EXPECT_INT(str_chr(STR("a,b,c"), ','), 1);
    EXPECT_INT(str_rchr(STR("a,b,c"), ','), 3);
    EXPECT_INT(str_chr(STR("abc"), ','), -1);
    EXPECT_INT(str_rchr(STR(""), ','), -1);
    EXPECT_INT(str_chr(STR_NONE, 'a'), -1);
    EXPECT_INT(str_chr(STR("a\0b"), 'b'), 2);
    static const struct {
        struct str s, needle;
        int find, ifind;
    } cases[] = {
        {STR_INIT("hello"), STR_INIT("ll"), 2, 2},      {STR_INIT("hello"), STR_INIT("LL"), -1, 2},
        {STR_INIT("hello"), STR_INIT(""), 0, 0},        {STR_INIT(""), STR_INIT(""), 0, 0},
        {STR_INIT(""), STR_INIT("a"), -1, -1},          {STR_INIT("aab"), STR_INIT("ab"), 1, 1},
        {STR_INIT("abc"), STR_INIT("abcd"), -1, -1},    {STR_INIT("xClose"), STR_INIT("close"), -1, 1},
        {STR_INIT("keep-alive"), STR_INIT("ve"), 8, 8},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        EXPECT_INT(str_find(cases[i].s, cases[i].needle), cases[i].find);
        EXPECT_INT(str_ifind(cases[i].s, cases[i].needle), cases[i].ifind);
    }
}

TEST(trimming) {
    EXPECT_STR(str_trim(STR(" \t a b\t ")), STR("a b"));
    EXPECT_STR(str_trim(STR(" \t ")), STR(""));
    EXPECT_STR(str_trim(STR("\na\r")), STR("\na\r"));
    EXPECT_STR(str_trim(STR_NONE), STR(""));
}

TEST(splitting) {
    static const struct {
        const char *text, *parts[4];
    } cases[] = {
        {"a,,b", {"a", "", "b"}}, {"", {""}}, {",", {"", ""}}, {"abc", {"abc"}}, {"a,b,", {"a", "b", ""}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str rest = str_c(cases[i].text), part;
        size_t n = 0;
        for (; str_split(&rest, ',', &part); n++) {
            EXPECT(n < 4 && cases[i].parts[n] != NULL);
            EXPECT_STR(part, str_c(cases[i].parts[n]));
        }
        EXPECT(n < 4 && cases[i].parts[n] == NULL);
    }
}

TEST(numbers) {
    static const struct {
        const char *text;
        uint64_t max;
        bool ok;
        uint64_t value;
    } cases[] = {
        {"0", 0, true, 0},
        {"1", 0, false, 0},
        {"255", 255, true, 255},
        {"256", 255, false, 0},
        {"65535", UINT16_MAX, true, 65535},
        {"65536", UINT16_MAX, false, 0},
        {"2147483647", INT32_MAX, true, INT32_MAX},
        {"2147483648", INT32_MAX, false, 0},
        {"9223372036854775807", INT64_MAX, true, INT64_MAX},
        {"9223372036854775808", INT64_MAX, false, 0},
        {"9223372036854775808", UINT64_MAX, true, (uint64_t)1 << 63},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"18446744073709551620", UINT64_MAX, false, 0},
        {"184467440737095516150", UINT64_MAX, false, 0},
        {"99999999999999999999999999", UINT64_MAX, false, 0},
        {"00000000000000000000000000000007", 7, true, 7},
        {"", 9, false, 0},
        {"+1", 9, false, 0},
        {"-1", 9, false, 0},
        {" 1", 9, false, 0},
        {"1 ", 9, false, 0},
        {"1:", 9, false, 0},
        {"1/", 9, false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t v = 4711;
        EXPECT_INT(str_u64(str_c(cases[i].text), cases[i].max, &v), cases[i].ok);
        EXPECT(v == (cases[i].ok ? cases[i].value : 4711));
    }
    uint64_t v = 4711;
    EXPECT(!str_u64(STR("1\0"), 9, &v) && !str_u64(STR_NONE, 9, &v) && v == 4711);
}

TEST(hex_numbers) {
    static const struct {
        const char *text;
        uint64_t max;
        bool ok;
        uint64_t value;
    } cases[] = {
        {"ff", 255, true, 255},
        {"100", 255, false, 0},
        {"FfFf", 65535, true, 65535},
        {"10000", 65535, false, 0},
        {"7fffffffffffffff", INT64_MAX, true, INT64_MAX},
        {"8000000000000000", INT64_MAX, false, 0},
        {"ffffffffffffffff", UINT64_MAX, true, UINT64_MAX},
        {"10000000000000000", UINT64_MAX, false, 0},
        {"00000000000000000001", 1, true, 1},
        {"", 9, false, 0},
        {"0x1", 9, false, 0},
        {"g", 99, false, 0},
        {"@", 99, false, 0},
        {"G", 99, false, 0},
        {"`", 99, false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t v = 4711;
        EXPECT_INT(str_hex_u64(str_c(cases[i].text), cases[i].max, &v), cases[i].ok);
        EXPECT(v == (cases[i].ok ? cases[i].value : 4711));
    }
}

TEST(duplicates_end_with_nul) {
    char *z = str_xdup(str_n("abcd", 3));
    EXPECT(strcmp(z, "abc") == 0);
    free(z);
    z = str_xdup(STR_NONE);
    EXPECT(strcmp(z, "") == 0);
    free(z);
}
