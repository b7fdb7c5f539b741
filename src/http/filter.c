// What body filters share.
#include "http/filter.h"
#include "io/file.h"

enum { FILE_PIECE = 64 << 10 };

void filter_init(struct filter *f, struct body *inner, const struct body_ops *ops, struct blocks *pool) {
    CHECK_OBJ(inner, BODY_MAGIC);
    body_init(&f->body, ops, -1);
    f->body.flush = inner->flush;
    f->inner = inner;
    chain_init(&f->files, pool);
}

void filter_wrap(struct req *r, struct filter *f, const struct body_ops *ops) {
    filter_init(f, r->out_body, ops, loop_blocks(r->loop));
    r->out_body = &f->body;
}

void filter_done(struct filter *f) {
    chain_done(&f->files);
    body_free(f->inner);
}

void filter_ahead(struct body *b) { body_ahead(container_of(b, struct filter, body)->inner); }

// How many bytes at the front lie in memory.
static size_t memory_bytes(const struct chain *c) {
    size_t n = 0;
    for (const struct piece *p = c->head; p != NULL && p->kind == PIECE_MEM; p = p->next)
        n += p->n;
    return n;
}

ssize_t filter_pull(struct filter *f, struct chain *to, size_t room, enum body_wait wait) {
    if (chain_empty(&f->files)) {
        ssize_t n = body_read(f->inner, &f->files, room, wait);
        f->body.flush = f->inner->flush;
        if (n == 0)
            f->body.trailers = f->inner->trailers;
        if (n <= 0)
            return n;
    }
    size_t memory = memory_bytes(&f->files);
    if (memory != 0)
        return (ssize_t)chain_move(to, &f->files, MIN(memory, room));
    struct piece *p = f->files.head;
    size_t want = MIN(MIN(p->n, room), (size_t)FILE_PIECE);
    ssize_t n = wait == BODY_WAIT ? file_read(p->file, p->off, want, to) : file_try_read(p->file, p->off, want, to);
    if (n == 0)
        n = -EIO; // the file became shorter meanwhile
    if (n > 0)
        chain_drop(&f->files, (size_t)n);
    else if (n != -EAGAIN)
        log_msg(LOG_ALERT, (int)-n, "a file could not be read to its end");
    return n;
}

bool filter_prepare(struct req *r) {
    bool may = !status_has_no_body(r->out.status);
    if (r->out_body == NULL && may && r->method != METHOD_HEAD)
        r->out_body = body_of_text(&r->arena, STR(""));
    return r->out_body != NULL || may;
}

void filter_forget_length(struct req *r) {
    r->out_length = -1;
    head_drop(&r->out, FIELD_CONTENT_LENGTH);
    head_drop(&r->out, FIELD_ACCEPT_RANGES);
}

void filter_weaken_etag(struct req *r) {
    struct field *f = head_find(&r->out, FIELD_ETAG);
    if (f == NULL || str_starts(f->value, STR("W/")))
        return;
    if (f->value.n == 0 || f->value.p[0] != '"') {
        head_drop(&r->out, FIELD_ETAG);
        return;
    }
    struct str parts[2] = {STR("W/"), f->value};
    f->value = arena_join(&r->arena, parts, 2); // as clean as it was
}
