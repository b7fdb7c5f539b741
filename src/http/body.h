// A body is pulled: whoever has room asks. The same for request bodies, responses of back ends, files, and filters around
// them. A body belongs to one request (or exchange) and one loop.
#pragma once
#include "base/chain.h"
#include "wire/head.h"

struct body;
struct link;

enum body_wait { BODY_WAIT, BODY_NOWAIT };

enum { BODY_MAGIC = 0x57424459 };

struct body_ops {
    const char *name;
    // Appends 1..room bytes to `to` and returns the count; 0 at the end; a negative errno on failure: -ETIMEDOUT,
    // -ECONNRESET, -EPROTO (malformed), -EFBIG (above a limit), -ECANCELED. Waits with BODY_WAIT; with BODY_NOWAIT -EAGAIN
    // instead. After the end or an error it says so again. room > 0. An implementation may ignore small rooms only by
    // returning less, never more.
    ssize_t (*read)(struct body *b, struct chain *to, size_t room, enum body_wait wait);
    // The reader will be away for a while (its client is slow): whoever can read ahead by himself (a tape) may begin.
    // NULL: cannot. Filters pass it on with body_ahead(inner). Must not wait.
    void (*ahead)(struct body *b);
    // Releases what the body holds (links, files, tasks, inner bodies). Memory is the arena's. May wait, shielded, only to
    // end its own tasks. Called exactly once.
    void (*free)(struct body *b);
    // NULL, or gives the socket that the next `*n` bytes can be taken from as they are, by splice(), and how many: NULL when
    // that is not so now, or when so few are left that reading them costs less. What was taken is said with took(n): 0 ends
    // as read does; or a negative errno of that socket. The answer is what read would say; -EAGAIN: wait on.
    struct link *(*raw)(struct body *b, uint64_t *n, uint64_t *timeout_ms);
    ssize_t (*took)(struct body *b, ssize_t n);
    // NULL, or: what is read next begins at this byte of the whole, forwards or backwards, and `length` follows. Must not wait.
    void (*seek)(struct body *b, uint64_t at);
};

struct body {
    uint32_t magic;
    bool flush;      // every piece must go out as it comes (event streams, unbuffered)
    bool in_memory;  // never waits and never fails
    bool ranges;     // gives ranges of files only: a large piece costs no memory
    bool soon;       // -EAGAIN may be over when the tasks that are ready have run: who has a choice yields once
    const struct body_ops *ops;
    int64_t length;  // bytes still to come when known, else -1; for content-length and `proxy_max...` decisions
    struct head *trailers; // valid after the end; NULL: none
};

static inline void body_init(struct body *b, const struct body_ops *ops, int64_t length) {
    *b = (struct body){.magic = BODY_MAGIC, .ops = ops, .length = length};
}
static inline ssize_t body_read(struct body *b, struct chain *to, size_t room, enum body_wait wait) {
    CHECK_OBJ(b, BODY_MAGIC);
    return b->ops->read(b, to, room, wait);
}
static inline void body_ahead(struct body *b) {
    if (b != NULL && b->ops->ahead != NULL)
        b->ops->ahead(b);
}
static inline struct link *body_raw(struct body *b, uint64_t *n, uint64_t *timeout_ms) {
    return b->ops->raw != NULL ? b->ops->raw(b, n, timeout_ms) : NULL;
}
void body_free(struct body *b); // NULL does nothing

// Ready-made bodies; memory from the arena.
struct body *body_of_text(struct arena *a, struct str bytes); // bytes outlive the body
struct body *body_of_chain(struct arena *a, struct chain *c); // takes the content of c
// Takes over the reference; gives file ranges. A read may wait for a disk.
struct body *body_of_file(struct arena *a, struct file_ref *f, off_t off, uint64_t n);
// Reads to the end and drops; 0, or the error; -EFBIG when more than max bytes came. Waits.
int body_discard(struct body *b, uint64_t max);
