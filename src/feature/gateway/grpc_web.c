// grpc_web: clients in browsers, which can neither see trailers nor speak gRPC over HTTP/1.1, reach gRPC servers. Requests of a
// gRPC-Web type go to the back end as gRPC, its answers come back as gRPC-Web: the trailers as the last frame of the body, all
// of it in base64 for the -text types. What a browser asks first of another origin (CORS) is not its matter: `add_header`.
#include "base/base64.h"
#include "feature/gateway/gateway.h"
#include "http/filter.h"
#include "io/loop.h"
#include "wire/grpc_web.h"

enum {
    READ_ROOM = 24576,           // a multiple of 3: base64 without padding inside
    TRAILERS_MAX = 1 << 20,
};

extern struct feature feature_grpc_web;

struct grpc_web_conf {
    bool on;
};

// --- requests ----------------------------------------------------------------------------------------------------------------------

// The bytes behind a body in base64. The inner body is the exchange's.
struct decoded {
    struct body body;
    struct body *inner;
    struct grpc_web_decoder decoder;
    struct chain text;  // read and not decoded yet
    struct chain ready; // decoded
    int error;
};

static int malformed(struct decoded *d) {
    log_msg(LOG_INFO, 0, "client sent a body of type application/grpc-web-text that is not base64");
    return d->error = -EPROTO;
}

// What was read: false when it is malformed.
static bool decode_text(struct decoded *d) {
    if (chain_empty(&d->text))
        return true;
    struct block *b = block_new(d->ready.pool, d->text.bytes + 2);
    struct sbuf out;
    bool ok = true;
    sbuf_init_fixed(&out, b->data, b->size);
    for (const struct piece *p = d->text.head; p != NULL && ok; p = p->next)
        ok = grpc_web_decode(&d->decoder, &out, str_n(p->p, p->n));
    chain_done(&d->text);
    if (out.n != 0)
        chain_give_block(&d->ready, b, b->data, out.n);
    else
        block_unref(b);
    return ok;
}

static ssize_t read_decoded(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct decoded *d = container_of(body, struct decoded, body);
    while (chain_empty(&d->ready) && d->error == 0) {
        ssize_t n = body_read(d->inner, &d->text, READ_ROOM, wait);
        if (n < 0)
            return n;
        if (n == 0 && grpc_web_decoded(&d->decoder))
            return 0;
        if (n == 0 || !decode_text(d))
            malformed(d);
    }
    return d->error != 0 ? d->error : (ssize_t)chain_move(to, &d->ready, room);
}

static void free_decoded(struct body *body) {
    struct decoded *d = container_of(body, struct decoded, body);
    chain_done(&d->text);
    chain_done(&d->ready);
}

static const struct body_ops decoded_ops = {.name = "grpc-web-text", .read = read_decoded, .free = free_decoded};

static struct body *decode_body(struct exchange *x, struct body *inner) {
    struct decoded *d = arena_new(&x->r->arena, struct decoded);
    body_init(&d->body, &decoded_ops, -1);
    d->inner = inner;
    chain_init(&d->text, loop_blocks(x->r->loop));
    chain_init(&d->ready, loop_blocks(x->r->loop));
    return &d->body;
}

void gateway_grpc_web(struct req *r, struct exchange *x) {
    const struct grpc_web_conf *c = req_conf(r, &feature_grpc_web);
    bool text;
    struct str suffix;
    if (!c->on || !grpc_web_type(head_value(&r->in, FIELD_CONTENT_TYPE), &text, &suffix))
        return;
    struct head *h = arena_new(&r->arena, struct head);
    head_init(h, &r->arena);
    head_each(f, exchange_fields(x)) {
        if (f->id != FIELD_CONTENT_TYPE && f->id != FIELD_TE && f->id != FIELD_ACCEPT) // which names what only browsers hear
            head_add_same(h, f);
    }
    head_add_known(h, FIELD_CONTENT_TYPE, arena_printf(&r->arena, "application/grpc" STR_FMT, STR_ARG(suffix)));
    head_add_known(h, FIELD_TE, STR("trailers"));
    x->fields = h;
    if (text)
        x->filter_body = decode_body;
}

// --- answers -----------------------------------------------------------------------------------------------------------------------

struct web_body {
    struct filter filter;
    struct req *r;
    bool text, ended;
    struct chain plain; // read
    struct chain ready; // as it goes to the client
};

// A padded run of base64 for each piece that came: so nothing waits for what comes next.
static void put_text(struct web_body *w, struct str bytes) {
    while (bytes.n != 0) {
        size_t n = MIN(bytes.n, (size_t)READ_ROOM);
        struct block *b = block_new(w->ready.pool, (n + 2) / 3 * 4);
        struct sbuf out;
        sbuf_init_fixed(&out, b->data, b->size);
        base64_encode(&out, str_head(bytes, n));
        chain_give_block(&w->ready, b, b->data, out.n);
        bytes = str_from(bytes, n);
    }
}

static void put_plain(struct web_body *w) {
    if (!w->text) {
        chain_append(&w->ready, &w->plain);
        return;
    }
    while (!chain_empty(&w->plain)) {
        struct piece *p = w->plain.head;
        if (p->next == NULL) {
            put_text(w, str_n(p->p, p->n));
            chain_done(&w->plain);
            return;
        }
        struct block *b = block_new(w->plain.pool, MIN(w->plain.bytes, (size_t)READ_ROOM));
        size_t n = chain_peek(&w->plain, b->data, MIN(w->plain.bytes, (size_t)READ_ROOM));
        put_text(w, str_n(b->data, n));
        chain_drop(&w->plain, n);
        block_unref(b);
    }
}

static void put_trailers(struct web_body *w, const struct head *t) {
    struct sbuf frame;
    sbuf_init_heap(&frame, TRAILERS_MAX);
    grpc_web_put_trailers(&frame, t);
    if (frame.overflow)
        log_msg(LOG_ERR, 0, "the trailers of a gRPC answer are too large: %u bytes at most", TRAILERS_MAX);
    else if (w->text)
        put_text(w, sbuf_view(&frame));
    else
        chain_add_copy(&w->ready, sbuf_view(&frame));
    sbuf_done(&frame);
}

static ssize_t read_web(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct web_body *w = container_of(body, struct web_body, filter.body);
    while (chain_empty(&w->ready)) {
        if (w->ended)
            return 0;
        ssize_t n = filter_pull(&w->filter, &w->plain, READ_ROOM, wait);
        if (n < 0)
            return n;
        if (n != 0) {
            put_plain(w);
            continue;
        }
        w->ended = true;
        const struct head *t = w->r->out_trailers != NULL ? w->r->out_trailers : body->trailers;
        body->trailers = w->r->out_trailers = NULL;
        if (t != NULL && t->count != 0)
            put_trailers(w, t);
    }
    return (ssize_t)chain_move(to, &w->ready, room);
}

static void free_web(struct body *body) {
    struct web_body *w = container_of(body, struct web_body, filter.body);
    chain_done(&w->plain);
    chain_done(&w->ready);
    filter_done(&w->filter);
}

static const struct body_ops web_ops = {"grpc-web", read_web, filter_ahead, free_web};

// What the client wants: what Accept names first, else what it sent.
static bool wants_text(struct req *r, bool sent) {
    struct str accept = head_has(&r->in, FIELD_ACCEPT) ? head_join(&r->in, FIELD_ACCEPT, &r->arena) : STR_NONE, part, suffix;
    bool text;
    while (str_split(&accept, ',', &part)) {
        if (grpc_web_type(part, &text, &suffix))
            return text;
    }
    return sent;
}

// "+proto" of "application/grpc+proto; x": as the back end says, else as the client does.
static struct str suffix_of(struct str type, struct str asked) {
    ssize_t semicolon = str_chr(type, ';');
    type = str_trim(semicolon >= 0 ? str_head(type, (size_t)semicolon) : type);
    ssize_t plus = str_chr(type, '+');
    return plus >= 0 ? str_from(type, (size_t)plus) : asked;
}

static enum step answer_web(struct req *r, const void *conf) {
    struct str type = head_value(&r->out, FIELD_CONTENT_TYPE), asked, suffix;
    bool text;
    if (!grpc_web_type(head_value(&r->in, FIELD_CONTENT_TYPE), &text, &asked) || !str_istarts(type, STR("application/grpc")) ||
        str_istarts(type, STR("application/grpc-web")))
        return STEP_NEXT;
    text = wants_text(r, text);
    suffix = suffix_of(type, asked);
    head_set(&r->out, FIELD_CONTENT_TYPE,
             arena_printf(&r->arena, "application/grpc-web%s" STR_FMT, text ? "-text" : "", STR_ARG(suffix)));
    if (r->out_body == NULL)
        return STEP_NEXT;
    struct web_body *w = arena_new(&r->arena, struct web_body);
    filter_wrap(r, &w->filter, &web_ops);
    w->r = r;
    w->text = text;
    chain_init(&w->plain, loop_blocks(r->loop));
    chain_init(&w->ready, loop_blocks(r->loop));
    filter_forget_length(r);
    return STEP_NEXT;
}

static bool bind_web(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct grpc_web_conf *c = conf;
    if (c->on) // behind what turns errors into such of gRPC, and behind add_trailer
        plan_add(cx, s, STAGE_RESPONSE, RESPONSE_HEADERS + 1, answer_web, c, "grpc_web");
    return true;
}

static const struct conf_row rows[] = {
    ROW_FLAG("grpc_web", IN_HTTP_ALL, struct grpc_web_conf, on, "off",
             "Translates between gRPC-Web (application/grpc-web and -text, over HTTP/1.1 or HTTP/2) and the gRPC of grpc_pass."),
};

struct feature feature_grpc_web = {
    .name = "grpc_web", .rows = rows, .nrows = ARRAY_LEN(rows), .conf_size = sizeof(struct grpc_web_conf), .bind = bind_web};
