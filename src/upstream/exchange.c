// Asking a group: which peer, how often, and when to stop. nginx's proxy_next_upstream rules, and one more: a request that
// meets an idle connection which the peer had just closed is repeated once on a fresh one, without a word to the failure
// counts, when repeating cannot do harm.
#include "http/answer.h"
#include "http/conn.h"
#include "io/loop.h"
#include "upstream/exchange_private.h"
#include "upstream/names.h"
#include "upstream/queue.h"

struct feature feature_exchange = {.name = "exchange"};
struct feature feature_exchange_order = {.name = "exchange order"};

void exchange_order(struct req *r, struct exchange_order *o) { req_set_ctx(r, &feature_exchange_order, o); }

struct exchange *exchange_of(const struct req *r) { return req_ctx(r, &feature_exchange); }

// --- log -------------------------------------------------------------------------------------------------------------------

void exchange_name_asked(struct exchange *x) {
    struct req *r = x->r;
    if (x->peer != NULL || r->asked.p == NULL)
        r->asked = arena_printf(&r->arena, STR_FMT STR_FMT "%s%s" STR_FMT, STR_ARG(x->scheme),
                                STR_ARG(x->peer != NULL ? x->peer->name : x->group->name),
                                x->peer != NULL && x->peer->addr.sa.sa_family == AF_UNIX ? ":" : "",
                                x->uri.n != 0 && x->uri.p[0] != '/' ? "/" : "", STR_ARG(x->uri));
}

// How long the try had lasted, and what to look at.
static const char *with_time(struct exchange *x) {
    const struct attempt *a = &x->attempts[x->nattempts - 1];
    return arena_printf(&x->r->arena, "after %llu ms; %s", (unsigned long long)(loop_now(x->r->loop) - a->start_ms), x->hint).p;
}

void exchange_log(struct exchange *x, int level, int err, const char *phase, const char *note, const char *fmt, ...) {
    struct req *r = x->r;
    x->phase = phase;
    if (!log_wants((enum log_level)level))
        return;
    char text[1024];
    struct sbuf b;
    sbuf_init_fixed(&b, text, sizeof(text));
    va_list ap;
    va_start(ap, fmt);
    sbuf_vprintf(&b, fmt, ap);
    va_end(ap);
    exchange_name_asked(x);
    const char *before = r->phase;
    r->phase = note == NULL ? phase : arena_printf(&r->arena, "%s (%s)", phase, note).p;
    r->hint = x->hint == NULL ? NULL : x->peer == NULL ? x->hint : with_time(x);
    log_msg((enum log_level)level, err, "%s", sbuf_cstr(&b));
    r->hint = x->hint = NULL;
    r->phase = before;
}

const char *exchange_note(struct exchange *x, const char *directive, uint64_t value, const char *unit) {
    return arena_printf(&x->r->arena, "%s_%s %llu%s%s", x->family, directive, (unsigned long long)value, *unit ? " " : "", unit).p;
}

// --- ends ------------------------------------------------------------------------------------------------------------------

static void note_counters(struct exchange *x) {
    struct attempt *a = exchange_attempt(x);
    if (x->link != NULL) {
        a->bytes_sent += link_plain_out(x->link) - x->plain_out;
        a->bytes_received += link_plain_in(x->link) - x->plain_in;
    }
    a->response_ms = loop_now(x->r->loop) - a->start_ms;
}

void exchange_drop_link(struct exchange *x) {
    send_end(x);
    note_counters(x);
    if (x->protocol->close != NULL)
        x->protocol->close(x, false);
    link_free(x->link);
    x->link = NULL;
    chain_done(&x->early);
    block_unref(x->head_block);
    x->head_block = NULL;
}

static void release(struct exchange *x, enum peer_result result) {
    if (x->peer == NULL || x->released)
        return;
    x->released = true;
    exchange_end_canary(x, result == PEER_OK);
    const char *before = x->r->phase;
    if (result == PEER_FAILED)
        x->r->phase = x->phase;
    const struct attempt *a = exchange_attempt(x);
    struct peer_end end = {result, a->start_ms, a->status, a->header_ms, a->bytes_sent, a->bytes_received};
    group_release(x->group, x->peer, &end, loop_now(x->r->loop));
    x->r->phase = before;
}

// A client that goes away cancels the request's task, until the back end has nothing more to give. A subrequest with a task of
// its own is cancelled by whoever waits for it.
static void watch_client(struct exchange *x, bool on) {
    if (x->watched == NULL && on && x->r->conn != NULL && !x->gw->ignore_client_abort && !x->for_others &&
        task_self() == x->r->main->task) {
        if (req_watch_client(x->r->main))
            x->watched = x->r->main;
    } else if (x->watched != NULL && !on) {
        req_unwatch_client(x->watched);
        x->watched = NULL;
    }
}

void exchange_done(struct exchange *x, bool clean) {
    if (x->done)
        return;
    x->done = true;
    watch_client(x, false);
    send_end(x);
    note_counters(x);
    if (x->protocol->close != NULL)
        x->protocol->close(x, clean);
    bool keep = clean && x->keepalive && x->request_sent && chain_empty(&x->early) && x->link != NULL;
    chain_done(&x->early);
    if (keep)
        pool_give_tagged(x->group, x->peer, x->link, x->link_requests + 1, x->link_since, x->keep_ms, x->tag);
    else
        link_free(x->link);
    x->link = NULL;
    release(x, PEER_OK);
}

int exchange_body_failed(struct exchange *x, int err, const char *invalid) {
    static const char reading[] = "reading upstream";
    req_ended(x->r, err == -ETIMEDOUT ? 's' : err == -EPROTO ? 'P' : err == -ECANCELED ? 'C' : 'S', 'D');
    if (err == -ETIMEDOUT)
        x->hint = "the application stopped in the middle of its answer: see its log";
    else if (err != -EPROTO && err != -ECANCELED)
        x->hint = "the answer is cut: see the application's log for a crash or a restart";
    switch (err) {
    case -EPIPE:
        exchange_log(x, LOG_ERR, 0, reading, NULL, "upstream prematurely closed connection");
        break;
    case -ETIMEDOUT:
        exchange_log(x, LOG_ERR, ETIMEDOUT, reading, exchange_note(x, "read_timeout", x->gw->read_timeout, "ms"),
                     "upstream timed out");
        break;
    case -EPROTO:
        exchange_log(x, LOG_ERR, 0, reading, NULL, "%s", invalid);
        break;
    case -ECANCELED:
        break;
    default:
        exchange_log(x, LOG_ERR, -err, reading, NULL, "recv() failed");
    }
    exchange_done(x, false);
    return err == -EPIPE ? -ECONNRESET : err;
}

void exchange_watch_client(struct exchange *x) {
    x->for_others = false;
    if (!x->done)
        watch_client(x, true);
}

void exchange_answered(struct exchange *x) {
    if (x->attempts == NULL) { // nobody was asked
        x->prev = exchange_of(x->r);
        req_set_ctx(x->r, &feature_exchange, x);
    } else if (!x->released) {
        exchange_done(x, false);
    }
    x->from_store = true;
}

struct link *exchange_take_link(struct exchange *x) {
    CHECK(x->link != NULL && !x->done && !x->released);
    x->done = x->released = true;
    exchange_end_canary(x, true);
    watch_client(x, false);
    send_end(x);
    struct link *l = x->link;
    x->link = NULL;
    link_unread(l, &x->early);
    return l;
}

// With the request's arena: bodies have called exchange_done before, unless no body was ever made.
static void forget(void *arg) {
    struct exchange *x = arg;
    CHECK(x->sender == NULL && x->request_body == NULL);
    watch_client(x, false);
    if (x->protocol->close != NULL)
        x->protocol->close(x, false);
    chain_done(&x->early);
    chain_done(&x->out);
    link_free(x->link);
    x->link = NULL;
    release(x, PEER_NEUTRAL);
    block_unref(x->head_block);
    x->head_block = NULL;
    group_done(x->group);
}

// --- tries -----------------------------------------------------------------------------------------------------------------

static void begin(struct exchange *x) {
    struct req *r = x->r;
    x->prev = exchange_of(r);
    req_set_ctx(r, &feature_exchange, x);
    x->attempts = &x->first;
    x->attempts_cap = 1;
    x->start_ms = loop_now(r->loop);
    x->keep_ms = x->queue_ms = UINT64_MAX;
    x->request_length = -1;
    chain_init(&x->out, loop_blocks(r->loop));
    chain_init(&x->early, loop_blocks(r->loop));
    x->group = group_now(x->group);
    x->tried = arena_array(&r->arena, uint64_t, group_bits(x->group));
    int64_t tries = 0;
    for (unsigned i = 0; i < x->group->npeers; i++)
        tries += (x->group->peers[i].flags & PEER_DOWN) == 0;
    x->tries_left = x->gw->next_upstream_tries > 0 ? MIN(tries, x->gw->next_upstream_tries) : tries;
    arena_cleanup(&r->arena, forget, x);
}

static void add_attempt(struct exchange *x, struct str addr) {
    if (x->nattempts == EXCHANGE_ATTEMPTS_MAX)
        x->nattempts--; // the last place tells of the latest
    if (x->nattempts == x->attempts_cap) {
        unsigned cap = x->attempts_cap == 1 ? 8 : EXCHANGE_ATTEMPTS_MAX;
        struct attempt *more = arena_array(&x->r->arena, struct attempt, cap);
        memcpy(more, x->attempts, x->nattempts * sizeof(*more));
        x->attempts = more;
        x->attempts_cap = cap;
    }
    x->attempts[x->nattempts++] = (struct attempt){
        .addr = addr,
        .start_ms = loop_now(x->r->loop),
        .queue_ms = x->queue_ms,
        .connect_ms = UINT64_MAX,
        .header_ms = UINT64_MAX,
        .response_ms = UINT64_MAX,
    };
    x->queue_ms = UINT64_MAX;
}

static bool time_is_over(const struct exchange *x) {
    uint64_t limit = x->gw->next_upstream_timeout;
    return limit != 0 && loop_now(x->r->loop) - x->start_ms >= limit;
}

// nginx: POST, LOCK and PATCH are not repeated once something of them was sent, unless non_idempotent; or the peer says that it
// has done nothing with the request.
static unsigned with_method(const struct exchange *x, unsigned why) {
    enum method m = method_from(x->method);
    bool unsafe = m == METHOD_POST || m == METHOD_LOCK || m == METHOD_PATCH;
    return unsafe && x->bytes_sent_any && !x->repeatable ? why | NEXT_NON_IDEMPOTENT : why;
}

static bool wants_next(const struct exchange *x, unsigned why) {
    unsigned mask = with_method(x, why);
    return (x->gw->next_upstream & NEXT_OFF) == 0 && (x->gw->next_upstream & mask) == mask && !x->streamed_any &&
           !time_is_over(x);
}

unsigned next_bit_of_status(unsigned status) {
    switch (status) {
    case 500: return NEXT_500;
    case 502: return NEXT_502;
    case 503: return NEXT_503;
    case 504: return NEXT_504;
    case 403: return NEXT_403;
    case 404: return NEXT_404;
    case 429: return NEXT_429;
    default: return 0;
    }
}

// The answer is one that proxy_next_upstream names, and there is another peer to ask.
static bool refuse_answer(struct exchange *x, struct try_result *t) {
    unsigned why = next_bit_of_status(x->head.status);
    if (why == 0 || x->tries_left <= 1 || !wants_next(x, why))
        return false;
    *t = (struct try_result){TRY_FAILED, why, x->head.status, false};
    exchange_drop_link(x);
    return true;
}

static struct try_result ask_peer(struct exchange *x) {
    struct try_result t = exchange_try(x, false);
    if (t.end == TRY_FAILED && t.dead_reuse) {
        exchange_log(x, LOG_INFO, 0, "sending request to upstream", NULL,
                     "upstream had closed an idle connection, repeating the request on a new one");
        t = exchange_try(x, true);
    }
    return t;
}

// Nobody can be asked: a try without a peer, which the variables name by the group.
static void try_nobody(struct exchange *x, unsigned status) {
    x->peer = NULL;
    x->r->asked = STR_NONE;
    add_attempt(x, x->group->name);
    exchange_attempt(x)->status = status;
    exchange_attempt(x)->response_ms = 0;
}

static unsigned no_live_upstreams(struct exchange *x) {
    try_nobody(x, 502);
    x->failure = NEXT_ERROR;
    struct str missing = names_missing(x->group, &x->r->arena);
    struct str why = missing.n != 0 ? missing : group_why(x->group, &x->r->arena, loop_now(x->r->loop));
    x->hint = missing.n != 0 ? "is the name right, and does the name server (resolver) answer?"
                             : "see the lines before about these servers";
    x->end_who = 'S';
    x->end_phase = 'C';
    exchange_log(x, LOG_ERR, 0, "connecting to upstream", why.p, "no live upstreams");
    return 502;
}

// The group's queue: waits for a peer. NULL: *status is the answer.
static struct peer *wait_in_queue(struct exchange *x, unsigned *status) {
    static const char busy[] = "all servers are at max_conns, or failed lately: are they slow? else more servers, or a higher max_conns";
    enum queue_end end = QUEUE_FULL;
    uint64_t start = loop_now(x->r->loop);
    struct peer *p = queue_wait(x->group, x->r, x->tried, &end);
    if (end != QUEUE_FULL || p != NULL)
        x->queue_ms = loop_now(x->r->loop) - start;
    if (p != NULL)
        return p;
    *status = end == QUEUE_CANCELLED ? 499 : 502;
    try_nobody(x, *status);
    x->end_who = end == QUEUE_CANCELLED ? 'C' : end == QUEUE_FULL ? 'P' : 's';
    x->end_phase = 'Q';
    if (end == QUEUE_CANCELLED) {
        exchange_log(x, LOG_INFO, 0, "waiting in the queue of the upstream", NULL, "client prematurely closed connection");
    } else if (end == QUEUE_FULL) {
        x->hint = busy;
        exchange_log(x, LOG_ERR, 0, "connecting to upstream",
                     arena_printf(&x->r->arena, "queue %u", x->group->queue).p, "upstream queue is full");
    } else {
        x->hint = busy;
        exchange_log(x, LOG_ERR, 0, "connecting to upstream",
                     arena_printf(&x->r->arena, "queue timeout %llu ms", (unsigned long long)(loop_now(x->r->loop) - start)).p,
                     "upstream queue timed out");
    }
    return NULL;
}

static struct peer *next_peer(struct exchange *x, unsigned *status) {
    struct peer *p = NULL;
    bool may_wait = x->group->queue != 0 && x->nattempts == 0;
    if (!may_wait || !queue_is_waiting(x->group))
        p = group_choose(x->group, x->r, x->tried, loop_now(x->r->loop));
    if (p == NULL && may_wait)
        return wait_in_queue(x, status);
    if (p == NULL)
        *status = no_live_upstreams(x);
    return p;
}

static unsigned run_tries(struct exchange *x) {
    for (;;) {
        unsigned status = 502;
        struct peer *p = next_peer(x, &status);
        if (p == NULL)
            return status;
        x->peer = p;
        x->released = false;
        add_attempt(x, p->name);
        struct try_result t = ask_peer(x);
        struct attempt *a = exchange_attempt(x);
        if (t.end == TRY_ANSWERED) {
            a->status = x->head.status;
            a->header_ms = loop_now(x->r->loop) - a->start_ms;
            if (!refuse_answer(x, &t)) {
                if (x->group->sticky != NULL && x->group->sticky->answered != NULL)
                    x->group->sticky->answered(x->group, x);
                return 0;
            }
        }
        if (t.end == TRY_STOPPED) {
            release(x, PEER_NEUTRAL);
            return t.status;
        }
        x->failure = t.why;
        a->status = t.status;
        release(x, t.why & (NEXT_403 | NEXT_404 | NEXT_DENIED) ? PEER_NEUTRAL : PEER_FAILED);
        x->tries_left--;
        if (x->tries_left <= 0 || !wants_next(x, t.why))
            return t.status;
    }
}

static unsigned run(struct exchange *x) {
    begin(x);
    unsigned status = send_prepare(x);
    if (status != 0)
        return status;
    watch_client(x, true);
    status = run_tries(x);
    if (status != 0) {
        if (x->end_who != 0)
            req_ended(x->r, x->end_who, x->end_phase);
        send_end(x); // a try that got no connection still has its reader of the body
        watch_client(x, false);
    }
    return status;
}

static unsigned run_order(struct exchange *x, struct exchange_order *o) {
    o->found = x->group;
    o->exchange = x;
    if (o->group == NULL) {
        o->exchange = NULL;
        return 502;
    }
    x->group = o->group;
    x->uri = o->uri;
    x->text_body = o->body;
    unsigned status = run(x);
    o->answered = status == 0;
    return status;
}

unsigned exchange_run(struct exchange *x) {
    struct exchange_order *o = x->r->conn == NULL ? req_ctx(x->r, &feature_exchange_order) : NULL;
    if (UNLIKELY(o != NULL))
        return run_order(x, o);
    names_await(x->group);
    return run(x);
}
