// For tests of bodies: a scripted source, a task to run in, the text of what was read. Not part of the product.
#pragma once
#include "base/test.h"
#include "http/body.h"
#include "io/loop.h"
#include <stdlib.h>
#include <unistd.h>

// A source that gives the pieces of a script, each in one read or (room being small) in several, then its end or an error.
// Between two pieces it yields, so that others run.
struct script_body {
    struct body body;
    struct str text;
    const size_t *splits; // offsets where a piece ends, ascending; the end of the text always is one
    size_t nsplits, next;
    size_t at;
    int error;            // at the end: 0 or negative
    bool slow;            // pieces come only after others ran; BODY_NOWAIT finds nothing
    bool ready;
    unsigned reads, frees;
};

static inline ssize_t script_read(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct script_body *s = container_of(body, struct script_body, body);
    EXPECT(room > 0);
    s->reads++;
    if (s->at == s->text.n)
        return s->error;
    if (s->slow && !s->ready) {
        if (wait == BODY_NOWAIT)
            return -EAGAIN;
        int err = task_yield();
        if (err != 0)
            return err;
    }
    size_t end = s->next < s->nsplits ? s->splits[s->next] : s->text.n, n = MIN(room, end - s->at);
    chain_add_copy(to, str_n(s->text.p + s->at, n));
    s->at += n;
    s->ready = s->at != end;
    if (s->at == end)
        s->next++;
    if (body->length >= 0)
        body->length -= (int64_t)n;
    return (ssize_t)n;
}

static inline void script_free(struct body *body) { container_of(body, struct script_body, body)->frees++; }

static const struct body_ops script_ops = {"script", script_read, NULL, script_free};

static inline void script_init(struct script_body *s, struct str text, const size_t *splits, size_t nsplits, int error) {
    *s = (struct script_body){.text = text, .splits = splits, .nsplits = nsplits, .error = error};
    body_init(&s->body, &script_ops, -1);
}

// Appends the chain's bytes, those of file ranges too, to text and empties it.
static inline void chain_text(struct chain *c, struct sbuf *text) {
    for (const struct piece *p = c->head; p != NULL; p = p->next) {
        char *to = sbuf_room(text, p->n);
        EXPECT(to != NULL);
        if (p->kind == PIECE_MEM)
            memcpy(to, p->p, p->n);
        else
            EXPECT_INT(pread(p->file->fd, to, p->n, p->off), p->n);
        text->n += p->n;
    }
    chain_drop(c, c->bytes);
}

// Reads to the end or an error, which is returned, with rooms of that size.
static inline int body_text(struct body *b, size_t room, struct sbuf *text) {
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    for (;;) {
        ssize_t n = body_read(b, &c, room, BODY_WAIT);
        EXPECT(n <= (ssize_t)room);
        EXPECT_INT(c.bytes, n > 0 ? n : 0);
        chain_text(&c, text);
        if (n <= 0) {
            EXPECT_INT(body_read(b, &c, room, BODY_WAIT), n); // says so again
            chain_done(&c);
            return (int)n;
        }
    }
}

// Runs fn(arg) as a task until all tasks have ended.
static inline void run_task(task_fn *fn, void *arg) {
    struct loop *l = loop_new(0);
    EXPECT(l != NULL);
    EXPECT(task_new(fn, arg, "test") != NULL);
    for (int i = 0; i < 200000 && task_count(l) > 0; i++)
        loop_turn(l, 10);
    EXPECT_INT(task_count(l), 0);
    EXPECT_INT(blocks_in_use(loop_blocks(l)), 0);
    helpers_stop(); // before the loop that they wake
    loop_free(l);
}
