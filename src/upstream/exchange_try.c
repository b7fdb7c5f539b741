// One try at one peer: a connection, the request, the head of the response, and what the error log says when that fails.
#include "base/hash.h"
#include "http/conn.h"
#include "http/debug.h"
#include "io/connect.h"
#include "io/loop.h"
#include "io/tcp.h"
#include "upstream/exchange_private.h"

static const char connecting[] = "connecting to upstream", sending[] = "sending request to upstream",
                  reading[] = "reading response header from upstream";

static struct try_result failed(unsigned why, unsigned status) { return (struct try_result){TRY_FAILED, why, status, false}; }
static struct try_result stopped(unsigned status) { return (struct try_result){TRY_STOPPED, 0, status, false}; }

// --- a connection ------------------------------------------------------------------------------------------------------------

// An idle link that is alive as far as that is known without asking. A body that can be read only once cannot be sent again
// when the link proves dead, and a POST only when the peer has provably not seen it: for these the kernel is asked first, and
// links that the peer may be about to close are left alone. Other requests that meet a closed link are repeated.
static struct link *take_idle(struct exchange *x) {
    struct link *l;
    bool careful = x->streaming || !method_is_idempotent(method_from(x->method));
    while ((l = pool_take_tagged(x->group, x->peer, careful, x->tag)) != NULL) {
        pool_facts(l, &x->link_requests, &x->link_since);
        x->link_idle_ms = pool_idle_ms(l);
        x->canary |= pool_is_canary(l);
        if (!careful || !(x->streaming || pool_may_close(x->peer)) || link_alive(l))
            return l;
        pool_peer_closed(x->peer, x->link_idle_ms);
        exchange_end_canary(x, false);
        link_free(l);
    }
    return NULL;
}

// Which location that is, by its place in the configuration: the same after a reload that left it where it was.
static uint64_t place_of(const struct req *r) {
    const struct scope *s = r->scope;
    while (s->outer != NULL && s->place != IN_LOCATION)
        s = s->outer;
    return s->node == NULL ? 0 : hash_str(s->node->file->path, s->node->line);
}

// How TLS is spoken, where the connection comes from (*_bind), whose it is (keepalive ... local), and so which idle connections
// are of its kind.
static void choose_kind(struct exchange *x) {
    x->local = STR("");
    if (x->tls != NULL && x->tls->for_peer != NULL)
        x->tls = x->tls->for_peer(x);
    x->tag = x->tls != NULL ? x->tls->tag : 0;
    if (UNLIKELY(x->group->keepalive_local))
        x->tag = (x->tag ^ place_of(x->r)) | 1;
    if (LIKELY(x->gw->bind == NULL) || x->peer->addr.sa.sa_family == AF_UNIX)
        return;
    x->local = req_eval(x->r, x->gw->bind);
    if (x->local.n != 0)
        x->tag = hash_str(x->local, x->tag + x->gw->bind_transparent) | 1;
}

// Whether an address is bound; an invalid one is logged and does not count.
static bool bind_address(struct exchange *x, struct addr_full *a) {
    const char *why;
    if (x->local.n == 0)
        return false;
    if (addr_parse(a, x->local, 0, false, &why))
        return true;
    exchange_log(x, LOG_ERR, 0, connecting, NULL, "invalid local address \"" STR_FMT "\"", STR_ARG(x->local));
    return false;
}

int exchange_connect(struct exchange *x) {
    struct addr_full from;
    bool bound = bind_address(x, &from);
    int err = 0;
    x->link = connect_bound(&x->peer->addr, bound ? &from : NULL, x->gw->bind_transparent, x->gw->connect_timeout, &err);
    if (x->link == NULL)
        return err;
    x->link_requests = 0;
    x->link_since = loop_now(x->r->loop);
    if (x->gw->socket_keepalive)
        tcp_keepalive(x->link);
    return x->tls != NULL ? exchange_secure(x) : 0;
}

static void ends(struct exchange *x, char who, char phase) {
    x->end_who = who;
    x->end_phase = phase;
}

static const char *connect_hint(int err) {
    switch (err) {
    case -ECONNREFUSED:
        return "nothing listens at that address: is the application running, and on this port?";
    case -ENOENT:
        return "there is no such socket: is the application running?";
    case -EACCES:
    case -EPERM:
        return "may the worker's user open it? see the permissions of the socket and its directories";
    case -EADDRNOTAVAIL:
        return "no local port is left: keep connections open (keepalive), or add addresses";
    case -EMFILE:
    case -ENFILE:
        return "no descriptor is left: worker_rlimit_nofile";
    default:
        return NULL;
    }
}

// What we are short of is not the peer's failure, and no other peer could be asked either.
static bool short_of(int err) { return err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -ENOBUFS; }

static void log_connect(struct exchange *x, int err) {
    ends(x, err == -ETIMEDOUT ? 's' : short_of(err) ? 'R' : 'S', 'C');
    x->hint = err == -ETIMEDOUT ? "the address does not answer at all: a firewall, a wrong address, a full backlog?" : connect_hint(err);
    if (x->local.n != 0 && err == -EADDRNOTAVAIL)
        x->hint = arena_printf(&x->r->arena, "is " STR_FMT " (%s_bind) an address of this machine?", STR_ARG(x->local), x->family).p;
    if (err == -ETIMEDOUT) {
        exchange_log(x, LOG_ERR, ETIMEDOUT, connecting, exchange_note(x, "connect_timeout", x->gw->connect_timeout, "ms"),
                     "upstream timed out");
        return;
    }
    if (short_of(err)) {
        exchange_log(x, LOG_CRIT, -err, connecting, NULL, "socket() failed");
        return;
    }
    bool usual = err == -ECONNREFUSED || err == -ECONNRESET || err == -EAGAIN || err == -ENETDOWN || err == -ENETUNREACH ||
                 err == -EHOSTDOWN || err == -EHOSTUNREACH;
    if (x->peer->addr.sa.sa_family == AF_UNIX)
        exchange_log(x, usual ? LOG_ERR : LOG_CRIT, -err, connecting, NULL, "connect() to " STR_FMT " failed",
                     STR_ARG(x->peer->name));
    else
        exchange_log(x, usual ? LOG_ERR : LOG_CRIT, -err, connecting, NULL, "connect() failed");
}

// --- what went wrong -----------------------------------------------------------------------------------------------------------

static struct try_result client_left(struct exchange *x, const char *phase) {
    ends(x, 'C', phase == connecting ? 'C' : 'H');
    const struct req *main = x->r->main;
    if (main->conn == NULL || main->codec->gone(main))
        exchange_log(x, LOG_INFO, 0, phase, NULL,
                     "client prematurely closed connection, so upstream connection is closed too");
    else
        exchange_log(x, LOG_INFO, 0, phase, NULL, "request cancelled, so upstream connection is closed too");
    return stopped(499);
}

// The peer closed before its kernel had any byte of this request: its FIN does not acknowledge one. Nobody can have acted on
// it then, whatever the method.
static bool provably_unread(const struct exchange *x, int err) {
    uint64_t open;
    return err == -EPIPE && x->send_error == 0 && tcp_unacknowledged(x->link, &open) &&
           open >= link_bytes_out(x->link) - x->base_out;
}

// An idle connection that was dead already, and a request that may be sent again.
static bool dead_reuse(struct exchange *x, int err, bool sent_before) {
    bool closed = err == -EPIPE || err == -ECONNRESET;
    if (x->protocol->open != NULL)
        return closed && !x->streamed_any && !x->any_received &&
               (x->repeatable || (x->reused && method_is_idempotent(method_from(x->method))));
    if (!x->reused || x->any_received || !closed)
        return false;
    pool_peer_closed(x->peer, x->link_idle_ms);
    if (x->streamed_any)
        return false;
    if (link_bytes_out(x->link) == x->base_out || provably_unread(x, err)) {
        x->bytes_sent_any = sent_before;
        return true;
    }
    return method_is_idempotent(method_from(x->method));
}

static struct try_result explain(struct exchange *x, int err) {
    if (x->body_error != 0) {
        if (x->body_error == -ECANCELED)
            return client_left(x, sending);
        ends(x, x->body_error == -ETIMEDOUT ? 'c' : x->body_error == -EFBIG || x->body_error == -EPROTO ? 'P' : 'C', 'R');
        return stopped(req_body_error_status(x->r, x->body_error));
    }
    const char *phase = x->request_sent ? reading : sending;
    ends(x, err == -ETIMEDOUT ? 's' : err == -EPROTO ? 'P' : err == -EINVAL ? 'P' : err == -ENOMEM ? 'R' : 'S', 'H');
    switch (err) {
    case -ECANCELED:
        return client_left(x, phase);
    case -EINVAL:
        exchange_log(x, LOG_ERR, 0, sending, NULL, "the request cannot be expressed for the upstream");
        return stopped(500);
    case -ENOMEM:
        exchange_log(x, LOG_CRIT, ENOMEM, sending, NULL, "no task for sending a request");
        return stopped(500);
    case -EPROTO:
        return failed(NEXT_INVALID_HEADER, 502);
    case -ETIMEDOUT:
        x->hint = x->send_error == -ETIMEDOUT ? "the application does not read the request: is it overloaded?"
                                              : arena_printf(&x->r->arena, "the application is slow: see its log, or raise %s_read_timeout", x->family).p;
        if (x->send_error == -ETIMEDOUT)
            exchange_log(x, LOG_ERR, ETIMEDOUT, sending, exchange_note(x, "send_timeout", x->gw->send_timeout, "ms"),
                         "upstream timed out");
        else
            exchange_log(x, LOG_ERR, ETIMEDOUT, phase, exchange_note(x, "read_timeout", x->gw->read_timeout, "ms"),
                         "upstream timed out");
        return failed(NEXT_TIMEOUT, 504);
    default:
        break;
    }
    x->hint = "it ended the connection without an answer: see the application's log for a crash, a restart or a limit";
    if (x->send_error != 0)
        exchange_log(x, LOG_ERR, (int)-x->send_error, sending, NULL, "writev() failed");
    else if (err == -EPIPE)
        exchange_log(x, LOG_ERR, 0, phase, x->reused ? "on a kept connection" : NULL, "upstream prematurely closed connection");
    else
        exchange_log(x, LOG_ERR, -err, phase, NULL, "recv() failed");
    return failed(NEXT_ERROR, 502);
}

// --- the try ---------------------------------------------------------------------------------------------------------------------

// The same of a protocol whose connections are shared.
static int get_shared(struct exchange *x, bool fresh) {
    int err = x->protocol->open(x, fresh);
    struct attempt *a = exchange_attempt(x);
    a->reused = x->reused;
    if (err == 0)
        a->connect_ms = loop_now(x->r->loop) - a->start_ms;
    return err;
}

static int get_link(struct exchange *x, bool fresh) {
    if (x->protocol->open != NULL)
        return get_shared(x, fresh);
    x->link = fresh ? NULL : take_idle(x);
    x->reused = x->link != NULL;
    int err = x->reused ? 0 : exchange_connect(x);
    if (err != 0)
        return err;
    struct attempt *a = exchange_attempt(x);
    a->reused = x->reused;
    a->connect_ms = loop_now(x->r->loop) - a->start_ms;
    x->plain_in = link_plain_in(x->link);
    x->plain_out = link_plain_out(x->link);
    x->base_out = link_bytes_out(x->link);
    return 0;
}

bool conditions_hold(struct req *r, struct conf_list conditions) {
    conf_list_each(const struct condition, c, conditions) {
        struct str v = req_eval(r, c->value);
        if (v.n == 0 || str_eq(v, STR("0")))
            return false;
    }
    return true;
}

static void debug_asked(struct exchange *x) {
    exchange_name_asked(x);
    log_msg(LOG_DEBUG, 0, "http upstream: %s connection, \"" STR_FMT " " STR_FMT "\"" STR_FMT, x->reused ? "kept" : "new",
            STR_ARG(x->method), STR_ARG(x->uri), STR_ARG(x->r->asked));
}

struct try_result exchange_try(struct exchange *x, bool fresh) {
    bool sent_before = x->bytes_sent_any;
    if (x->gw->allow_upstream.count != 0 && !conditions_hold(x->r, x->gw->allow_upstream)) {
        ends(x, 'P', 'C');
        exchange_log(x, LOG_ERR, 0, connecting, arena_printf(&x->r->arena, "%s_allow_upstream", x->family).p,
                     "access to upstream is denied");
        return failed(NEXT_DENIED, 502);
    }
    send_begin(x);
    choose_kind(x);
    int err = get_link(x, fresh);
    if (err != 0) {
        exchange_attempt(x)->response_ms = loop_now(x->r->loop) - exchange_attempt(x)->start_ms;
        if (err == -ECANCELED)
            return client_left(x, connecting);
        if (err == TRY_TLS_FAILED || err == TRY_TLS_LATE)
            return err == TRY_TLS_LATE ? failed(NEXT_TIMEOUT, 504) : failed(NEXT_ERROR, 502);
        log_connect(x, err);
        if (short_of(err))
            return stopped(500);
        return err == -ETIMEDOUT ? failed(NEXT_TIMEOUT, 504) : failed(NEXT_ERROR, 502);
    }
    if (UNLIKELY(x->r->debugging))
        debug_asked(x);
    err = x->protocol->ask != NULL ? x->protocol->ask(x) : send_and_await(x);
    if (err == 0) {
        if (UNLIKELY(x->r->debugging))
            debug_fields(&x->head, "upstream header");
        return (struct try_result){.end = TRY_ANSWERED};
    }
    struct try_result t = {TRY_FAILED, NEXT_ERROR, 502, true};
    if (!(err != -ECANCELED && x->body_error == 0 && dead_reuse(x, err, sent_before)))
        t = explain(x, err);
    exchange_drop_link(x);
    return t;
}
