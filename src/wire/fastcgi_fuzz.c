// What an application sends: read whole and in pieces. One byte of option, then the bytes. And streams written and read again.
#include "base/sbuf.h"
#include "wire/fastcgi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Content of all records, each preceded by its type; returns how many bytes were used up to the end or what is malformed.
static size_t decode(struct fcgi_parse *p, struct sbuf *out, const char *data, size_t n, size_t step) {
    size_t at = 0;
    fcgi_parse_init(p);
    while (at < n && p->state != FCGI_BAD) {
        size_t piece = MIN(step, n - at), used = fcgi_parse(p, data + at, piece);
        CHECK(used <= piece && p->left <= FCGI_CONTENT_MAX);
        if (p->state == FCGI_IN_CONTENT) {
            size_t take = MIN((size_t)p->left, piece - used);
            for (size_t i = 0; i < take; i++) {
                sbuf_chr(out, (char)p->type);
                sbuf_chr(out, data[at + used + i]);
            }
            if (take != 0 || p->left == 0)
                fcgi_content(p, take);
            used += take;
        } else {
            CHECK(used == piece || p->state == FCGI_BAD);
        }
        at += used;
    }
    return at;
}

// STDOUT written by fcgi_put_stream gives the same bytes again.
static void encode_and_decode(struct str body) {
    struct sbuf coded, again;
    struct fcgi_parse p;
    sbuf_init_heap(&coded, 1u << 20);
    sbuf_init_heap(&again, 1u << 20);
    fcgi_put_stream(&coded, FCGI_STDOUT, body);
    CHECK(decode(&p, &again, coded.p, coded.n, 7) == coded.n && again.n == 2 * body.n && p.state != FCGI_BAD);
    for (size_t i = 0; i < body.n; i++)
        CHECK(again.p[2 * i] == FCGI_STDOUT && again.p[2 * i + 1] == body.p[i]);
    sbuf_done(&coded);
    sbuf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > 1u << 16)
        return 0;
    size_t step = 1 + data[0] % 32;
    const char *bytes = (const char *)data + 1;
    struct sbuf whole, pieces;
    struct fcgi_parse p, q;
    sbuf_init_heap(&whole, 1u << 20);
    sbuf_init_heap(&pieces, 1u << 20);
    size_t used = decode(&p, &whole, bytes, size - 1, SIZE_MAX);
    CHECK(decode(&q, &pieces, bytes, size - 1, step) == used);
    CHECK(p.state == q.state && p.left == q.left && p.have == q.have && p.padding == q.padding);
    CHECK(str_eq(sbuf_view(&whole), sbuf_view(&pieces)));
    encode_and_decode(str_n(bytes, size - 1));
    sbuf_done(&whole);
    sbuf_done(&pieces);
    return 0;
}
