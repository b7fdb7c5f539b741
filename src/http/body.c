// Ready-made bodies: text, a chain, a file's range; and the end of unwanted ones.
#include "http/body.h"
#include "io/file.h"

enum { DISCARD_ROOM = 64 << 10, WARM_MAX = 1 << 20 };

void body_free(struct body *b) {
    if (b == NULL)
        return;
    CHECK_OBJ(b, BODY_MAGIC);
    b->magic = 0; // freed once
    if (b->ops->free != NULL)
        b->ops->free(b);
}

// --- a chain -------------------------------------------------------------------------------------------------------------

struct chain_body {
    struct body body;
    struct chain left;
};

static ssize_t read_chain(struct body *b, struct chain *to, size_t room, enum body_wait wait) {
    struct chain_body *c = container_of(b, struct chain_body, body);
    size_t n = chain_move(to, &c->left, room);
    b->length -= (int64_t)n;
    return (ssize_t)n;
}

static void free_chain(struct body *b) { chain_done(&container_of(b, struct chain_body, body)->left); }

static const struct body_ops chain_ops = {"chain", read_chain, NULL, free_chain};

struct body *body_of_chain(struct arena *a, struct chain *c) {
    struct chain_body *b = arena_new(a, struct chain_body);
    body_init(&b->body, &chain_ops, (int64_t)c->bytes);
    b->body.in_memory = true;
    for (const struct piece *p = c->head; p != NULL; p = p->next)
        b->body.in_memory &= p->kind == PIECE_MEM;
    chain_init(&b->left, c->pool);
    chain_append(&b->left, c);
    return &b->body;
}

// --- text ----------------------------------------------------------------------------------------------------------------

struct text_body {
    struct body body;
    struct str left;
};

static ssize_t read_text(struct body *b, struct chain *to, size_t room, enum body_wait wait) {
    struct text_body *t = container_of(b, struct text_body, body);
    size_t n = MIN(room, t->left.n);
    chain_add_const(to, t->left.p, n);
    t->left = str_from(t->left, n);
    b->length -= (int64_t)n;
    return (ssize_t)n;
}

static const struct body_ops text_ops = {"text", read_text, NULL, NULL};

struct body *body_of_text(struct arena *a, struct str bytes) {
    struct text_body *b = arena_new(a, struct text_body);
    body_init(&b->body, &text_ops, (int64_t)bytes.n);
    b->body.in_memory = true;
    b->left = bytes;
    return &b->body;
}

// --- a file --------------------------------------------------------------------------------------------------------------

struct file_body {
    struct body body;
    struct file_ref *file;
    off_t at;
};

static ssize_t read_file(struct body *b, struct chain *to, size_t room, enum body_wait wait) {
    struct file_body *f = container_of(b, struct file_body, body);
    size_t n = (size_t)MIN((uint64_t)MIN(room, (size_t)WARM_MAX), (uint64_t)b->length);
    int err = file_warm(f->file, f->at, n, wait == BODY_WAIT);
    if (err != 0)
        return err;
    chain_add_file(to, f->file, f->at, n);
    f->at += (off_t)n;
    b->length -= (int64_t)n;
    return (ssize_t)n;
}

static void free_file(struct body *b) { file_unref(container_of(b, struct file_body, body)->file); }

static const struct body_ops file_ops = {"file", read_file, NULL, free_file};

struct body *body_of_file(struct arena *a, struct file_ref *f, off_t off, uint64_t n) {
    struct file_body *b = arena_new(a, struct file_body);
    body_init(&b->body, &file_ops, (int64_t)n);
    b->body.ranges = true;
    b->file = f;
    b->at = off;
    return &b->body;
}

// -------------------------------------------------------------------------------------------------------------------------

int body_discard(struct body *b, uint64_t max) {
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    for (uint64_t total = 0;;) {
        ssize_t n = body_read(b, &c, DISCARD_ROOM, BODY_WAIT);
        chain_done(&c);
        if (n <= 0)
            return (int)n;
        total += (uint64_t)n;
        if (total > max)
            return -EFBIG;
    }
}
