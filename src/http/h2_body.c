// The body of an HTTP/2 request: what has come waits in the stream's chain, and the client may send more only as far as it was
// taken out (RFC 9113 5.2).
#include "http/h2_private.h"
#include "io/link_over.h"
#include "io/loop.h"

enum {
    COPY_MAX = 4096, // smaller pieces are copied together, so that they do not hold a large block each
    WINDOW_SMALL = 64 << 10, WINDOW_LARGE = 256 << 10, // of a stream whose body is being read
};

struct h2_body {
    struct body body;
    struct h2_request *q;
    bool expects;
    int error;
};

static int fail(struct h2_body *b, int err) {
    struct req *r = b->q->r;
    if (b->error == 0)
        b->error = err;
    if (err == -ETIMEDOUT)
        log_msg(LOG_INFO, ETIMEDOUT, "client timed out (client_body_timeout %llu ms)",
                (unsigned long long)req_core(r)->client_body_timeout);
    return b->error;
}

// Until there is something: 0, or the error.
static int wait_input(struct h2_body *b) {
    struct h2_request *q = b->q;
    struct req *r = q->r;
    if (b->expects) {
        b->expects = false;
        int err = r->head_sent ? 0 : h2_interim(r, 100, NULL);
        if (err != 0)
            return err;
    }
    h2_grow_window(&q->h->session, &q->stream, WINDOW_SMALL); // http2_body_preread_size may be small, even 0
    if (!chain_empty(&q->h->out))
        h2_kick(q->h);
    // How long a tunnel may be silent is the back end's time-out.
    uint64_t deadline = q->connects ? UINT64_MAX : loop_now(r->loop) + req_core(r)->client_body_timeout;
    CHECK(q->in_waiter == NULL);
    q->in_waiter = task_self();
    int err = 0;
    while (err == 0 && chain_empty(&q->in) && !q->in_ended && q->error == 0)
        err = task_park(deadline);
    q->in_waiter = NULL;
    return chain_empty(&q->in) && !q->in_ended ? (q->error != 0 ? q->error : err) : 0;
}

static ssize_t read_body(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct h2_body *b = container_of(body, struct h2_body, body);
    struct h2_request *q = b->q;
    struct req *r = q->r;
    if (b->error != 0)
        return b->error;
    if (chain_empty(&q->in) && !q->in_ended) {
        if (wait == BODY_NOWAIT && q->error == 0)
            return -EAGAIN;
        int err = q->error != 0 ? q->error : wait_input(b);
        if (err != 0) {
            r->client_gone |= q->error != 0;
            return fail(b, err);
        }
    }
    size_t n = chain_move(to, &q->in, room);
    if (n == 0) { // the end
        body->trailers = q->in_trailers;
        return 0;
    }
    if (body->length >= 0)
        body->length -= (int64_t)n;
    r->body_bytes_in += n;
    h2_consumed(&q->h->session, &q->stream, n);
    if (r->body_bytes_in > WINDOW_SMALL) // a large body that is being taken: it should not wait for round trips
        h2_grow_window(&q->h->session, &q->stream, WINDOW_LARGE);
    if (!chain_empty(&q->h->out))
        h2_kick(q->h);
    uint64_t max = req_core(r)->client_max_body_size;
    if (max != 0 && r->body_bytes_in > max && r->content_length < 0 && !q->connects) {
        r->hint = "a larger client_max_body_size in this location, its server or http allows it";
        log_msg(LOG_ERR, 0, "client intended to send too large chunked body: %llu bytes (limit: client_max_body_size %llu)",
                (unsigned long long)r->body_bytes_in, (unsigned long long)max);
        r->hint = NULL;
        return fail(b, -EFBIG);
    }
    return (ssize_t)n;
}

static const struct body_ops ops = {"client stream", read_body, NULL, NULL};

struct body *h2_request_body(struct h2_request *q, bool expects) {
    struct h2_body *b = arena_new(&q->r->arena, struct h2_body);
    body_init(&b->body, &ops, q->r->content_length);
    b->q = q;
    b->expects = expects;
    return &b->body;
}

void h2_body_input(struct h2_request *q, struct block *b, const char *p, size_t n, bool last) {
    if (n != 0 && b != NULL && n > COPY_MAX)
        chain_add_block(&q->in, b, p, n);
    else
        chain_add_copy(&q->in, str_n(p, n));
    q->in_ended |= last;
    if (q->in_waiter != NULL)
        task_wake(q->in_waiter);
    if (q->tunnel != NULL)
        link_over_news(q->tunnel, true, false, false);
}
