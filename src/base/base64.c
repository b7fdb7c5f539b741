// Base64 in both alphabets. Decoding is strict: bits that no byte comes from must be zero, so each value has one text.
#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(struct sbuf *out, struct str bytes, const char *letters, bool pad) {
    const unsigned char *p = (const unsigned char *)bytes.p;
    size_t n = bytes.n, rest = n % 3;
    size_t text = n / 3 * 4 + (rest == 0 ? 0 : pad ? 4 : rest + 1);
    char *to = sbuf_room(out, text);
    if (to == NULL)
        return;
    for (; n >= 3; n -= 3, p += 3) {
        *to++ = letters[p[0] >> 2];
        *to++ = letters[(p[0] & 3) << 4 | p[1] >> 4];
        *to++ = letters[(p[1] & 15) << 2 | p[2] >> 6];
        *to++ = letters[p[2] & 63];
    }
    if (rest != 0) {
        unsigned second = rest == 2 ? p[1] : 0;
        *to++ = letters[p[0] >> 2];
        *to++ = letters[(p[0] & 3) << 4 | second >> 4];
        if (rest == 2)
            *to++ = letters[(second & 15) << 2];
        for (; pad && rest < 3; rest++)
            *to++ = '=';
    }
    out->n += text;
}

static inline int value_of(unsigned char c, char c62, char c63) {
    if (ascii_is_alpha(c))
        return c >= 'a' ? c - 'a' + 26 : c - 'A';
    if (ascii_is_digit(c))
        return c - '0' + 52;
    return c == (unsigned char)c62 ? 62 : c == (unsigned char)c63 ? 63 : -1;
}

static bool decode(struct sbuf *out, struct str text, char c62, char c63) {
    size_t pads = 0;
    while (pads < 2 && pads < text.n && text.p[text.n - 1 - pads] == '=')
        pads++;
    if (pads != 0 && text.n % 4 != 0)
        return false;
    size_t letters = text.n - pads;
    if (letters % 4 == 1 || (pads != 0 && letters % 4 + pads != 4))
        return false;
    size_t bytes = letters / 4 * 3 + (letters % 4 != 0 ? letters % 4 - 1 : 0);
    char *to = sbuf_room(out, bytes);
    if (to == NULL)
        return false;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < letters; i++) {
        int v = value_of((unsigned char)text.p[i], c62, c63);
        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
        held += 6;
        if (held >= 8) {
            held -= 8;
            *to++ = (char)(bits >> held);
            bits &= (1u << held) - 1;
        }
    }
    if (bits != 0)
        return false;
    out->n += bytes;
    return true;
}

void base64_encode(struct sbuf *out, struct str bytes) {
    encode(out, bytes, alphabet, true);
}
void base64url_encode(struct sbuf *out, struct str bytes) {
    encode(out, bytes, url_alphabet, false);
}
bool base64_decode(struct sbuf *out, struct str text) {
    return decode(out, text, '+', '/');
}
bool base64url_decode(struct sbuf *out, struct str text) {
    return decode(out, text, '-', '_');
}
