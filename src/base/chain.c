// Chains of slices. A piece comes from a stack of free pieces in the pool of blocks and goes back to it.
#include "base/chain.h"
#include "base/block_private.h"
#include "base/poison.h"
#include <stdlib.h>

static struct piece *piece_new(struct blocks *pool) {
    struct piece *p = pool->pieces;
    pool->pieces_out++;
    if (UNLIKELY(p == NULL))
        return xmalloc(sizeof(*p));
    unpoison(p, sizeof(*p));
    pool->pieces = p->next;
    pool->pieces_kept--;
    if (pool->pieces_kept < pool->pieces_low)
        pool->pieces_low = pool->pieces_kept;
    return p;
}

// Only the piece; what it holds has gone elsewhere.
static void piece_free(struct blocks *pool, struct piece *p) {
    pool->pieces_out--;
    if (UNLIKELY(pool->pieces_kept >= PIECES_MAX)) {
        free(p);
        return;
    }
    p->next = pool->pieces;
    pool->pieces = p;
    pool->pieces_kept++;
    poison(p, sizeof(*p));
}

static void piece_drop(struct blocks *pool, struct piece *p) {
    if (p->kind == PIECE_FILE)
        file_unref(p->file);
    else
        block_unref(p->block);
    piece_free(pool, p);
}

void pieces_free(struct piece *p) {
    while (p != NULL) {
        unpoison(p, sizeof(*p));
        struct piece *next = p->next;
        free(p);
        p = next;
    }
}

// As many as were not needed since the last time go back; which ones does not matter, they are small.
void pieces_trim(struct blocks *pool) {
    for (uint32_t n = pool->pieces_low; n != 0; n--) {
        struct piece *p = pool->pieces;
        unpoison(p, sizeof(*p));
        pool->pieces = p->next;
        pool->pieces_kept--;
        free(p);
    }
    pool->pieces_low = pool->pieces_kept;
}

void file_unref(struct file_ref *f) {
    if (f != NULL && --f->refs == 0)
        f->close(f);
}

void chain_init(struct chain *c, struct blocks *pool) {
    *c = (struct chain){.head = NULL, .tail = &c->head, .pool = pool};
}

void chain_done(struct chain *c) {
    struct piece *p = c->head;
    while (p != NULL) {
        struct piece *next = p->next;
        piece_drop(c->pool, p);
        p = next;
    }
    chain_init(c, c->pool);
}

static inline struct piece *last_piece(const struct chain *c) {
    return c->head != NULL ? container_of(c->tail, struct piece, next) : NULL;
}

static inline void link_last(struct chain *c, struct piece *p) {
    p->next = NULL;
    *c->tail = p;
    c->tail = &p->next;
    c->bytes += p->n;
}

// True when [p,n) goes on where the last piece ends, in the same block; the piece then has grown.
static bool grow_last(struct chain *c, const struct block *b, const char *p, size_t n) {
    struct piece *last = last_piece(c);
    if (last == NULL || last->kind != PIECE_MEM || last->block != b || last->p + last->n != p)
        return false;
    last->n += n;
    c->bytes += n;
    return true;
}

static void add_mem(struct chain *c, struct block *b, const char *p, size_t n) {
    struct piece *piece = piece_new(c->pool);
    *piece = (struct piece){.kind = PIECE_MEM, .block = b, .p = p, .n = n};
    link_last(c, piece);
}

void chain_add_block(struct chain *c, struct block *b, const char *p, size_t n) {
    CHECK_SLOW(b->pool == c->pool && p >= b->data && p + n <= b->data + b->size);
    if (n != 0 && !grow_last(c, b, p, n))
        add_mem(c, block_ref(b), p, n);
}

void chain_give_block(struct chain *c, struct block *b, const char *p, size_t n) {
    CHECK_SLOW(b->pool == c->pool && p >= b->data && p + n <= b->data + b->size);
    if (n == 0 || grow_last(c, b, p, n))
        block_unref(b);
    else
        add_mem(c, b, p, n);
}

void chain_add_const(struct chain *c, const char *p, size_t n) {
    if (n != 0)
        add_mem(c, NULL, p, n);
}

void chain_add_file(struct chain *c, struct file_ref *f, off_t off, size_t n) {
    if (n == 0)
        return;
    struct piece *last = last_piece(c);
    if (last != NULL && last->kind == PIECE_FILE && last->file == f && last->off + (off_t)last->n == off) {
        last->n += n;
        c->bytes += n;
        return;
    }
    struct piece *piece = piece_new(c->pool);
    *piece = (struct piece){.kind = PIECE_FILE, .file = file_ref(f), .off = off, .n = n};
    link_last(c, piece);
}

// Room behind the last piece that nobody else can see: its block has no other reference.
static size_t spare_room(const struct piece *last) {
    if (last == NULL || last->kind != PIECE_MEM || last->block == NULL || last->block->refs != 1)
        return 0;
    return (size_t)(last->block->data + last->block->size - (last->p + last->n));
}

void chain_add_copy(struct chain *c, struct str s) {
    struct piece *last = last_piece(c);
    size_t n = MIN(s.n, spare_room(last));
    if (n != 0) {
        memcpy(last->block->data + (last->p - last->block->data) + last->n, s.p, n);
        last->n += n;
        c->bytes += n;
        s = str_from(s, n);
    }
    while (s.n != 0) {
        // More copies are likely to follow the second.
        size_t want = c->head == NULL ? s.n : MAX(s.n, (size_t)4096);
        struct block *b = block_new(c->pool, MIN(want, (size_t)65536));
        n = MIN(s.n, b->size);
        memcpy(b->data, s.p, n);
        add_mem(c, b, b->data, n);
        s = str_from(s, n);
    }
}

void chain_append(struct chain *to, struct chain *from) {
    CHECK(to != from && to->pool == from->pool);
    if (from->head == NULL)
        return;
    *to->tail = from->head;
    to->tail = from->tail;
    to->bytes += from->bytes;
    chain_init(from, from->pool);
}

void chain_prepend(struct chain *to, struct chain *from) {
    CHECK(to != from && to->pool == from->pool);
    if (from->head == NULL)
        return;
    *from->tail = to->head;
    if (to->head == NULL)
        to->tail = from->tail;
    to->head = from->head;
    to->bytes += from->bytes;
    chain_init(from, from->pool);
}

static void piece_advance(struct piece *p, size_t n) {
    if (p->kind == PIECE_FILE)
        p->off += (off_t)n;
    else
        p->p += n;
    p->n -= n;
}

static struct piece *unlink_first(struct chain *c) {
    struct piece *p = c->head;
    c->head = p->next;
    c->bytes -= p->n;
    if (c->head == NULL)
        c->tail = &c->head;
    return p;
}

size_t chain_move(struct chain *to, struct chain *from, size_t n) {
    CHECK(to != from && to->pool == from->pool);
    if (n >= from->bytes) {
        n = from->bytes;
        chain_append(to, from);
        return n;
    }
    size_t left = n;
    while (left != 0 && from->head->n <= left) {
        struct piece *p = unlink_first(from);
        left -= p->n;
        link_last(to, p);
    }
    if (left != 0) { // the cut goes through a piece: both sides hold what it holds
        struct piece *p = from->head;
        if (p->kind == PIECE_FILE)
            chain_add_file(to, p->file, p->off, left);
        else if (p->block != NULL)
            chain_add_block(to, p->block, p->p, left);
        else
            chain_add_const(to, p->p, left);
        piece_advance(p, left);
        from->bytes -= left;
    }
    return n;
}

void chain_drop(struct chain *c, size_t n) {
    CHECK(n <= c->bytes);
    while (n != 0 && c->head->n <= n) {
        struct piece *p = unlink_first(c);
        n -= p->n;
        piece_drop(c->pool, p);
    }
    if (n != 0) {
        piece_advance(c->head, n);
        c->bytes -= n;
    }
}

size_t chain_iov(const struct chain *c, struct iovec *iov, size_t max, size_t *bytes) {
    size_t count = 0, sum = 0;
    for (const struct piece *p = c->head; p != NULL && p->kind == PIECE_MEM && count < max; p = p->next) {
        iov[count++] = (struct iovec){(void *)(uintptr_t)p->p, p->n};
        sum += p->n;
    }
    *bytes = sum;
    return count;
}

size_t chain_peek(const struct chain *c, char *to, size_t n) {
    size_t done = 0;
    for (const struct piece *p = c->head; p != NULL && p->kind == PIECE_MEM && done < n; p = p->next) {
        size_t part = MIN(p->n, n - done);
        memcpy(to + done, p->p, part);
        done += part;
    }
    return done;
}

static inline bool holds_block(const struct piece *p) {
    return p->kind == PIECE_MEM && p->block != NULL;
}

size_t chain_held(const struct chain *c) {
    size_t sum = 0;
    const struct block *before = NULL;
    for (const struct piece *p = c->head; p != NULL; p = p->next) {
        if (holds_block(p) && p->block != before)
            sum += p->block->size;
        before = holds_block(p) ? p->block : NULL;
    }
    return sum;
}

// The size of the next block for n bytes that wait: full large blocks, then one that fits the rest.
static size_t fitting_size(size_t n) {
    for (unsigned i = 5; i > 2; i--) {
        if (n >= block_sizes[i])
            return block_sizes[i];
    }
    for (unsigned i = 0; i < 2; i++) {
        if (n <= block_sizes[i])
            return block_sizes[i];
    }
    return block_sizes[2];
}

static size_t fitting_held(size_t n) {
    size_t sum = 0;
    while (n != 0) {
        size_t size = fitting_size(n);
        sum += size;
        n -= MIN(n, size);
    }
    return sum;
}

// Copies all of `run`, which has only memory, to the end of `to`, and empties it.
static void copy_run(struct chain *to, struct chain *run) {
    while (run->bytes != 0) {
        struct block *b = block_new(run->pool, fitting_size(run->bytes));
        size_t n = chain_peek(run, b->data, b->size);
        chain_drop(run, n);
        add_mem(to, b, b->data, n);
    }
}

void chain_own(struct chain *c) {
    const struct piece *foreign = c->head;
    while (foreign != NULL && !(foreign->kind == PIECE_MEM && foreign->block == NULL))
        foreign = foreign->next;
    if (foreign == NULL)
        return;
    struct chain own;
    chain_init(&own, c->pool);
    while (c->head != NULL) {
        struct piece *p = c->head;
        if (p->kind == PIECE_MEM && p->block == NULL) {
            chain_add_copy(&own, str_n(p->p, p->n));
            chain_drop(c, p->n);
        } else {
            link_last(&own, unlink_first(c));
        }
    }
    chain_append(c, &own);
}

void chain_compact(struct chain *c) {
    struct chain done, run;
    chain_init(&done, c->pool);
    chain_init(&run, c->pool);
    while (c->head != NULL) {
        while (c->head != NULL && holds_block(c->head))
            link_last(&run, unlink_first(c));
        if (fitting_held(run.bytes) < chain_held(&run))
            copy_run(&done, &run);
        else
            chain_append(&done, &run);
        while (c->head != NULL && !holds_block(c->head))
            link_last(&done, unlink_first(c));
    }
    chain_append(c, &done);
}
