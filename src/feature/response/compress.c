// The compressing body, and the pool of encoders.
#include "feature/response/compress.h"
#include "http/answer.h"
#include "io/loop.h"
#include <stdlib.h>

enum { IN_ROOM = 64 << 10, OUT_BLOCK = 16 << 10, READY_ENOUGH = 32 << 10, POOL_MAX = 16 };

// --- encoders, a pool a loop -----------------------------------------------------------------------------------------------

struct pooled {
    const struct encoder_kind *kind;
    struct encoder_params params;
    void *state;
};

struct pool {
    struct pooled at[POOL_MAX]; // newest last
    unsigned count;
};

static unsigned pool_slot;

void compress_init(void) {
    static bool taken;
    if (!taken)
        pool_slot = loop_slot_new();
    taken = true;
}

static void free_pool(void *arg) {
    struct pool *p = arg;
    for (unsigned i = 0; i < p->count; i++)
        p->at[i].kind->free(p->at[i].state);
    free(p);
}

static struct pool *pool_of(struct loop *l) {
    void **slot = loop_slot(l, pool_slot);
    if (*slot == NULL) {
        *slot = xcalloc(1, sizeof(struct pool));
        loop_at_free(l, free_pool, *slot);
    }
    return *slot;
}

static bool same_params(const struct encoder_params *a, const struct encoder_params *b) {
    return a->level == b->level && a->window_bits == b->window_bits && a->mem_level == b->mem_level;
}

static void *encoder_take(struct loop *l, const struct encoder_kind *kind, const struct encoder_params *params) {
    struct pool *p = pool_of(l);
    for (unsigned i = p->count; i-- > 0;) {
        struct pooled found = p->at[i];
        if (found.kind != kind || !same_params(&found.params, params))
            continue;
        memmove(&p->at[i], &p->at[i + 1], (p->count - i - 1) * sizeof(found));
        p->count--;
        return found.state;
    }
    return kind->make(params);
}

static void encoder_give(struct loop *l, const struct encoder_kind *kind, const struct encoder_params *params, void *state) {
    struct pool *p = pool_of(l);
    if (!kind->reset(state)) {
        kind->free(state);
        return;
    }
    if (p->count == POOL_MAX) { // the one that was not used for the longest time
        p->at[0].kind->free(p->at[0].state);
        memmove(&p->at[0], &p->at[1], (POOL_MAX - 1) * sizeof(p->at[0]));
        p->count--;
    }
    p->at[p->count++] = (struct pooled){kind, *params, state};
}

// --- the body --------------------------------------------------------------------------------------------------------------

struct compress_body {
    struct filter filter;
    struct req *r;
    const struct compress_conf *conf;
    struct compressed *count;
    void *state;
    struct chain in, ready;
    struct block *block; // being filled
    size_t filled;
    int error;
    bool unflushed, ended;
};

static void give_block(struct compress_body *c) {
    if (c->block == NULL)
        return;
    if (c->filled != 0)
        chain_give_block(&c->ready, c->block, c->block->data, c->filled);
    else
        block_unref(c->block);
    c->block = NULL;
}

// One operation over some input; what comes out goes to c->ready, or waits in c->block.
static int encode(struct compress_body *c, const char *in, size_t n, enum encode_op op) {
    int more;
    struct encode_io io = {.in = in, .in_n = n};
    do {
        if (c->block == NULL) {
            c->block = block_new(loop_blocks(c->r->loop), OUT_BLOCK);
            c->filled = 0;
        }
        size_t had = c->block->size - c->filled;
        io.out = c->block->data + c->filled;
        io.out_n = had;
        more = c->conf->kind->run(c->state, &io, op);
        c->filled += had - io.out_n;
        c->count->out += had - io.out_n;
        if (io.out_n == 0)
            give_block(c);
    } while (more > 0);
    c->count->in += n;
    c->unflushed = op == ENCODE_RUN && (c->unflushed || n != 0);
    if (op != ENCODE_RUN)
        give_block(c);
    if (more < 0) {
        log_msg(LOG_ALERT, 0, "compression with %s failed", c->conf->kind->coding);
        return -EIO;
    }
    return 0;
}

static int encode_all(struct compress_body *c) {
    int err = 0;
    for (const struct piece *p = c->in.head; p != NULL && err == 0; p = p->next)
        err = encode(c, p->p, p->n, ENCODE_RUN);
    chain_done(&c->in);
    return err;
}

static void release(struct compress_body *c) {
    if (c->state != NULL)
        encoder_give(c->r->loop, c->conf->kind, &c->conf->params, c->state);
    c->state = NULL;
}

static int finish(struct compress_body *c) {
    int err = encode(c, NULL, 0, ENCODE_FINISH);
    c->ended = true;
    release(c);
    return err;
}

// More input: >0, 0 at its end, or an error. With `flush` what was taken must not wait for more.
static ssize_t take(struct compress_body *c, enum body_wait wait) {
    bool first_look = c->unflushed && wait == BODY_WAIT;
    ssize_t n = filter_pull(&c->filter, &c->in, IN_ROOM, first_look ? BODY_NOWAIT : wait);
    if (n == -EAGAIN && c->unflushed && c->filter.body.flush) {
        int err = encode(c, NULL, 0, ENCODE_FLUSH);
        return err != 0 ? err : 1;
    }
    if (n == -EAGAIN && first_look && chain_empty(&c->ready))
        n = filter_pull(&c->filter, &c->in, IN_ROOM, BODY_WAIT);
    if (n < 0)
        return n;
    int err = n > 0 ? encode_all(c) : finish(c);
    return err != 0 ? err : n;
}

static ssize_t read_compressed(struct body *b, struct chain *to, size_t room, enum body_wait wait) {
    struct compress_body *c = container_of(b, struct compress_body, filter.body);
    while (!c->ended && c->error == 0 && c->ready.bytes < MIN(room, (size_t)READY_ENOUGH)) {
        ssize_t n = take(c, wait);
        if (n < 0 && n != -EAGAIN && n != -ECANCELED)
            c->error = (int)n;
        if (n < 0 && chain_empty(&c->ready))
            return n;
        if (n < 0 || (b->flush && !chain_empty(&c->ready)))
            break;
    }
    if (!chain_empty(&c->ready))
        return (ssize_t)chain_move(to, &c->ready, room);
    return c->error;
}

static void free_compressed(struct body *b) {
    struct compress_body *c = container_of(b, struct compress_body, filter.body);
    chain_done(&c->in);
    chain_done(&c->ready);
    block_unref(c->block);
    release(c);
    filter_done(&c->filter);
}

static const struct body_ops compress_ops = {"compressed", read_compressed, filter_ahead, free_compressed};

// --- the answer ------------------------------------------------------------------------------------------------------------

bool compress_wanted(struct req *r, const struct compress_conf *c) {
    unsigned status = r->out.status;
    if (r != r->main || (status != 200 && status != 403 && status != 404) || !filter_prepare(r))
        return false;
    if (head_value(&r->out, FIELD_CONTENT_ENCODING).n != 0)
        return false;
    if (r->out_length >= 0 && (uint64_t)r->out_length < c->min_length)
        return false;
    if (!type_list_has(&c->types, r))
        return false;
    compress_vary(r);
    return true;
}

bool compress_answer(struct req *r, const struct compress_conf *c, struct compressed *count) {
    void *state = NULL;
    if (r->out_body != NULL) {
        state = encoder_take(r->loop, c->kind, &c->params);
        if (state == NULL) {
            log_msg(LOG_ALERT, ENOMEM, "no memory to compress with %s, the answer goes out as it is", c->kind->coding);
            return false;
        }
    }
    head_drop(&r->out, FIELD_CONTENT_ENCODING);
    head_add_known(&r->out, FIELD_CONTENT_ENCODING, str_c(c->kind->coding));
    filter_forget_length(r);
    filter_weaken_etag(r);
    if (state == NULL)
        return true;
    struct compress_body *b = arena_new(&r->arena, struct compress_body);
    filter_wrap(r, &b->filter, &compress_ops);
    b->r = r;
    b->conf = c;
    b->count = count;
    b->state = state;
    count->kind = c->kind;
    chain_init(&b->in, loop_blocks(r->loop));
    chain_init(&b->ready, loop_blocks(r->loop));
    return true;
}

bool compress_ratio(const struct compressed *c, struct arena *a, struct str *out) {
    if (c == NULL || c->out == 0)
        return false;
    uint64_t hundredths = c->in * 100 / c->out;
    if (c->in * 1000 / c->out % 10 > 4)
        hundredths++;
    *out = arena_printf(a, "%llu.%02u", (unsigned long long)(hundredths / 100), (unsigned)(hundredths % 100));
    return true;
}

// --- what the client says --------------------------------------------------------------------------------------------------

// "q=0", "q=0.0", "q=0.000": not acceptable (RFC 9110 12.4.2).
static bool weight_is_zero(struct str params) {
    struct str one;
    while (str_split(&params, ';', &one)) {
        one = str_trim(one);
        if (one.n < 3 || (one.p[0] | 0x20) != 'q' || one.p[1] != '=')
            continue;
        for (size_t i = 2; i < one.n; i++) {
            if (one.p[i] >= '1' && one.p[i] <= '9')
                return false;
        }
        return true;
    }
    return false;
}

bool compress_accepts(const struct req *r, struct str coding) {
    head_each(f, &r->in) {
        if (f->id != FIELD_ACCEPT_ENCODING)
            continue;
        struct str rest = f->value, element;
        while (list_next(&rest, &element)) {
            ssize_t semicolon = str_chr(element, ';');
            struct str name = semicolon >= 0 ? str_trim(str_head(element, (size_t)semicolon)) : element;
            if (str_ieq(name, coding))
                return semicolon < 0 || !weight_is_zero(str_from(element, (size_t)semicolon + 1));
        }
    }
    return false;
}

void compress_vary(struct req *r) {
    if (!gzip_vary_is_on(r))
        return;
    head_each(f, &r->out) {
        if (f->id == FIELD_VARY && list_has_token(f->value, STR("Accept-Encoding")))
            return;
    }
    // In front of what others added, as nginx writes it.
    head_add_known(&r->out, FIELD_VARY, STR("Accept-Encoding"));
    struct field vary = r->out.at[r->out.count - 1];
    memmove(r->out.at + 1, r->out.at, (r->out.count - 1) * sizeof(vary));
    r->out.at[0] = vary;
}
