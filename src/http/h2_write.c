// The answer of an HTTP/2 request. Its own task pulls the body, as far as the windows of stream and connection allow, and frames it
// at once when nobody more urgent waits; else the piece waits for its turn, and the connection's task frames it (h2_schedule):
// by urgency, then in the order of streams, incremental ones in turns (RFC 9218).
//
//   body ──pull──► pending ──frame──► out ──► link
//   (stream's task)        (either)         (connection's task: many frames in one send)
#include "http/answer.h"
#include "http/h2_private.h"
#include "io/file.h"
#include "io/link_over.h"
#include "io/loop.h"

enum { SLOW_MS = 200, // that a client is waited for in all before the back end's side reads ahead
        HEAD_FIELDS_ROOM = 512, SENDFILE_MIN = 16 << 10, HEAD_MAX = 16 << 20, TRAILERS_MAX = 64 << 10 };

// --- turns -------------------------------------------------------------------------------------------------------------------

static void enlist(struct h2_request *q, bool behind) {
    struct h2_conn *h = q->h;
    struct list *l = &h->ready[q->stream.urgency];
    struct list *at = l->prev;
    // Those that are not incremental come in the order of their streams; the others behind whoever waits already.
    if (!behind && !q->stream.incremental)
        while (at != l && container_of(at, struct h2_request, ready)->stream.id > q->stream.id)
            at = at->prev;
    list_insert_after(at, &q->ready);
    h->ready_set |= (uint8_t)(1u << q->stream.urgency);
}

void h2_leave(struct h2_request *q) { list_remove(&q->ready); }

void h2_reorder(struct h2_request *q) {
    q->h->prioritized |= q->stream.urgency != H2_URGENCY_USUAL || q->stream.incremental;
    if (list_empty(&q->ready))
        return;
    list_remove(&q->ready);
    enlist(q, false);
}

static void wake_writer(struct h2_request *q) {
    if (q->out_waiter != NULL)
        task_wake(q->out_waiter);
    if (q->out_blocked) {
        q->out_blocked = false;
        link_over_news(q->tunnel, false, true, false);
    }
}

// Of a stream that failed nothing is framed: its task, which was woken, may not have run yet.
static bool waits(const struct h2_request *q) { return q->error == 0 && (q->out_waiter != NULL || q->out_blocked); }

// What a stream may frame before it is another's turn: incremental ones take turns (nginx http2_chunk_size).
static size_t turn_of(const struct h2_request *q) {
    return q->stream.incremental && q->r != NULL ? ((const struct http2_conf *)req_conf(q->r, &feature_http2))->chunk_size : SIZE_MAX;
}

static size_t framable(const struct h2_request *q, size_t n) { return MIN(MIN(n, q->pending.bytes), h2_room(&q->h->session, &q->stream)); }

// TLS needs memory. Ranges of files are read when they are framed, so that they are still in the processor's cache when they are
// sealed: the first n bytes of what is pending. 0 or an error; -EAGAIN: not without waiting. Waits with BODY_WAIT.
static int load_front(struct h2_request *q, size_t n, enum body_wait wait) {
    struct chain loaded;
    int err = 0;
    chain_init(&loaded, q->pending.pool);
    while (err == 0 && loaded.bytes < n) {
        const struct piece *p = q->pending.head;
        size_t k = MIN(p->n, n - loaded.bytes);
        if (p->kind == PIECE_MEM) {
            chain_move(&loaded, &q->pending, k);
            continue;
        }
        ssize_t got = wait == BODY_WAIT ? file_read(p->file, p->off, k, &loaded) : file_try_read(p->file, p->off, k, &loaded);
        if (got > 0)
            chain_drop(&q->pending, (size_t)got);
        else
            err = got == 0 ? -EIO : (int)got;
    }
    chain_prepend(&q->pending, &loaded);
    return err;
}

static bool is_cold(const struct h2_request *q, size_t n) {
    if (!link_is_tls(q->h->conn->link))
        return false;
    size_t at = 0;
    for (const struct piece *p = q->pending.head; p != NULL && at < n; at += p->n, p = p->next) {
        if (p->kind == PIECE_FILE)
            return true;
    }
    return false;
}

// For the connection's task. False: it is the turn of the request's own task first.
static bool warm(struct h2_request *q, size_t n) {
    n = framable(q, n);
    if (!is_cold(q, n))
        return true;
    int err = load_front(q, n, BODY_NOWAIT);
    q->out_cold = err == -EAGAIN;
    q->out_error = q->out_cold ? 0 : err;
    return err == 0;
}

// Frames up to n bytes of what is pending. True: all of it was.
static bool frame(struct h2_request *q, size_t n) {
    struct h2_session *s = &q->h->session;
    n = framable(q, n);
    bool all = n == q->pending.bytes;
    if (n != 0 || (all && q->out_last)) {
        q->r->body_bytes_out += n; // as in nginx, without the heads of frames
        h2_put_data(s, &q->stream, &q->pending, n, all && q->out_last);
        h2_kick(q->h);
    }
    return all;
}

// One list of equal urgency. False: nothing more can be framed now. *more: some of its streams were woken to give more.
static bool serve_list(struct h2_conn *h, unsigned urgency, bool *more) {
    struct list *l = &h->ready[urgency];
    while (!list_empty(l)) {
        if (h->out.bytes >= H2_OUT_HIGH || h->session.send_window <= 0)
            return false;
        struct h2_request *q = list_first(l, struct h2_request, ready);
        list_remove(&q->ready);
        bool last = q->pending.bytes == 0 && q->out_last; // needs no window
        if (q->stream.send_window <= 0 && !last)
            continue; // it comes again when its window opens
        if (!warm(q, turn_of(q)) || frame(q, turn_of(q))) {
            *more |= waits(q) && !q->out_last;
            wake_writer(q);
        } else if (q->stream.send_window > 0 && q->stream.state != H2_CLOSED)
            enlist(q, q->stream.incremental);
    }
    h->ready_set &= (uint8_t)~(1u << urgency);
    return true;
}

void h2_schedule(struct h2_conn *h) {
    while (h->ready_set != 0 && !h->again) {
        bool more = false;
        if (!serve_list(h, (unsigned)__builtin_ctz(h->ready_set), &more))
            return;
        h->again = more && h->ready_set != 0;
    }
}

void h2_window_opened(struct h2_conn *h, struct h2_stream *st) {
    if (st != NULL) {
        struct h2_request *q = container_of(st, struct h2_request, stream);
        if (waits(q) && list_empty(&q->ready))
            enlist(q, false);
    } else { // of the connection, or all windows after SETTINGS
        list_each(q, &h->requests, struct h2_request, all) {
            if (waits(q) && list_empty(&q->ready))
                enlist(q, false);
        }
    }
}

bool h2_may_frame(const struct h2_request *q) {
    const struct h2_conn *h = q->h;
    return (h->ready_set & ((2u << q->stream.urgency) - 1)) == 0 && h->out.bytes < H2_OUT_HIGH;
}

void h2_wait_for_room(struct h2_request *q) {
    q->out_blocked = true;
    if (list_empty(&q->ready))
        enlist(q, false);
    h2_kick(q->h);
}

// --- waiting -------------------------------------------------------------------------------------------------------------------

static bool blocked(const struct h2_request *q, bool for_room) {
    if (for_room)
        return h2_room(&q->h->session, &q->stream) == 0;
    if (q->out_cold || q->out_error != 0)
        return false;
    return q->pending.bytes != 0 || (q->out_last && q->stream.state != H2_CLOSED && q->stream.state != H2_HALF_LOCAL);
}

static int timed_out(struct h2_request *q) {
    struct req *r = q->r;
    r->phase = "sending to client";
    log_msg(LOG_INFO, ETIMEDOUT, "client timed out (send_timeout %llu ms, stream %u: window %d, window of the connection %lld)",
            (unsigned long long)req_core(r)->send_timeout, q->stream.id, q->stream.send_window,
            (long long)q->h->session.send_window);
    return -ETIMEDOUT;
}

static void read_ahead(struct h2_request *q) {
    q->out_slow = true;
    if (!q->out_last)
        body_ahead(q->r->out_body);
    chain_compact(&q->pending);
}

// Until pending was framed (or, for_room, a window opened). A client that is slow makes the back end's side read ahead. 0 or
// an error. Time counts only while the stream itself is held up, not while others have their turn.
static int wait_turn(struct h2_request *q, bool for_room) {
    struct req *r = q->r;
    struct h2_conn *h = q->h;
    uint64_t timeout = req_core(r)->send_timeout, since = loop_now(r->loop);
    uint64_t begun = since - q->out_waited_ms;
    size_t left = q->pending.bytes;
    int err = 0;
    if (list_empty(&q->ready))
        enlist(q, false);
    h2_kick(h);
    CHECK(q->out_waiter == NULL);
    q->out_waiter = task_self();
    while (blocked(q, for_room) && q->error == 0 && (err == 0 || err == -ETIMEDOUT)) {
        uint64_t now = loop_now(r->loop);
        if (q->pending.bytes != left) {
            left = q->pending.bytes;
            since = now;
        }
        if (err == -ETIMEDOUT && now >= since + timeout) {
            // It may have waited for streams that are more urgent, while the client took those.
            bool others = q->stream.send_window > 0 && h->session.send_window > 0 && now < h->sent_ms + timeout;
            if (!others)
                break;
            since = h->sent_ms;
        }
        if (!q->out_slow && now >= begun + SLOW_MS)
            read_ahead(q);
        err = task_park(q->out_slow ? since + timeout : MIN(now + timeout, begun + SLOW_MS));
    }
    q->out_waiter = NULL;
    q->out_waited_ms = loop_now(r->loop) - begun;
    h2_leave(q);
    if (q->error != 0 || q->out_error != 0)
        return q->error != 0 ? q->error : q->out_error;
    if (!blocked(q, for_room))
        return 0;
    return err == -ETIMEDOUT ? timed_out(q) : err;
}

// --- the head --------------------------------------------------------------------------------------------------------------------

static bool in_front(enum field_id id) {
    switch (id) {
    case FIELD_SERVER:
    case FIELD_DATE:
    case FIELD_CONTENT_TYPE:
    case FIELD_CONTENT_LENGTH:
    case FIELD_LAST_MODIFIED:
        return true;
    default:
        return false;
    }
}

static void put(struct hpack_encoder *e, struct sbuf *b, enum field_id id, struct str name, struct str value, bool sensitive) {
    hpack_put(e, b, id, name, value, hpack_how_of(id, value, sensitive));
}

static void put_number(struct hpack_encoder *e, struct sbuf *b, enum field_id id, uint64_t n) {
    char text[24];
    struct sbuf t;
    sbuf_init_fixed(&t, text, sizeof text);
    sbuf_u64(&t, n);
    put(e, b, id, field_name(id), sbuf_view(&t), false);
}

// A value that would be refused by the client is left out, as in HTTP/1 what would break the framing.
static bool may_send(const struct field *f) {
    if (h2_is_connection_field(f->id, f->value) || f->id == FIELD_HTTP2_SETTINGS || f->id == FIELD_TE || !is_token(f->name))
        return false;
    return memchr(f->value.p, '\r', f->value.n) == NULL && memchr(f->value.p, '\n', f->value.n) == NULL &&
           memchr(f->value.p, '\0', f->value.n) == NULL;
}

// Fields in nginx's order.
static void put_head(struct req *r, struct hpack_encoder *e, struct sbuf *b, bool with_length) {
    struct head *h = &r->out;
    hpack_put_begin(e, b);
    hpack_put_status(e, b, h->status);
    struct field *f = head_find(h, FIELD_SERVER);
    if (f == NULL || f->value.p != NULL)
        put(e, b, FIELD_SERVER, field_name(FIELD_SERVER), f != NULL ? f->value : answer_server(r), false);
    f = head_find(h, FIELD_DATE);
    put(e, b, FIELD_DATE, field_name(FIELD_DATE), f != NULL ? f->value : str_n(loop_text_http(r->loop), 29), false);
    f = head_find(h, FIELD_CONTENT_TYPE);
    if (f != NULL && f->value.n != 0)
        put(e, b, FIELD_CONTENT_TYPE, f->name, f->value, false);
    if (with_length)
        put_number(e, b, FIELD_CONTENT_LENGTH, (uint64_t)r->out_length);
    f = head_find(h, FIELD_LAST_MODIFIED);
    if (f != NULL)
        put(e, b, FIELD_LAST_MODIFIED, f->name, f->value, false);
    if (r->location.n != 0)
        put(e, b, FIELD_LOCATION, field_name(FIELD_LOCATION), answer_absolute(r, r->location), false);
    head_each(o, h) {
        if (!in_front(o->id) && may_send(o))
            put(e, b, o->id, o->name, o->value, o->sensitive);
    }
}

// More bytes than a block of these fields can have.
static size_t head_bound(const struct req *r) {
    size_t n = HEAD_FIELDS_ROOM + r->location.n + (r->host.n + 512);
    head_each(f, &r->out) n += hpack_bound(f->name, f->value);
    return n;
}

// Makes a block of fields with `fill` and puts it as HEADERS. False: too large.
static bool send_block(struct h2_request *q, struct sbuf *b, bool end) {
    struct h2_session *s = &q->h->session;
    CHECK(!b->overflow);
    h2_put_headers(s, &q->stream, sbuf_view(b), end);
    q->r->head_bytes_out += b->n + H2_FRAME_HEAD;
    h2_kick(q->h);
    return true;
}

static int send_head(struct h2_request *q, bool end) {
    struct req *r = q->r;
    struct field *cl = head_find(&r->out, FIELD_CONTENT_LENGTH);
    bool none = status_has_no_body(r->out.status);
    bool with_length = !none && (r->out_length >= 0 || (r->head_only && cl != NULL));
    if (with_length && r->out_length < 0) {
        uint64_t n;
        with_length = str_u64(cl->value, INT64_MAX, &n);
        r->out_length = with_length ? (int64_t)n : -1;
    }
    size_t room = head_bound(r);
    if (room > HEAD_MAX) {
        log_msg(LOG_ALERT, 0, "the head of the answer is too large to be sent");
        return -EMSGSIZE;
    }
    struct block *block = block_new(loop_blocks(r->loop), room);
    struct sbuf b;
    sbuf_init_fixed(&b, block->data, block->size);
    put_head(r, &q->h->session.encoder, &b, with_length);
    send_block(q, &b, end);
    block_unref(block);
    r->head_sent = true;
    return 0;
}

int h2_interim(struct req *r, unsigned status, const struct head *fields) {
    struct h2_request *q = r->codec_state;
    struct hpack_encoder *e = &q->h->session.encoder;
    if (q->error != 0 || q->stream.state == H2_CLOSED)
        return q->error != 0 ? q->error : -EPIPE;
    size_t room = 64;
    if (fields != NULL)
        head_each(f, fields) room += hpack_bound(f->name, f->value);
    struct sbuf b;
    sbuf_init_arena(&b, &r->arena, room, room);
    hpack_put_begin(e, &b);
    hpack_put_status(e, &b, status);
    if (fields != NULL) {
        head_each(f, fields) {
            if (may_send(f))
                put(e, &b, f->id, f->name, f->value, f->sensitive);
        }
    }
    send_block(q, &b, false);
    return 0;
}

static bool send_trailers(struct h2_request *q, const struct head *t) {
    struct hpack_encoder *e = &q->h->session.encoder;
    size_t room = 64;
    head_each(f, t) room += hpack_bound(f->name, f->value);
    struct sbuf b;
    sbuf_init_arena(&b, &q->r->arena, room, MAX(room, (size_t)TRAILERS_MAX));
    hpack_put_begin(e, &b);
    head_each(f, t) {
        if (may_send(f))
            put(e, &b, f->id, f->name, f->value, f->sensitive);
    }
    return send_block(q, &b, true);
}

// --- the body --------------------------------------------------------------------------------------------------------------------

struct pump {
    struct h2_request *q;
    uint64_t body;  // bytes pulled
    bool ended;
    const struct head *trailers; // after the end; NULL: none
};

// A plain link sends from files, but small pieces are read, so that the frames of many streams go in one send.
static int load_files(const struct req *r, struct chain *c) {
    bool any = false;
    for (const struct piece *p = c->head; p != NULL; p = p->next)
        any |= p->kind == PIECE_FILE && p->n < SENDFILE_MIN;
    if (!any || link_is_tls(r->conn->link))
        return 0;
    struct chain all;
    chain_init(&all, c->pool);
    while (!chain_empty(c)) {
        struct piece *p = c->head;
        if (p->kind == PIECE_MEM) {
            chain_move(&all, c, p->n);
            continue;
        }
        ssize_t n = file_read(p->file, p->off, MIN(p->n, (size_t)H2_ROOM), &all);
        if (n <= 0) {
            chain_done(&all);
            return n == 0 ? -EIO : (int)n;
        }
        chain_drop(c, (size_t)n);
    }
    chain_append(c, &all);
    return 0;
}

static ssize_t pull(struct pump *p, size_t room, enum body_wait wait) {
    struct h2_request *q = p->q;
    struct req *r = q->r;
    struct chain piece;
    chain_init(&piece, q->pending.pool);
    ssize_t n = body_read(r->out_body, &piece, room, wait);
    if (n > 0) {
        chain_own(&piece); // the connection may send it when the request is gone
        int err = load_files(r, &piece);
        if (err != 0)
            n = err;
    }
    if (n > 0) {
        chain_append(&q->pending, &piece);
        p->body += (uint64_t)n;
        p->ended = r->out_length >= 0 && p->body >= (uint64_t)r->out_length && r->out_trailers == NULL;
    } else if (n == 0 && r->out_length >= 0 && p->body < (uint64_t)r->out_length) {
        n = -EPIPE; // whoever promised the length did not keep it
    } else if (n == 0) {
        p->ended = true;
    }
    chain_done(&piece);
    r->body_failed |= n < 0 && n != -EAGAIN;
    if (p->ended) {
        const struct head *t = r->out_trailers != NULL ? r->out_trailers : r->out_body->trailers;
        p->trailers = t != NULL && t->count != 0 && !q->malformed ? t : NULL;
        q->out_last = p->trailers == NULL && !q->malformed;
    }
    return n;
}

// Frames what is pending, at once or when its turn comes.
static int push(struct h2_request *q) {
    if (q->error != 0)
        return q->error;
    if (q->pending.bytes == 0 && !q->out_last)
        return 0;
    for (;;) {
        int err = 0;
        size_t n = framable(q, turn_of(q));
        if (h2_may_frame(q) && is_cold(q, n))
            err = load_front(q, n, BODY_WAIT); // somebody else may have framed meanwhile
        if (err == 0 && q->error == 0 && h2_may_frame(q)) {
            bool all = frame(q, turn_of(q));
            if (q->h->out.bytes >= H2_OUT_NOW && !q->h->prioritized)
                h2_transmit(q->h);
            if (all)
                return 0;
        }
        if (err == 0)
            err = wait_turn(q, false);
        if (err != 0 || !q->out_cold)
            return err;
        q->out_cold = false;
        err = load_front(q, framable(q, turn_of(q)), BODY_WAIT);
        if (err != 0)
            return err;
    }
}

static int pump_body(struct pump *p) {
    struct h2_request *q = p->q;
    int err = push(q);
    while (err == 0 && !p->ended) {
        size_t room = MIN(h2_room(&q->h->session, &q->stream), (size_t)H2_ROOM);
        if (room == 0) {
            err = wait_turn(q, true);
            continue;
        }
        ssize_t n = pull(p, room, BODY_WAIT);
        if (n < 0)
            return (int)n;
        err = push(q);
    }
    if (err == 0 && p->trailers != NULL)
        send_trailers(q, p->trailers);
    return err;
}

// 2xx to an extended CONNECT would mean that a tunnel is there (RFC 8441 5).
static void refuse_connect(struct req *r) {
    log_msg(LOG_ERR, 0, "nothing accepted the upgrade that the client asked for with CONNECT");
    body_free(r->out_body);
    r->out_body = NULL;
    r->out_length = 0;
    r->out.status = 502;
}

int h2_send(struct req *r) {
    struct h2_request *q = r->codec_state;
    struct pump p = {.q = q};
    if (q->connects && r->take_over == NULL && r->out.status / 100 == 2)
        refuse_connect(r);
    ssize_t got = 0;
    if (q->error != 0)
        return q->error;
    q->out_last = false;
    if (q->connects && r->take_over != NULL) {
        r->out_length = -1;
        int err = send_head(q, false);
        r->completed = err == 0;
        return err;
    }
    if (r->out_body == NULL) {
        const struct head *t = r->out_trailers != NULL && r->out_trailers->count != 0 && !q->malformed ? r->out_trailers : NULL;
        int err = send_head(q, t == NULL && !q->malformed);
        if (err == 0 && t != NULL)
            send_trailers(q, t);
        r->completed = err == 0;
        return err;
    }
    // What is there already goes out with the head, and so does the end if it can be seen.
    size_t room = MIN(MAX(h2_room(&q->h->session, &q->stream), (size_t)1), (size_t)H2_ROOM);
    got = pull(&p, room, BODY_NOWAIT);
    if (UNLIKELY(r->out_body->soon) && got == -EAGAIN && task_yield() == 0)
        got = pull(&p, room, BODY_NOWAIT);
    if (got > 0 && !p.ended && (size_t)got < room)
        got = pull(&p, room - (size_t)got, BODY_NOWAIT);
    if (got < 0 && got != -EAGAIN && chain_empty(&q->pending))
        return (int)got;
    bool empty = p.ended && p.body == 0 && p.trailers == NULL && !q->malformed;
    int err = send_head(q, empty);
    q->out_last &= !empty;
    if (err == 0 && !empty)
        err = pump_body(&p);
    r->completed = err == 0;
    return err;
}
