// Bytes in order, as counted slices of blocks, constant bytes, and ranges of files. What travels through a body, a tape and
// a link. A chain belongs to one loop (its pieces come from the loop's blocks).
//
//   chain ─ head ─► piece ─► piece ─► piece ─► NULL
//                   block     const    file
//                   [p,n)     [p,n)    fd,[off,n)
#pragma once
#include "base/block.h"
#include <sys/uio.h>
#include "base/str.h"

// A counted open file. Whoever opens it says how it is closed. One loop.
struct file_ref {
    uint32_t refs;
    int fd;
    void (*close)(struct file_ref *f); // called when the last reference goes; frees the object
};
static inline struct file_ref *file_ref(struct file_ref *f) {
    f->refs++;
    return f;
}
void file_unref(struct file_ref *f); // NULL does nothing

enum piece_kind { PIECE_MEM, PIECE_FILE };

struct piece {
    struct piece *next;
    enum piece_kind kind;
    union {
        struct block *block;   // PIECE_MEM: counted owner, or NULL for bytes that outlive the chain
        struct file_ref *file; // PIECE_FILE: counted
    };
    const char *p; // PIECE_MEM
    off_t off;     // PIECE_FILE
    size_t n;      // bytes left, > 0 inside a chain
};

struct chain {
    struct piece *head, **tail; // tail points at the last `next`, or at head
    size_t bytes;               // sum of n
    struct blocks *pool;
};

void chain_init(struct chain *c, struct blocks *pool);
void chain_done(struct chain *c); // drops everything; the chain is empty and usable afterwards
static inline bool chain_empty(const struct chain *c) { return c->head == NULL; }

// Appends. n == 0 appends nothing.
void chain_add_block(struct chain *c, struct block *b, const char *p, size_t n); // takes a new reference on b
void chain_give_block(struct chain *c, struct block *b, const char *p, size_t n); // takes over the caller's reference
void chain_add_const(struct chain *c, const char *p, size_t n);                   // bytes must outlive the chain
void chain_add_file(struct chain *c, struct file_ref *f, off_t off, size_t n);    // takes a new reference on f
void chain_add_copy(struct chain *c, struct str s); // copies, into spare room of the last piece's block when it can

// Moves the first n bytes (or all, when fewer) from the front of `from` to the end of `to`; no byte is copied. Returns
// how many moved. Both chains are of one pool.
size_t chain_move(struct chain *to, struct chain *from, size_t n);
void chain_append(struct chain *to, struct chain *from); // all of it
void chain_prepend(struct chain *to, struct chain *from); // all of `from` comes before what `to` has
void chain_drop(struct chain *c, size_t n);               // n <= bytes, from the front
// The chain's memory pieces as iovecs, from the front, stopping at the first file range. Returns the count.
size_t chain_iov(const struct chain *c, struct iovec *iov, size_t max, size_t *bytes);
// Copies up to n bytes of memory pieces from the front, without taking them; stops at a file range. Returns the count.
size_t chain_peek(const struct chain *c, char *to, size_t n);
// Memory really held by the blocks of the chain's pieces (a slice of a large block counts the whole block).
size_t chain_held(const struct chain *c);
// Copies the bytes that no block owns, so that the chain may outlive them.
void chain_own(struct chain *c);
// Copies memory pieces into blocks of fitting size, so that chain_held is near to bytes. For chains that will wait.
void chain_compact(struct chain *c);
