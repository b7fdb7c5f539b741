// Requests of HTTP/2: from a header block to a task that runs the plan, and their end.
#include "base/base64.h"
#include "http/admit.h"
#include "http/answer.h"
#include "http/h2_private.h"
#include "http/run.h"
#include "io/loop.h"
#include "wire/http1.h"
#include <sys/random.h>

static void set_limits(struct h2_head_limits *lim, const struct http_core *core) {
    *lim = (struct h2_head_limits){
        .max_field = (size_t)MAX(core->large_client_header_buffers.size, core->client_header_buffer_size),
        .max_head = (size_t)(core->client_header_buffer_size +
                             core->large_client_header_buffers.count * core->large_client_header_buffers.size),
        .max_fields = (unsigned)core->max_headers,
        .ignore_invalid = false, // drop_invalid does it
        .underscores = true,
    };
}

// Which names of fields are good is said by the server that is asked: ignore_invalid_headers, underscores_in_headers.
static void drop_invalid(struct head *h, const struct http_core *core) {
    if (!core->ignore_invalid_headers)
        return;
    head_each(f, h) {
        size_t at = 0;
        while (f->id == FIELD_UNKNOWN && (at += scan_name(f->name.p + at, f->name.n - at)) < f->name.n) {
            if (f->name.p[at] != '_' || !core->underscores_in_headers) {
                head_drop_field(h, f);
                break;
            }
            at++;
        }
    }
}

// --- the end -----------------------------------------------------------------------------------------------------------------

static void free_request(struct h2_request *q) {
    struct h2_conn *h = q->h;
    h2_stream_forget(&h->session, &q->stream);
    h2_leave(q);
    list_remove(&q->all);
    chain_done(&q->pending);
    chain_done(&q->in);
    struct conf *conf = q->conf;
    req_free(q->r); // and q with it
    conf_unref(conf);
    h->running--;
    h->prioritized &= h->running != 0;
}

// What the stream still owes the client.
static void end_stream(struct h2_request *q, int err) {
    struct h2_session *s = &q->h->session;
    struct req *r = q->r;
    bool whole = err == 0 && r->outcome != OUTCOME_CLOSE && r->completed;
    if (q->error != 0)
        return;
    if (q->malformed) { // its answer did not end the stream: this does (RFC 9113 8.1.1)
        h2_reset(s, &q->stream, H2_PROTOCOL_ERROR);
    } else if (!whole) {
        h2_reset(s, &q->stream, err == -ETIMEDOUT && !r->body_failed ? H2_CANCEL : H2_INTERNAL_ERROR);
    } else {
        h2_reset(s, &q->stream, H2_NO_ERROR); // RFC 9113 8.1: the rest of the request is not needed
    }
    if (whole)
        h2_credit(s, 4);
}

static void run_stream(struct h2_request *q) {
    struct h2_conn *h = q->h;
    struct req *r = q->r;
    r->task = task_self();
    log_set_context(&r->log);
    if (q->refused != 0) {
        answer_status(r, q->refused);
    }
    int err = run_and_send(r);
    if (run_taken_over(r, err)) {
        log_set_context(NULL);
        r->take_over(r); // q goes with it
    } else {
        end_stream(q, err);
        log_set_context(NULL);
        free_request(q);
    }
    h2_kick(h);
}

// --- tasks -------------------------------------------------------------------------------------------------------------------
//
// Requests that came together are run by one task as long as none of them waits, so that they share its warm stack. Before it begins one it
// sees to it that another task stands behind it in the queue: when the request waits, that one goes on with the next.

static void run_pending(void *arg);

static bool start_runner(struct h2_conn *h) {
    if (!h->runner_queued)
        h->runner_queued = task_new(run_pending, h, "http2 stream") != NULL;
    return h->runner_queued;
}

static void run_pending(void *arg) {
    struct h2_conn *h = arg;
    h->runner_queued = false;
    while (!list_empty(&h->pending)) {
        struct h2_request *q = list_first(&h->pending, struct h2_request, start);
        list_remove(&q->start);
        if (!list_empty(&h->pending))
            (void)start_runner(h); // without memory for it this one goes on with the next
        run_stream(q); // the connection's task has not run since its end, so h is there
        if (task_cancelled()) { // that was for this request only
            if (!list_empty(&h->pending))
                (void)start_runner(h);
            return;
        }
    }
    h2_kick(h); // who winds up waits for a runner that is queued
}

// --- the head ----------------------------------------------------------------------------------------------------------------

// The request line as it would be in HTTP/1, for $request and the logs.
static void set_request_line(struct req *r, const struct h2_head *head) {
    struct str target = head->path.n != 0 ? head->path : head->authority;
    if (head->method.n == 0)
        return;
    struct str parts[4] = {head->method, STR(" "), target, STR(" HTTP/2.0")};
    r->request_line = arena_join(&r->arena, parts, 4);
}

static unsigned refuse_head(struct req *r, const struct h2_head *head, const struct h2_head_limits *lim, enum h2_head_result res) {
    switch (res) {
    case H2_HEAD_FIELD_TOO_LONG:
        if (head->name.n != 0 && head->name.p[0] == ':') {
            log_msg(LOG_INFO, 0, "client sent too long URI (limit: large_client_header_buffers %zu)", lim->max_field);
            return 414;
        }
        log_msg(LOG_INFO, 0, "client sent too long header line: \"" STR_FMT ": " STR_FMT "...\" (limit: large_client_header_buffers %zu)",
                STR_ARG(str_head(head->name, 100)), STR_ARG(str_head(head->value, 100)), lim->max_field);
        return 494;
    case H2_HEAD_TOO_LONG:
        log_msg(LOG_INFO, 0, "client sent too large header (limit: large_client_header_buffers, %zu bytes in all)", lim->max_head);
        return 494;
    case H2_HEAD_TOO_MANY:
        log_msg(LOG_INFO, 0, "client sent too many header lines (limit: max_headers %u)", lim->max_fields);
        return 400;
    default:
        if (head->name.n != 0)
            log_msg(LOG_INFO, 0, "client sent %s: \"" STR_FMT ": " STR_FMT "\"", head->why, STR_ARG(str_head(head->name, 200)),
                    STR_ARG(str_head(head->value, 200)));
        else
            log_msg(LOG_INFO, 0, "client sent %s", head->why);
        return 400;
    }
}

static void choose_server(struct conn *c, struct req *r) {
    struct server *s = vhost_find(c->vhosts, r->host, r);
    if (s != r->server)
        req_set_server(r, s);
}

// RFC 9113 8.1.1: what the head promises must fit to END_STREAM.
static unsigned check_length(struct h2_request *q, bool end_stream) {
    struct req *r = q->r;
    if (end_stream && r->content_length > 0) {
        log_msg(LOG_INFO, 0, "client sent a request with \"content-length\" and without a body");
        q->malformed = true;
        return 400;
    }
    q->stream.expected = r->content_length;
    return 0;
}

// RFC 8441: to the rest of the house, and to back ends of HTTP/1, it is a GET that asks for an upgrade.
static unsigned take_connect(struct h2_request *q, const struct h2_head *head, bool end_stream) {
    struct req *r = q->r;
    if (head->protocol.n == 0)
        return 0;
    if (!str_eq(head->protocol, STR("websocket")) || end_stream) {
        log_msg(LOG_INFO, 0, "client sent extended CONNECT for \"" STR_FMT "\"", STR_ARG(str_head(head->protocol, 100)));
        return 501;
    }
    q->connects = true;
    r->in.method = METHOD_GET;
    r->in.method_text = STR("GET");
    head_add_known(&r->in, FIELD_UPGRADE, head->protocol);
    head_add_known(&r->in, FIELD_CONNECTION, STR("upgrade"));
    unsigned char key[16];
    struct sbuf text;
    if (getrandom(key, sizeof key, GRND_NONBLOCK) != sizeof key)
        return 500;
    sbuf_init_arena(&text, &r->arena, 32, 32);
    base64_encode(&text, str_n((const char *)key, sizeof key));
    head_add(&r->in, FIELD_UNKNOWN, STR("Sec-WebSocket-Key"), sbuf_view(&text));
    return 0;
}

static unsigned admit(struct h2_request *q, const struct h2_head *head, bool end_stream) {
    struct req *r = q->r;
    struct conn *c = r->conn;
    unsigned refused = take_connect(q, head, end_stream);
    if (refused != 0)
        return refused;
    unsigned status = admit_request(r);
    if (status == 400 && r->uri.n == 0)
        r->request_line = STR_NONE; // nginx: who asks for no valid path has no request line
    r->phase = NULL;
    if (status == 0 || r->host.n != 0)
        choose_server(c, r);
    drop_invalid(&r->in, req_core(r));
    if (status == 0)
        status = check_length(q, end_stream);
    if (status == 0 && q->connects) {
        r->tunnel_in = h2_request_body(q, false);
    } else if (status == 0 && !end_stream) {
        r->chunked_in = r->content_length < 0;
        struct str expect = head_value(&r->in, FIELD_EXPECT);
        r->body = h2_request_body(q, str_ieq(expect, STR("100-continue")));
    }
    return status;
}

static bool broken(struct h2_conn *h, struct h2_event *ev, enum h2_head_result res, const struct h2_head *head) {
    if (res == H2_HEAD_BROKEN)
        h2_fail(&h->session, ev, H2_COMPRESSION_ERROR, "peer sent an invalid header block");
    else if (res == H2_HEAD_BOMB)
        h2_fail_limit(&h->session, ev, "peer sent a header block that grows without measure, in bytes", head->bytes, head->bound);
    else
        return false;
    return true;
}

// A block that nobody wants is read for the sake of the table. False: the connection must end.
static bool skip_block(struct h2_conn *h, struct h2_event *ev) {
    struct arena arena;
    struct head head;
    struct h2_head out;
    struct h2_head_limits lim = {.max_head = 0};
    arena_init(&arena, NULL);
    head_init(&head, &arena);
    enum h2_head_result res = h2_read_request(&h->session, &head, &out, &lim);
    arena_done(&arena);
    return !broken(h, ev, res, &out);
}

// The stream is refused: it may be repeated elsewhere.
static bool refuse(struct h2_conn *h, struct h2_event *ev, uint32_t code, int cost) {
    if (!skip_block(h, ev))
        return false;
    h2_refuse(&h->session, ev->id, code);
    if (h2_charge(&h->session, H2_COST_RESET, cost))
        return true;
    h2_fail(&h->session, ev, H2_ENHANCE_YOUR_CALM, "http2 flood detected");
    return false;
}

static struct h2_request *make(struct h2_conn *h, const struct h2_event *ev) {
    struct conn *c = h->conn;
    struct loop *l = link_loop(c->link);
    struct conf *conf = conf_ref(c->conf);
    struct req *r = req_new(l, c, conf, c->vhosts->fallback, &h2_codec);
    struct h2_request *q = arena_new(&r->arena, struct h2_request);
    r->codec_state = q;
    r->keepalive = true;
    q->h = h;
    q->r = r;
    q->conf = conf;
    list_init(&q->ready);
    list_init(&q->start);
    chain_init(&q->in, loop_blocks(l));
    chain_init(&q->pending, loop_blocks(l));
    list_push_back(&h->requests, &q->all);
    h->running++;
    h2_stream_open(&h->session, &q->stream, ev->id, ev->end_stream);
    return q;
}

// nginx keepalive_requests and keepalive_time: the client is asked to make a new connection.
static void limit_connection(struct h2_conn *h) {
    struct conn *c = h->conn;
    const struct http_core *core = scope_conf(c->vhosts->fallback->scope, &feature_http_core);
    if (!h->closing && ((int64_t)c->requests >= core->keepalive_requests ||
                        loop_now(link_loop(c->link)) - c->start_ms > core->keepalive_time)) {
        h2_put_goaway(&h->session, H2_NO_ERROR);
        h->closing = true;
    }
}

bool h2_request_begin(struct h2_conn *h, struct h2_event *ev) {
    struct conn *c = h->conn;
    conn_refresh(c);
    const struct http2_conf *conf = scope_conf(c->vhosts->fallback->scope, &feature_http2);
    if (h->closing)
        return refuse(h, ev, H2_REFUSED_STREAM, 1);
    if (h->running + h->tunnels >= (uint64_t)conf->max_concurrent_streams) {
        // Streams that were opened before our settings came to the client are no offence.
        return refuse(h, ev, H2_REFUSED_STREAM, h->session.settings_acked ? H2_CHARGE_RESET : 1);
    }
    struct h2_request *q = make(h, ev);
    struct req *r = q->r;
    struct h2_head head;
    struct h2_head_limits lim;
    c->requests++;
    conn_count(&http_loop(r->loop)->requests, 1);
    log_set_context(&r->log);
    r->phase = "reading client request headers";
    set_limits(&lim, req_core(r));
    enum h2_head_result res = h2_read_request(&h->session, &r->in, &head, &lim);
    r->head_bytes = head.bytes;
    set_request_line(r, &head);
    bool ok = !broken(h, ev, res, &head);
    if (ok && res != H2_HEAD_OK)
        q->refused = refuse_head(r, &head, &lim, res);
    else if (ok)
        q->refused = admit(q, &head, ev->end_stream);
    q->malformed |= res == H2_HEAD_MALFORMED;
    q->in_ended = ev->end_stream;
    if (q->refused != 0)
        r->phase = "reading client request headers";
    h2_parse_priority(head_value(&r->in, FIELD_PRIORITY), &q->stream.urgency, &q->stream.incremental);
    h2_take_early_priority(&h->session, &q->stream);
    h2_reorder(q);
    log_set_context(NULL);
    r->phase = NULL;
    if (ok && start_runner(h)) {
        list_push_back(&h->pending, &q->start);
        limit_connection(h);
        return true;
    }
    if (ok)
        h2_reset(&h->session, &q->stream, H2_REFUSED_STREAM); // no memory for its task
    free_request(q);
    return ok;
}

static bool refuse_trailers(struct h2_request *q, struct h2_event *ev) {
    struct h2_session *s = &q->h->session;
    if (!h2_charge(s, H2_COST_RESET, H2_CHARGE_RESET)) {
        h2_fail(s, ev, H2_ENHANCE_YOUR_CALM, "http2 flood detected");
        return false;
    }
    h2_reset(s, &q->stream, H2_PROTOCOL_ERROR);
    h2_fail_request(q, -EPROTO);
    return true;
}

// RFC 9113 8.5: nothing but DATA goes through a tunnel. The block is read for the sake of the table.
static bool tunnel_trailers(struct h2_request *q, struct h2_event *ev) {
    return skip_block(q->h, ev) && refuse_trailers(q, ev);
}

bool h2_request_trailers(struct h2_conn *h, struct h2_event *ev) {
    struct h2_request *q = container_of(ev->stream, struct h2_request, stream);
    if (q->tunnel != NULL)
        return tunnel_trailers(q, ev);
    struct req *r = q->r;
    struct h2_head out;
    struct h2_head_limits lim;
    struct head *t = arena_new(&r->arena, struct head);
    head_init(t, &r->arena);
    set_limits(&lim, req_core(r));
    enum h2_head_result res = h2_read_trailers(&h->session, t, &out, &lim);
    if (broken(h, ev, res, &out))
        return false;
    if (res != H2_HEAD_OK || !ev->end_stream || q->stream.expected > 0 || q->connects)
        return refuse_trailers(q, ev);
    q->in_trailers = t->count != 0 ? t : NULL;
    h2_body_input(q, NULL, NULL, 0, true);
    return true;
}

static bool watch(struct req *r, struct task *t) {
    struct h2_request *q = r->codec_state;
    if (t != NULL && q->watcher != NULL)
        return false;
    q->watcher = t;
    if (t != NULL && q->error != 0)
        task_cancel(t);
    return true;
}

static bool gone(const struct req *r) { return ((const struct h2_request *)r->codec_state)->error != 0; }

const struct codec h2_codec = {"HTTP/2.0", h2_interim, h2_send, false, watch, gone, h2_stream_link};
