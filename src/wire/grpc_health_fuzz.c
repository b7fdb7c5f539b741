// An answer of gRPC's health checking protocol; then the same bytes as the name of a service that is asked for.
#include "wire/grpc_health.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str s = str_n((const char *)data, size);
    CHECK(grpc_health_parse(s) >= GRPC_HEALTH_MALFORMED);
    struct sbuf b;
    sbuf_init_heap(&b, size + 64);
    grpc_health_put(&b, s);
    CHECK(b.n >= size + 5 && b.n <= size + 5 + 11);
    sbuf_done(&b);
    return 0;
}
