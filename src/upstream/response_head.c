// Bytes of a response's head, and what is said of those that are none.
#include "upstream/response_head.h"
#include "http/conn.h"
#include "io/loop.h"

enum {
    FIRST = 256 << 10,     // the first receive: head and, mostly, the whole body
    FIRST_PLAIN = 8 << 10, // the same for a client whose socket takes the rest of a larger body from the peer's
    FIRST_COPIED = 16 << 10, // the same where bytes are copied into the block
    STEP = 16 << 10,       // beyond the limit of the head, so that one above it is seen
    SHOWN = 64,            // bytes of what was sent instead of a head, in the log
};

static const char reading[] = "reading response header from upstream";

void incoming_begin(struct incoming *in, struct exchange *x) {
    CHECK(x->head_block == NULL);
    size_t limit = (size_t)MAX(x->gw->buffer_size, x->gw->buffers.count * x->gw->buffers.size);
    *in = (struct incoming){.x = x, .limit = limit};
}

size_t incoming_room(struct incoming *in) {
    struct blocks *pool = loop_blocks(in->x->r->loop);
    if (in->block == NULL)
        in->block = in->x->head_block = block_new(pool, FIRST_COPIED);
    if (in->n < in->block->size)
        return in->block->size - in->n;
    struct block *b = block_new(pool, MIN(in->block->size * (size_t)2, in->limit + STEP));
    memcpy(b->data, in->block->data, in->n);
    block_unref(in->block);
    in->block = in->x->head_block = b;
    return b->size - in->n;
}

// Into a large block: many requests wait, few receive, and those share the block that is warm; a short head goes on in one of
// its own size.
static ssize_t receive_first(struct incoming *in, uint64_t wait) {
    struct exchange *x = in->x;
    struct chain c;
    chain_init(&c, loop_blocks(x->r->loop));
    const struct conn *conn = x->r->conn;
    bool plain = conn != NULL && conn->codec_state == NULL && !link_is_tls(conn->link);
    ssize_t n = link_read(x->link, &c, plain ? FIRST_PLAIN : FIRST, wait);
    if (n > 0 && c.head->next == NULL && c.head->p == c.head->block->data) {
        in->block = x->head_block = block_ref(c.head->block);
    } else if (n > 0) { // bytes that were given back to the link
        in->block = x->head_block = block_new(c.pool, (size_t)n);
        chain_peek(&c, in->block->data, (size_t)n);
    }
    chain_done(&c);
    return n;
}

int incoming_more(struct incoming *in) {
    struct exchange *x = in->x;
    size_t room = in->block != NULL ? incoming_room(in) : 0;
    uint64_t wait = x->gw->read_timeout;
    for (;;) {
        ssize_t n = room == 0 ? receive_first(in, wait) : link_read_into(x->link, in->block->data + in->n, room, wait);
        if (n == -ETIMEDOUT && (wait = exchange_read_grace(x)) != 0)
            continue;
        if (n <= 0)
            return n == 0 ? -EPIPE : (int)n;
        in->n += (size_t)n;
        x->any_received = true;
        return 1;
    }
}

void incoming_limits(const struct incoming *in, struct http1_limits *lim) {
    *lim = (struct http1_limits){
        .max_line = in->limit, .max_head = in->limit, .max_fields = RESPONSE_FIELDS_MAX, .underscores = true};
}

// --- the error log -----------------------------------------------------------------------------------------------------------

int response_refuse(struct exchange *x, const char *why) {
    exchange_log(x, LOG_ERR, 0, reading, NULL, "%s", why);
    return -EPROTO;
}

int response_too_big(struct incoming *in) {
    struct exchange *x = in->x;
    const struct gateway_conf *gw = x->gw;
    x->hint = arena_printf(&x->r->arena, "raise %s_buffers or %s_buffer_size; many or large cookies are the usual reason", x->family, x->family).p;
    exchange_log(x, LOG_ERR, 0, reading,
                 arena_printf(&x->r->arena, "%zu bytes seen, limit %zu: %s_buffers %llu %llu, %s_buffer_size %llu", in->n,
                              in->limit, x->family, (unsigned long long)gw->buffers.count,
                              (unsigned long long)gw->buffers.size, x->family, (unsigned long long)gw->buffer_size).p,
                 "upstream sent too big header");
    return -EPROTO;
}

// The offending line, as far as it is shown.
static const char *shown(struct exchange *x, struct str line) {
    struct sbuf b;
    sbuf_init_arena(&b, &x->r->arena, 5 * SHOWN, 5 * SHOWN);
    for (size_t i = 0; i < MIN(line.n, (size_t)SHOWN); i++) {
        unsigned char c = (unsigned char)line.p[i];
        if (c < 0x20 || c > 0x7e)
            sbuf_printf(&b, "\\x%02x", c);
        else
            sbuf_chr(&b, (char)c);
    }
    if (line.n > SHOWN)
        sbuf_lit(&b, "...");
    return sbuf_cstr(&b);
}

int response_malformed(struct incoming *in, enum http1_result res, const struct http1_parse *ps) {
    struct exchange *x = in->x;
    if (res == HTTP1_LINE_TOO_LONG || res == HTTP1_FIELD_TOO_LONG || res == HTTP1_HEAD_TOO_LONG)
        return response_too_big(in);
    if (res == HTTP1_TOO_MANY_FIELDS)
        return response_refuse(x, "upstream sent too many header lines");
    x->hint = "is that the right port, and the right protocol for it?";
    if (res == HTTP1_BAD_FIELD)
        exchange_log(x, LOG_ERR, 0, reading, NULL, "upstream sent invalid header: \"%s\"", shown(x, ps->line));
    else
        exchange_log(x, LOG_ERR, 0, reading, arena_printf(&x->r->arena, "it sent \"%s\"", shown(x, ps->line)).p,
                     "upstream sent no valid HTTP/1.0 header");
    return -EPROTO;
}
