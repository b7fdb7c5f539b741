// Hash functions. hash_bytes multiplies 64-bit words into 128 bits and folds the halves, as the wyhash family does,
// with constants of its own.
#include "base/hash.h"
#include "base/swar.h"

// Odd numbers nobody chose: the first digits of pi, e and the square roots of 2 and 3.
static const uint64_t k0 = 0x243f6a8885a308d3u | 1, k1 = 0xb7e151628aed2a6bu | 1, k2 = 0x6a09e667f3bcc909u | 1,
                      k3 = 0xbb67ae8584caa73bu | 1;

static inline uint64_t mix(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t load64(const unsigned char *p, bool fold) {
    uint64_t w = swar_load64(p);
    return fold ? swar_lower64(w) : w;
}
static inline uint64_t load32(const unsigned char *p, bool fold) {
    uint64_t w = swar_load32(p);
    return fold ? swar_lower64(w) : w;
}
// 1 to 3 bytes: first, middle, last.
static inline uint64_t load_few(const unsigned char *p, size_t n, bool fold) {
    uint64_t w = (uint64_t)p[0] << 16 | (uint64_t)p[n >> 1] << 8 | p[n - 1];
    return fold ? swar_lower64(w) : w;
}

// `fold` is a constant where this is inlined: two functions, one text.
static inline __attribute__((always_inline)) uint64_t hash_core(const unsigned char *p, size_t n, uint64_t seed,
                                                                bool fold) {
    uint64_t a = 0, b = 0, len = n;
    seed ^= mix(seed ^ k0, k1);
    if (LIKELY(n <= 16)) {
        if (n >= 8) {
            a = load64(p, fold);
            b = load64(p + n - 8, fold);
        } else if (n >= 4) {
            a = load32(p, fold);
            b = load32(p + n - 4, fold);
        } else if (n > 0) {
            a = load_few(p, n, fold);
        }
    } else {
        if (n > 32) { // two chains of multiplications at once
            uint64_t other = seed ^ k3;
            for (; n > 32; n -= 32, p += 32) {
                seed = mix(load64(p, fold) ^ k1, load64(p + 8, fold) ^ seed);
                other = mix(load64(p + 16, fold) ^ k2, load64(p + 24, fold) ^ other);
            }
            seed ^= other;
        }
        if (n > 16)
            seed = mix(load64(p, fold) ^ k1, load64(p + 8, fold) ^ seed);
        // The last 16 bytes, which overlap what has been read: the string has more than 16.
        a = load64(p + n - 16, fold);
        b = load64(p + n - 8, fold);
    }
    return mix(k2 ^ len, mix(a ^ k1, b ^ seed) ^ seed);
}

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed) {
    return hash_core(p, n, seed, false);
}

uint64_t hash_istr(struct str s, uint64_t seed) {
    return hash_core((const unsigned char *)s.p, s.n, seed, true);
}

// The table is linear over XOR, so its eight powers of two give all of it.
#define CRC(i)                                                                                                       \
    (((i)&1 ? 0x77073096u : 0) ^ ((i)&2 ? 0xee0e612cu : 0) ^ ((i)&4 ? 0x076dc419u : 0) ^ ((i)&8 ? 0x0edb8832u : 0) ^ \
     ((i)&16 ? 0x1db71064u : 0) ^ ((i)&32 ? 0x3b6e20c8u : 0) ^ ((i)&64 ? 0x76dc4190u : 0) ^                          \
     ((i)&128 ? 0xedb88320u : 0))
#define CRC4(i)  CRC(i), CRC((i) + 1), CRC((i) + 2), CRC((i) + 3)
#define CRC16(i) CRC4(i), CRC4((i) + 4), CRC4((i) + 8), CRC4((i) + 12)
#define CRC64(i) CRC16(i), CRC16((i) + 16), CRC16((i) + 32), CRC16((i) + 48)
static const uint32_t crc_table[256] = {CRC64(0), CRC64(64), CRC64(128), CRC64(192)};

uint32_t hash_crc32_add(uint32_t crc, struct str s) {
    for (size_t i = 0; i < s.n; i++)
        crc = crc_table[(crc ^ (unsigned char)s.p[i]) & 0xff] ^ crc >> 8;
    return crc;
}

uint32_t hash_crc32(struct str s) { return ~hash_crc32_add(~0u, s); }

uint32_t hash_murmur2(struct str s) {
    const uint32_t m = 0x5bd1e995u;
    const unsigned char *p = (const unsigned char *)s.p;
    uint32_t h = (uint32_t)s.n;
    size_t n = s.n;
    for (; n >= 4; n -= 4, p += 4) {
        uint32_t k = swar_load32(p) * m;
        k = (k ^ k >> 24) * m;
        h = h * m ^ k;
    }
    if (n > 0) {
        for (size_t i = 0; i < n; i++)
            h ^= (uint32_t)p[i] << 8 * i;
        h *= m;
    }
    h = (h ^ h >> 13) * m;
    return h ^ h >> 15;
}
