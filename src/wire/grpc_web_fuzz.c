// Base64 of gRPC-Web: whole and in pieces, and what it says against the strict decoder of base/ where there is no padding inside.
#include "base/base64.h"
#include "wire/grpc_web.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool decode(struct sbuf *out, struct str text, size_t step) {
    struct grpc_web_decoder d = {0};
    for (size_t at = 0; at < text.n; at += step) {
        size_t n = MIN(step, text.n - at), had = out->n;
        if (!grpc_web_decode(&d, out, str_n(text.p + at, n)))
            return false;
        CHECK(out->n - had <= n + 2);
    }
    return grpc_web_decoded(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > 1u << 16)
        return 0;
    struct str text = str_n((const char *)data + 1, size - 1), suffix;
    struct sbuf whole, pieces, strict;
    sbuf_init_heap(&whole, size);
    sbuf_init_heap(&pieces, size);
    sbuf_init_heap(&strict, size);
    bool ok = decode(&whole, text, SIZE_MAX / 2), ok_pieces = decode(&pieces, text, 1 + data[0] % 16), is_text;
    CHECK(ok == ok_pieces && str_eq(sbuf_view(&whole), sbuf_view(&pieces)));
    if (base64_decode(&strict, text) && text.n % 4 == 0)
        CHECK(ok && str_eq(sbuf_view(&whole), sbuf_view(&strict)));
    if (grpc_web_type(text, &is_text, &suffix))
        CHECK(suffix.n == 0 || suffix.p[0] == '+');
    sbuf_done(&whole);
    sbuf_done(&pieces);
    sbuf_done(&strict);
    return 0;
}
