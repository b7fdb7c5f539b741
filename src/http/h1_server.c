// HTTP/1.x towards clients: one task serves a connection from its first readable moment until it is idle again.
#include "http/h1_server.h"
#include "http/admit.h"
#include "http/answer.h"
#include "http/h1_write.h"
#include "http/run.h"
#include "io/loop.h"
#include "wire/http1.h"

enum { HEAD_BLOCK = 4080 }; // first receive of a head; most heads with small bodies fit

// --- reading a head ----------------------------------------------------------------------------------------------------

struct reading {
    struct block *block;
    size_t n;
    struct http1_parse parse;
    struct http1_limits limits;
};

static void set_limits(struct http1_limits *lim, const struct http_core *core) {
    *lim = (struct http1_limits){
        .max_line = (size_t)MAX(core->large_client_header_buffers.size, core->client_header_buffer_size),
        .max_head = (size_t)(core->client_header_buffer_size +
                             core->large_client_header_buffers.count * core->large_client_header_buffers.size),
        .max_fields = (unsigned)core->max_headers,
        .keep_invalid = true,
    };
}

static void grow(struct reading *in, struct blocks *pool) {
    if (in->n < in->block->size)
        return;
    struct block *bigger = block_new(pool, in->block->size * 4);
    memcpy(bigger->data, in->block->data, in->n);
    block_unref(in->block);
    in->block = bigger;
}

// Receives and parses until the head is whole. HTTP1_OK, a parse error, or HTTP1_MORE with *err set when the link ended.
static enum http1_result read_head(struct conn *c, struct req *r, struct reading *in, int *err) {
    uint64_t deadline = r->start_ms + req_core(r)->client_header_timeout;
    struct blocks *pool = loop_blocks(r->loop);
    for (;;) {
        grow(in, pool);
        uint64_t now = loop_now(r->loop);
        ssize_t got = link_read_into(c->link, in->block->data + in->n, in->block->size - in->n,
                                     deadline > now ? deadline - now : 0);
        if (got <= 0) {
            *err = got == 0 ? -EPIPE : (int)got;
            return HTTP1_MORE;
        }
        in->n += (size_t)got;
        enum http1_result res = http1_parse_request(&in->parse, &r->in, in->block->data, in->n, &in->limits);
        if (res != HTTP1_MORE)
            return res;
    }
}

// What came of the request line, for the log: of a head that is not whole or not right.
static struct str raw_line(const struct reading *in) {
    struct str s = str_n(in->block->data, in->n);
    while (s.n != 0 && (s.p[0] == '\r' || s.p[0] == '\n'))
        s = str_from(s, 1);
    ssize_t end = str_chr(s, '\n');
    if (end >= 0)
        s.n = (size_t)end;
    if (s.n != 0 && s.p[s.n - 1] == '\r')
        s.n--;
    return s;
}

// The whole lines before the one that is refused.
static struct str lines_before(const struct reading *in, enum http1_result res) {
    struct str s = str_n(in->block->data, in->n);
    if (res == HTTP1_HEAD_TOO_LONG)
        s.n = MIN(s.n, in->limits.max_head);
    else if (in->parse.line.p >= s.p && in->parse.line.p <= s.p + s.n)
        s.n = (size_t)(in->parse.line.p - s.p);
    return str_head(s, (size_t)(str_rchr(s, '\n') + 1));
}

static unsigned refuse_head(struct req *r, const struct reading *in, enum http1_result res) {
    bool line = res == HTTP1_BAD_LINE || res == HTTP1_BAD_METHOD || res == HTTP1_BAD_VERSION || res == HTTP1_BAD_TARGET ||
                res == HTTP1_UNSUPPORTED_VERSION || res == HTTP1_LINE_TOO_LONG || res == HTTP1_NOT_HTTP;
    r->phase = line ? "reading client request line" : "reading client request headers";
    if (r->request_line.n == 0)
        r->request_line = raw_line(in);
    if (str_starts(r->request_line, STR("HEAD "))) // whoever asks so takes no body for an answer
        r->method = METHOD_HEAD;
    switch (res) {
    case HTTP1_BAD_METHOD:
    case HTTP1_NOT_HTTP:
        log_msg(LOG_INFO, 0, "client sent invalid method");
        return 400;
    case HTTP1_BAD_VERSION:
        log_msg(LOG_INFO, 0, "client sent invalid version");
        return 400;
    case HTTP1_UNSUPPORTED_VERSION:
        log_msg(LOG_INFO, 0, "client sent invalid version");
        return 505;
    case HTTP1_LINE_TOO_LONG:
        log_msg(LOG_INFO, 0, "client sent too long URI (limit: large_client_header_buffers %zu)", in->limits.max_line);
        return 414;
    case HTTP1_FIELD_TOO_LONG:
        log_msg(LOG_INFO, 0, "client sent too long header line: \"" STR_FMT "...\" (limit: large_client_header_buffers %zu)",
                STR_ARG(str_head(in->parse.line, 100)), in->limits.max_line);
        return 494;
    case HTTP1_HEAD_TOO_LONG:
        log_msg(LOG_INFO, 0, "client sent too large request (limit: large_client_header_buffers, %zu bytes in all)",
                in->limits.max_head);
        return 494;
    case HTTP1_TOO_MANY_FIELDS:
        log_msg(LOG_INFO, 0, "client sent too many header lines (limit: max_headers %u)", in->limits.max_fields);
        return 400;
    case HTTP1_BAD_FIELD:
        log_msg(LOG_INFO, 0, "client sent invalid header line: \"" STR_FMT "\"", STR_ARG(str_head(in->parse.line, 200)));
        return 400;
    default:
        log_msg(LOG_INFO, 0, "client sent invalid request");
        return 400;
    }
}

// --- one request -------------------------------------------------------------------------------------------------------

static bool msie6(struct str agent) {
    ssize_t at = str_find(agent, STR("MSIE "));
    return at >= 0 && (size_t)at + 7 < agent.n && agent.p[at + 6] == '.' && agent.p[at + 5] < '7' &&
           str_find(agent, STR("Opera")) < 0;
}

// Whether the connection may go on after this request (RFC 9112 9.3, keepalive_disable). The limits of a location come later.
static bool may_keep(struct req *r) {
    const struct http_core *core = req_core(r);
    struct str connection = head_join(&r->in, FIELD_CONNECTION, &r->arena);
    if (conn_ends(r->conn) || r->in.version < 10)
        return false;
    if (list_has_token(connection, STR("close")))
        return false;
    if (r->in.version == 10 && !list_has_token(connection, STR("keep-alive")))
        return false;
    if (core->keepalive_disable != 0) {
        struct str agent = head_value(&r->in, FIELD_USER_AGENT);
        if ((core->keepalive_disable & KEEPALIVE_NO_MSIE6) && r->method == METHOD_POST && msie6(agent))
            return false;
        if ((core->keepalive_disable & KEEPALIVE_NO_SAFARI) && str_find(agent, STR("Safari/")) >= 0 &&
            str_find(agent, STR("Mac OS X")) >= 0 && str_find(agent, STR("Chrom")) < 0)
            return false;
    }
    return true;
}

static void choose_server(struct conn *c, struct req *r) {
    struct server *s = vhost_find(c->vhosts, r->host, r);
    if (s != r->server)
        req_set_server(r, s);
}

// A fault in the start line is the default server's to answer, as in nginx.
static unsigned refuse(struct conn *c, struct req *r, const struct reading *in, enum http1_result res) {
    if (res == HTTP1_FIELD_TOO_LONG || res == HTTP1_HEAD_TOO_LONG || res == HTTP1_TOO_MANY_FIELDS || res == HTTP1_BAD_FIELD)
        admit_partial(r, lines_before(in, res));
    if (r->host.n != 0)
        choose_server(c, r);
    return refuse_head(r, in, res);
}

// From a whole head to the answer. The status that refuses the request, or 0.
static unsigned admit(struct conn *c, struct req *r, const struct reading *in) {
    r->request_line = in->parse.line;
    r->head_bytes = in->parse.end;
    if (in->n > in->parse.end) { // body or pipelined bytes: the link gives them again
        struct chain rest;
        chain_init(&rest, loop_blocks(r->loop));
        chain_add_block(&rest, in->block, in->block->data + in->parse.end, in->n - in->parse.end);
        link_unread(c->link, &rest);
    }
    r->phase = "reading client request headers";
    unsigned status = admit_request(r);
    r->phase = NULL;
    if (status == 0 || r->host.n != 0) // who cannot say whom he means is answered by the default server
        choose_server(c, r);
    if (UNLIKELY(r->in.unusual)) {
        unsigned bad = admit_names(r);
        status = status != 0 ? status : bad;
    }
    r->keepalive = may_keep(r);
    if (status == 0) {
        struct str expect = head_value(&r->in, FIELD_EXPECT);
        r->body = h1_request_body(r, r->in.version >= 11 && str_ieq(expect, STR("100-continue")));
    }
    return status;
}

// Eats what is left of the request's body, so that the next head begins at the right byte. False: better to close.
static bool finish_body(struct req *r) {
    if (r->body == NULL || h1_request_body_ended(r->body))
        return true;
    const struct http_core *core = req_core(r);
    if (r->body->length > 0 && (uint64_t)r->body->length > DISCARD_MAX)
        return false;
    if (core->lingering_close == CORE_OFF)
        return false;
    h1_request_body_unwanted(r->body);
    return body_discard(r->body, DISCARD_MAX) == 0;
}

enum after { AFTER_NEXT, AFTER_CLOSE, AFTER_LINGER, AFTER_TAKEN };

static enum after end_request(struct req *r, int err) {
    const struct http_core *core = req_core(r);
    if (err != 0 || r->outcome == OUTCOME_CLOSE)
        return AFTER_CLOSE;
    bool unread = r->body != NULL && !h1_request_body_ended(r->body);
    if (r->keepalive && finish_body(r))
        return AFTER_NEXT;
    if (core->lingering_close == CORE_ALWAYS || (core->lingering_close == CORE_ON && (unread || r->linger)))
        return AFTER_LINGER;
    return AFTER_CLOSE;
}

static void no_head(struct conn *c, struct req *r, const struct reading *in, int err) {
    r->keepalive = false;
    if (in->n == 0)
        return; // nothing was asked
    r->phase = in->parse.checked > 0 ? "reading client request headers" : "reading client request line";
    r->request_line = raw_line(in);
    req_ended(r, err == -ETIMEDOUT ? 'c' : 'C', 'R');
    if (err == -ETIMEDOUT) {
        log_msg(LOG_INFO, ETIMEDOUT, "client timed out");
        answer_close(r, 408);
    } else {
        log_msg(LOG_INFO, 0, "client prematurely closed connection");
        answer_close(r, 400);
    }
    run_log(r);
    (void)c;
}

static void unref_block(void *b) { block_unref(b); }

// The connection is somebody else's now, with the request: its head must live as long as that.
static enum after hand_over(struct req *r, struct block *head) {
    log_set_context(NULL);
    arena_cleanup(&r->arena, unref_block, head);
    r->take_over(r);
    return AFTER_TAKEN;
}

// What reset_timedout_connection speaks of: a client that timed out, and 444.
static bool to_be_reset(const struct req *r, int err) {
    return err == -ETIMEDOUT || (r->outcome == OUTCOME_CLOSE && (r->out.status == 408 || r->out.status == 444));
}

// One request on the connection.
static enum after serve_one(struct conn *c, struct loop *l) {
    struct req *r = req_new(l, c, c->conf, c->vhosts->fallback, &h1_codec);
    log_set_context(&r->log);
    r->pipelined = link_has_unread(c->link);
    struct reading in = {.block = block_new(loop_blocks(l), HEAD_BLOCK)};
    set_limits(&in.limits, req_core(r));
    int err = 0;
    enum after after = AFTER_CLOSE;
    enum http1_result res = read_head(c, r, &in, &err);
    if (res == HTTP1_MORE) {
        no_head(c, r, &in, err);
        goto out;
    }
    c->requests++;
    conn_count(&http_loop(l)->requests, 1);
    unsigned status = res == HTTP1_OK ? admit(c, r, &in) : refuse(c, r, &in, res);
    if (status != 0) {
        req_ended(r, 'P', 'R');
        r->keepalive = false; // as in nginx: after a refused head nothing more is read
        r->linger = true;
        // What has no version and no target either is no HTTP/0.9: the client can read a head.
        if (r->in.version == 0 || (r->in.version == 9 && !str_starts(r->in.target, STR("/"))))
            r->in.version = 10;
        answer_status(r, status);
    }
    err = run_and_send(r);
    if (run_taken_over(r, err))
        return hand_over(r, in.block);
    after = end_request(r, err);
out:
    if (UNLIKELY(req_core(r)->reset_timedout_connection) && after == AFTER_CLOSE && to_be_reset(r, err))
        link_reset_on_free(c->link);
    c->keepalive_ms = req_core(r)->keepalive_timeout;
    c->keepalive_min_ms = req_core(r)->keepalive_min_timeout;
    c->linger_total_ms = req_core(r)->lingering_time;
    c->linger_step_ms = req_core(r)->lingering_timeout;
    req_free(r); // its subrequests may still run until here
    log_set_context(NULL);
    block_unref(in.block);
    return after;
}

void h1_serve(struct conn *c) {
    struct loop *l = link_loop(c->link);
    for (;;) {
        enum after after = serve_one(c, l);
        if (after == AFTER_TAKEN)
            return;
        if (after == AFTER_LINGER) {
            struct link *link = c->link;
            c->link = NULL;
            uint64_t total = c->linger_total_ms, step = c->linger_step_ms;
            conn_free(c);
            link_shutdown_write(link);
            link_linger_free(link, total, step);
            return;
        }
        if (after == AFTER_CLOSE) {
            conn_free(c);
            return;
        }
        if (!link_has_unread(c->link)) {
            conn_idle(c, c->keepalive_ms);
            return;
        }
        (void)conn_refresh(c);
    }
}

static int interim(struct req *r, unsigned status, const struct head *fields) {
    if (r->in.version < 11)
        return 0;
    struct blocks *pool = loop_blocks(r->loop);
    struct block *b = block_new(pool, 2000);
    struct sbuf out;
    sbuf_init_fixed(&out, b->data, b->size);
    http1_put_status_line(&out, 11, status, status_reason(status));
    if (fields != NULL) {
        head_each(f, fields) http1_put_field(&out, f->name, f->value);
    }
    sbuf_lit(&out, "\r\n");
    struct chain c;
    chain_init(&c, pool);
    if (!out.overflow)
        chain_add_block(&c, b, out.p, out.n);
    block_unref(b);
    ssize_t n = link_write(r->conn->link, &c, req_core(r)->send_timeout);
    chain_done(&c);
    return n < 0 ? (int)n : 0;
}

static bool watch(struct req *r, struct task *t) {
    if (t != NULL && link_watcher(r->conn->link) != NULL)
        return false;
    link_watch(r->conn->link, t);
    return true;
}

static bool gone(const struct req *r) { return link_gone(r->conn->link); }

const struct codec h1_codec = {"HTTP/1.1", interim, h1_send, true, watch, gone};
