// The head of an HTTP/1 response. A back end is not trusted: what is not HTTP is refused, and framing that two readers could
// understand differently is too (RFC 9112 6.3).
#include "io/loop.h"
#include "upstream/h1_client.h"
#include "upstream/response_head.h"
#include "wire/chunked.h"

enum {
    HEAD_SHARE = 4,  // a head that is less than this part of its block moves out of it
    LOOK = 16 << 10, // of a body of which nothing came with the head
};

static const char reading[] = "reading response header from upstream";

// The next head, interim or final: 0 and x->head, *end behind it.
static int next_head(struct exchange *x, struct incoming *in, size_t from, size_t *end) {
    struct http1_limits lim;
    incoming_limits(in, &lim);
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
                return response_malformed(in, res, &ps);
            if (in->n - from >= in->limit)
                return response_too_big(in);
        }
        int err = incoming_more(in);
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
        return response_refuse(x, "upstream sent unknown \"Transfer-Encoding\"");
    case HTTP1_CODING_NONE:
        break;
    }
    if (cl != NULL && x->chunked)
        return response_refuse(x, "upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time");
    if (cl == NULL)
        return 0;
    if (head_find_next(h, cl) != NULL)
        return response_refuse(x, "upstream sent duplicate header line: \"Content-Length\"");
    x->body_length = http1_content_length(cl->value, false);
    return x->body_length < 0 ? response_refuse(x, "upstream sent invalid \"Content-Length\" header") : 0;
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
    return probe.state == CHUNKED_BAD ? response_refuse(x, "upstream sent invalid chunked response") : 0;
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
        return response_refuse(x, "upstream switched protocols before it had the whole request");
    x->upgraded = true;
    x->keepalive = false;
    x->body_length = 0;
    chain_add_block(&x->early, in->block, in->block->data + end, in->n - end);
    move_head(x, in, end);
    return 0;
}

int h1_read_head(struct exchange *x) {
    x->keep_ms = UINT64_MAX;
    struct incoming in;
    incoming_begin(&in, x);
    size_t end = 0;
    for (;;) {
        int err = next_head(x, &in, end, &end);
        if (err != 0)
            return err;
        if (x->head.status >= 200)
            return take_head(x, &in, end);
        if (x->head.status == 101)
            return x->asks_upgrade ? take_upgrade(x, &in, end)
                                   : response_refuse(x, "upstream switched protocols without being asked to");
        if (x->head.status == 103 && x->interim != NULL)
            x->interim(x, &x->head);
        if (end > in.limit)
            return response_refuse(x, "upstream sent too many interim responses");
    }
}
