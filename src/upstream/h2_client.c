// One request of HTTP/2 to a back end: its head from types, its body as far as the windows allow, the head and the body of the response.
#include "upstream/h2_client.h"
#include "io/loop.h"
#include "upstream/exchange_private.h"
#include "upstream/h2_link.h"
#include "wire/http1.h"

enum { PULL = 64 << 10 };

static struct h2_call *call_of(const struct exchange *x) { return x->protocol_state; }

// --- the connection --------------------------------------------------------------------------------------------------------------

static int open_call(struct exchange *x, bool fresh) {
    struct h2_call *q = arena_new(&x->r->arena, struct h2_call);
    q->x = x;
    list_init(&q->all);
    q->interims_end = &q->interims;
    chain_init(&q->in, loop_blocks(x->r->loop));
    x->protocol_state = q;
    x->repeatable = false;
    return h2_up_take(q, x, fresh, &x->reused);
}

static void close_call(struct exchange *x, bool clean) {
    struct h2_call *q = call_of(x);
    if (q == NULL)
        return;
    h2_up_leave(q, clean ? H2_NO_ERROR : H2_CANCEL);
    chain_done(&q->in);
}

// --- the head of the request ---------------------------------------------------------------------------------------------------------

struct putting {
    struct exchange *x;
    struct hpack_encoder *e;
    struct sbuf *to;
};

static void put(struct putting *p, unsigned id, struct str name, struct str value, bool sensitive) {
    if (value.n != 0 && (memchr(value.p, '\r', value.n) != NULL || memchr(value.p, '\n', value.n) != NULL ||
                         memchr(value.p, '\0', value.n) != NULL)) {
        exchange_log(p->x, LOG_ERR, 0, "sending request to upstream", NULL,
                     "field \"" STR_FMT "\" left out: its value holds line breaks or NUL", STR_ARG(name));
        return;
    }
    hpack_put(p->e, p->to, id, name, value, hpack_how_of(id, value, sensitive));
}

static bool in_set(const uint64_t *set, unsigned id) { return (set[id >> 6] >> (id & 63) & 1) != 0; }

static bool is_set_by_name(const struct h1_request_conf *rc, struct str name) {
    conf_list_each(const struct h1_set_header, h, rc->set_headers) {
        if (h->id == FIELD_UNKNOWN && h->name.n == name.n && str_ieq(h->name, name))
            return true;
    }
    return false;
}

// RFC 9113 8.3.1: :authority without userinfo.
static struct str bare_authority(struct str host) { return str_from(host, (size_t)(str_rchr(host, '@') + 1)); }

static void put_set_fields(struct putting *p, const struct h1_request_conf *rc, bool authority) {
    conf_list_each(const struct h1_set_header, h, rc->set_headers) {
        if ((h->id == FIELD_HOST) != authority)
            continue;
        struct str value = req_eval(p->x->r, h->value);
        if (authority)
            value = bare_authority(value);
        if (value.n == 0 || h->id == FIELD_CONTENT_LENGTH || h2_is_connection_field(h->id, value))
            continue;
        put(p, authority ? PSEUDO_AUTHORITY : h->id, authority ? STR(":authority") : h->name, value, false);
    }
}

static bool is_set(const struct h1_request_conf *rc, enum field_id id) {
    conf_list_each(const struct h1_set_header, h, rc->set_headers) {
        if (h->id == id)
            return true;
    }
    return false;
}

static void put_client_fields(struct putting *p, const struct h1_request_conf *rc) {
    const struct head *in = exchange_fields(p->x);
    struct str named = head_has(in, FIELD_CONNECTION) ? head_join(in, FIELD_CONNECTION, &p->x->r->arena) : STR_NONE;
    head_each(f, in) {
        if (f->id == FIELD_UNKNOWN ? is_set_by_name(rc, f->name) : in_set(rc->replaced, f->id))
            continue;
        if ((named.n != 0 && list_has_token(named, f->name)) || h2_is_connection_field(f->id, f->value) || !is_token(f->name))
            continue;
        put(p, f->id, f->name, f->value, f->sensitive);
    }
}

static size_t head_bound(const struct exchange *x, const struct h1_request_conf *rc) {
    size_t n = x->method.n + x->uri.n + x->host.n + 512;
    head_each(f, exchange_fields(x)) n += hpack_bound(f->name, f->value);
    conf_list_each(const struct h1_set_header, h, rc->set_headers) n += h->name.n + 64;
    return n;
}

static bool put_head(struct exchange *x, struct sbuf *to) {
    const struct h1_request_conf *rc = x->protocol_conf;
    struct req *r = x->r;
    struct putting p = {x, &h2_up_session(call_of(x)->up)->encoder, to};
    if (x->uri.n == 0 || scan_ctl_sp(x->uri.p, x->uri.n) != x->uri.n || !is_token(x->method))
        return false;
    hpack_put_begin(p.e, to);
    put(&p, PSEUDO_METHOD, STR(":method"), x->method, false);
    put(&p, PSEUDO_SCHEME, STR(":scheme"), str_istarts(x->scheme, STR("https")) || str_istarts(x->scheme, STR("grpcs")) ? STR("https") : STR("http"), false);
    put(&p, PSEUDO_PATH, STR(":path"), x->uri, false);
    if (is_set(rc, FIELD_HOST))
        put_set_fields(&p, rc, true);
    else
        put(&p, PSEUDO_AUTHORITY, STR(":authority"), x->host, false);
    put_set_fields(&p, rc, false);
    if (x->request_length >= 0) {
        char text[24];
        struct sbuf t;
        sbuf_init_fixed(&t, text, sizeof text);
        sbuf_u64(&t, (uint64_t)x->request_length);
        put(&p, FIELD_CONTENT_LENGTH, STR("content-length"), sbuf_view(&t), false);
    }
    if (x->gw->pass_request_headers) {
        struct str te = head_join(exchange_fields(x), FIELD_TE, &r->arena);
        if (list_has_token(te, STR("trailers")))
            put(&p, FIELD_TE, STR("te"), STR("trailers"), false);
        put_client_fields(&p, rc);
    }
    return true;
}

// Values of proxy_set_header have no bound beforehand: when the first room is too small the table of the encoder must not have
// changed, so everything is evaluated first into a buffer that is large enough.
static int send_head(struct exchange *x) {
    struct h2_call *q = call_of(x);
    const struct h1_request_conf *rc = x->protocol_conf;
    size_t room = head_bound(x, rc);
    conf_list_each(const struct h1_set_header, h, rc->set_headers) room += req_eval(x->r, h->value).n;
    struct sbuf b;
    sbuf_init_arena(&b, &x->r->arena, room, room + (64 << 10));
    if (!put_head(x, &b) || b.overflow)
        return -EINVAL;
    bool end = !x->has_body;
    h2_put_headers(h2_up_session(q->up), &q->stream, sbuf_view(&b), end);
    q->stream.no_data = method_from(x->method) == METHOD_HEAD;
    x->attempts[x->nattempts - 1].bytes_sent += b.n + H2_FRAME_HEAD;
    h2_up_kick(q->up);
    return 0;
}

// --- the body of the request -----------------------------------------------------------------------------------------------------------

// Frames what x->out holds, as far as there is room. True: all of it, and the end if that is known.
static bool frame(struct exchange *x) {
    struct h2_call *q = call_of(x);
    if (q->up == NULL || q->stream.state == H2_CLOSED)
        return false;
    const struct head *t = x->body_ended && x->request_body != NULL ? x->request_body->trailers : NULL;
    size_t n = MIN(x->out.bytes, h2_up_room(q));
    bool all = n == x->out.bytes, end = all && x->body_ended && t == NULL;
    if (n != 0 || end) {
        chain_own(&x->out); // the connection may send it when the request is gone
        h2_put_data(h2_up_session(q->up), &q->stream, &x->out, n, end);
        x->attempts[x->nattempts - 1].bytes_sent += n + H2_FRAME_HEAD;
        x->bytes_sent_any = true;
        h2_up_kick(q->up);
    }
    if (all && x->body_ended && t != NULL) {
        struct sbuf b;
        size_t room = 64;
        head_each(f, t) room += hpack_bound(f->name, f->value);
        sbuf_init_arena(&b, &x->r->arena, room, room);
        struct putting p = {x, &h2_up_session(q->up)->encoder, &b};
        hpack_put_begin(p.e, &b);
        head_each(f, t) {
            if (!h2_is_connection_field(f->id, f->value) && f->id != FIELD_TE && is_token(f->name))
                put(&p, f->id, f->name, f->value, f->sensitive);
        }
        h2_put_headers(h2_up_session(q->up), &q->stream, sbuf_view(&b), true);
        h2_up_kick(q->up);
    }
    return all;
}

// Waits for room to send: 0, 1 when nobody wants more of the body, or the error.
static int wait_room(struct exchange *x) {
    struct h2_call *q = call_of(x);
    uint64_t deadline = loop_now(x->r->loop) + x->gw->send_timeout;
    int err = 0;
    q->room_waiter = task_self();
    while (err == 0 && q->error == 0 && !q->stopped && q->up != NULL && h2_up_room(q) == 0)
        err = task_park(deadline);
    q->room_waiter = NULL;
    if (q->stopped || q->error != 0 || q->up == NULL)
        return 1;
    return h2_up_room(q) != 0 ? 0 : err;
}

static void send_rest(void *arg) {
    struct exchange *x = arg;
    struct h2_call *q = call_of(x);
    for (;;) {
        if (!frame(x)) {
            int r = wait_room(x);
            if (r < 0)
                x->send_error = r;
            if (r != 0)
                break;
            continue;
        }
        if (x->body_ended) {
            send_finished(x);
            break;
        }
        if (send_pull(x, PULL, BODY_WAIT) < 0)
            break;
    }
    x->sender_over = true;
    if (x->waiter != NULL)
        task_wake(x->waiter);
    if (q->waiter != NULL)
        task_wake(q->waiter);
}

// What goes without waiting: 0 when all was sent, -EAGAIN, or the error of the client's body.
static int send_now(struct exchange *x) {
    for (;;) {
        if (!frame(x))
            return -EAGAIN;
        if (x->body_ended) {
            send_finished(x);
            return 0;
        }
        ssize_t n = send_pull(x, PULL, BODY_NOWAIT);
        if (n < 0)
            return (int)n;
    }
}

// --- the head of the response -----------------------------------------------------------------------------------------------------------

static const char reading[] = "reading response header from upstream";

static int take_head(struct exchange *x) {
    struct head *h = &x->head;
    struct field *cl = head_find(h, FIELD_CONTENT_LENGTH);
    struct h2_call *q = call_of(x);
    x->body_length = -1;
    x->keep_ms = UINT64_MAX;
    if (cl != NULL) {
        x->body_length = head_find_next(h, cl) != NULL ? -1 : http1_content_length(cl->value, false);
        if (x->body_length < 0) {
            exchange_log(x, LOG_ERR, 0, reading, NULL, "upstream sent invalid \"Content-Length\" header");
            return -EPROTO;
        }
    }
    bool none = method_from(x->method) == METHOD_HEAD || status_has_no_body(h->status);
    if (!none && x->body_length >= 0) {
        uint64_t there = q->in.bytes;
        if (there > (uint64_t)x->body_length || (q->in_ended && there != (uint64_t)x->body_length)) {
            exchange_log(x, LOG_ERR, 0, reading, NULL, "upstream sent another length than \"Content-Length\" says");
            return -EPROTO;
        }
        q->stream.expected = x->body_length - (int64_t)there;
    }
    q->stream.no_data = none;
    return 0;
}

static int explain_error(struct exchange *x) {
    struct h2_call *q = call_of(x);
    if (q->head_error != 0)
        return q->head_error;
    x->repeatable = q->refused;
    if (q->error == -ECONNRESET && !q->refused) {
        exchange_log(x, LOG_ERR, 0, reading, NULL, "upstream rejected request with error %u (%s)", q->code, h2_error_name(q->code));
        return -EPROTO;
    }
    return q->error;
}

static void pass_interims(struct exchange *x) {
    struct h2_call *q = call_of(x);
    while (q->interims != NULL) {
        struct h2_interim *i = q->interims;
        q->interims = i->next;
        if (q->interims == NULL)
            q->interims_end = &q->interims;
        x->interim(x, &i->head);
    }
}

static int await_head(struct exchange *x) {
    struct h2_call *q = call_of(x);
    uint64_t deadline = loop_now(x->r->loop) + x->gw->read_timeout;
    int err = 0;
    x->waiter = q->waiter = task_self();
    for (;;) {
        pass_interims(x);
        bool gave_up = x->sender_over && (x->body_error != 0 || x->send_error == -ETIMEDOUT);
        if (q->head_ready || q->error != 0 || gave_up || err == -ECANCELED)
            break;
        if (err == -ETIMEDOUT) {
            uint64_t grace = exchange_read_grace(x);
            if (grace == 0)
                break;
            deadline = loop_now(x->r->loop) + grace;
        }
        err = task_park(deadline);
    }
    x->waiter = q->waiter = NULL;
    if (q->head_ready)
        return take_head(x);
    if (q->error != 0)
        return explain_error(x);
    if (x->body_error != 0)
        return (int)x->body_error;
    return x->send_error != 0 ? (int)x->send_error : err;
}

static int ask(struct exchange *x) {
    int err = send_head(x);
    if (err != 0)
        return err;
    if (!x->has_body) {
        send_finished(x);
        return await_head(x);
    }
    err = send_now(x);
    if (err == -EAGAIN) {
        x->sender = task_new_joinable(send_rest, x, "http2 request sender");
        if (x->sender == NULL)
            return -ENOMEM;
    } else if (err != 0) {
        return err;
    }
    err = await_head(x);
    if (err != 0)
        send_end(x);
    return err;
}

// --- the body of the response -----------------------------------------------------------------------------------------------------------

struct h2_up_body {
    struct body body;
    struct exchange *x;
    int error;
    bool ended;
};

static int fail(struct h2_up_body *b, int err) {
    struct exchange *x = b->x;
    struct h2_call *q = call_of(x);
    static const char phase[] = "reading upstream";
    b->error = err == -EPIPE ? -ECONNRESET : err;
    if (err == -ETIMEDOUT)
        exchange_log(x, LOG_ERR, ETIMEDOUT, phase, exchange_note(x, "read_timeout", x->gw->read_timeout, "ms"), "upstream timed out");
    else if (err == -ECONNRESET)
        exchange_log(x, LOG_ERR, 0, phase, NULL, "upstream rejected request with error %u (%s)", q->code, h2_error_name(q->code));
    else if (err == -EPIPE)
        exchange_log(x, LOG_ERR, 0, phase, NULL, "upstream prematurely closed connection");
    exchange_done(x, false);
    return b->error;
}

static void ended(struct h2_up_body *b) {
    struct exchange *x = b->x;
    struct h2_call *q = call_of(x);
    b->ended = true;
    x->trailers = b->body.trailers = q->trailers;
    exchange_done(x, true);
}

static int wait_bytes(struct h2_up_body *b) {
    struct exchange *x = b->x;
    struct h2_call *q = call_of(x);
    uint64_t deadline = loop_now(x->r->loop) + x->gw->read_timeout;
    int err = 0;
    q->waiter = task_self();
    while (chain_empty(&q->in) && !q->in_ended && q->error == 0 && err != -ECANCELED) {
        if (err == -ETIMEDOUT) {
            uint64_t grace = exchange_read_grace(x);
            if (grace == 0)
                break;
            deadline = loop_now(x->r->loop) + grace;
        }
        err = task_park(deadline);
    }
    q->waiter = NULL;
    if (!chain_empty(&q->in) || q->in_ended)
        return 0;
    return q->error != 0 ? q->error : err;
}

static ssize_t read_body(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct h2_up_body *b = container_of(body, struct h2_up_body, body);
    struct h2_call *q = call_of(b->x);
    if (b->error != 0 || b->ended)
        return b->error;
    if (chain_empty(&q->in) && !q->in_ended) {
        if (wait == BODY_NOWAIT && q->error == 0)
            return -EAGAIN;
        int err = q->error != 0 ? q->error : wait_bytes(b);
        if (err != 0)
            return fail(b, err);
    }
    size_t n = chain_move(to, &q->in, room);
    if (body->length >= 0)
        body->length -= (int64_t)n;
    b->x->attempts[b->x->nattempts - 1].response_length += n;
    if (q->up != NULL && n != 0) {
        h2_consumed(h2_up_session(q->up), &q->stream, n);
        h2_up_kick(q->up);
    }
    if (q->in_ended && chain_empty(&q->in))
        ended(b);
    return (ssize_t)n;
}

static void free_body(struct body *body) {
    struct h2_up_body *b = container_of(body, struct h2_up_body, body);
    if (!b->ended && b->error == 0)
        exchange_done(b->x, false);
}

static const struct body_ops ops = {"upstream stream", read_body, NULL, free_body};

static struct body *make_body(struct exchange *x) {
    struct h2_call *q = call_of(x);
    bool none = method_from(x->method) == METHOD_HEAD || status_has_no_body(x->head.status);
    if (none || (q->in_ended && chain_empty(&q->in) && q->trailers == NULL)) {
        exchange_done(x, q->in_ended);
        return NULL;
    }
    struct h2_up_body *b = arena_new(&x->r->arena, struct h2_up_body);
    body_init(&b->body, &ops, x->body_length);
    b->x = x;
    return &b->body;
}

const struct protocol h2_client = {.name = "http2", .body = make_body, .open = open_call, .ask = ask, .close = close_call};
