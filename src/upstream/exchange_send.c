// The request on its way to the peer. Nearly always all of it goes out at once: head and body in one send, by the request's
// own task. Only when the peer or the client makes us wait do two tasks come in: one sends the rest, the other reads the head
// of the response, which may come early; the request's own task waits for whichever has news.
#include "http/tape.h"
#include "io/loop.h"
#include "upstream/exchange_private.h"

// How much one send takes: what is buffered is there anyway, and few large sends wake the peer less often; what streams is held
// for no other reason.
enum { ROOM_BUFFERED = 256 << 10, ROOM_STREAMED = 64 << 10, HEAD_HINT = 512, HEAD_MAX = 1 << 20 };

static size_t send_room(const struct exchange *x) { return x->streaming ? ROOM_STREAMED : ROOM_BUFFERED; }

unsigned send_prepare(struct exchange *x) {
    struct req *r = x->r;
    if (x->text_body.p != NULL) {
        x->has_body = x->text_body.n != 0;
        x->request_length = (int64_t)x->text_body.n;
        return 0;
    }
    if (!x->gw->pass_request_body)
        return 0;
    if (r->body == NULL && r->body_tape == NULL) {
        x->request_length = r->content_length;
        return 0;
    }
    bool unknown = r->content_length < 0;
    if (x->gw->request_buffering || r->body_tape != NULL || (unknown && x->needs_length)) {
        unsigned status = req_buffer_body(r);
        if (status != 0)
            return status;
        x->has_body = r->body_tape != NULL;
        x->request_length = x->has_body ? (int64_t)tape_length(r->body_tape) : 0;
    } else {
        x->has_body = x->streaming = true;
        x->request_length = r->content_length;
    }
    if (x->filter_body != NULL && x->has_body)
        x->request_length = -1;
    return 0;
}

// A reader of the tape is of one try; the client's own body belongs to the request.
static void drop_body(struct exchange *x) {
    if (x->unfiltered != NULL) {
        body_free(x->request_body);
        x->request_body = x->unfiltered;
        x->unfiltered = NULL;
    }
    if (!x->streaming)
        body_free(x->request_body);
    x->request_body = NULL;
}

void send_begin(struct exchange *x) {
    struct req *r = x->r;
    CHECK(x->sender == NULL && x->link == NULL);
    chain_done(&x->out);
    x->request_sent = x->body_ended = x->sender_over = x->head_over = x->any_received = false;
    x->send_error = x->body_error = 0;
    drop_body(x);
    if (!x->has_body)
        return;
    if (x->text_body.p != NULL) {
        x->request_body = body_of_text(&r->arena, x->text_body);
        return;
    }
    x->request_body = x->streaming ? r->body : tape_reader(r->body_tape, &r->arena, (int64_t)tape_length(r->body_tape));
    if (x->filter_body != NULL) {
        x->unfiltered = x->request_body;
        x->request_body = x->filter_body(x, x->unfiltered);
    }
}

ssize_t send_pull(struct exchange *x, size_t room, enum body_wait wait) {
    struct chain piece;
    chain_init(&piece, x->out.pool);
    ssize_t n = x->request_body == NULL ? 0 : body_read(x->request_body, &piece, room, wait);
    if (n >= 0) {
        x->streamed_any |= x->streaming && n > 0;
        x->body_ended = n == 0;
        if (x->protocol->frame != NULL && x->has_body)
            x->protocol->frame(x, &piece, n == 0);
        chain_append(&x->out, &piece);
    } else if (n != -EAGAIN) {
        x->body_error = n;
    }
    chain_done(&piece);
    return n;
}

void send_finished(struct exchange *x) {
    drop_body(x);
    x->request_sent = true;
    x->sent_ms = loop_now(x->r->loop);
}

// As much as goes without waiting: 0 when all was sent, -EAGAIN, or the error of the link or the client's body.
static int push_now(struct exchange *x) {
    size_t room = send_room(x);
    for (;;) {
        ssize_t got = 1;
        while (!x->body_ended && x->out.bytes < room && got > 0)
            got = send_pull(x, room, BODY_NOWAIT);
        if (x->body_error != 0)
            return (int)x->body_error;
        if (chain_empty(&x->out) && x->body_ended) {
            send_finished(x);
            return 0;
        }
        if (chain_empty(&x->out))
            return -EAGAIN;
        ssize_t n = link_try_write(x->link, &x->out, false);
        if (n < 0)
            return (int)n;
        x->bytes_sent_any = true;
        if (!chain_empty(&x->out))
            return -EAGAIN;
    }
}

// --- the slow way ----------------------------------------------------------------------------------------------------------------

static void sender_task(void *arg) {
    struct exchange *x = arg;
    for (;;) {
        if (!chain_empty(&x->out)) {
            ssize_t n = link_write(x->link, &x->out, x->gw->send_timeout);
            if (n < 0) {
                x->send_error = n;
                break;
            }
            x->bytes_sent_any = true;
        }
        if (x->body_ended) {
            send_finished(x);
            break;
        }
        if (send_pull(x, send_room(x), BODY_WAIT) < 0)
            break;
    }
    x->sender_over = true;
    if (x->waiter != NULL)
        task_wake(x->waiter);
}

static void reader_task(void *arg) {
    struct exchange *x = arg;
    x->head_result = x->protocol->read_head(x);
    x->head_over = true;
    if (x->waiter != NULL)
        task_wake(x->waiter);
}

// Nothing can come of the request any more: the client's body failed, or the peer takes nothing.
static bool sender_gave_up(const struct exchange *x) {
    return x->sender_over && (x->body_error != 0 || x->send_error == -ETIMEDOUT);
}

static int await_both(struct exchange *x) {
    int stop = 0;
    x->waiter = task_self();
    x->sender = task_new_joinable(sender_task, x, "request sender");
    struct task *reader = x->sender == NULL ? NULL : task_new_joinable(reader_task, x, "response head");
    if (reader == NULL) {
        send_end(x);
        x->waiter = NULL;
        return -ENOMEM;
    }
    while (!x->head_over && !sender_gave_up(x) && stop == 0)
        stop = task_park(UINT64_MAX);
    if (!x->head_over)
        task_cancel(reader);
    task_join(reader);
    x->waiter = NULL;
    if (stop == 0 && x->head_result == 0)
        return 0; // the sender goes on beside the response's body
    send_end(x);
    if (stop != 0)
        return stop;
    if (x->body_error != 0)
        return (int)x->body_error;
    return x->send_error == -ETIMEDOUT ? -ETIMEDOUT : x->head_result;
}

int send_and_await(struct exchange *x) {
    struct sbuf head;
    sbuf_init_arena(&head, &x->r->arena, x->r->head_bytes + x->uri.n + HEAD_HINT, HEAD_MAX);
    if (!x->protocol->put_head(x, &head) || head.overflow)
        return -EINVAL;
    chain_add_const(&x->out, head.p, head.n);
    int err = push_now(x);
    if (err == -EAGAIN)
        return await_both(x);
    if (err != 0) {
        if (x->body_error != 0)
            return err;
        // The peer may have answered before it closed.
        x->send_error = err;
    }
    return x->protocol->read_head(x);
}

void send_end(struct exchange *x) {
    if (x->sender != NULL) {
        bool over = x->sender_over;
        if (!over)
            task_cancel(x->sender);
        task_join(x->sender);
        x->sender = NULL;
        if (!over && x->body_error == -ECANCELED) // our doing, which says nothing about the client
            x->body_error = 0;
        if (!over && x->send_error == -ECANCELED)
            x->send_error = 0;
    }
    drop_body(x);
    chain_done(&x->out);
}

bool exchange_sending(const struct exchange *x) { return x->sender != NULL && !x->sender_over; }

uint64_t exchange_read_grace(const struct exchange *x) {
    if (exchange_sending(x))
        return x->gw->read_timeout;
    uint64_t until = x->sent_ms + x->gw->read_timeout, now = loop_now(x->r->loop);
    return x->request_sent && until > now ? until - now : 0;
}
