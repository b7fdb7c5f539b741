// Heads, whole and in pieces; written and read again. Two bytes of options, then the bytes of a message.
#include "wire/http1.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef enum http1_result parse_fn(struct http1_parse *ps, struct head *h, const char *p, size_t n,
                                   const struct http1_limits *lim);
static parse_fn *const parsers[] = {http1_parse_request, http1_parse_response, http1_parse_trailers};

static bool inside(struct str s, const char *p, size_t n) {
    return s.n == 0 || (s.p >= p && s.p + s.n <= p + n);
}

static bool is_plain(struct str s, bool spaces) {
    return (spaces ? scan_ctl(s.p, s.n) : scan_ctl_sp(s.p, s.n)) == s.n;
}

static void check_head(const struct head *h, const char *p, size_t end) {
    CHECK(inside(h->method_text, p, end) && inside(h->target, p, end) && inside(h->reason, p, end));
    CHECK(is_plain(h->method_text, false) && is_plain(h->target, false) && is_plain(h->reason, true));
    for (uint32_t i = 0; i < h->count; i++) {
        const struct field *f = &h->at[i];
        CHECK(inside(f->name, p, end) && inside(f->value, p, end));
        CHECK(is_token(f->name) || (f->unusual && h->unusual && is_plain(f->name, false)));
        CHECK(f->id == field_id_of(f->name) && head_has(h, f->id) && !f->dropped);
        CHECK(is_plain(f->value, true) && str_eq(f->value, str_trim(f->value)));
    }
}

static void check_same(const struct head *a, const struct head *b) {
    CHECK(a->count == b->count && a->version == b->version && a->status == b->status && a->method == b->method);
    CHECK(str_eq(a->method_text, b->method_text) && str_eq(a->target, b->target) && str_eq(a->reason, b->reason));
    for (uint32_t i = 0; i < a->count; i++)
        CHECK(str_eq(a->at[i].name, b->at[i].name) && str_eq(a->at[i].value, b->at[i].value));
}

// Pieces of 1 to 16 bytes as `seed` has it, each time in memory of exactly the size so far.
static enum http1_result parse_pieces(parse_fn *parse, struct http1_parse *ps, struct head *h, struct str in,
                                      const struct http1_limits *lim, unsigned seed, char **kept) {
    enum http1_result r = HTTP1_MORE;
    for (size_t n = 0; r == HTTP1_MORE;) {
        free(*kept);
        *kept = xmalloc(n != 0 ? n : 1);
        memcpy(*kept, in.p, n);
        r = parse(ps, h, *kept, n, lim);
        if (n == in.n)
            break;
        seed = seed * 1103515245u + 12345u;
        n = MIN(in.n, n + 1 + (seed >> 16) % 16);
    }
    return r;
}

static void write_and_read(parse_fn *parse, const struct head *h, struct arena *arena) {
    struct http1_limits lim = {.max_line = 1u << 20, .max_head = 1u << 20, .max_fields = 1u << 16};
    struct http1_parse ps = {0};
    struct head again;
    struct sbuf b;
    sbuf_init_heap(&b, 1u << 20);
    head_init(&again, arena);
    if (parse == http1_parse_request)
        CHECK(http1_put_request_line(&b, h->method_text, h->target, h->version));
    else if (parse == http1_parse_response)
        http1_put_status_line(&b, h->version, h->status, h->reason);
    head_each(f, h) CHECK((f->clean ? http1_put_clean : http1_put_field)(&b, f->name, f->value) == 0);
    sbuf_lit(&b, "\r\n");
    CHECK(!b.overflow);
    CHECK(parse(&ps, &again, b.p, b.n, &lim) == HTTP1_OK && ps.end == b.n);
    check_same(h, &again);
    sbuf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2 || size > 1u << 16)
        return 0;
    bool tight = data[0] & 4;
    struct http1_limits lim = {.max_line = tight ? 40 : 1u << 20,
                               .max_head = tight ? 100 : 1u << 20,
                               .max_fields = tight ? 3 : 1u << 16,
                               .ignore_invalid = data[0] & 8,
                               .underscores = data[0] & 16,
                               .keep_invalid = data[0] & 32};
    parse_fn *parse = parsers[(data[0] & 3) % ARRAY_LEN(parsers)];
    struct str in = str_n((const char *)data + 2, size - 2);
    struct http1_parse ps = {0}, ps_pieces = {0};
    struct head whole, pieces;
    struct arena arena;
    char *kept = NULL;
    arena_init(&arena, NULL);
    head_init(&whole, &arena);
    head_init(&pieces, &arena);
    enum http1_result r = parse(&ps, &whole, in.p, in.n, &lim);
    enum http1_result r_pieces = parse_pieces(parse, &ps_pieces, &pieces, in, &lim, data[1], &kept);
    // With limits in reach, a line that comes too late may be called malformed first, or the other way round.
    CHECK(r == r_pieces || (tight && r > HTTP1_MORE && r_pieces > HTTP1_MORE));
    if (r > HTTP1_MORE) {
        CHECK(ps.at <= in.n && inside(ps.line, in.p, in.n));
    } else if (r == HTTP1_OK) {
        CHECK(ps.end <= in.n && ps.end == ps_pieces.end && ps.ignored == ps_pieces.ignored);
        check_head(&whole, in.p, ps.end);
        check_same(&whole, &pieces);
        if (whole.version != 9 && !whole.unusual)
            write_and_read(parse, &whole, &arena);
        http1_transfer_coding(&whole);
        head_each(f, &whole) CHECK(http1_content_length(f->value, true) >= http1_content_length(f->value, false));
    }
    free(kept);
    arena_done(&arena);
    return 0;
}
