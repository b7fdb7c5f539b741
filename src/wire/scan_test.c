#include "base/test.h"
#include "wire/scan.h"
#include "wire/vec.h"
#include <stdlib.h>

enum { WAYS = 8, SPAN = 80 };

static unsigned char random_byte(uint64_t *state) {
    static const char often[] = "aZ09-_: \t\r\n\x1f !\x7f\x80\xff@[`{/";
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    unsigned r = (unsigned)(*state >> 33);
    return (unsigned char)(r & 1 ? often[(r >> 1) % (sizeof(often) - 1)] : r >> 8);
}

// Every byte value at every place of every length, in memory of exactly that size: all ways agree with the plain one,
// and that one with the definition in scan.h.
TEST(scan_bytes) {
    struct scan_way ways[WAYS];
    size_t count = scan_ways(ways, WAYS);
    EXPECT(count >= 2);
    for (size_t n = 1; n <= 40; n++) {
        char *p = xmalloc(n);
        for (size_t at = 0; at < n; at++) {
            for (unsigned c = 0; c < 256; c++) {
                memset(p, 'a', n);
                p[at] = (char)c;
                bool ctl = (c < 0x20 && c != '\t') || c == 0x7f, sp = c <= 0x20 || c == 0x7f;
                bool name = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
                for (size_t w = 0; w < count; w++) {
                    EXPECT_INT(ways[w].ctl(p, n), ctl ? at : n);
                    EXPECT_INT(ways[w].ctl_sp(p, n), sp ? at : n);
                    EXPECT_INT(ways[w].name_end(p, n), name ? n : at);
                }
            }
        }
        free(p);
    }
    EXPECT_INT(scan_ctl("", 0), 0);
    EXPECT_INT(scan_name(NULL, 0), 0);
}

TEST(scan_random_bytes) {
    struct scan_way ways[WAYS];
    size_t count = scan_ways(ways, WAYS);
    uint64_t state = 1;
    for (int round = 0; round < 20000; round++) {
        char p[SPAN];
        for (size_t i = 0; i < SPAN; i++)
            p[i] = (char)random_byte(&state);
        size_t from = (size_t)round % 7, n = SPAN - from - (size_t)round % 31;
        for (size_t w = 1; w < count; w++) {
            EXPECT_INT(ways[w].ctl(p + from, n), ways[0].ctl(p + from, n));
            EXPECT_INT(ways[w].ctl_sp(p + from, n), ways[0].ctl_sp(p + from, n));
            EXPECT_INT(ways[w].name_end(p + from, n), ways[0].name_end(p + from, n));
        }
    }
}

// The end of a head at each place, both its forms, behind text without and with line ends; and cut at each byte.
TEST(scan_finds_head_end) {
    static const struct str ends[] = {STR_INIT("\n\r\n"), STR_INIT("\n\n")};
    static const struct str fill[] = {STR_INIT("abcdefg"), STR_INIT("a\r\nb\nc"), STR_INIT("\r\r\na\r\rb"),
                                      STR_INIT("a\n\rb\r\n\rc")};
    struct scan_way ways[WAYS];
    size_t count = scan_ways(ways, WAYS);
    for (size_t e = 0; e < ARRAY_LEN(ends); e++)
        for (size_t f = 0; f < ARRAY_LEN(fill); f++)
            for (size_t before = 0; before < 150; before++)
                for (size_t w = 0; w < count; w++) {
                    size_t n = before + ends[e].n, from = 0;
                    char *p = xmalloc(n + 1);
                    for (size_t i = 0; i < before; i++)
                        p[i] = fill[f].p[i % fill[f].n];
                    if (before != 0)
                        p[before - 1] = 'x';
                    memcpy(p + before, ends[e].p, ends[e].n);
                    p[n] = 'y';
                    EXPECT_INT(ways[w].head_end(p, n + 1, &from), n);
                    from = 0;
                    for (size_t cut = 0; cut < n; cut++)
                        EXPECT_INT(ways[w].head_end(p, cut, &from), 0);
                    EXPECT_INT(ways[w].head_end(p, n, &from), n);
                    free(p);
                }
}

TEST(scan_head_end_random) {
    static const char alphabet[] = "\r\n\r\nab";
    struct scan_way ways[WAYS];
    size_t count = scan_ways(ways, WAYS);
    uint64_t state = 7;
    for (int round = 0; round < 20000; round++) {
        char p[SPAN];
        // Line ends become rare with the round, so that ends lie near and far.
        for (size_t i = 0; i < SPAN; i++) {
            unsigned char c = random_byte(&state);
            p[i] = c % (1 + (unsigned)round % 40) == 0 ? alphabet[c % 6] : 'c';
        }
        size_t from0 = 0, n = SPAN - (size_t)round % 50, want = ways[0].head_end(p, n, &from0);
        for (size_t w = 1; w < count; w++) {
            size_t from = 0;
            EXPECT_INT(ways[w].head_end(p, n, &from), want);
            if (want == 0)
                EXPECT_INT(from, from0);
        }
    }
}
