// The PROXY protocol: whatever the bytes, cut anywhere, and the same answer however they come.
#include "wire/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_header(const struct proxy_header *h, struct str bytes) {
    CHECK(h->n <= bytes.n && h->n <= PROXY_V2_MAX && (h->version == 2 || h->n <= PROXY_V1_MAX));
    if (h->has_addrs)
        CHECK(h->source.sa.sa_family == h->destination.sa.sa_family);
    CHECK(h->tlvs.n == 0 || (h->tlvs.p >= bytes.p && h->tlvs.p + h->tlvs.n == bytes.p + h->n));
    struct str value, inner;
    for (unsigned type = 0; type < 256; type++) {
        if (proxy_tlv(h->tlvs, type, &value) && value.n > 5)
            (void)proxy_tlv(str_from(value, 5), 0x21, &inner);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 8192)
        return 0;
    struct str bytes = str_n((const char *)data, size);
    struct proxy_header whole = {0}, part;
    enum proxy_result result = proxy_protocol_parse(&whole, bytes);
    if (result == PROXY_OK)
        check_header(&whole, bytes);
    for (size_t n = 0; n < size; n++) {
        enum proxy_result cut = proxy_protocol_parse(&part, str_head(bytes, n));
        if (cut == PROXY_MORE)
            continue;
        CHECK(cut == result);
        if (cut == PROXY_OK)
            CHECK(part.n == whole.n && part.n <= n);
        break;
    }
    return 0;
}
