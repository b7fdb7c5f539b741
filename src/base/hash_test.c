#include "base/hash.h"
#include "base/test.h"
#include <stdio.h>
#include <stdlib.h>

TEST(crc32_vectors) {
    static const struct {
        struct str s;
        uint32_t crc;
    } cases[] = {
        {STR_INIT(""), 0},
        {STR_INIT("a"), 0xe8b7be43},
        {STR_INIT("abc"), 0x352441c2},
        {STR_INIT("123456789"), 0xcbf43926},
        {STR_INIT("The quick brown fox jumps over the lazy dog"), 0x414fa339},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        EXPECT_INT(hash_crc32(cases[i].s), cases[i].crc);
    // All table entries, against the definition bit by bit.
    for (unsigned c = 0; c < 256; c++) {
        uint32_t crc = ~0u ^ c;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
        char byte = (char)c;
        EXPECT_INT(hash_crc32(str_n(&byte, 1)), (uint32_t)~crc);
    }
}

// Written from the definition of MurmurHash2 byte by byte, so that loads and tails are checked.
static uint32_t slow_murmur2(const unsigned char *p, size_t n) {
    uint32_t h = (uint32_t)n, m = 0x5bd1e995;
    while (n >= 4) {
        uint32_t k = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        k *= m;
        k ^= k >> 24;
        k *= m;
        h *= m;
        h ^= k;
        p += 4;
        n -= 4;
    }
    switch (n) {
    case 3:
        h ^= (uint32_t)p[2] << 16;
        __attribute__((fallthrough));
    case 2:
        h ^= (uint32_t)p[1] << 8;
        __attribute__((fallthrough));
    case 1:
        h ^= p[0];
        h *= m;
    }
    h ^= h >> 13;
    h *= m;
    return h ^ h >> 15;
}

TEST(murmur2_agrees_with_its_definition) {
    EXPECT_INT(hash_murmur2(STR("")), 0);
    char text[64];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 37 + 130);
    for (size_t n = 0; n <= sizeof(text); n++)
        EXPECT_INT(hash_murmur2(str_n(text, n)), slow_murmur2((unsigned char *)text, n));
}

TEST(each_byte_and_the_seed_count) {
    for (size_t n = 0; n <= 200; n++) {
        char *text = xcalloc(1, n); // exactly n bytes: a sanitizer sees a read past them
        uint64_t h = hash_bytes(text, n, 1);
        EXPECT(h == hash_bytes(text, n, 1));
        EXPECT(h != hash_bytes(text, n, 2));
        for (size_t i = 0; i < n; i++) {
            for (int bit = 0; bit < 8; bit++) {
                text[i] ^= (char)(1 << bit);
                EXPECT(hash_bytes(text, n, 1) != h);
                text[i] ^= (char)(1 << bit);
            }
        }
        free(text);
    }
    EXPECT(hash_bytes("\0\0", 1, 1) != hash_bytes("\0\0", 2, 1));
}

TEST(case_folds) {
    for (size_t n = 0; n <= 100; n++) {
        char *upper = xmalloc(n), *lower = xmalloc(n);
        for (size_t i = 0; i < n; i++) {
            upper[i] = (char)('@' + (i * 5 + n) % 64);
            lower[i] = (char)ascii_lower((unsigned char)upper[i]);
        }
        EXPECT(hash_istr(str_n(upper, n), 7) == hash_bytes(lower, n, 7));
        EXPECT(hash_istr(str_n(upper, n), 7) == hash_istr(str_n(lower, n), 7));
        free(upper);
        free(lower);
    }
}

// Keys as they occur: no bucket of a table may get far more than its share, and no full hash may occur twice.
TEST(hashes_spread) {
    enum { COUNT = 1 << 16, BUCKETS = 1 << 10 };
    static int buckets[2][BUCKETS];
    for (int i = 0; i < COUNT; i++) {
        char key[32];
        int n = snprintf(key, sizeof(key), "/images/%d.png", i);
        uint64_t h = hash_bytes(key, (size_t)n, 42);
        buckets[0][h % BUCKETS]++;
        buckets[1][h >> 54]++;
    }
    for (int k = 0; k < 2; k++) { // mean 64, standard deviation 8
        for (int i = 0; i < BUCKETS; i++)
            EXPECT(buckets[k][i] > 16 && buckets[k][i] < 112);
    }
}
