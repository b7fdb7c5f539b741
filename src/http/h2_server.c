// The connection of HTTP/2: its task reads frames, hands them to requests, and sends what these have framed. Requests that became
// ready in one turn of the loop have all run before this task runs again, so their frames leave in one send.
#include "http/h2_private.h"
#include "http/vhost.h"
#include "io/link_over.h"
#include "io/loop.h"
#include <stdlib.h>

enum {
    READ_FIRST = 4096, READ_NEXT = 16384,
    TURN_BYTES = 256 << 10, // read before other tasks have their turn
    LINGER_MS = 5000,       // at most, after an error: that the GOAWAY is not lost in a reset
};

static struct h2_conn *state_of(const struct conn *c) { return c->codec_state; }

void h2_kick(struct h2_conn *h) {
    if (h->task == NULL) { // parked, beside tunnels
        link_wake(h->conn->link);
    } else if (!h->kicked && h->task != task_self()) {
        h->kicked = true;
        task_wake(h->task);
    }
}

// --- the state -----------------------------------------------------------------------------------------------------------------

static struct h2_conn *state_new(struct conn *c) {
    struct loop *l = link_loop(c->link);
    const struct http2_conf *conf = scope_conf(c->vhosts->fallback->scope, &feature_http2);
    const struct http_core *core = scope_conf(c->vhosts->fallback->scope, &feature_http_core);
    struct h2_limits lim = {
        .max_streams = (uint32_t)conf->max_concurrent_streams,
        .initial_window = (uint32_t)conf->body_preread_size,
        .max_block = (uint32_t)MIN(core->client_header_buffer_size +
                                       core->large_client_header_buffers.count * core->large_client_header_buffers.size + 16384,
                                   (uint64_t)1 << 24),
        .connect_protocol = true,
    };
    struct h2_conn *h = xcalloc(1, sizeof *h);
    h->magic = H2_CONN_MAGIC;
    h->conn = c;
    list_init(&h->requests);
    list_init(&h->pending);
    for (unsigned i = 0; i < H2_URGENCIES; i++)
        list_init(&h->ready[i]);
    chain_init(&h->out, loop_blocks(l));
    h->sent_ms = loop_now(l);
    h2_init(&h->session, true, &lim, &h->out, loop_now(l));
    c->codec_state = h;
    return h;
}

void h2_state_free(struct conn *c) {
    struct h2_conn *h = state_of(c);
    CHECK_OBJ(h, H2_CONN_MAGIC);
    link_unpark(c->link); // nobody wakes it any more
    h2_tunnels_drop(h);
    CHECK(h->running == 0 && h->tunnels == 0 && !h->runner_queued);
    h2_done(&h->session);
    chain_done(&h->out);
    h->magic = 0;
    free(h);
    c->codec_state = NULL;
}

size_t h2_conn_memory(const struct conn *c) { return sizeof(struct h2_conn) + h2_memory(&state_of(c)->session); }

// --- what the client tells --------------------------------------------------------------------------------------------------------

void h2_fail_request(struct h2_request *q, int err) {
    q->error = err;
    h2_leave(q);
    if (q->in_waiter != NULL)
        task_wake(q->in_waiter);
    if (q->out_waiter != NULL)
        task_wake(q->out_waiter);
    if (q->watcher != NULL)
        task_cancel(q->watcher);
    if (q->tunnel != NULL)
        link_over_news(q->tunnel, true, true, true);
}

struct conn_log {
    struct log_context log;
    const struct conn *conn;
};

static void say(const struct log_context *cx, struct sbuf *line) {
    const struct conn *c = container_of(cx, struct conn_log, log)->conn;
    struct addr_full local;
    sbuf_lit(line, " while processing HTTP/2 connection, client: ");
    addr_put_ip(line, link_remote(c->link));
    if (link_local(c->link, &local)) {
        sbuf_lit(line, ", server: ");
        addr_put(line, &local.sa, true);
    }
}

// A line of the error log about the connection itself.
static void log_conn(struct h2_conn *h, enum log_level level, int err, const char *why, const char *more) {
    struct conn *c = h->conn;
    struct conn_log cx = {
        {.log = scope_error_log(c->vhosts->fallback->scope), .connection = c->number, .debug = c->debug, .details = say}, c};
    const struct log_context *before = log_context();
    log_set_context(&cx.log);
    log_msg(level, err, "%s%s", why, more);
    log_set_context(before);
}

static void log_end(struct h2_conn *h, const struct h2_event *ev) {
    char more[128];
    struct sbuf b;
    uint32_t sum;
    sbuf_init_fixed(&b, more, sizeof more);
    const char *kind = h2_costliest(&h->session, &sum);
    sbuf_printf(&b, " (%s", h2_error_name(ev->code));
    if (ev->code == H2_ENHANCE_YOUR_CALM && h->session.budget <= 0)
        sbuf_printf(&b, ": mostly %s, %u of a budget of %d", kind, sum, H2_BUDGET_MAX);
    else if (ev->limit != 0)
        sbuf_printf(&b, ": %llu, limit %llu", (unsigned long long)ev->seen, (unsigned long long)ev->limit);
    sbuf_chr(&b, ')');
    log_conn(h, LOG_INFO, 0, ev->why, sbuf_cstr(&b));
}

static void lose_requests(struct h2_conn *h, int err) {
    list_each_safe(q, &h->requests, struct h2_request, all) {
        if (q->error == 0)
            h2_fail_request(q, err);
    }
}

static void log_stream_error(struct h2_conn *h, struct h2_request *q, const struct h2_event *ev) {
    char why[128];
    struct sbuf b;
    sbuf_init_fixed(&b, why, sizeof why);
    sbuf_printf(&b, "%s (stream %u, %s)", ev->why, ev->id, h2_error_name(ev->code));
    if (q->r == NULL) {
        log_conn(h, LOG_INFO, 0, sbuf_cstr(&b), "");
        return;
    }
    log_set_context(&q->r->log);
    log_msg(LOG_INFO, 0, "%s", sbuf_cstr(&b));
    log_set_context(NULL);
}

static bool on_event(struct h2_conn *h, struct h2_event *ev, struct block *in) {
    struct h2_request *q = ev->stream != NULL ? container_of(ev->stream, struct h2_request, stream) : NULL;
    switch (ev->kind) {
    case H2_EV_HEADERS:
        return q != NULL ? h2_request_trailers(h, ev) : h2_request_begin(h, ev);
    case H2_EV_DATA:
        h2_body_input(q, in, ev->p, ev->n, ev->end_stream);
        return true;
    case H2_EV_RESET:
        h2_fail_request(q, -ECONNRESET);
        return true;
    case H2_EV_STREAM_ERROR:
        log_stream_error(h, q, ev);
        h2_fail_request(q, -EPROTO);
        return true;
    case H2_EV_WINDOW:
        h2_window_opened(h, ev->stream);
        return true;
    case H2_EV_PRIORITY:
        h2_reorder(q);
        return true;
    case H2_EV_GOAWAY:
        h->closing = true; // it will open no more; what runs is answered
        return true;
    case H2_EV_ERROR:
        return false;
    default:
        return true;
    }
}

// Bytes of a receive. False: the connection is over.
static bool input(struct h2_conn *h, struct block *in, size_t n) {
    struct loop *l = link_loop(h->conn->link);
    for (size_t at = 0;;) {
        struct h2_event ev;
        size_t used;
        h2_input(&h->session, in->data + at, n - at, &used, &ev, loop_now(l));
        at += used;
        if (ev.kind == H2_EV_MORE)
            return true;
        if (!on_event(h, &ev, in)) {
            log_end(h, &ev);
            return false;
        }
    }
}

// --- the task ----------------------------------------------------------------------------------------------------------------------

// A read buffer: it is used again unless pieces of it went to requests.
static void fresh_block(struct h2_conn *h, struct block **in, size_t size) {
    if (*in != NULL && (*in)->refs == 1 && (*in)->size >= size)
        return;
    block_unref(*in);
    *in = block_new(loop_blocks(link_loop(h->conn->link)), size);
}

// All that is there, up to a turn. Sets h->over or h->lost at the end.
static void receive(struct h2_conn *h, struct block **in) {
    size_t total = 0, size = READ_FIRST;
    while (!h->over && total < TURN_BYTES) {
        fresh_block(h, in, size);
        ssize_t n = link_try_read_into(h->conn->link, (*in)->data, (*in)->size);
        if (n == -EAGAIN)
            return;
        if (n <= 0) {
            if (n < 0 || h->running + h->tunnels != 0)
                log_conn(h, LOG_INFO, (int)-n, n == 0 ? "client prematurely closed connection" : "recv() failed", "");
            h->over = h->lost = true;
            return;
        }
        total += (size_t)n;
        h->over = !input(h, *in, (size_t)n);
        if ((size_t)n == (*in)->size)
            size = READ_NEXT;
    }
}

void h2_transmit(struct h2_conn *h) {
    struct link *link = h->conn->link;
    while (!h->lost) {
        h2_schedule(h);
        if (chain_empty(&h->out))
            return;
        ssize_t n = link_try_write(link, &h->out, false);
        if (n == -EAGAIN)
            return;
        if (n < 0) {
            if (n != -EPIPE && n != -ECONNRESET)
                log_conn(h, LOG_INFO, (int)-n, "send() failed", "");
            h->over = h->lost = true;
            return;
        }
        h->sent_ms = loop_now(link_loop(link));
    }
}

static const struct http_core *core_of(const struct h2_conn *h) {
    return scope_conf(h->conn->vhosts->fallback->scope, &feature_http_core);
}

// How long the task may wait for news.
static uint64_t patience(const struct h2_conn *h) {
    const struct http_core *core = core_of(h);
    if (!chain_empty(&h->out))
        return core->send_timeout;
    return h->running + h->tunnels != 0 ? UINT64_MAX : core->client_header_timeout;
}

static void on_timeout(struct h2_conn *h) {
    h->over = true;
    if (chain_empty(&h->out)) { // in the middle of a frame, or of the preface
        log_conn(h, LOG_INFO, ETIMEDOUT, "client timed out", "");
        h2_put_goaway(&h->session, H2_NO_ERROR);
        return;
    }
    log_conn(h, LOG_INFO, ETIMEDOUT, "client timed out", " (send_timeout)");
    h->lost = true;
    if (core_of(h)->reset_timedout_connection)
        link_reset_on_free(h->conn->link);
}

// Nothing runs, nothing is half read: parked, a connection is small. Tunnels may be there.
static bool is_idle(const struct h2_conn *h) {
    const struct h2_session *s = &h->session;
    bool between = !s->in_frame && s->head_n == 0 && s->block_stream == 0 && s->preface_seen && s->settings_seen;
    return between && h->running == 0 && !h->runner_queued && chain_empty(&h->out);
}

static void end(struct h2_conn *h, bool linger) {
    struct conn *c = h->conn;
    const struct http_core *core = core_of(h);
    uint64_t total = MIN(core->lingering_time, (uint64_t)LINGER_MS), step = MIN(core->lingering_timeout, (uint64_t)LINGER_MS);
    h->task = NULL;
    h2_state_free(c);
    if (!linger || core->lingering_close == CORE_OFF) {
        conn_free(c);
        return;
    }
    struct link *link = c->link;
    c->link = NULL;
    conn_free(c);
    link_shutdown_write(link);
    link_linger_free(link, total, step);
}

// The connection is over: requests unwind, then what was put last (GOAWAY) is sent.
static void wind_up(struct h2_conn *h) {
    bool failed = h->session.failed;
    if (h->lost || failed)
        lose_requests(h, -ECONNRESET);
    task_shield(true);
    while (h->running != 0 || h->tunnels != 0 || h->runner_queued) {
        h->kicked = false;
        task_park(UINT64_MAX);
    }
    task_shield(false);
    if (!h->lost && !chain_empty(&h->out)) {
        ssize_t n = link_write(h->conn->link, &h->out, MIN(core_of(h)->send_timeout, (uint64_t)LINGER_MS));
        h->lost = n < 0;
    }
    end(h, !h->lost);
}

// Whether to end: asked to close, and nothing runs.
static bool is_finished(struct h2_conn *h) {
    if (!h->closing && conn_ends(h->conn)) {
        h2_put_goaway(&h->session, H2_NO_ERROR);
        h->closing = true;
    }
    if (h->closing && !h->session.goaway_sent)
        h2_put_goaway(&h->session, H2_NO_ERROR);
    return h->closing && h->running + h->tunnels == 0 && !h->session.failed;
}

static void park(struct h2_conn *h) {
    h->task = NULL;
    h2_trim(&h->session);
    if (h->tunnels != 0)
        conn_rest(h->conn);
    else
        conn_idle(h->conn, core_of(h)->keepalive_timeout);
}

void h2_serve(struct conn *c) {
    struct h2_conn *h = c->codec_state != NULL ? state_of(c) : state_new(c);
    CHECK_OBJ(h, H2_CONN_MAGIC);
    struct block *in = NULL;
    h->task = task_self();
    h->kicked = false;
    if (!link_readable(c->link) && (link_news(c->link) & LINK_TIMEOUT))
        h->closing = true; // keepalive_timeout: said with a GOAWAY
    for (;;) {
        receive(h, &in);
        h->kicked = h->again = false;
        h->over |= is_finished(h);
        h2_transmit(h);
        if (h->over)
            break;
        if (is_idle(h)) {
            block_unref(in);
            park(h);
            return;
        }
        if (in != NULL && in->refs > 1) { // requests hold it
            block_unref(in);
            in = NULL;
        }
        if (link_readable(c->link) || h->again) { // others have their turn, those that were woken too
            if (task_yield() != 0)
                break;
            continue;
        }
        int what = LINK_WAIT_READ | LINK_WAIT_WAKE | (chain_empty(&h->out) ? 0 : LINK_WAIT_WRITE);
        int news = link_wait(c->link, what, patience(h));
        if (news == -ETIMEDOUT)
            on_timeout(h);
        else if (news < 0)
            h->over = h->lost = true;
    }
    block_unref(in);
    wind_up(h);
}

void h2_stop(struct conn *c) {
    struct h2_conn *h = state_of(c);
    if (h != NULL && (h->task != NULL || h->tunnels != 0))
        h2_kick(h);
}

unsigned h2_close_older(struct conn *c, uint64_t generation) {
    struct h2_conn *h = state_of(c);
    unsigned n = 0;
    list_each_safe(q, &h->requests, struct h2_request, all) {
        if (q->conf->generation > generation || q->error != 0)
            continue;
        h2_reset(&h->session, &q->stream, H2_CANCEL);
        h2_fail_request(q, -ECONNRESET);
        n++;
    }
    if (n != 0)
        h2_kick(h);
    return n;
}
