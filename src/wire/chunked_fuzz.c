// Chunked bodies: decoded whole and in pieces, encoded and decoded again. One byte of option, then the coded bytes.
#include "base/sbuf.h"
#include "wire/chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Decodes in pieces of at most `step` bytes; returns how many were used up to the trailers or what is malformed.
static size_t decode(struct chunked *c, struct sbuf *out, const char *p, size_t n, size_t step) {
    size_t at = 0;
    chunked_init(c);
    while (at < n && c->state != CHUNKED_TRAILER && c->state != CHUNKED_BAD) {
        size_t piece = MIN(step, n - at), used = chunked_parse(c, p + at, piece);
        CHECK(used <= piece && c->overhead <= at + used);
        if (c->state == CHUNKED_DATA) {
            size_t take = MIN(c->left, piece - used);
            sbuf_put(out, p + at + used, take);
            chunked_data(c, take);
            used += take;
        } else {
            CHECK(used == piece || c->state == CHUNKED_TRAILER || c->state == CHUNKED_BAD);
        }
        at += used;
    }
    return at;
}

static void encode_and_decode(struct str body, size_t step) {
    struct sbuf coded, again;
    struct chunked c;
    sbuf_init_heap(&coded, 1u << 22);
    sbuf_init_heap(&again, 1u << 20);
    for (size_t at = 0; at < body.n;) {
        char line[CHUNKED_HEAD_MAX];
        size_t n = MIN(step, body.n - at);
        sbuf_put(&coded, line, chunked_put_head(line, n));
        sbuf_put(&coded, body.p + at, n);
        sbuf_lit(&coded, "\r\n");
        at += n;
    }
    sbuf_lit(&coded, CHUNKED_LAST);
    CHECK(decode(&c, &again, coded.p, coded.n, 7) == coded.n - 2);
    CHECK(c.state == CHUNKED_TRAILER && str_eq(sbuf_view(&again), body));
    sbuf_done(&coded);
    sbuf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > 1u << 16)
        return 0;
    size_t step = 1 + data[0] % 32;
    const char *p = (const char *)data + 1;
    struct sbuf whole, pieces;
    struct chunked c, c_pieces;
    sbuf_init_heap(&whole, 1u << 20);
    sbuf_init_heap(&pieces, 1u << 20);
    size_t used = decode(&c, &whole, p, size - 1, SIZE_MAX);
    CHECK(decode(&c_pieces, &pieces, p, size - 1, step) == used);
    CHECK(c.state == c_pieces.state && c.left == c_pieces.left && c.overhead == c_pieces.overhead);
    CHECK(str_eq(sbuf_view(&whole), sbuf_view(&pieces)));
    encode_and_decode(sbuf_view(&whole), step);
    sbuf_done(&whole);
    sbuf_done(&pieces);
    return 0;
}
