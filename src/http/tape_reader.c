// The tape's reading side: a body from the tape's beginning.
#include "http/tape_private.h"
#include "io/task.h"

int64_t tape_reader_left(const struct tape_reader *r) {
    const struct tape *t = r->tape;
    if (t->ended && t->error == 0)
        return (int64_t)(t->length - r->pos);
    return r->promised >= 0 && (uint64_t)r->promised >= r->pos ? r->promised - (int64_t)r->pos : -1;
}

// Waits until the tape has more than this reader has seen, or has ended.
static int wait_for_bytes(struct tape_reader *r) {
    while (r->pos == r->tape->length && !r->tape->ended) {
        r->waiting = task_self();
        int err = task_park(UINT64_MAX);
        r->waiting = NULL;
        if (err != 0)
            return err;
    }
    return 0;
}

// The piece that holds r->pos; there is one.
static const struct tape_piece *piece_at_pos(struct tape_reader *r) {
    if (r->piece == NULL)
        r->piece = r->tape->first;
    while (r->pos >= r->piece->at + r->piece->n)
        r->piece = r->piece->next;
    return r->piece;
}

static size_t give(struct tape_reader *r, struct chain *to, size_t room) {
    size_t total = 0;
    while (total < room && r->pos < r->tape->length) {
        const struct tape_piece *p = piece_at_pos(r);
        size_t skip = (size_t)(r->pos - p->at), n = MIN(p->n - skip, room - total);
        if (p->file == NULL) {
            if (p->block != NULL)
                chain_add_block(to, p->block, p->p + skip, n);
            else
                chain_add_const(to, p->p + skip, n);
        } else {
            // What follows in the same file goes as one range.
            for (const struct tape_piece *q = p->next, *last = p; q != NULL && n < room - total && q->file == p->file &&
                                                                  q->off == last->off + (off_t)last->n;
                 last = q, q = q->next)
                n += MIN(q->n, room - total - n);
            chain_add_file(to, p->file, p->off + (off_t)skip, n);
        }
        r->pos += n;
        total += n;
    }
    return total;
}

static ssize_t read_tape(struct body *b, struct chain *to, size_t room, enum body_wait wait) {
    struct tape_reader *r = container_of(b, struct tape_reader, body);
    CHECK_OBJ(r->tape, TAPE_MAGIC);
    if (r->pos == r->tape->length && !r->tape->ended) {
        if (wait == BODY_NOWAIT)
            return -EAGAIN;
        int err = wait_for_bytes(r);
        if (err != 0)
            return err;
    }
    if (r->pos == r->tape->length)
        return r->tape->error;
    size_t n = give(r, to, room);
    b->length = tape_reader_left(r);
    tape_readers_moved(r->tape);
    return (ssize_t)n;
}

static void free_reader(struct body *b) {
    struct tape_reader *r = container_of(b, struct tape_reader, body);
    list_remove(&r->node);
    tape_readers_moved(r->tape);
    tape_unref(r->tape);
}

static const struct body_ops reader_ops = {"tape", read_tape, NULL, free_reader};

struct body *tape_reader(struct tape *t, struct arena *a, int64_t length) {
    CHECK_OBJ(t, TAPE_MAGIC);
    struct tape_reader *r = arena_new(a, struct tape_reader);
    body_init(&r->body, &reader_ops, -1);
    r->tape = tape_ref(t);
    r->pos = t->first != NULL ? t->first->at : t->lim.keep ? 0 : t->length;
    r->promised = length >= 0 ? (int64_t)r->pos + length : -1;
    list_push_back(&t->readers, &r->node);
    r->body.length = tape_reader_left(r);
    r->body.in_memory = t->ended && t->error == 0 && t->memory == t->length;
    return &r->body;
}
