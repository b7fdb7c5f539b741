// Response buffering. While the reader keeps up, its reads go straight to the source. When it falls behind, a task reads the
// source into a tape, and from then on the reader reads the tape.
//
//   before body_ahead:  reader ◄── source          after:  reader ◄── tape ◄── filler task ◄── source
#include "http/tape.h"
#include "io/task.h"

enum { FILL_ROOM_MIN = 4 << 10, FILL_ROOM_MAX = 256 << 10 };

struct buffered {
    struct body body;
    struct body *source; // owned
    struct tape_limits lim;
    struct arena *arena;
    struct tape *tape;   // NULL until the reader fell behind
    struct body *reader;
    struct task *filler; // to be joined
    bool filled, ended;  // the filler is through; the source told its end
};

static void fill(void *arg) {
    struct buffered *b = arg;
    size_t room = (size_t)MIN(MAX(b->lim.mem, (uint64_t)FILL_ROOM_MIN), (uint64_t)FILL_ROOM_MAX);
    tape_fill(b->tape, b->source, room);
    b->filled = true;
}

static void join_filler(struct buffered *b) {
    if (b->filler == NULL)
        return;
    struct task *t = b->filler;
    b->filler = NULL;
    task_join(t);
}

static ssize_t read_buffered(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct buffered *b = container_of(body, struct buffered, body);
    struct body *from = b->reader != NULL ? b->reader : b->source;
    ssize_t n = body_read(from, to, room, wait);
    body->length = from->length;
    body->flush = b->source->flush;
    if (n == 0) {
        b->ended = true;
        body->trailers = b->source->trailers;
    }
    if (b->filled && wait == BODY_WAIT)
        join_filler(b); // its stack is free for others now
    return n;
}

static void ahead_buffered(struct body *body) {
    struct buffered *b = container_of(body, struct buffered, body);
    if (b->tape != NULL || b->ended || b->source->in_memory)
        return;
    struct tape *t = tape_new(&b->lim);
    struct body *reader = tape_reader(t, b->arena, b->source->length);
    b->tape = t;
    b->filler = task_new_joinable(fill, b, "response buffering");
    if (b->filler == NULL) { // no stack to be had: go on without
        b->tape = NULL;
        body_free(reader);
        tape_unref(t);
        return;
    }
    b->reader = reader;
}

static void free_buffered(struct body *body) {
    struct buffered *b = container_of(body, struct buffered, body);
    if (b->filler != NULL) {
        task_cancel(b->filler);
        join_filler(b);
    }
    body_free(b->reader);
    tape_unref(b->tape);
    body_free(b->source);
}

// While the reader keeps up nothing of it is here.
static struct link *raw_buffered(struct body *body, uint64_t *n, uint64_t *timeout_ms) {
    struct buffered *b = container_of(body, struct buffered, body);
    return b->tape == NULL && !b->ended ? body_raw(b->source, n, timeout_ms) : NULL;
}

static ssize_t took_buffered(struct body *body, ssize_t n) {
    struct buffered *b = container_of(body, struct buffered, body);
    ssize_t r = b->source->ops->took(b->source, n);
    body->length = b->source->length;
    b->ended = r == 0;
    return r;
}

static const struct body_ops buffered_ops = {"buffered", read_buffered, ahead_buffered, free_buffered, raw_buffered, took_buffered};

struct body *tape_buffered(struct body *source, const struct tape_limits *lim, struct arena *a) {
    CHECK_OBJ(source, BODY_MAGIC);
    struct buffered *b = arena_new(a, struct buffered);
    body_init(&b->body, &buffered_ops, source->length);
    b->body.in_memory = source->in_memory;
    b->body.flush = source->flush;
    b->source = source;
    b->lim = *lim;
    b->lim.file_optional = true;
    b->lim.keep = false;
    b->arena = a;
    return &b->body;
}
