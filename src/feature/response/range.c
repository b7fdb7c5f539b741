// Range: 206 with one part or several, 416 (RFC 9110 14), and max_ranges.
#include "feature/response/range.h"
#include "http/answer.h"
#include "http/plan.h"
#include "io/loop.h"
#include "wire/range.h"

struct range_conf {
    int64_t max_ranges;
};

struct range_ctx {
    struct file_ref *whole; // NULL: the body is read in order
    bool single;            // more parts than one: the whole
};

void range_allow(struct req *r, struct file_ref *whole) {
    struct range_ctx *c = req_ctx_make(r, &feature_range, sizeof *c);
    c->whole = whole;
    c->single = false;
}

void range_allow_one(struct req *r) {
    range_allow(r, NULL);
    ((struct range_ctx *)req_ctx(r, &feature_range))->single = true;
}

void range_in_order(struct req *r) {
    struct range_ctx *c = req_ctx(r, &feature_range);
    if (c != NULL)
        c->whole = NULL;
}

// --- the parts as a body -------------------------------------------------------------------------------------------------

struct part {
    struct str head; // in front of it
    struct range at;
};

struct parts_body {
    struct body body;
    struct body *inner;
    struct file_ref *whole; // held by inner
    struct part *parts;
    unsigned count, now;
    struct str end;         // behind the last one
    size_t head_sent;
    uint64_t pos;           // of inner: bytes read so far
    uint64_t sent;          // of the part
};

static ssize_t read_end(struct parts_body *b, struct chain *to, size_t room) {
    size_t n = MIN(room, b->end.n);
    chain_add_const(to, b->end.p, n);
    b->end = str_from(b->end, n);
    return (ssize_t)n;
}

// Drops what lies before the part, unless the body can begin anywhere. A file's bytes cost nothing to drop.
static ssize_t skip(struct parts_body *b, uint64_t to, enum body_wait wait) {
    if (b->inner->ops->seek != NULL && b->pos != to) {
        b->inner->ops->seek(b->inner, to);
        b->pos = to;
    }
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    ssize_t n = 1;
    while (b->pos < to && n > 0) {
        n = body_read(b->inner, &c, (size_t)MIN(to - b->pos, (uint64_t)1 << 20), wait);
        if (n > 0)
            b->pos += (uint64_t)n;
        chain_drop(&c, c.bytes);
    }
    chain_done(&c);
    return n == 0 ? -EPIPE : n;
}

static ssize_t read_part(struct parts_body *b, struct part *p, struct chain *to, size_t room, enum body_wait wait) {
    uint64_t at = p->at.first + b->sent;
    room = (size_t)MIN((uint64_t)room, p->at.end - at);
    ssize_t n;
    if (b->whole != NULL) {
        n = (ssize_t)room;
        chain_add_file(to, b->whole, (off_t)at, room);
    } else {
        n = skip(b, at, wait);
        if (n > 0)
            n = body_read(b->inner, to, room, wait);
        if (n == 0)
            n = -EPIPE;
        if (n > 0)
            b->pos += (uint64_t)n;
    }
    if (n > 0)
        b->sent += (uint64_t)n;
    if (at + (uint64_t)MAX(n, 0) == p->at.end) {
        b->now++;
        b->sent = b->head_sent = 0;
    }
    return n;
}

static ssize_t read_parts(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct parts_body *b = container_of(body, struct parts_body, body);
    ssize_t n;
    if (b->now == b->count) {
        n = read_end(b, to, room);
    } else {
        struct part *p = &b->parts[b->now];
        if (b->head_sent < p->head.n) {
            struct str rest = str_head(str_from(p->head, b->head_sent), room);
            chain_add_const(to, rest.p, rest.n);
            b->head_sent += rest.n;
            n = (ssize_t)rest.n;
        } else {
            n = read_part(b, p, to, room, wait);
        }
    }
    if (n > 0)
        body->length -= n;
    return n;
}

static void ahead_parts(struct body *body) { body_ahead(container_of(body, struct parts_body, body)->inner); }
static void free_parts(struct body *body) { body_free(container_of(body, struct parts_body, body)->inner); }

static const struct body_ops parts_ops = {"ranges", read_parts, ahead_parts, free_parts};

static struct parts_body *wrap(struct req *r, unsigned count, struct file_ref *whole) {
    struct parts_body *b = arena_new(&r->arena, struct parts_body);
    body_init(&b->body, &parts_ops, 0);
    b->body.in_memory = r->out_body->in_memory;
    b->body.ranges = whole != NULL;
    b->inner = r->out_body;
    b->whole = whole;
    b->count = count;
    b->parts = arena_array(&r->arena, struct part, count);
    r->out_body = &b->body;
    return b;
}

static void finish(struct req *r, uint64_t length) {
    r->out_body->length = (int64_t)length;
    r->out_length = (int64_t)length;
    r->out.status = 206;
    r->out.reason = STR_NONE;
    head_drop(&r->out, FIELD_CONTENT_LENGTH);
    head_drop(&r->out, FIELD_ACCEPT_RANGES);
}

static void one_part(struct req *r, const struct range *range, uint64_t size, struct file_ref *whole) {
    struct parts_body *b = wrap(r, 1, whole);
    b->parts[0].at = *range;
    head_set(&r->out, FIELD_CONTENT_RANGE,
             arena_printf(&r->arena, "bytes %llu-%llu/%llu", (unsigned long long)range->first,
                          (unsigned long long)range->end - 1, (unsigned long long)size));
    finish(r, range->end - range->first);
}

// multipart/byteranges (RFC 9110 14.6).
static void many_parts(struct req *r, const struct range *ranges, unsigned count, uint64_t size, struct file_ref *whole) {
    static __thread uint64_t boundaries;
    if (boundaries == 0)
        boundaries = loop_wall_ms(r->loop) * 1000;
    unsigned long long boundary = ++boundaries;
    struct parts_body *b = wrap(r, count, whole);
    struct str type = head_value(&r->out, FIELD_CONTENT_TYPE);
    struct str type_line = type.n != 0 ? arena_printf(&r->arena, "Content-Type: " STR_FMT "\r\n", STR_ARG(type)) : STR("");
    uint64_t length = 0;
    for (unsigned i = 0; i < count; i++) {
        b->parts[i].at = ranges[i];
        b->parts[i].head = arena_printf(
            &r->arena, "\r\n--%020llu\r\n" STR_FMT "Content-Range: bytes %llu-%llu/%llu\r\n\r\n", boundary, STR_ARG(type_line),
            (unsigned long long)ranges[i].first, (unsigned long long)ranges[i].end - 1, (unsigned long long)size);
        length += b->parts[i].head.n + (ranges[i].end - ranges[i].first);
    }
    b->end = arena_printf(&r->arena, "\r\n--%020llu--\r\n", boundary);
    head_set(&r->out, FIELD_CONTENT_TYPE, arena_printf(&r->arena, "multipart/byteranges; boundary=%020llu", boundary));
    finish(r, length + b->end.n);
}

// --- the hook ------------------------------------------------------------------------------------------------------------

void range_refuse(struct req *r, uint64_t size) {
    answer_instead(r, 416);
    head_set(&r->out, FIELD_CONTENT_RANGE, arena_printf(&r->arena, "bytes */%llu", (unsigned long long)size));
}

static bool in_order(const struct range *ranges, size_t count) {
    for (size_t i = 1; i < count; i++) {
        if (ranges[i].first < ranges[i - 1].end)
            return false;
    }
    return true;
}

static enum step cut(struct req *r, const void *conf) {
    const struct range_conf *c = conf;
    const struct range_ctx *ctx = req_ctx(r, &feature_range);
    if (ctx == NULL || r->out.status != 200 || r != r->main || r->out_length < 0 || r->in.version < 10)
        return STEP_NEXT;
    if (c->max_ranges == 0)
        return STEP_NEXT;
    head_set(&r->out, FIELD_ACCEPT_RANGES, STR("bytes"));
    struct field *range = head_find(&r->in, FIELD_RANGE);
    if (range == NULL || (r->out_body == NULL && r->out_length != 0))
        return STEP_NEXT;
    struct field *if_range = head_find(&r->in, FIELD_IF_RANGE);
    if (if_range != NULL && !range_if_range(if_range->value, head_value(&r->out, FIELD_ETAG), answer_last_modified(r),
                                            (int64_t)(loop_wall_ms(r->loop) / 1000)))
        return STEP_NEXT;
    struct range *ranges;
    size_t count, max = ctx->single ? 1 : c->max_ranges < 0 ? SIZE_MAX : (size_t)c->max_ranges;
    uint64_t size = (uint64_t)r->out_length;
    switch (range_parse(range->value, size, max, &ranges, &count, &r->arena)) {
    case RANGE_WHOLE:
        return STEP_NEXT;
    case RANGE_UNSATISFIABLE:
        range_refuse(r, size);
        return STEP_NEXT;
    case RANGE_SOME:
        break;
    }
    bool anywhere = ctx->whole != NULL || (r->out_body != NULL && r->out_body->ops->seek != NULL);
    if (r->out_body == NULL || (!anywhere && !in_order(ranges, count)))
        return STEP_NEXT;
    if (count == 1)
        one_part(r, ranges, size, ctx->whole);
    else
        many_parts(r, ranges, (unsigned)count, size, ctx->whole);
    return STEP_NEXT;
}

static bool set_max_ranges(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    if (!conf_parse_num(node->args[1], &((struct range_conf *)conf)->max_ranges))
        return conf_err(cx, node, "\"max_ranges\" directive invalid number");
    return true;
}

static bool finish_conf(struct conf_cx *cx, struct scope *s, void *conf) {
    if (s->outer == NULL)
        ((struct range_conf *)conf)->max_ranges = -1;
    return true;
}

static bool bind_range(struct conf_cx *cx, struct scope *s, void *conf) {
    plan_add(cx, s, STAGE_RESPONSE, RESPONSE_RANGE, cut, conf, "range");
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("max_ranges", IN_HTTP_ALL, 1, 1, 0, set_max_ranges, NULL, "number",
            "How many parts a Range may ask for; 0 switches ranges off; not limited by default."),
};

struct feature feature_range = {.name = "range",
                                .rows = rows,
                                .nrows = ARRAY_LEN(rows),
                                .conf_size = sizeof(struct range_conf),
                                .finish = finish_conf,
                                .bind = bind_range};
