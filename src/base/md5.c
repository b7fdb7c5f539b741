// MD5 as RFC 1321 describes it.
#include "base/md5.h"

// floor(2^32 * abs(sin(i + 1))), RFC 1321 3.4.
static const uint32_t sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af,
    0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa,
    0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8,
    0x676f02d9, 0x8d2a4c8a, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 0xf4292244, 0x432aff97,
    0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1,
    0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};
static const unsigned char turns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

static inline uint32_t word_at(const unsigned char *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint32_t turn(uint32_t v, unsigned n) { return v << n | v >> (32 - n); }

// One step: the four words rotate; the function of the round and its order of words are given.
#define STEP(f, word, round, i)                                                                                        \
    do {                                                                                                               \
        uint32_t sum = a + (f) + x[(word) % 16] + sines[i];                                                            \
        a = d, d = c, c = b, b += turn(sum, turns[round][(i) % 4]);                                                    \
    } while (0);
// Written out, so that indices are constants.
#define FOUR(f, factor, add, round, i)                                                                                 \
    STEP(f, factor * (i) + add, round, i)                                                                              \
    STEP(f, factor * ((i) + 1) + add, round, (i) + 1)                                                                  \
    STEP(f, factor * ((i) + 2) + add, round, (i) + 2)                                                                  \
    STEP(f, factor * ((i) + 3) + add, round, (i) + 3)
#define ROUND(f, factor, add, round)                                                                                   \
    FOUR(f, factor, add, round, 16 * (round))                                                                          \
    FOUR(f, factor, add, round, 16 * (round) + 4)                                                                      \
    FOUR(f, factor, add, round, 16 * (round) + 8)                                                                      \
    FOUR(f, factor, add, round, 16 * (round) + 12)

static void block(uint32_t state[4], const unsigned char *p) {
    uint32_t x[16], a = state[0], b = state[1], c = state[2], d = state[3];
    for (unsigned i = 0; i < 16; i++)
        x[i] = word_at(p + 4 * i);
    ROUND((b & c) | (~b & d), 1, 0, 0)
    ROUND((d & b) | (~d & c), 5, 1, 1)
    ROUND(b ^ c ^ d, 3, 5, 2)
    ROUND(c ^ (b | ~d), 7, 0, 3)
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

void md5_init(struct md5 *m) {
    *m = (struct md5){.state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}};
}

void md5_add(struct md5 *m, struct str s) {
    if (s.n == 0)
        return;
    size_t had = m->total % 64;
    m->total += s.n;
    if (had != 0) {
        size_t n = MIN(64 - had, s.n);
        memcpy(m->rest + had, s.p, n);
        s = str_from(s, n);
        if (had + n < 64)
            return;
        block(m->state, m->rest);
    }
    for (; s.n >= 64; s = str_from(s, 64))
        block(m->state, (const unsigned char *)s.p);
    if (s.n != 0)
        memcpy(m->rest, s.p, s.n);
}

void md5_end(struct md5 *m, unsigned char to[MD5_BYTES]) {
    uint64_t bits = m->total * 8;
    size_t had = m->total % 64;
    m->rest[had++] = 0x80;
    if (had > 56) {
        memset(m->rest + had, 0, 64 - had);
        block(m->state, m->rest);
        had = 0;
    }
    memset(m->rest + had, 0, 56 - had);
    for (unsigned i = 0; i < 8; i++)
        m->rest[56 + i] = (unsigned char)(bits >> (8 * i));
    block(m->state, m->rest);
    for (unsigned i = 0; i < 16; i++)
        to[i] = (unsigned char)(m->state[i / 4] >> (8 * (i % 4)));
}

void md5_of(struct str bytes, unsigned char to[MD5_BYTES]) {
    struct md5 m;
    md5_init(&m);
    md5_add(&m, bytes);
    md5_end(&m, to);
}
