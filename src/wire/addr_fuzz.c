// Addresses and networks as text: what is read and written is read as the same. One byte of options, then the text.
#include "wire/addr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_addr(struct str text, int default_port, bool wildcard) {
    struct addr_full a, again;
    const char *why = NULL;
    char out[ADDR_TEXT_MAX];
    struct sbuf b;
    if (!addr_parse(&a, text, default_port, wildcard, &why)) {
        CHECK(why != NULL);
        return;
    }
    sbuf_init_fixed(&b, out, sizeof(out));
    addr_put(&b, &a.sa, addr_port(&a.sa) != 0);
    CHECK(!b.overflow && b.n != 0);
    CHECK(addr_parse(&again, sbuf_view(&b), 0, false, &why) && again.len == a.len && addr_eq(&a.sa, &again.sa));
}

static void fuzz_ip(struct str text) {
    struct addr a, again;
    struct cidr c;
    bool truncated;
    char out[ADDR_TEXT_MAX];
    struct sbuf b;
    if (!addr_parse_ip(&a, text))
        return;
    sbuf_init_fixed(&b, out, sizeof(out));
    addr_put_ip(&b, &a.sa);
    CHECK(addr_parse_ip(&again, sbuf_view(&b)) && addr_eq(&a.sa, &again.sa));
    CHECK(cidr_parse(&c, sbuf_view(&b), &truncated) && !truncated && cidr_has(&c, &a.sa));
}

static void fuzz_cidr(struct str text) {
    struct cidr c;
    bool truncated;
    struct addr_full inside = {0};
    if (!cidr_parse(&c, text, &truncated))
        return;
    inside.sa.sa_family = c.family;
    struct str bytes = addr_bytes(&inside.sa);
    CHECK(c.bits <= bytes.n * 8);
    char *to = (char *)(void *)&inside + (bytes.p - (const char *)&inside);
    memcpy(to, c.bytes, bytes.n);
    CHECK(cidr_has(&c, &inside.sa));
    if (c.bits == 0)
        return;
    to[(c.bits - 1) / 8] ^= (char)(0x80 >> (c.bits - 1) % 8); // the last bit of the network
    CHECK(!cidr_has(&c, &inside.sa));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > 1024)
        return 0;
    struct str text = str_n((const char *)data + 1, size - 1);
    fuzz_addr(text, data[0] & 1 ? -1 : data[0] & 2 ? 0 : 80, data[0] & 4);
    fuzz_ip(text);
    fuzz_cidr(text);
    return 0;
}
