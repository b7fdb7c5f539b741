// HPACK: whatever decodes is encoded and decoded again to the same fields, by tables that stay alike. Blocks are separated by the
// byte that the input begins with; Huffman codes are read and written back.
#include "wire/hpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct pair {
    struct hpack_encoder encoder;
    struct hpack_decoder again;
};

// One block; false at an error.
static bool one_block(struct hpack_decoder *d, struct pair *pair, const char *p, size_t n) {
    struct arena a;
    struct hpack_field f, g;
    arena_init(&a, NULL);
    hpack_block_begin(d);
    const char *at = p;
    enum hpack_result r;
    while ((r = hpack_next(d, &at, p + n, &a, &f)) == HPACK_FIELD) {
        CHECK(at > p && at <= p + n);
        CHECK(d->table.size <= d->table.max && d->table.max <= 4096);
        CHECK(hpack_table_memory(&d->table) <= 32768);
        struct sbuf out;
        sbuf_init_heap(&out, 1 << 20);
        hpack_put_begin(&pair->encoder, &out);
        hpack_put(&pair->encoder, &out, f.id, f.name, f.value, hpack_how_of(f.id, f.value, f.sensitive));
        CHECK(out.n <= hpack_bound(f.name, f.value));
        const char *q = out.p;
        hpack_block_begin(&pair->again);
        CHECK(hpack_next(&pair->again, &q, out.p + out.n, &a, &g) == HPACK_FIELD);
        CHECK(str_ieq(g.name, f.name) && str_eq(g.value, f.value) && g.bad_value == f.bad_value);
        CHECK(hpack_next(&pair->again, &q, out.p + out.n, &a, &g) == HPACK_END);
        CHECK(pair->encoder.table.size == pair->again.table.size);
        sbuf_done(&out);
    }
    arena_done(&a);
    return r == HPACK_END;
}

static void huffman(const char *p, size_t n) {
    char text[4096 * 2], coded[4096 * 4];
    if (n > 4096)
        return;
    ssize_t got = huffman_read(text, p, n);
    if (got >= 0) {
        CHECK((size_t)got <= n * 8 / 5);
        CHECK(huffman_size(text, (size_t)got) == n);
        CHECK(huffman_put(coded, text, (size_t)got) == coded + n && memcmp(coded, p, n) == 0);
    }
    size_t size = huffman_size(p, n);
    CHECK(huffman_put(coded, p, n) == coded + size);
    CHECK(huffman_read(text, coded, size) == (ssize_t)n && memcmp(text, p, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > 1u << 14)
        return 0;
    struct hpack_decoder d;
    struct pair pair;
    struct str rest = str_n((const char *)data + 1, size - 1), block;
    huffman(rest.p, rest.n);
    hpack_decoder_init(&d, 4096);
    hpack_decoder_init(&pair.again, 4096);
    hpack_encoder_init(&pair.encoder);
    while (str_split(&rest, (char)data[0], &block) && one_block(&d, &pair, block.p, block.n))
        hpack_encoder_limit(&pair.encoder, (uint32_t)block.n * 37 % 5000);
    hpack_decoder_done(&d);
    hpack_decoder_done(&pair.again);
    hpack_encoder_done(&pair.encoder);
    return 0;
}
