// slice size: a large answer is asked for in pieces, each by a request of its own whose Range is $slice_range. So a cache keeps
// pieces, and a back end never sends more than a piece ahead.
//
//   back end   |--- slice 0 ---|--- slice 1 ---|--- slice 2 ---|--|
//   client                 first .......................... end          (a Range of the client, or all of it)
#include "feature/response/range.h"
#include "http/answer.h"
#include "http/plan.h"
#include "http/subrequest.h"
#include "io/loop.h"
#include "wire/range.h"

enum { SKIP_ROOM = 64 << 10 };

struct slice_conf {
    uint64_t size; // 0: off
};

// Of the client's request, and of each request for a slice.
struct slice_ctx {
    struct str range; // $slice_range
    uint64_t start;   // of the slice
    struct slice_body *body;
};

struct slice_body {
    struct body body;
    struct req *r;
    uint64_t size, complete;
    struct str etag;
    struct body *from;   // the slice being read
    uint64_t pos, until; // its next byte; where it ends
    uint64_t first, end; // what is wanted
    int error;
};

struct feature feature_slice;

// --- the variable ----------------------------------------------------------------------------------------------------------

// Where the client's Range begins, if it asks for one part of known beginning and nothing but the answer can deny it.
static uint64_t wanted_start(struct req *r) {
    struct str range = head_value(&r->in, FIELD_RANGE), part;
    if (range.p == NULL || head_has(&r->in, FIELD_IF_RANGE) || !str_istarts(range, STR("bytes=")) || str_chr(range, ',') >= 0)
        return 0;
    range = str_trim(str_from(range, 6));
    uint64_t start;
    if (!str_split(&range, '-', &part) || !str_u64(str_trim(part), INT64_MAX, &start))
        return 0;
    return start;
}

static struct slice_ctx *ctx_at(struct req *r, uint64_t start, uint64_t size) {
    struct slice_ctx *ctx = req_ctx_make(r, &feature_slice, sizeof *ctx);
    ctx->start = start;
    ctx->range = arena_printf(&r->arena, "bytes=%llu-%llu", (unsigned long long)start, (unsigned long long)(start + size - 1));
    return ctx;
}

static bool get_range(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = e->req;
    const struct slice_ctx *ctx = req_ctx(r, &feature_slice);
    const struct slice_conf *c = req_conf(r, &feature_slice);
    if (ctx == NULL && (r != r->main || r->out.status != 0 || c->size == 0))
        return false;
    if (ctx == NULL)
        ctx = ctx_at(r, wanted_start(r) / c->size * c->size, c->size);
    *out = ctx->range;
    return true;
}

// --- what a slice answers --------------------------------------------------------------------------------------------------

struct content_range {
    uint64_t first, end, complete;
};

// "bytes 0-99/200"; false when malformed or without a complete length.
static bool parse_content_range(struct str value, struct content_range *cr) {
    struct str first, last;
    if (!str_istarts(value, STR("bytes ")))
        return false;
    value = str_trim(str_from(value, 6));
    if (!str_split(&value, '-', &first) || !str_split(&value, '/', &last) || value.p == NULL)
        return false;
    uint64_t to;
    if (!str_u64(str_trim(first), INT64_MAX, &cr->first) || !str_u64(str_trim(last), INT64_MAX - 1, &to) ||
        !str_u64(str_trim(value), INT64_MAX, &cr->complete) || to < cr->first || to >= cr->complete)
        return false;
    cr->end = to + 1;
    return true;
}

// Whether the answer is the slice that was asked for. Logged if not.
static bool is_slice(struct req *r, uint64_t start, uint64_t size, struct content_range *cr) {
    struct str value = head_value(&r->out, FIELD_CONTENT_RANGE);
    if (!parse_content_range(value, cr)) {
        log_msg(LOG_ERR, 0, "invalid range in slice response: \"" STR_FMT "\"", STR_ARG(value));
        return false;
    }
    if (cr->first == start && cr->end == MIN(start + size, cr->complete))
        return true;
    log_msg(LOG_ERR, 0, "unexpected range in slice response: %llu-%llu", (unsigned long long)cr->first, (unsigned long long)cr->end);
    return false;
}

// --- the body --------------------------------------------------------------------------------------------------------------

// Asks for the slice where s->pos lies. 0, or -ECANCELED, -EPROTO.
static int next_slice(struct slice_body *s) {
    uint64_t start = s->pos / s->size * s->size;
    body_free(s->from);
    s->from = NULL;
    struct req *sr = subrequest_new(s->r, &(struct subrequest_opts){
                                              .method = s->r->method, .method_text = s->r->method_text, .own_values = true, .clone = true});
    if (sr == NULL)
        return -EPROTO;
    ctx_at(sr, start, s->size);
    s->from = subrequest_start(sr);
    int err = subrequest_wait(sr);
    if (err != 0)
        return err;
    if (sr->outcome != OUTCOME_ANSWER)
        return sr->out.status == 499 ? -ECANCELED : -EPROTO;
    struct content_range cr;
    if (sr->out.status != 206) {
        log_msg(LOG_ERR, 0, "unexpected status code %u in slice response", sr->out.status);
        return -EPROTO;
    }
    if (!is_slice(sr, start, s->size, &cr))
        return -EPROTO;
    if (cr.complete != s->complete || !str_eq(head_value(&sr->out, FIELD_ETAG), s->etag)) {
        log_msg(LOG_ERR, 0, "%s mismatch in slice response", cr.complete != s->complete ? "length" : "etag");
        return -EPROTO;
    }
    s->pos = cr.first;
    s->until = cr.end;
    return 0;
}

// Drops what lies before the wanted bytes.
static ssize_t skip(struct slice_body *s, enum body_wait wait) {
    struct chain c;
    chain_init(&c, loop_blocks(s->r->loop));
    ssize_t n = 1;
    while (s->pos < s->first && n > 0) {
        n = body_read(s->from, &c, (size_t)MIN(s->first - s->pos, (uint64_t)SKIP_ROOM), wait);
        if (n > 0)
            s->pos += (uint64_t)n;
        chain_done(&c);
    }
    return n;
}

static ssize_t read_some(struct slice_body *s, struct chain *to, size_t room, enum body_wait wait) {
    if (s->pos < s->first && s->first >= s->until) { // slices that nobody wants are not asked for
        s->pos = s->until = s->first;
    }
    if (s->pos == s->until) {
        if (wait == BODY_NOWAIT)
            return -EAGAIN;
        int err = next_slice(s);
        if (err != 0)
            return err;
    }
    ssize_t n = s->pos < s->first ? skip(s, wait) : 1;
    if (n > 0)
        n = body_read(s->from, to, (size_t)MIN((uint64_t)room, MIN(s->until, s->end) - s->pos), wait);
    if (n > 0)
        s->pos += (uint64_t)n;
    return n == 0 ? -EPROTO : n; // a slice that is shorter than it said
}

static ssize_t read_slices(struct body *b, struct chain *to, size_t room, enum body_wait wait) {
    struct slice_body *s = container_of(b, struct slice_body, body);
    if (s->error != 0 || s->pos >= s->end)
        return s->error;
    ssize_t n = read_some(s, to, room, wait);
    if (n < 0 && n != -EAGAIN && n != -ECANCELED)
        s->error = (int)n;
    if (n > 0)
        b->length -= n;
    return n;
}

static void ahead_slices(struct body *b) { body_ahead(container_of(b, struct slice_body, body)->from); }
static void free_slices(struct body *b) { body_free(container_of(b, struct slice_body, body)->from); }

static const struct body_ops slice_ops = {"slices", read_slices, ahead_slices, free_slices};

// --- the answer ------------------------------------------------------------------------------------------------------------

static struct slice_body *wrap(struct req *r, uint64_t size) {
    struct slice_body *s = arena_new(&r->arena, struct slice_body);
    body_init(&s->body, &slice_ops, -1);
    s->r = r;
    s->size = size;
    s->from = r->out_body;
    r->out_body = &s->body;
    return s;
}

// The first slice becomes the head of the whole.
static enum step begin(struct req *r, const void *conf) {
    struct slice_ctx *ctx = req_ctx(r, &feature_slice);
    uint64_t size = ((const struct slice_conf *)conf)->size;
    if (ctx == NULL || r != r->main || r->out.status != 206)
        return STEP_NEXT;
    struct content_range cr = {0};
    bool good = is_slice(r, ctx->start, size, &cr);
    struct slice_body *s = ctx->body = wrap(r, size);
    r->out.status = 200;
    r->out.reason = STR_NONE;
    r->conditions_judged = false; // the back end was asked for a part, not about the whole
    head_drop(&r->out, FIELD_CONTENT_RANGE);
    head_drop(&r->out, FIELD_CONTENT_LENGTH);
    head_drop(&r->out, FIELD_ACCEPT_RANGES);
    s->error = good ? 0 : -EPROTO;
    s->complete = s->end = cr.complete;
    s->pos = cr.first;
    s->until = cr.end;
    s->etag = head_value(&r->out, FIELD_ETAG);
    s->body.length = r->out_length = (int64_t)cr.complete;
    if (head_has(&r->out, FIELD_LAST_MODIFIED))
        r->last_modified = LAST_MODIFIED_UNREAD;
    return STEP_NEXT;
}

// What the client's Range cuts out of it: one part, as in nginx.
static enum step cut(struct req *r, const void *conf) {
    struct slice_ctx *ctx = req_ctx(r, &feature_slice);
    if (ctx == NULL || ctx->body == NULL || r->out_body != &ctx->body->body || r->out.status != 200 || ctx->body->error != 0)
        return STEP_NEXT;
    struct slice_body *s = ctx->body;
    head_set(&r->out, FIELD_ACCEPT_RANGES, STR("bytes"));
    struct field *range = head_find(&r->in, FIELD_RANGE), *condition = head_find(&r->in, FIELD_IF_RANGE);
    struct range *ranges;
    size_t count;
    bool wanted = range != NULL && (condition == NULL || range_if_range(condition->value, s->etag, answer_last_modified(r),
                                                                       (int64_t)(loop_wall_ms(r->loop) / 1000)));
    enum range_result res = wanted ? range_parse(range->value, s->complete, 1, &ranges, &count, &r->arena) : RANGE_WHOLE;
    if (res == RANGE_UNSATISFIABLE) {
        range_refuse(r, s->complete);
        return STEP_NEXT;
    }
    if (res != RANGE_SOME) {
        if (s->pos != 0) // the first slice that was asked for is not the first of the whole
            s->pos = s->until = 0;
        return STEP_NEXT;
    }
    s->first = ranges[0].first;
    s->end = ranges[0].end;
    s->body.length = r->out_length = (int64_t)(s->end - s->first);
    r->out.status = 206;
    head_drop(&r->out, FIELD_ACCEPT_RANGES);
    head_set(&r->out, FIELD_CONTENT_RANGE,
             arena_printf(&r->arena, "bytes %llu-%llu/%llu", (unsigned long long)s->first, (unsigned long long)s->end - 1,
                          (unsigned long long)s->complete));
    return STEP_NEXT;
}

static bool bind_slice(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct slice_conf *c = conf;
    if (c->size == 0)
        return true;
    plan_add(cx, s, STAGE_RESPONSE, RESPONSE_SLICE, begin, c, "slice");
    plan_add(cx, s, STAGE_RESPONSE, RESPONSE_RANGE - 1, cut, c, "slice");
    return true;
}

static const struct conf_row rows[] = {
    ROW_SIZE("slice", IN_HTTP_ALL, struct slice_conf, size, "0", 0, 0, "The size of the pieces that answers are asked for in; 0: whole."),
};

static const struct var_def vars[] = {
    {"slice_range", false, VAR_VOLATILE, get_range, NULL, 0, "The current piece, as a Range field says it: bytes=0-1048575."},
};

struct feature feature_slice = {.name = "slice",
                                .rows = rows,
                                .nrows = ARRAY_LEN(rows),
                                .vars = vars,
                                .nvars = ARRAY_LEN(vars),
                                .conf_size = sizeof(struct slice_conf),
                                .bind = bind_slice};
