// limit_rate, limit_rate_after, $limit_rate, X-Accel-Limit-Rate: answers that go out no faster than that.
#include "feature/response/limit_rate.h"
#include "http/filter.h"
#include "http/plan.h"
#include "io/loop.h"
#include "upstream/exchange.h"

struct limit_rate_conf {
    struct tmpl *rate, *after; // bytes a second; bytes. Values with variables are parsed as they come
};

struct limit_rate_ctx {
    bool set;
    uint64_t rate; // by $limit_rate or X-Accel-Limit-Rate
};

struct feature feature_limit_rate;

struct rate_body {
    struct body body;
    struct body *inner;
    struct req *r;
    uint64_t rate, after, sent, start_ms;
};

enum { STEPS_A_SECOND = 8 };

// How many bytes may go out now. As in nginx, a second's worth at once at the beginning.
static uint64_t allowance(const struct rate_body *b) {
    uint64_t ms = loop_now(b->r->loop) - b->start_ms + 1000;
    uint64_t all = b->after + ms / 1000 * b->rate + ms % 1000 * b->rate / 1000;
    return all > b->sent ? all - b->sent : 0;
}

// Until there is room for a worthwhile piece: the client may leave meanwhile, and the back end may go on.
static int wait_for_room(struct rate_body *b) {
    uint64_t piece = MAX(b->rate / STEPS_A_SECOND, (uint64_t)1);
    uint64_t short_of = piece + b->sent - b->after;
    uint64_t at = b->start_ms + short_of / b->rate * 1000 + short_of % b->rate * 1000 / b->rate + 1;
    at = at > 1000 ? at - 1000 : 0;
    uint64_t now = loop_now(b->r->loop);
    body_ahead(b->inner);
    bool watching = req_watch_client(b->r);
    int err = task_sleep_ms(at > now ? at - now : 1);
    if (watching)
        req_unwatch_client(b->r);
    return err;
}

static ssize_t read_limited(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct rate_body *b = container_of(body, struct rate_body, body);
    uint64_t may = allowance(b);
    if (may == 0 && wait == BODY_NOWAIT)
        return -EAGAIN;
    while (may == 0) {
        int err = wait_for_room(b);
        if (err != 0)
            return err;
        may = allowance(b);
    }
    ssize_t n = body_read(b->inner, to, (size_t)MIN((uint64_t)room, may), wait);
    if (n > 0)
        b->sent += (uint64_t)n;
    body->length = b->inner->length;
    body->flush = b->inner->flush;
    body->trailers = b->inner->trailers;
    return n;
}

static void ahead_limited(struct body *body) { body_ahead(container_of(body, struct rate_body, body)->inner); }
static void free_limited(struct body *body) { body_free(container_of(body, struct rate_body, body)->inner); }

static const struct body_ops limited_ops = {"limit_rate", read_limited, ahead_limited, free_limited};

static uint64_t size_of(struct req *r, const struct tmpl *t) {
    uint64_t n;
    struct str text = t != NULL ? req_eval(r, t) : STR_NONE;
    return text.n != 0 && conf_parse_size(text, &n) ? n : 0;
}

void limit_rate_note(struct req *r, const struct exchange *x) {
    if (r != r->main || x == NULL || x->head_block == NULL || (x->gw->ignore_headers & IGNORE_ACCEL_LIMIT_RATE))
        return;
    struct str said = head_value(&x->head, FIELD_X_ACCEL_LIMIT_RATE);
    uint64_t rate;
    if (said.p == NULL || !str_u64(said, INT64_MAX, &rate))
        return;
    struct limit_rate_ctx *ctx = req_ctx_make(r, &feature_limit_rate, sizeof *ctx);
    *ctx = (struct limit_rate_ctx){true, rate};
}

static enum step limit(struct req *r, const void *conf) {
    const struct limit_rate_conf *c = conf;
    if (r != r->main)
        return STEP_NEXT;
    limit_rate_note(r, exchange_of(r));
    const struct limit_rate_ctx *ctx = req_ctx(r, &feature_limit_rate);
    uint64_t rate = ctx != NULL && ctx->set ? ctx->rate : size_of(r, c->rate);
    if (rate == 0 || r->out_body == NULL)
        return STEP_NEXT;
    struct rate_body *b = arena_new(&r->arena, struct rate_body);
    body_init(&b->body, &limited_ops, r->out_body->length);
    b->body.flush = r->out_body->flush;
    b->inner = r->out_body;
    b->r = r;
    b->rate = rate;
    b->after = size_of(r, c->after);
    b->start_ms = loop_now(r->loop);
    r->out_body = &b->body;
    return STEP_NEXT;
}

static bool get_rate(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = ((struct req *)e->req)->main;
    const struct limit_rate_ctx *ctx = req_ctx(r, &feature_limit_rate);
    *out = ctx != NULL ? arena_printf(e->arena, "%llu", (unsigned long long)ctx->rate) : STR("0");
    return true;
}

static void set_rate(struct eval *e, const struct var *v, struct str value) {
    struct req *r = ((struct req *)e->req)->main;
    uint64_t rate;
    if (!conf_parse_size(value, &rate)) {
        log_msg(LOG_ERR, 0, "invalid $limit_rate \"" STR_FMT "\"", STR_ARG(value));
        return;
    }
    struct limit_rate_ctx *ctx = req_ctx_make(r, &feature_limit_rate, sizeof *ctx);
    *ctx = (struct limit_rate_ctx){true, rate};
}

static bool set_size(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    uint64_t n;
    if (!tmpl_has_var(node->args[1]) && !conf_parse_size(node->args[1], &n))
        return conf_err(cx, node, "\"" STR_FMT "\" directive invalid value", STR_ARG(node->args[0]));
    struct tmpl *t = tmpl_compile(cx, node->args[1], node);
    *(struct tmpl **)((char *)conf + row->offset) = t;
    return t != NULL;
}

// Everywhere, because a variable or a back end may ask for it; where nobody does it looks at three pointers.
static bool bind_limit_rate(struct conf_cx *cx, struct scope *s, void *conf) {
    plan_add(cx, s, STAGE_RESPONSE, RESPONSE_RATE, limit, conf, "limit_rate");
    return true;
}

#define AT(f) FIELD_AT(struct limit_rate_conf, f, struct tmpl *)
static const struct conf_row rows[] = {
    {"limit_rate", IN_HTTP_ALL | IN_IF, 1, 1, 0, 0, set_size, NULL, AT(rate), "0", 0, 0, NULL,
     "Bytes a second that an answer is sent with at most; 0: no limit.", "rate"},
    {"limit_rate_after", IN_HTTP_ALL | IN_IF, 1, 1, 0, 0, set_size, NULL, AT(after), "0", 0, 0, NULL,
     "Bytes of an answer that go out before limit_rate begins.", "size"},
};

static const struct var_def vars[] = {
    {"limit_rate", false, VAR_VOLATILE | VAR_CHANGEABLE, get_rate, set_rate, 0, "Set it to limit the rate of the answer; 0 as long as it is not set."},
};

struct feature feature_limit_rate = {.name = "limit_rate",
                                     .rows = rows,
                                     .nrows = ARRAY_LEN(rows),
                                     .vars = vars,
                                     .nvars = ARRAY_LEN(vars),
                                     .conf_size = sizeof(struct limit_rate_conf),
                                     .bind = bind_limit_rate};
