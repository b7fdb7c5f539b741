// The body of an HTTP/1 response: by length, chunked, or until the end of the connection. Pulls straight from the link into
// blocks that grow with the body; the link goes back to the pool with the last byte, before the client has read it.
#include "io/loop.h"
#include "upstream/h1_client.h"
#include "wire/chunked.h"
#include "wire/http1.h"

enum { ROOM_MIN = 16 << 10, ROOM_MAX = 256 << 10, RAW_MIN = 16 << 10, OVERHEAD_MAX = 64 << 10, TRAILER_MAX = 16 << 10 };

struct h1_body {
    struct body body;
    struct exchange *x;
    size_t room;        // of the next receive; doubles while they are filled
    int error;
    bool ended;
    uint64_t grace_ms;  // raw: how long a time-out is put off, 0 when it is not
    struct chunked chunks;
    struct chain raw;   // chunked: bytes that were received and not parsed yet
    struct sbuf trailer;
    struct http1_parse trailer_parse;
};

static int fail(struct h1_body *b, int err) {
    if (b->error == 0)
        b->error = exchange_body_failed(b->x, err, "upstream sent invalid chunked response");
    return b->error;
}

static void end(struct h1_body *b) {
    b->ended = true;
    exchange_done(b->x, true);
}

// One receive of up to `room` bytes: >0, 0 at the end of the connection, -EAGAIN, or an error.
static ssize_t receive(struct h1_body *b, struct chain *to, size_t room, enum body_wait wait) {
    struct exchange *x = b->x;
    if (!chain_empty(&x->early))
        return (ssize_t)chain_move(to, &x->early, room);
    size_t want = MIN(room, b->room);
    ssize_t n;
    uint64_t timeout = x->gw->read_timeout;
    do
        n = wait == BODY_WAIT ? link_read(x->link, to, want, timeout) : link_try_read(x->link, to, want);
    while (n == -ETIMEDOUT && (timeout = exchange_read_grace(x)) != 0);
    if (n == (ssize_t)want)
        b->room = MIN(b->room * 2, (size_t)ROOM_MAX);
    return n;
}

// The last `left` bytes, asked for with room for one more: a receive that is not filled tells the link that nothing follows,
// so that it can be parked without asking the kernel.
static ssize_t receive_rest(struct h1_body *b, struct chain *to, size_t left, enum body_wait wait) {
    struct chain in;
    chain_init(&in, to->pool);
    ssize_t n = receive(b, &in, left + 1, wait);
    if (n > (ssize_t)left) {
        b->x->keepalive = false; // more than it promised
        n = (ssize_t)left;
    }
    if (n > 0)
        chain_move(to, &in, (size_t)n);
    chain_done(&in);
    return n;
}

static void count(struct h1_body *b, size_t n) { b->x->attempts[b->x->nattempts - 1].response_length += n; }

// --- by length, and until the end --------------------------------------------------------------------------------------------------

static ssize_t read_length(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct h1_body *b = container_of(body, struct h1_body, body);
    if (b->error != 0 || b->ended)
        return b->error;
    size_t left = (size_t)MIN((uint64_t)room, (uint64_t)body->length);
    ssize_t n = left < room ? receive_rest(b, to, left, wait) : receive(b, to, left, wait);
    if (n == -EAGAIN)
        return n;
    if (n <= 0)
        return fail(b, n == 0 ? -EPIPE : (int)n);
    body->length -= n;
    count(b, (size_t)n);
    if (body->length == 0)
        end(b);
    return n;
}

static ssize_t read_close(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct h1_body *b = container_of(body, struct h1_body, body);
    if (b->error != 0 || b->ended)
        return b->error;
    ssize_t n = receive(b, to, room, wait);
    if (n == -EAGAIN)
        return n;
    if (n < 0)
        return fail(b, (int)n);
    if (n == 0)
        end(b);
    count(b, (size_t)n);
    return n;
}

// What the link has is the body. Below RAW_MIN two copies cost less than a pipe.
static struct link *raw_link(struct body *body, uint64_t *n, uint64_t *timeout_ms) {
    struct h1_body *b = container_of(body, struct h1_body, body);
    *n = body->length < 0 ? UINT64_MAX : (uint64_t)body->length;
    if (b->error != 0 || b->ended || !chain_empty(&b->x->early) || *n < RAW_MIN)
        return NULL;
    *timeout_ms = b->grace_ms != 0 ? b->grace_ms : b->x->gw->read_timeout;
    return b->x->link;
}

static ssize_t took_raw(struct body *body, ssize_t n) {
    struct h1_body *b = container_of(body, struct h1_body, body);
    b->grace_ms = n == -ETIMEDOUT ? exchange_read_grace(b->x) : 0;
    if (b->grace_ms != 0)
        return -EAGAIN;
    if (n < 0 || (n == 0 && body->length >= 0))
        return fail(b, n == 0 ? -EPIPE : (int)n);
    count(b, (size_t)n);
    if (body->length >= 0)
        body->length -= n;
    if (n == 0 || body->length == 0)
        end(b); // whether something follows is asked when the link is parked
    return n;
}

// --- chunked -----------------------------------------------------------------------------------------------------------------------

// Bytes of b->raw's first piece that belong to the trailer section. 0, or -EPROTO.
static int take_trailer(struct h1_body *b) {
    struct piece *p = b->raw.head;
    struct arena *a = &b->x->r->arena;
    if (b->trailer.p == NULL)
        sbuf_init_arena(&b->trailer, a, 64, TRAILER_MAX);
    size_t had = b->trailer.n;
    sbuf_put(&b->trailer, p->p, MIN(p->n, (size_t)TRAILER_MAX - had));
    struct head *h = arena_new(a, struct head);
    head_init(h, a);
    struct http1_limits lim = {.max_line = TRAILER_MAX, .max_head = TRAILER_MAX, .max_fields = 100, .underscores = true};
    enum http1_result res = http1_parse_trailers(&b->trailer_parse, h, b->trailer.p, b->trailer.n, &lim);
    if (res == HTTP1_OK) {
        chain_drop(&b->raw, b->trailer_parse.end - had);
        if (h->count != 0) {
            b->x->trailers = h;
            b->body.trailers = b->x->hide_trailers ? NULL : h;
        }
        b->chunks.state = CHUNKED_DONE;
        return 0;
    }
    if (res != HTTP1_MORE || b->trailer.n == TRAILER_MAX)
        return -EPROTO;
    chain_drop(&b->raw, b->trailer.n - had);
    return 0;
}

// Takes framing and data from b->raw until it is empty, `room` data bytes were moved, or the body has ended. The count, or
// -EPROTO.
static ssize_t unchunk(struct h1_body *b, struct chain *to, size_t room) {
    size_t got = 0;
    while (!chain_empty(&b->raw) && b->chunks.state < CHUNKED_DONE && got < room) {
        struct piece *p = b->raw.head;
        if (b->chunks.state == CHUNKED_DATA) {
            size_t n = chain_move(to, &b->raw, (size_t)MIN((uint64_t)(room - got), b->chunks.left));
            chunked_data(&b->chunks, n);
            got += n;
        } else if (b->chunks.state == CHUNKED_TRAILER) {
            if (take_trailer(b) != 0)
                b->chunks.state = CHUNKED_BAD;
        } else {
            chain_drop(&b->raw, chunked_parse(&b->chunks, p->p, p->n));
            if (b->chunks.overhead > OVERHEAD_MAX)
                b->chunks.state = CHUNKED_BAD;
        }
    }
    // What came before the broken byte is given first.
    return got == 0 && b->chunks.state == CHUNKED_BAD ? -EPROTO : (ssize_t)got;
}

static ssize_t read_chunked(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct h1_body *b = container_of(body, struct h1_body, body);
    if (b->error != 0 || b->ended)
        return b->error;
    for (;;) {
        ssize_t got = unchunk(b, to, room);
        if (got < 0)
            return fail(b, (int)got);
        if (b->chunks.state == CHUNKED_DONE) {
            if (!chain_empty(&b->raw))
                b->x->keepalive = false; // bytes behind the end
            end(b);
        }
        if (got > 0) {
            count(b, (size_t)got);
            return got;
        }
        if (b->ended)
            return 0;
        ssize_t n = receive(b, &b->raw, MAX(room, (size_t)ROOM_MIN), wait);
        if (n == -EAGAIN)
            return n;
        if (n <= 0)
            return fail(b, n == 0 ? -EPIPE : (int)n);
    }
}

static void free_body(struct body *body) {
    struct h1_body *b = container_of(body, struct h1_body, body);
    chain_done(&b->raw);
    if (!b->ended)
        exchange_done(b->x, false);
}

static const struct body_ops length_ops = {"upstream length", read_length, NULL, free_body, raw_link, took_raw};
static const struct body_ops close_ops = {"upstream until close", read_close, NULL, free_body, raw_link, took_raw};
static const struct body_ops chunked_ops = {"upstream chunked", read_chunked, NULL, free_body};

struct body *h1_response_body(struct exchange *x) {
    if (method_from(x->method) == METHOD_HEAD || status_has_no_body(x->head.status) || x->body_length == 0) {
        exchange_done(x, true);
        return NULL;
    }
    struct h1_body *b = arena_new(&x->r->arena, struct h1_body);
    b->x = x;
    chain_init(&b->raw, loop_blocks(x->r->loop));
    chunked_init(&b->chunks);
    b->room = x->body_length < 0 ? ROOM_MIN : (size_t)MIN(x->body_length + 1, ROOM_MAX);
    b->room = MAX(b->room, (size_t)ROOM_MIN);
    body_init(&b->body, x->chunked ? &chunked_ops : x->body_length >= 0 ? &length_ops : &close_ops, x->body_length);
    return &b->body;
}
