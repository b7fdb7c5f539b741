// The head of an HTTP/1 response. A back end is not trusted: what is not HTTP is refused, and framing that two readers could
// understand differently is too (RFC 9112 6.3).
#include "io/loop.h"
#include "upstream/h1_client.h"
#include "wire/chunked.h"
#include "wire/http1.h"

enum {
    READ_FIRST = 256 << 10,
    HEAD_SHARE = 4,        // a head that is less than this part of its block moves out of it
    HEAD_STEP = 16 << 10,  // beyond the limit of the head, so that one above it is seen
    FIELDS_MAX = 1000,
    LOOK = 16 << 10,       // of a body of which nothing came with the head
    SHOWN = 64,            // bytes of what was sent instead of a head, in the log
};

static const char reading[] = "reading response header from upstream";

// What is being read: block data[0..n), of which a final head may follow interim ones.
struct incoming {
    struct block *block;
    size_t n, limit;
};

static int refuse(struct exchange *x, const char *why) {
    exchange_log(x, LOG_ERR, 0, reading, NULL, "%s", why);
    return -EPROTO;
}

static int too_big(struct exchange *x, const struct incoming *in) {
    const struct gateway_conf *gw = x->gw;
    exchange_log(x, LOG_ERR, 0, reading,
                 arena_printf(&x->r->arena, "%zu bytes seen, limit %zu: %s_buffers %llu %llu, %s_buffer_size %llu", in->n,
                              in->limit, x->family, (unsigned long long)gw->buffers.count,
                              (unsigned long long)gw->buffers.size, x->family, (unsigned long long)gw->buffer_size).p,
                 "upstream sent too big header");
    return -EPROTO;
}

static int malformed(struct exchange *x, enum http1_result res, const struct http1_parse *ps, const struct incoming *in) {
    if (res == HTTP1_LINE_TOO_LONG || res == HTTP1_FIELD_TOO_LONG || res == HTTP1_HEAD_TOO_LONG)
        return too_big(x, in);
    if (res == HTTP1_TOO_MANY_FIELDS)
        return refuse(x, "upstream sent too many header lines");
    struct sbuf b;
    sbuf_init_arena(&b, &x->r->arena, 5 * SHOWN, 5 * SHOWN);
    size_t n = MIN(ps->line.n, (size_t)SHOWN);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)ps->line.p[i];
        if (c < 0x20 || c > 0x7e)
            sbuf_printf(&b, "\\x%02x", c);
        else
            sbuf_chr(&b, (char)c);
    }
    if (res == HTTP1_BAD_FIELD)
        exchange_log(x, LOG_ERR, 0, reading, NULL, "upstream sent invalid header: \"" STR_FMT "%s\"", STR_ARG(sbuf_view(&b)),
                     n < ps->line.n ? "..." : "");
    else
        exchange_log(x, LOG_ERR, 0, reading,
                     arena_printf(&x->r->arena, "it sent \"" STR_FMT "%s\"", STR_ARG(sbuf_view(&b)),
                                  n < ps->line.n ? "..." : "").p,
                     "upstream sent no valid HTTP/1.0 header");
    return -EPROTO;
}

// Room for more bytes: a larger block with what is there.
static void grow(struct exchange *x, struct incoming *in) {
    struct block *b = block_new(loop_blocks(x->r->loop), MIN(in->block->size * (size_t)2, in->limit + HEAD_STEP));
    memcpy(b->data, in->block->data, in->n);
    block_unref(in->block);
    in->block = x->head_block = b;
}

// The first receive, into a large block: head and, mostly, the whole body. Many requests wait, few receive, and those share
// the block that is warm; a short head goes on in one of its own size.
static ssize_t receive_first(struct exchange *x, struct incoming *in, uint64_t wait) {
    struct chain c;
    chain_init(&c, loop_blocks(x->r->loop));
    ssize_t n = link_read(x->link, &c, READ_FIRST, wait);
    if (n > 0 && c.head->next == NULL && c.head->p == c.head->block->data) {
        in->block = x->head_block = block_ref(c.head->block);
    } else if (n > 0) { // bytes that were given back to the link
        in->block = x->head_block = block_new(c.pool, (size_t)n);
        chain_peek(&c, in->block->data, (size_t)n);
    }
    chain_done(&c);
    return n;
}

// One receive. >0, or the error; the end of the stream is -EPIPE.
static int more(struct exchange *x, struct incoming *in) {
    if (in->block != NULL && in->n == in->block->size)
        grow(x, in);
    uint64_t wait = x->gw->read_timeout;
    for (;;) {
        ssize_t n = in->block == NULL ? receive_first(x, in, wait)
                                      : link_read_into(x->link, in->block->data + in->n, in->block->size - in->n, wait);
        if (n == -ETIMEDOUT && (wait = exchange_read_grace(x)) != 0)
            continue;
        if (n <= 0)
            return n == 0 ? -EPIPE : (int)n;
        in->n += (size_t)n;
        x->any_received = true;
        return 1;
    }
}

// The next head, interim or final: 0 and x->head, *end behind it.
static int next_head(struct exchange *x, struct incoming *in, size_t from, size_t *end) {
    struct http1_limits lim = {.max_line = in->limit, .max_head = in->limit, .max_fields = FIELDS_MAX, .underscores = true};
    struct http1_parse ps = {0};
    for (;;) {
        if (in->n > from) {
            head_init(&x->head, &x->r->arena);
            enum http1_result res = http1_parse_response(&ps, &x->head, in->block->data + from, in->n - from, &lim);
            if (res == HTTP1_OK) {
                *end = from + ps.end;
                return 0;
            }
            if (res != HTTP1_MORE)
                return malformed(x, res, &ps, in);
            if (in->n - from >= in->limit)
                return too_big(x, in);
        }
        int err = more(x, in);
        if (err < 0)
            return err;
    }
}

// --- what the head says ------------------------------------------------------------------------------------------------------------

static int find_length(struct exchange *x) {
    const struct head *h = &x->head;
    struct field *cl = head_find(h, FIELD_CONTENT_LENGTH);
    x->body_length = -1;
    x->chunked = false;
    switch (http1_transfer_coding(h)) {
    case HTTP1_CODING_CHUNKED:
        x->chunked = true;
        break;
    case HTTP1_CODING_UNKNOWN:
        return refuse(x, "upstream sent unknown \"Transfer-Encoding\"");
    case HTTP1_CODING_NONE:
        break;
    }
    if (cl != NULL && x->chunked)
        return refuse(x, "upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time");
    if (cl == NULL)
        return 0;
    if (head_find_next(h, cl) != NULL)
        return refuse(x, "upstream sent duplicate header line: \"Content-Length\"");
    x->body_length = http1_content_length(cl->value, false);
    return x->body_length < 0 ? refuse(x, "upstream sent invalid \"Content-Length\" header") : 0;
}

static void find_keepalive(struct exchange *x) {
    const struct head *h = &x->head;
    struct str connection = head_has(h, FIELD_CONNECTION) ? head_join(h, FIELD_CONNECTION, &x->r->arena) : STR_NONE;
    if (h->version >= 11 ? list_has_token(connection, STR("close")) : !list_has_token(connection, STR("keep-alive")))
        x->keepalive = false;
    struct str rest = head_value(h, FIELD_KEEP_ALIVE), part;
    while (rest.n != 0 && list_next(&rest, &part)) {
        uint64_t s;
        if (str_istarts(part, STR("timeout=")) && str_u64(str_from(part, 8), 1 << 20, &s))
            // Leave before the peer does: a tenth earlier, at least half a second.
            x->keep_ms = s * 1000 - MIN(s * 1000, MAX(s * 100, 500));
    }
}

static bool has_no_body(const struct exchange *x) {
    return method_from(x->method) == METHOD_HEAD || status_has_no_body(x->head.status);
}

// A broken first chunk that came with the head is still an error of the head: the client has seen nothing. *begun: a byte of
// data, or the last chunk, is there.
static int check_first_chunk(struct exchange *x, const char *p, size_t n, bool *begun) {
    struct chunked probe;
    chunked_init(&probe);
    size_t used = n != 0 ? chunked_parse(&probe, p, n) : 0;
    *begun = probe.state == CHUNKED_DATA ? used < n : probe.state == CHUNKED_TRAILER;
    return probe.state == CHUNKED_BAD ? refuse(x, "upstream sent invalid chunked response") : 0;
}

// A head with nothing of its body, or no more than the line of a chunk, and the link knows of more: mostly that the peer is gone. While the client has seen
// nothing, that is an error which can be repaired or at least be told. Does not wait; asks the kernel only in that case.
static int look_further(struct exchange *x) {
    if (!link_readable(x->link))
        return 0;
    size_t room = x->body_length >= 0 ? (size_t)MIN(x->body_length, (int64_t)LOOK) : LOOK;
    ssize_t n = room == 0 ? -EAGAIN : link_try_read(x->link, &x->early, room);
    if (n == -EAGAIN)
        return 0;
    if (n == 0)
        return x->chunked || x->body_length > 0 ? -EPIPE : 0;
    if (n < 0)
        return (int)n;
    bool begun;
    return x->chunked ? check_first_chunk(x, x->early.head->p, x->early.head->n, &begun) : 0;
}

// The large block goes with the body, and comes back when that was sent.
static void move_head(struct exchange *x, struct incoming *in, size_t end) {
    if (end * HEAD_SHARE > in->block->size)
        return;
    struct block *b = block_new(loop_blocks(x->r->loop), end);
    memcpy(b->data, in->block->data, end);
    head_moved(&x->head, in->block->data, end, b->data);
    block_unref(in->block);
    in->block = x->head_block = b;
}

static int take_head(struct exchange *x, struct incoming *in, size_t end) {
    int err = find_length(x);
    if (err != 0)
        return err;
    find_keepalive(x);
    const char *rest = in->block->data + end;
    size_t n = in->n - end;
    if (has_no_body(x)) {
        if (n != 0) // whatever that is, it is no body
            x->keepalive = false;
        return 0;
    }
    bool begun = n != 0;
    if (x->chunked && (err = check_first_chunk(x, rest, n, &begun)) != 0)
        return err;
    if (!x->chunked && x->body_length < 0)
        x->keepalive = false;
    if (x->body_length >= 0 && n > (uint64_t)x->body_length) {
        exchange_log(x, LOG_WARN, 0, reading, NULL, "upstream sent more data than specified in \"Content-Length\" header");
        x->keepalive = false;
        n = (size_t)x->body_length;
    }
    chain_add_block(&x->early, in->block, rest, n);
    move_head(x, in, end);
    return begun ? 0 : look_further(x);
}

// Behind this head it is no HTTP any more.
static int take_upgrade(struct exchange *x, struct incoming *in, size_t end) {
    if (!x->request_sent)
        return refuse(x, "upstream switched protocols before it had the whole request");
    x->upgraded = true;
    x->keepalive = false;
    x->body_length = 0;
    chain_add_block(&x->early, in->block, in->block->data + end, in->n - end);
    return 0;
}

int h1_read_head(struct exchange *x) {
    size_t limit = (size_t)MAX(x->gw->buffer_size, x->gw->buffers.count * x->gw->buffers.size);
    CHECK(x->head_block == NULL);
    x->keep_ms = UINT64_MAX;
    struct incoming in = {.limit = limit};
    size_t end = 0;
    for (;;) {
        int err = next_head(x, &in, end, &end);
        if (err != 0)
            return err;
        if (x->head.status >= 200)
            return take_head(x, &in, end);
        if (x->head.status == 101)
            return x->asks_upgrade ? take_upgrade(x, &in, end)
                                   : refuse(x, "upstream switched protocols without being asked to");
        if (end > limit)
            return refuse(x, "upstream sent too many interim responses");
    }
}
