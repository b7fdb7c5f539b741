// Streams as links: what an extended CONNECT (RFC 8441) becomes when its upgrade was accepted. The request is gone then, or kept
// small by whoever has the tunnel; the stream lives in memory of its own, beside a connection that may be parked.
#include "http/h2_private.h"
#include "io/link_over.h"
#include "io/loop.h"
#include <stdlib.h>

enum { WINDOW_SMALL = 64 << 10, WINDOW_LARGE = 256 << 10, WRITE_MAX = 64 << 10 };

static void told(struct h2_request *q) {
    if (!chain_empty(&q->h->out))
        h2_kick(q->h);
}

static ssize_t read_stream(void *owner, char *to, size_t n) {
    struct h2_request *q = owner;
    struct h2_session *s = &q->h->session;
    size_t got = chain_peek(&q->in, to, n);
    if (got == 0)
        return q->error != 0 ? q->error : q->in_ended ? 0 : -EAGAIN;
    chain_drop(&q->in, got);
    if (q->error == 0) {
        h2_consumed(s, &q->stream, got);
        if (link_bytes_in(q->tunnel) > WINDOW_SMALL) // a large transfer should not wait for round trips
            h2_grow_window(s, &q->stream, WINDOW_LARGE);
        told(q);
    }
    return (ssize_t)got;
}

static ssize_t write_stream(void *owner, struct chain *from) {
    struct h2_request *q = owner;
    struct h2_session *s = &q->h->session;
    if (q->error != 0 || q->stream.state == H2_CLOSED)
        return q->error != 0 ? q->error : -EPIPE;
    size_t n = MIN(MIN(from->bytes, (size_t)WRITE_MAX), h2_room(s, &q->stream));
    if (n == 0 || !h2_may_frame(q)) {
        h2_wait_for_room(q);
        return -EAGAIN;
    }
    chain_own(from); // the connection may send it when the tunnel is gone
    h2_put_data(s, &q->stream, from, n, false);
    told(q);
    return (ssize_t)n;
}

static bool may_end(const struct h2_request *q) {
    return q->error == 0 && (q->stream.state == H2_OPEN || q->stream.state == H2_HALF_REMOTE);
}

static void shut_stream(void *owner) {
    struct h2_request *q = owner;
    struct chain none;
    if (!may_end(q))
        return;
    chain_init(&none, q->in.pool);
    h2_put_data(&q->h->session, &q->stream, &none, 0, true);
    told(q);
}

static bool is_quiet(void *owner) {
    const struct h2_request *q = owner;
    return chain_empty(&q->in) && !q->in_ended && q->error == 0;
}

// RFC 8441 5: an end in order is END_STREAM, a reset is CANCEL.
static void close_stream(void *owner, bool reset) {
    struct h2_request *q = owner;
    struct h2_conn *h = q->h;
    if (reset && q->error == 0)
        h2_reset(&h->session, &q->stream, H2_CANCEL);
    shut_stream(q);
    if (q->error == 0)
        h2_reset(&h->session, &q->stream, H2_NO_ERROR); // what the client still sends is not needed
    h2_stream_forget(&h->session, &q->stream);
    h2_leave(q);
    list_remove(&q->all);
    chain_done(&q->in);
    conf_unref(q->conf);
    h->tunnels--;
    free(q);
    h2_kick(h);
}

static const struct link_over ops = {read_stream, write_stream, shut_stream, is_quiet, close_stream};

struct link *h2_stream_link(struct req *r, void (*drop)(void *arg), void *arg) {
    struct h2_request *old = r->codec_state, *q = xcalloc(1, sizeof *q);
    struct h2_conn *h = old->h;
    CHECK(old->pending.bytes == 0 && old->in_waiter == NULL && old->out_waiter == NULL && old->watcher == NULL);
    h2_leave(old);
    list_remove(&old->all);
    q->h = h;
    q->conf = old->conf;
    q->connects = true;
    q->in_ended = old->in_ended;
    q->error = old->error;
    q->drop = drop;
    q->drop_arg = arg;
    list_init(&q->ready);
    list_init(&q->start);
    chain_init(&q->in, old->in.pool);
    chain_init(&q->pending, old->in.pool);
    chain_append(&q->in, &old->in);
    h2_stream_move(&h->session, &old->stream, &q->stream);
    list_push_back(&h->requests, &q->all);
    h->running--;
    h->tunnels++;
    q->tunnel = link_over_new(&ops, q, link_remote(h->conn->link));
    h2_grow_window(&h->session, &q->stream, WINDOW_SMALL); // http2_body_preread_size may be small, even 0
    link_over_news(q->tunnel, !is_quiet(q), false, q->error != 0);
    h2_kick(h);
    return q->tunnel;
}

void h2_tunnels_drop(struct h2_conn *h) {
    list_each_safe(q, &h->requests, struct h2_request, all) {
        if (q->tunnel != NULL)
            q->drop(q->drop_arg);
    }
}
