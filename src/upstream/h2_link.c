// Connections of HTTP/2 to back ends: making, sharing, reading, writing, ending.
#include "upstream/h2_link.h"
#include "io/loop.h"
#include "upstream/exchange_private.h"
#include "upstream/state.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    H2_UP_MAGIC = 0x57483255,
    READ_SIZE = 16 << 10,
    OUT_HIGH = 128 << 10, // framed and not taken by the peer's socket: above that bodies wait
    WINDOW = 256 << 10,   // of each response
    COPY_MAX = 4096,
    BLOCK_MAX = 256 << 10, // of a header block, compressed
    TURN = 256 << 10,
};

struct h2_up {
    uint32_t magic;
    uint32_t refs;        // its task or park, and those who wait for it to be connected
    struct list all;      // of the loop
    struct group_state *state; // counted
    struct peer_state *peer;
    uint64_t peer_id;     // a peer_state may become another peer's
    uint64_t tag;         // exchange->tag of what it was made with
    struct link *link;    // NULL while connecting and after the end
    struct task *task;    // NULL while parked
    struct h2_session session;
    struct chain out;
    struct list calls;    // struct h2_call
    struct list waiters;  // struct connect_waiter
    uint32_t active;
    int64_t requests, requests_max;
    uint64_t since_ms, keepalive_ms, time_ms, send_timeout;
    bool connecting, over, lost, kicked, no_more, keep;
    int connect_error;
};

struct connect_waiter {
    struct list node;
    struct task *task;
};

static unsigned slot;
static pthread_once_t slot_once = PTHREAD_ONCE_INIT;
static void make_slot(void) { slot = loop_slot_new(); }

static struct list *ups_of_loop(bool make) {
    pthread_once(&slot_once, make_slot);
    void **place = loop_slot(loop_self(), slot);
    if (*place == NULL && make) {
        struct list *l = xcalloc(1, sizeof *l);
        list_init(l);
        *place = l;
    }
    return *place;
}

struct h2_session *h2_up_session(struct h2_up *up) { return &up->session; }

void h2_up_kick(struct h2_up *up) {
    if (up->task != NULL && !up->kicked && up->task != task_self()) {
        up->kicked = true;
        task_wake(up->task);
    }
}

size_t h2_up_room(const struct h2_call *q) {
    if (q->up == NULL || q->up->out.bytes >= OUT_HIGH)
        return 0;
    return MIN(h2_room(&q->up->session, &q->stream), (size_t)(OUT_HIGH - q->up->out.bytes));
}

static void wake_waiters(struct h2_up *up) {
    list_each(w, &up->waiters, struct connect_waiter, node) task_wake(w->task);
}

static void unref(struct h2_up *up) {
    if (--up->refs != 0)
        return;
    CHECK(up->active == 0 && up->link == NULL);
    chain_done(&up->out);
    group_state_unref(up->state);
    up->magic = 0;
    free(up);
}

// --- what the peer says ----------------------------------------------------------------------------------------------------------

static void wake_call(struct h2_call *q) {
    if (q->waiter != NULL)
        task_wake(q->waiter);
    if (q->room_waiter != NULL)
        task_wake(q->room_waiter);
}

static void fail_call(struct h2_call *q, int err) {
    if (q->error == 0)
        q->error = err;
    wake_call(q);
}

static int read_head(struct h2_call *q, struct h2_event *ev, struct h2_up *up) {
    struct exchange *x = q->x;
    const struct gateway_conf *gw = x->gw;
    size_t limit = (size_t)MAX(gw->buffer_size, gw->buffers.count * gw->buffers.size);
    struct h2_head_limits lim = {.max_field = limit, .max_head = limit, .max_fields = 1000, .underscores = true};
    struct h2_head out;
    const struct log_context *before = log_context();
    log_set_context(&x->r->log);
    bool trailers = q->head_ready;
    struct head *h = &x->head;
    if (trailers)
        h = arena_new(&x->r->arena, struct head);
    head_init(h, &x->r->arena);
    enum h2_head_result r = trailers ? h2_read_trailers(&up->session, h, &out, &lim) : h2_read_response(&up->session, h, &out, &lim);
    int err = 0;
    x->any_received = true;
    x->attempts[x->nattempts - 1].bytes_received += out.bytes + H2_FRAME_HEAD;
    if (r != H2_HEAD_OK) {
        const char *why = r == H2_HEAD_FIELD_TOO_LONG || r == H2_HEAD_TOO_LONG ? "too big header" : out.why != NULL ? out.why : "an invalid header block";
        exchange_log(x, LOG_ERR, 0, "reading response header from upstream",
                     out.name.n == 0 ? NULL : arena_printf(&x->r->arena, "\"" STR_FMT "\"", STR_ARG(str_head(out.name, 100))).p,
                     "upstream sent %s", why);
        err = r == H2_HEAD_BROKEN || r == H2_HEAD_BOMB ? -EIO : -EPROTO;
    } else if (trailers) {
        q->trailers = h->count != 0 ? h : NULL;
        if (!ev->end_stream || q->stream.expected > 0)
            err = -EPROTO;
    } else if (h->status >= 200) {
        q->head_ready = q->stream.head_seen = true;
    } else if (ev->end_stream || h->status == 101) {
        exchange_log(x, LOG_ERR, 0, "reading response header from upstream", NULL, "upstream sent an interim response that ends");
        err = -EPROTO;
    } else if ((q->interim_bytes += out.bytes + H2_FRAME_HEAD) > limit) {
        exchange_log(x, LOG_ERR, 0, "reading response header from upstream", NULL, "upstream sent too many interim responses");
        err = -EPROTO;
    } else if (h->status == 103 && x->interim != NULL) {
        struct h2_interim *i = arena_new(&x->r->arena, struct h2_interim);
        i->head = *h;
        *q->interims_end = i;
        q->interims_end = &i->next;
    }
    log_set_context(before);
    return err;
}

static bool on_headers(struct h2_up *up, struct h2_event *ev) {
    struct h2_call *q = container_of(ev->stream, struct h2_call, stream);
    int err = read_head(q, ev, up);
    if (err == -EIO) {
        h2_fail(&up->session, ev, H2_COMPRESSION_ERROR, "upstream sent an invalid header block");
        return false;
    }
    q->in_ended = ev->end_stream && err == 0; // what ends malformed has not come to its end
    if (err != 0) {
        q->head_error = err;
        h2_reset(&up->session, &q->stream, H2_PROTOCOL_ERROR);
        fail_call(q, err);
    }
    wake_call(q);
    return true;
}

static void on_data(struct h2_call *q, struct h2_event *ev, struct block *in) {
    q->x->attempts[q->x->nattempts - 1].bytes_received += ev->n;
    if (ev->n > COPY_MAX)
        chain_add_block(&q->in, in, ev->p, ev->n);
    else
        chain_add_copy(&q->in, str_n(ev->p, ev->n));
    q->in_ended |= ev->end_stream;
    wake_call(q);
}

static void on_reset(struct h2_call *q, uint32_t code) {
    q->code = code;
    q->stopped = true;
    if (!q->in_ended) {
        q->refused = code == H2_REFUSED_STREAM;
        fail_call(q, -ECONNRESET);
    }
    wake_call(q);
}

static void on_goaway(struct h2_up *up, const struct h2_event *ev) {
    up->no_more = true;
    list_each_safe(q, &up->calls, struct h2_call, all) {
        if (q->stream.id <= ev->last || q->stream.state == H2_CLOSED)
            continue;
        q->refused = true;
        h2_stream_forget(&up->session, &q->stream);
        fail_call(q, -ECONNRESET);
    }
}

static bool on_event(struct h2_up *up, struct h2_event *ev, struct block *in) {
    struct h2_call *q = ev->stream != NULL ? container_of(ev->stream, struct h2_call, stream) : NULL;
    switch (ev->kind) {
    case H2_EV_HEADERS:
        return on_headers(up, ev);
    case H2_EV_DATA:
        on_data(q, ev, in);
        return true;
    case H2_EV_RESET:
        on_reset(q, ev->code);
        return true;
    case H2_EV_STREAM_ERROR:
        log_msg(LOG_ERR, 0, "upstream broke HTTP/2: %s (stream %u, %s)", ev->why, ev->id, h2_error_name(ev->code));
        fail_call(q, -EPROTO);
        return true;
    case H2_EV_WINDOW:
        wake_waiters(up); // these may have been its first SETTINGS
        list_each(w, &up->calls, struct h2_call, all) {
            if (w->room_waiter != NULL && (q == NULL || q == w))
                task_wake(w->room_waiter);
        }
        return true;
    case H2_EV_GOAWAY:
        on_goaway(up, ev);
        return true;
    case H2_EV_ERROR:
        return false;
    default:
        return true;
    }
}

// --- the task ----------------------------------------------------------------------------------------------------------------------

static void log_broken(const struct h2_session *s, const struct h2_event *ev) {
    char more[96] = "";
    uint32_t sum;
    const char *kind = h2_costliest(s, &sum);
    if (ev->code == H2_ENHANCE_YOUR_CALM && s->budget <= 0)
        snprintf(more, sizeof more, ": mostly %s, %u of a budget of %d", kind, sum, H2_BUDGET_MAX);
    else if (ev->limit != 0)
        snprintf(more, sizeof more, ": %llu, limit %llu", (unsigned long long)ev->seen, (unsigned long long)ev->limit);
    log_msg(LOG_ERR, 0, "upstream broke HTTP/2: %s (%s%s)", ev->why, h2_error_name(ev->code), more);
}

static void input(struct h2_up *up, struct block *in, size_t n) {
    for (size_t at = 0;;) {
        struct h2_event ev;
        size_t used;
        h2_input(&up->session, in->data + at, n - at, &used, &ev, loop_now(link_loop(up->link)));
        at += used;
        if (ev.kind == H2_EV_MORE)
            return;
        if (!on_event(up, &ev, in)) {
            log_broken(&up->session, &ev);
            up->over = true;
            return;
        }
    }
}

static void receive(struct h2_up *up, struct block **in) {
    for (size_t total = 0; !up->over && total < TURN;) {
        if (*in == NULL || (*in)->refs > 1) {
            block_unref(*in);
            *in = block_new(loop_blocks(link_loop(up->link)), READ_SIZE);
        }
        ssize_t n = link_try_read_into(up->link, (*in)->data, (*in)->size);
        if (n == -EAGAIN)
            return;
        if (n <= 0) {
            up->over = up->lost = true;
            return;
        }
        total += (size_t)n;
        input(up, *in, (size_t)n);
    }
}

static void transmit(struct h2_up *up) {
    bool full = up->out.bytes >= OUT_HIGH;
    while (!up->lost && !chain_empty(&up->out)) {
        ssize_t n = link_try_write(up->link, &up->out, false);
        if (n == -EAGAIN)
            break;
        if (n < 0)
            up->over = up->lost = true;
    }
    if (full && up->out.bytes < OUT_HIGH) {
        list_each(q, &up->calls, struct h2_call, all) {
            if (q->room_waiter != NULL)
                task_wake(q->room_waiter);
        }
    }
}

static void end(struct h2_up *up) {
    up->no_more = up->over = true;
    list_remove(&up->all);
    wake_waiters(up);
    list_each_safe(q, &up->calls, struct h2_call, all) {
        h2_stream_forget(&up->session, &q->stream);
        list_remove(&q->all);
        q->up = NULL;
        up->active--;
        if (!q->in_ended || !q->head_ready)
            fail_call(q, -EPIPE);
        wake_call(q);
    }
    if (!up->lost && !chain_empty(&up->out))
        (void)link_try_write(up->link, &up->out, false); // GOAWAY
    h2_done(&up->session);
    link_free(up->link);
    up->link = NULL;
    up->task = NULL;
    unref(up);
}

static void run_up(void *arg) {
    struct h2_up *up = arg;
    CHECK_OBJ(up, H2_UP_MAGIC);
    struct block *in = NULL;
    log_set_context(NULL);
    bool was_idle = up->active == 0;
    up->task = task_self();
    if (was_idle && (link_news(up->link) & (LINK_TIMEOUT | LINK_STOPPING)) != 0)
        up->over = true;
    while (!up->over) {
        up->kicked = false;
        receive(up, &in);
        transmit(up);
        if (up->over)
            break;
        if (up->active == 0 && chain_empty(&up->out)) {
            if (up->no_more || !up->keep)
                break;
            block_unref(in);
            h2_trim(&up->session);
            up->task = NULL;
            link_park(up->link, run_up, up, "idle http2 upstream", loop_now(link_loop(up->link)) + up->keepalive_ms);
            return;
        }
        if (link_readable(up->link)) {
            if (task_yield() != 0)
                break;
            continue;
        }
        int what = LINK_WAIT_READ | LINK_WAIT_WAKE | (chain_empty(&up->out) ? 0 : LINK_WAIT_WRITE);
        int news = up->kicked ? 0 : link_wait(up->link, what, chain_empty(&up->out) ? UINT64_MAX : up->send_timeout);
        if (news < 0)
            up->over = up->lost = true;
    }
    block_unref(in);
    end(up);
}

// --- taking ------------------------------------------------------------------------------------------------------------------------

// Its peer has not said yet how many streams it takes: one may go ahead, others wait for that.
static bool is_starting(const struct h2_up *up) {
    return up->connecting || (!up->over && !up->session.settings_seen && up->active != 0);
}

static bool usable(const struct h2_up *up, const struct exchange *x) {
    if (up->state != x->group->state || up->peer != x->peer->state || up->peer_id != x->peer->state->id || up->tag != x->tag || up->no_more || up->over)
        return false;
    if (up->connecting)
        return true;
    uint64_t now = loop_now(x->r->loop);
    return !link_gone(up->link) && h2_may_open(&up->session) && up->requests < up->requests_max && now - up->since_ms < up->time_ms;
}

static struct h2_up *find(const struct exchange *x) {
    struct h2_up *connecting = NULL;
    list_each(up, ups_of_loop(true), struct h2_up, all) {
        if (!usable(up, x))
            continue;
        if (!is_starting(up))
            return up;
        connecting = up;
    }
    return connecting;
}

static struct h2_up *up_new(struct exchange *x) {
    struct h2_up *up = xcalloc(1, sizeof *up);
    const struct group *g = x->group;
    up->magic = H2_UP_MAGIC;
    up->refs = 1;
    up->state = g->state;
    group_state_ref(g->state);
    up->peer = x->peer->state;
    up->peer_id = x->peer->state->id;
    up->tag = x->tag;
    up->requests_max = g->keepalive_requests;
    up->keepalive_ms = g->keepalive_timeout_ms;
    up->time_ms = g->keepalive_time_ms;
    up->send_timeout = x->gw->send_timeout;
    up->keep = g->keepalive != 0;
    up->connecting = true;
    list_init(&up->calls);
    list_init(&up->waiters);
    chain_init(&up->out, loop_blocks(x->r->loop));
    list_push_back(ups_of_loop(true), &up->all);
    return up;
}

// Over TLS, HTTP/2 is negotiated (RFC 9113 3.3), and has TLS 1.2 below it at least (9.2). A peer that chooses nothing is believed to
// speak what the configuration says, as nginx believes it: there are such servers of gRPC.
static bool speaks_http2(struct exchange *x) {
    static const char shaking[] = "SSL handshaking to upstream";
    struct str alpn = link_tls_alpn(x->link), version = STR("");
    if (alpn.n != 0 && !str_eq(alpn, STR("h2"))) {
        exchange_log(x, LOG_ERR, 0, shaking, NULL, "upstream chose \"" STR_FMT "\" instead of HTTP/2", STR_ARG(alpn));
        return false;
    }
    if (tls_fact_protocol(x->link, &x->r->arena, &version) && (str_eq(version, STR("TLSv1")) || str_eq(version, STR("TLSv1.1")))) {
        exchange_log(x, LOG_ERR, 0, shaking, NULL, "upstream speaks HTTP/2 over " STR_FMT, STR_ARG(version));
        return false;
    }
    return true;
}

// Connects as a part of this request's try; others that want the same wait for it.
static int connect_up(struct h2_up *up, struct exchange *x) {
    int err = exchange_connect(x);
    if (err == 0 && x->tls != NULL && !speaks_http2(x)) {
        link_free(x->link);
        x->link = NULL;
        err = TRY_TLS_FAILED;
    }
    up->connecting = false;
    if (err == 0) {
        static const struct h2_limits lim = {.initial_window = WINDOW, .max_block = BLOCK_MAX};
        up->link = x->link;
        x->link = NULL;
        up->since_ms = loop_now(x->r->loop);
        h2_init(&up->session, false, &lim, &up->out, up->since_ms);
        up->task = task_new(run_up, up, "http2 upstream");
        if (up->task != NULL) {
            wake_waiters(up);
            return 0;
        }
        err = -ENOMEM;
        h2_done(&up->session);
        link_free(up->link);
        up->link = NULL;
    }
    // A client that left says nothing about the peer: whoever waits tries for himself.
    up->connect_error = err == -ECANCELED ? 0 : err;
    up->no_more = true;
    list_remove(&up->all);
    wake_waiters(up);
    unref(up);
    return err;
}

// Until somebody else's connecting is over, or the peer has sent its SETTINGS: 0 to look again, or the error.
static int await_connect(struct h2_up *up, const struct exchange *x) {
    struct connect_waiter w = {.task = task_self()};
    uint64_t deadline = loop_now(x->r->loop) + x->gw->connect_timeout;
    up->refs++;
    list_push_back(&up->waiters, &w.node);
    int err = 0;
    while (is_starting(up) && err == 0)
        err = task_park(deadline);
    list_remove(&w.node);
    err = is_starting(up) ? err : up->connect_error;
    unref(up);
    return err;
}

static void join(struct h2_up *up, struct h2_call *q) {
    q->up = up;
    list_push_back(&up->calls, &q->all);
    up->active++;
    up->requests++;
    h2_stream_open(&up->session, &q->stream, 0, false);
}

// A parked connection gets its task back. False: it cannot.
static bool revive(struct h2_up *up) {
    if (up->task != NULL || !link_parked(up->link))
        return up->task != NULL || up->active != 0;
    link_unpark(up->link);
    up->task = task_new(run_up, up, "http2 upstream");
    return up->task != NULL;
}

int h2_up_take(struct h2_call *q, struct exchange *x, bool fresh, bool *reused) {
    for (;;) {
        struct h2_up *up = fresh ? NULL : find(x);
        *reused = up != NULL;
        if (up == NULL) {
            up = up_new(x);
            int err = connect_up(up, x);
            if (err != 0)
                return err;
        } else if (is_starting(up)) {
            int err = await_connect(up, x);
            if (err != 0)
                return err;
            continue;
        } else if (!revive(up)) {
            fresh = true; // it was woken just now by its end
            continue;
        }
        join(up, q);
        return 0;
    }
}

void h2_up_leave(struct h2_call *q, uint32_t code) {
    struct h2_up *up = q->up;
    if (up == NULL)
        return;
    h2_reset(&up->session, &q->stream, code);
    list_remove(&q->all);
    q->up = NULL;
    up->active--;
    if (!up->session.settings_seen)
        wake_waiters(up); // it may be the turn of another to go ahead
    h2_up_kick(up);
}

void h2_ups_close(void) {
    struct list *l = ups_of_loop(false);
    if (l == NULL)
        return;
    list_each_safe(up, l, struct h2_up, all) {
        if (up->link != NULL && link_parked(up->link)) {
            link_unpark(up->link);
            end(up);
        }
    }
    if (list_empty(l)) {
        free(l);
        *loop_slot(loop_self(), slot) = NULL;
    }
}
