// "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", or twelve fixed bytes and a binary head.
#include "wire/proxy_protocol.h"

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static unsigned be16(const char *p) { return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1]; }

// --- version 1 -----------------------------------------------------------------------------------------------------------

static bool take_addr(struct str *rest, int family, struct addr *a) {
    struct str word;
    if (!str_split(rest, ' ', &word) || rest->p == NULL || (word.n != 0 && word.p[0] == '['))
        return false;
    return addr_parse_ip(a, word) && a->sa.sa_family == family;
}

static bool take_port(struct str *rest, bool last, struct addr *a) {
    struct str word;
    uint64_t port;
    if (!str_split(rest, ' ', &word) || (rest->p == NULL) != last || !str_u64(word, 65535, &port) ||
        (word.n > 1 && word.p[0] == '0'))
        return false;
    addr_set_port(&a->sa, (unsigned)port);
    return true;
}

static enum proxy_result parse_line(struct proxy_header *h, struct str line) {
    struct proxy_header got = {.version = 1, .n = line.n + 2};
    struct str rest = str_from(line, 6);
    if (str_eq(rest, STR("UNKNOWN")) || str_starts(rest, STR("UNKNOWN "))) {
        *h = got;
        return PROXY_OK;
    }
    int family = str_starts(rest, STR("TCP4 ")) ? AF_INET : str_starts(rest, STR("TCP6 ")) ? AF_INET6 : AF_UNSPEC;
    if (family == AF_UNSPEC)
        return PROXY_BAD;
    rest = str_from(rest, 5);
    if (!take_addr(&rest, family, &got.source) || !take_addr(&rest, family, &got.destination) ||
        !take_port(&rest, false, &got.source) || !take_port(&rest, true, &got.destination))
        return PROXY_BAD;
    got.has_addrs = true;
    *h = got;
    return PROXY_OK;
}

static enum proxy_result parse_v1(struct proxy_header *h, struct str bytes) {
    struct str head = str_head(bytes, PROXY_V1_MAX);
    if (!str_starts(head, str_head(STR("PROXY "), head.n)))
        return PROXY_BAD;
    ssize_t end = str_chr(head, '\n');
    if (end < 0)
        return bytes.n < PROXY_V1_MAX ? PROXY_MORE : PROXY_BAD;
    if (end < 7 || head.p[end - 1] != '\r')
        return PROXY_BAD;
    return parse_line(h, str_head(head, (size_t)end - 1));
}

// --- version 2 -----------------------------------------------------------------------------------------------------------

static bool next_tlv(struct str *rest, unsigned *type, struct str *value) {
    if (rest->n < 3 || rest->n - 3 < be16(rest->p + 1))
        return false;
    *type = (unsigned char)rest->p[0];
    *value = str_n(rest->p + 3, be16(rest->p + 1));
    *rest = str_from(*rest, 3 + value->n);
    return true;
}

static bool well_formed(struct str tlvs) {
    unsigned type;
    struct str value;
    while (tlvs.n != 0) {
        if (!next_tlv(&tlvs, &type, &value))
            return false;
    }
    return true;
}

static void set_addr(struct addr *a, int family, const char *bytes, unsigned port) {
    if (family == AF_INET) {
        a->in4 = (struct sockaddr_in){.sin_family = AF_INET};
        memcpy(&a->in4.sin_addr, bytes, 4);
    } else {
        a->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
        memcpy(&a->in6.sin6_addr, bytes, 16);
    }
    addr_set_port(&a->sa, port);
}

// Addresses of a family in front of the TLVs: 12, 36 or 216 bytes.
static bool take_block(struct proxy_header *h, unsigned family, bool stream, struct str *rest) {
    static const size_t sizes[] = {0, 12, 36, 216};
    if (family >= ARRAY_LEN(sizes))
        return false;
    size_t size = sizes[family], ip = family == 1 ? 4 : 16;
    if (rest->n < size)
        return false;
    if (stream && (family == 1 || family == 2)) {
        int af = family == 1 ? AF_INET : AF_INET6;
        set_addr(&h->source, af, rest->p, be16(rest->p + 2 * ip));
        set_addr(&h->destination, af, rest->p + ip, be16(rest->p + 2 * ip + 2));
        h->has_addrs = true;
    }
    *rest = str_from(*rest, size);
    return true;
}

static enum proxy_result parse_v2(struct proxy_header *h, struct str bytes) {
    struct proxy_header got = {.version = 2};
    if (bytes.n < 16)
        return PROXY_MORE;
    unsigned command = (unsigned char)bytes.p[12], kind = (unsigned char)bytes.p[13];
    got.n = 16 + be16(bytes.p + 14);
    if (command >> 4 != 2 || (command & 15) > 1 || got.n > PROXY_V2_MAX)
        return PROXY_BAD;
    if (bytes.n < got.n)
        return PROXY_MORE;
    struct str rest = str_n(bytes.p + 16, got.n - 16);
    bool local = (command & 15) == 0; // a health check: whatever follows is not to be looked at
    if (!local) {
        if (!take_block(&got, kind >> 4, (kind & 15) == 1, &rest) || !well_formed(rest))
            return PROXY_BAD;
        got.tlvs = rest;
    }
    *h = got;
    return PROXY_OK;
}

enum proxy_result proxy_protocol_parse(struct proxy_header *h, struct str bytes) {
    if (bytes.n == 0)
        return PROXY_MORE;
    if (bytes.p[0] == 'P')
        return parse_v1(h, bytes);
    size_t n = MIN(bytes.n, sizeof(signature));
    return memcmp(bytes.p, signature, n) == 0 ? parse_v2(h, bytes) : PROXY_BAD;
}

bool proxy_tlv(struct str tlvs, unsigned type, struct str *value) {
    unsigned t;
    struct str v;
    while (next_tlv(&tlvs, &t, &v)) {
        if (t != type)
            continue;
        *value = v;
        return true;
    }
    return false;
}
