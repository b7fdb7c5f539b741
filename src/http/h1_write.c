// The answer of an HTTP/1 request as bytes. The head and what is there of the body go out in one write; then whoever has
// room pulls: few, large pieces while the client keeps up, small ones for a client that does not.
#include "http/h1_write.h"
#include "http/answer.h"
#include "http/conn.h"
#include "http/vhost.h"
#include "io/loop.h"
#include "io/tls.h"
#include "io/splice.h"
#include "wire/chunked.h"
#include "wire/http1.h"

enum { ROOM_FIRST = 64 << 10, ROOM_MAX = 256 << 10, ROOM_SLOW = 32 << 10, ROOM_FILE = 1 << 20, HEAD_ROOM = 2032, INLINE_MAX = 4 << 10,
       SPLICE_MAX = 1 << 20 };

enum framing { FRAME_NONE, FRAME_LENGTH, FRAME_CHUNKED, FRAME_CLOSE };

// --- the head ------------------------------------------------------------------------------------------------------------

static enum framing choose_framing(struct req *r) {
    unsigned status = r->out.status;
    if (status_has_no_body(status))
        return FRAME_NONE;
    if (r->out_length >= 0)
        return FRAME_LENGTH;
    struct field *cl = head_find(&r->out, FIELD_CONTENT_LENGTH);
    if (cl != NULL && r->head_only) {
        r->out_length = http1_content_length(cl->value, true);
        if (r->out_length >= 0)
            return FRAME_LENGTH;
    }
    if (r->method == METHOD_HEAD) // nginx shows no framing of a body that is not sent (RFC 9112 6.1: it need not)
        return FRAME_NONE;
    if (r->in.version >= 11 && req_core(r)->chunked_transfer_encoding)
        return FRAME_CHUNKED;
    return FRAME_CLOSE;
}

static void put_line(struct sbuf *b, struct str name, const struct field *f) {
    if (LIKELY(f->clean))
        http1_put_clean(b, name, f->value);
    else
        http1_put_field(b, name, f->value);
}

static void put_connection(struct req *r, struct sbuf *b) {
    const struct http_core *core = req_core(r);
    if (r->out.status == 101) {
        sbuf_lit(b, "Connection: upgrade\r\n");
        return;
    }
    if (!r->keepalive) {
        sbuf_lit(b, "Connection: close\r\n");
        return;
    }
    sbuf_lit(b, "Connection: keep-alive\r\n");
    if (core->keepalive_header_s > 0) {
        sbuf_lit(b, "Keep-Alive: timeout=");
        sbuf_u64(b, (uint64_t)core->keepalive_header_s);
        sbuf_lit(b, "\r\n");
    }
}

// What stands in front, in nginx's order; the other fields follow as they were added, and so do a back end's own.
static bool in_front(const struct field *f) {
    switch (f->id) {
    case FIELD_SERVER:
    case FIELD_DATE:
    case FIELD_LAST_MODIFIED:
        return !f->passed || f->value.p == NULL;
    case FIELD_CONTENT_TYPE:
    case FIELD_CONTENT_LENGTH:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_CONNECTION:
    case FIELD_KEEP_ALIVE:
        return true;
    default:
        return false;
    }
}

static void put_head(struct req *r, struct sbuf *b, enum framing framing) {
    struct head *h = &r->out;
    http1_put_status_line(b, 11, h->status, h->reason.p != NULL ? h->reason : status_reason(h->status));
    struct field *f = head_find(h, FIELD_SERVER);
    if (f == NULL || !f->passed)
        http1_put_field(b, STR("Server"), f != NULL ? f->value : answer_server(r));
    f = head_find(h, FIELD_DATE);
    if (f == NULL)
        http1_put_clean(b, STR("Date"), str_n(loop_text_http(r->loop), 29));
    else if (!f->passed)
        put_line(b, STR("Date"), f);
    f = head_find(h, FIELD_CONTENT_TYPE);
    if (f != NULL && f->value.n != 0)
        put_line(b, STR("Content-Type"), f);
    if (framing == FRAME_LENGTH) {
        sbuf_lit(b, "Content-Length: ");
        sbuf_u64(b, (uint64_t)r->out_length);
        sbuf_lit(b, "\r\n");
    }
    f = head_find(h, FIELD_LAST_MODIFIED);
    if (f != NULL && !f->passed)
        put_line(b, STR("Last-Modified"), f);
    if (r->location.n != 0)
        http1_put_field(b, STR("Location"), answer_absolute(r, r->location));
    if (framing == FRAME_CHUNKED)
        sbuf_lit(b, "Transfer-Encoding: chunked\r\n");
    put_connection(r, b);
    head_each(o, h) {
        if (!in_front(o))
            put_line(b, o->name, o);
    }
    sbuf_lit(b, "\r\n");
}

// The head in a block of its own, with room behind it for a small body.
static struct block *make_head(struct req *r, enum framing framing, size_t *n) {
    struct blocks *pool = loop_blocks(r->loop);
    for (size_t size = HEAD_ROOM;; size *= 4) {
        struct block *block = block_new(pool, size);
        struct sbuf b;
        sbuf_init_fixed(&b, block->data, block->size);
        put_head(r, &b, framing);
        if (!b.overflow) {
            *n = b.n;
            return block;
        }
        block_unref(block);
        if (size > (16 << 20)) // fields are bounded by the limits of the back end's head; this is ours
            return NULL;
    }
}

// --- the pump ------------------------------------------------------------------------------------------------------------

struct pump {
    struct req *r;
    struct link *link;
    enum framing framing;
    struct chain out;  // framed, to be written
    uint64_t body;     // bytes of the body framed so far
    size_t room;
    uint64_t waited_ms; // for the client, up to SLOW_MS
    bool ended, slow;
    bool copies;       // the kernel cannot splice these sockets, or has no pipe for it
};

// How much the body is asked for. Of a file as much as one sendfile sends, however slow the client is.
static size_t room_of(const struct pump *p) {
    const struct body *b = p->r->out_body;
    if (!b->ranges)
        return p->room;
    uint64_t chunk = req_core(p->r)->sendfile_max_chunk;
    return chunk == 0 ? ROOM_FILE : (size_t)MIN(chunk, (uint64_t)ROOM_FILE);
}

// Pulls one piece and frames it into p->out. >0 bytes, 0 at the end, or the error.
static ssize_t pull(struct pump *p, enum body_wait wait) {
    struct req *r = p->r;
    if (p->framing != FRAME_CHUNKED) {
        ssize_t n = body_read(r->out_body, &p->out, room_of(p), wait);
        if (n == 0 && p->framing == FRAME_LENGTH && p->body < (uint64_t)r->out_length)
            return -EPIPE; // whoever promised the length did not keep it
        p->ended = n == 0;
        if (n > 0) {
            p->body += (uint64_t)n;
            p->ended = p->framing == FRAME_LENGTH && p->body >= (uint64_t)r->out_length;
        }
        return n;
    }
    struct chain piece;
    chain_init(&piece, p->out.pool);
    ssize_t n = body_read(r->out_body, &piece, room_of(p), wait);
    if (n > 0) {
        char line[CHUNKED_HEAD_MAX];
        size_t len = chunked_put_head(line, (uint64_t)n);
        chain_add_copy(&p->out, str_n(line, len));
        chain_append(&p->out, &piece);
        chain_add_const(&p->out, "\r\n", 2);
        p->body += (uint64_t)n;
    } else if (n == 0) {
        p->ended = true;
        const struct head *t = r->out_trailers != NULL ? r->out_trailers : r->out_body->trailers;
        if (t != NULL && t->count != 0) {
            struct sbuf b;
            sbuf_init_arena(&b, &r->arena, 256, 64 << 10);
            sbuf_lit(&b, "0\r\n");
            head_each(f, t) http1_put_field(&b, f->name, f->value);
            sbuf_lit(&b, "\r\n");
            chain_add_const(&p->out, b.p, b.n);
        } else {
            chain_add_const(&p->out, CHUNKED_LAST, sizeof(CHUNKED_LAST) - 1);
        }
    }
    chain_done(&piece);
    return n;
}

// A client that was waited for so long, in all, is slow: the back end must not wait for it. One that keeps up with small delays
// is spared the detour through a tape, which costs a copy and perhaps a file.
enum { SLOW_MS = 200 };

// Until the client takes more: 0, or the error. When it has turned out to be slow the back end's side begins to read ahead.
static int wait_for_client(struct pump *p, uint64_t timeout_ms) {
    struct loop *l = p->r->loop;
    uint64_t before = loop_now(l), time = p->slow ? timeout_ms : MIN(timeout_ms, SLOW_MS - p->waited_ms);
    int ready = link_wait(p->link, LINK_WAIT_WRITE, time);
    if (ready < 0 && (ready != -ETIMEDOUT || time == timeout_ms))
        return ready;
    p->waited_ms += loop_now(l) - before;
    if (!p->slow && (ready == -ETIMEDOUT || p->waited_ms >= SLOW_MS)) {
        p->slow = true;
        if (!p->ended)
            body_ahead(p->r->out_body);
        chain_compact(&p->out);
    }
    return 0;
}

// Writes p->out; a slow client gets smaller pieces.
static int push(struct pump *p, uint64_t timeout_ms) {
    if (p->ended && !p->r->keepalive && p->r->out.status != 101)
        link_tls_last(p->link);
    while (!chain_empty(&p->out)) {
        ssize_t n = link_try_write(p->link, &p->out, false);
        if (n == -EAGAIN)
            n = wait_for_client(p, timeout_ms);
        if (n < 0)
            return (int)n;
    }
    p->room = p->slow ? ROOM_SLOW : MIN(p->room * 2, (size_t)ROOM_MAX);
    return 0;
}

static int body_failed(struct pump *p, ssize_t err) {
    struct req *r = p->r;
    r->body_failed = true;
    if (!r->head_sent && r->in.version != 9)
        return (int)err; // another answer takes its place
    r->keepalive = false;
    req_ended(r, err == -ECANCELED ? 'C' : 'I', 'D'); // whoever knew better has said so before
    // The client must see that the answer is cut: with a length or chunks it does, else only a reset tells (RFC 9112 8).
    if (p->framing == FRAME_CLOSE)
        link_reset_on_free(p->link);
    return (int)err;
}

static int client_failed(struct req *r, ssize_t err) {
    r->phase = "sending to client";
    req_ended(r, err == -ETIMEDOUT ? 'c' : 'C', 'D');
    if (err == -ETIMEDOUT)
        log_msg(LOG_INFO, ETIMEDOUT, "client timed out (send_timeout %llu ms)",
                (unsigned long long)req_core(r)->send_timeout);
    else if (err != -ECANCELED)
        log_msg(LOG_INFO, (int)-err, "send() failed");
    r->keepalive = false;
    return (int)err;
}

// The socket that the rest of the body can be taken from inside the kernel, or NULL. Where nobody knows how much will come,
// only after it came fast: small pieces cost less when they are read.
static struct link *raw_source(struct pump *p, uint64_t *left, uint64_t *read_timeout) {
    struct body *b = p->r->out_body;
    if (p->framing == FRAME_CHUNKED || p->copies || p->slow || (b->length < 0 && p->room < ROOM_MAX))
        return NULL;
    return body_raw(b, left, read_timeout);
}

// What is in the conduit goes to the client: 0, or the error, logged.
static int drain(struct pump *p, struct conduit *c) {
    uint64_t timeout = req_core(p->r)->send_timeout;
    while (conduit_held(c) != 0) {
        ssize_t out = conduit_drain(c, p->link);
        if (out == -EAGAIN)
            out = wait_for_client(p, timeout);
        if (out < 0)
            return client_failed(p->r, out);
    }
    return 0;
}

// One fill of a conduit and its way to the client. 1: the body goes on; 0: on by reading, because the client was slow or the
// kernel cannot; or the error, logged. Whoever waits for the back end holds no conduit.
static int splice_once(struct pump *p, struct link *from, uint64_t left, uint64_t read_timeout) {
    struct req *r = p->r;
    struct conduit *c = conduit_get(from, p->link);
    ssize_t n = c != NULL ? conduit_fill(c, from, (size_t)MIN(left, (uint64_t)SPLICE_MAX)) : -EOPNOTSUPP;
    if (n <= 0)
        conduit_put(c);
    if (n == -EOPNOTSUPP) {
        p->copies = true;
        return 0;
    }
    if (n == -EAGAIN) {
        int ready = link_wait(from, LINK_WAIT_READ, read_timeout);
        if (ready >= 0)
            return 1;
        n = ready;
    }
    n = r->out_body->ops->took(r->out_body, n);
    if (n == -EAGAIN)
        return 1;
    if (n < 0)
        return body_failed(p, n);
    p->body += (uint64_t)n;
    bool whole = p->framing == FRAME_LENGTH && p->body >= (uint64_t)r->out_length;
    p->ended = n == 0 || whole;
    if (n == 0)
        return p->framing == FRAME_LENGTH && !whole ? body_failed(p, -EPIPE) : 1;
    int err = drain(p, c);
    conduit_put(c);
    if (err != 0)
        return err;
    if (!p->ended && task_yield() != 0) // others have their turn, however fast both sides are
        return body_failed(p, r->out_body->ops->took(r->out_body, -ECANCELED));
    return !p->slow;
}

// What nothing looks into goes from socket to socket inside the kernel. 0, or the error.
static int splice_body(struct pump *p) {
    uint64_t left, timeout;
    struct link *from;
    int go = 1;
    while (go > 0 && !p->ended && (from = raw_source(p, &left, &timeout)) != NULL)
        go = splice_once(p, from, left, timeout);
    p->room = p->slow ? ROOM_SLOW : MIN(p->room, (size_t)ROOM_MAX / 2); // not again before the next piece, where its length is not known
    return MIN(go, 0);
}

// Rest of the body, after the first piece went out with the head.
static int pump_body(struct pump *p) {
    uint64_t timeout = req_core(p->r)->send_timeout;
    bool framed = p->framing == FRAME_CHUNKED;
    uint64_t left, read_timeout;
    while (!p->ended) {
        if (raw_source(p, &left, &read_timeout) != NULL) {
            int err = splice_body(p);
            if (err != 0)
                return err;
            if (p->ended)
                break;
        }
        ssize_t n = pull(p, BODY_WAIT);
        if (n < 0)
            return body_failed(p, n);
        if (framed && !p->ended && p->r->out_body->length == 0)
            (void)pull(p, BODY_NOWAIT); // the last chunk
        int err = push(p, timeout);
        if (err != 0)
            return client_failed(p->r, err);
    }
    return 0;
}

// A small body in memory is copied behind the head: one buffer, one send.
static void inline_small(struct pump *p, struct block *head, size_t *n) {
    struct chain *c = &p->out;
    if (c->bytes == 0 || c->bytes > INLINE_MAX || head->size - *n < c->bytes)
        return;
    size_t had = c->bytes;
    if (chain_peek(c, head->data + *n, had) == had) {
        *n += had;
        chain_drop(c, had);
    }
}

// What is there of the body, with its end if that is there too: it goes out in the same write.
static ssize_t pull_first(struct pump *p) {
    ssize_t got = pull(p, BODY_NOWAIT);
    if (UNLIKELY(p->r->out_body->soon) && (got > 0 || got == -EAGAIN) && task_yield() == 0)
        got = pull(p, BODY_NOWAIT);
    uint64_t left, read_timeout;
    return got > 0 && !p->ended && raw_source(p, &left, &read_timeout) == NULL ? pull(p, BODY_NOWAIT) : got;
}

static int send_head(struct pump *p) {
    struct req *r = p->r;
    size_t n;
    struct block *head = make_head(r, p->framing, &n);
    if (head == NULL) {
        log_msg(LOG_ALERT, 0, "the head of the answer is too large to be sent");
        return -EMSGSIZE;
    }
    r->head_bytes_out = n;
    ssize_t got = 0;
    if (r->out_body != NULL) {
        got = pull_first(p);
        if (got < 0 && got != -EAGAIN && chain_empty(&p->out)) {
            block_unref(head);
            return body_failed(p, got);
        }
    }
    inline_small(p, head, &n);
    struct chain whole;
    chain_init(&whole, p->out.pool);
    chain_give_block(&whole, head, head->data, n);
    chain_append(&whole, &p->out);
    chain_append(&p->out, &whole);
    int err = push(p, req_core(r)->send_timeout);
    if (err == 0)
        r->head_sent = true;
    return err != 0 ? client_failed(r, err) : 0;
}

static int send_09(struct req *r, struct pump *p) {
    r->keepalive = false;
    p->framing = FRAME_CLOSE;
    p->ended = r->out_body == NULL;
    return pump_body(p);
}

int h1_send(struct req *r) {
    struct pump p = {.r = r, .link = r->conn->link, .room = ROOM_FIRST};
    chain_init(&p.out, loop_blocks(r->loop));
    uint64_t before = link_plain_out(p.link);
    if (conn_ends(r->conn))
        r->keepalive = false;
    p.framing = choose_framing(r);
    if (p.framing == FRAME_CLOSE && !r->head_only)
        r->keepalive = false;
    r->chunked_out = p.framing == FRAME_CHUNKED;
    p.ended = r->out_body == NULL;
    int err;
    if (r->in.version == 9) {
        err = send_09(r, &p);
    } else {
        err = send_head(&p);
        if (err == 0)
            err = pump_body(&p);
    }
    r->completed = err == 0;
    chain_done(&p.out);
    uint64_t sent = link_plain_out(p.link) - before;
    r->body_bytes_out = sent > r->head_bytes_out ? sent - r->head_bytes_out : 0;
    return err;
}
