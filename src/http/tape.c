// The tape's writing side: pieces in memory, spilled to a temp file when memory is full, forgotten when everybody read them.
#include "http/tape_private.h"
#include "io/file.h"
#include "io/log.h"
#include "io/loop.h"
#include <stdlib.h>

enum { GRANT_STEP = 64 << 10 };

struct tape *tape_new(const struct tape_limits *lim) {
    struct tape *t = xcalloc(1, sizeof *t);
    t->magic = TAPE_MAGIC;
    t->refs = 1;
    t->lim = *lim;
    t->tail = &t->first;
    list_init(&t->readers);
    return t;
}

struct tape *tape_ref(struct tape *t) {
    CHECK_OBJ(t, TAPE_MAGIC);
    t->refs++;
    return t;
}

// --- pieces --------------------------------------------------------------------------------------------------------------

static void free_first(struct tape *t) {
    struct tape_piece *p = t->first;
    t->first = p->next;
    if (t->first == NULL)
        t->tail = &t->first;
    if (p->file == NULL)
        t->memory -= p->n;
    block_unref(p->block);
    file_unref(p->file);
    free(p);
}

static void give_back(struct tape *t) {
    uint64_t needed = t->memory > t->lim.mem ? t->memory - t->lim.mem : 0;
    if (t->granted <= needed || (needed != 0 && t->granted - needed < 2 * GRANT_STEP))
        return;
    __atomic_add_fetch(&t->lim.budget->left, (int64_t)(t->granted - needed), __ATOMIC_RELAXED);
    t->granted = needed;
}

void tape_unref(struct tape *t) {
    if (t == NULL)
        return;
    CHECK_OBJ(t, TAPE_MAGIC);
    if (--t->refs != 0)
        return;
    while (t->first != NULL)
        free_first(t);
    give_back(t);
    file_unref(t->file);
    t->magic = 0;
    free(t);
}

static struct tape_piece *add_piece(struct tape *t, size_t n) {
    struct tape_piece *p = xcalloc(1, sizeof *p);
    p->at = t->length;
    p->n = n;
    *t->tail = p;
    t->tail = &p->next;
    t->length += n;
    return p;
}

static void take_bytes(struct tape *t, struct chain *bytes) {
    // A few bytes in a large block would hold far more memory than is counted.
    if (chain_held(bytes) > 2 * bytes->bytes + 4096)
        chain_compact(bytes);
    for (const struct piece *from = bytes->head; from != NULL; from = from->next) {
        struct tape_piece *p = add_piece(t, from->n);
        if (from->kind == PIECE_FILE) {
            p->file = file_ref(from->file);
            p->off = from->off;
            continue;
        }
        p->p = from->p;
        p->block = from->block != NULL ? block_ref(from->block) : NULL;
        t->memory += p->n;
    }
    chain_done(bytes);
}

static void wake_readers(struct tape *t) {
    list_each(r, &t->readers, struct tape_reader, node) {
        if (r->waiting != NULL)
            task_wake(r->waiting);
    }
}

// --- room ----------------------------------------------------------------------------------------------------------------

// Whether what is in memory may stay there; takes from the shared budget what it needs.
static bool memory_fits(struct tape *t) {
    if (t->memory <= t->lim.mem + t->granted)
        return true;
    uint64_t more = t->memory - t->lim.mem - t->granted;
    more = (more + GRANT_STEP - 1) / GRANT_STEP * GRANT_STEP;
    if (t->lim.budget == NULL || t->granted + more > t->lim.extra)
        return false;
    if (__atomic_sub_fetch(&t->lim.budget->left, (int64_t)more, __ATOMIC_RELAXED) < 0) {
        __atomic_add_fetch(&t->lim.budget->left, (int64_t)more, __ATOMIC_RELAXED);
        return false;
    }
    t->granted += more;
    return true;
}

static bool file_has_room(const struct tape *t) { return !t->file_failed && t->file_end < t->lim.file; }

bool tape_has_room(const struct tape *t) {
    CHECK_OBJ(t, TAPE_MAGIC);
    return file_has_room(t) || t->memory < t->lim.mem + t->granted;
}

// The last pieces, as many as lie in memory without a file's piece between them: they go to the file together.
static struct tape_piece *spill_from(struct tape *t) {
    struct tape_piece *from = NULL;
    for (struct tape_piece *p = t->first; p != NULL; p = p->next) {
        if (p->file != NULL)
            from = NULL;
        else if (from == NULL)
            from = p;
    }
    // The file ended the run of memory, which lies before it: anything in memory will do.
    for (struct tape_piece *p = t->first; from == NULL && p != NULL; p = p->next) {
        if (p->file == NULL)
            from = p;
    }
    return from;
}

// Splits a piece in memory, so that the first part has n bytes.
static void split(struct tape *t, struct tape_piece *p, size_t n) {
    struct tape_piece *rest = xcalloc(1, sizeof *rest);
    *rest = *p;
    rest->at += n;
    rest->n -= n;
    rest->p += n;
    if (rest->block != NULL)
        block_ref(rest->block);
    p->n = n;
    p->next = rest;
    if (t->tail == &p->next)
        t->tail = &rest->next;
}

static int open_file(struct tape *t) {
    if (t->file != NULL)
        return 0;
    int err = 0;
    t->file = temp_file_new(t->lim.dir, &err);
    return t->file != NULL ? 0 : err;
}

// Nothing of the file is on the tape or on its way to a client any more: begin it again.
static void rewind_file(struct tape *t) {
    if (t->file == NULL || t->file->refs != 1 || t->lim.keep)
        return;
    t->file_end = 0;
}

static bool joins(const struct tape_piece *a, const struct tape_piece *b) {
    return a->file != NULL && a->file == b->file && a->off + (off_t)a->n == b->off;
}

// Takes the piece behind `p` into it.
static void join_next(struct tape *t, struct tape_piece *p) {
    struct tape_piece *next = p->next;
    list_each(r, &t->readers, struct tape_reader, node) {
        if (r->piece == next)
            r->piece = p;
    }
    p->n += next->n;
    p->next = next->next;
    if (t->tail == &next->next)
        t->tail = &p->next;
    file_unref(next->file);
    free(next);
}

// What was written turns into file ranges, as far as it was not forgotten meanwhile.
static void move_to_file(struct tape *t, uint64_t at, uint64_t bytes, off_t off) {
    struct tape_piece *last = NULL;
    for (struct tape_piece *p = t->first; p != NULL && p->at < at + bytes; p = p->next) {
        if (p->at >= at) {
            CHECK(p->file == NULL);
            t->memory -= p->n;
            block_unref(p->block);
            p->block = NULL;
            p->p = NULL;
            p->file = file_ref(t->file);
            p->off = off + (off_t)(p->at - at);
            if (last != NULL && joins(last, p)) {
                join_next(t, last);
                p = last;
            }
        }
        last = p;
    }
}

// Writes what is in memory to the file, as much as it may hold. Waits.
static int spill(struct tape *t) {
    struct tape_piece *from = spill_from(t);
    uint64_t room = t->lim.file - t->file_end, at = from->at, bytes = 0;
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    for (struct tape_piece *p = from; p != NULL && p->file == NULL && bytes < room; p = p->next) {
        if (p->n > room - bytes)
            split(t, p, (size_t)(room - bytes));
        if (p->block != NULL)
            chain_add_block(&c, p->block, p->p, p->n);
        else
            chain_add_const(&c, p->p, p->n);
        bytes += p->n;
    }
    int err = open_file(t);
    if (err == 0)
        err = temp_file_write(t->file, (off_t)t->file_end, &c);
    chain_done(&c);
    if (err != 0)
        return err;
    off_t off = (off_t)t->file_end;
    t->file_end += bytes;
    move_to_file(t, at, bytes, off);
    give_back(t);
    return 0;
}

// A failed file: the tape ends with the error behind the bytes, or goes on without a file.
static int file_trouble(struct tape *t, int err) {
    if (err == -ECANCELED)
        return err;
    t->file_failed = true;
    if (!t->lim.file_optional) {
        log_msg(LOG_CRIT, -err, "writing a temporary file in \"%s\" failed", t->lim.dir);
        if (err == -EFBIG) // of a limit of the process; to readers that would mean a limit of the body
            err = -ENOSPC;
        tape_end(t, err);
        return err;
    }
    log_msg(LOG_CRIT, -err, "writing a temporary file in \"%s\" failed, buffering in memory only", t->lim.dir);
    return 0;
}

static int wait_for_readers(struct tape *t) {
    CHECK(t->writer == NULL);
    t->writer = task_self();
    int err = task_park(UINT64_MAX);
    t->writer = NULL;
    return err;
}

int tape_append(struct tape *t, struct chain *bytes) {
    CHECK_OBJ(t, TAPE_MAGIC);
    CHECK(!t->ended && !t->appending);
    take_bytes(t, bytes);
    wake_readers(t);
    t->appending = true; // others would write between two parts of the file
    int err = 0;
    while (err == 0 && !memory_fits(t)) {
        if (t->file_end > 0)
            rewind_file(t);
        if (file_has_room(t)) {
            err = spill(t);
            if (err != 0)
                err = file_trouble(t, err);
        } else if (t->lim.keep) {
            tape_end(t, err = -EFBIG);
        } else {
            err = wait_for_readers(t);
        }
    }
    t->appending = false;
    return err;
}

void tape_end(struct tape *t, int error) {
    CHECK_OBJ(t, TAPE_MAGIC);
    CHECK(error <= 0);
    if (t->ended)
        return;
    t->ended = true;
    t->error = error;
    list_each(r, &t->readers, struct tape_reader, node) r->body.length = tape_reader_left(r);
    wake_readers(t);
}

int tape_fill(struct tape *t, struct body *source, size_t room) {
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    for (;;) {
        ssize_t n = body_read(source, &c, room, BODY_WAIT);
        int err = n > 0 ? tape_append(t, &c) : (int)n;
        if (n > 0 && err == 0)
            continue;
        tape_end(t, err);
        chain_done(&c);
        return err;
    }
}

// --- forgetting ----------------------------------------------------------------------------------------------------------

void tape_readers_moved(struct tape *t) {
    if (t->lim.keep || list_empty(&t->readers))
        return;
    uint64_t read = UINT64_MAX;
    list_each(r, &t->readers, struct tape_reader, node) read = MIN(read, r->pos);
    bool freed = false;
    while (t->first != NULL && t->first->at + t->first->n <= read) {
        freed = true;
        list_each(r, &t->readers, struct tape_reader, node) {
            if (r->piece == t->first)
                r->piece = NULL;
        }
        free_first(t);
    }
    give_back(t);
    if (freed && t->writer != NULL)
        task_wake(t->writer);
}

// --- facts ---------------------------------------------------------------------------------------------------------------

uint64_t tape_length(const struct tape *t) { return t->length; }
bool tape_ended(const struct tape *t) { return t->ended; }
int tape_error(const struct tape *t) { return t->error; }
size_t tape_memory(const struct tape *t) { return (size_t)t->memory; }
uint64_t tape_file_bytes(const struct tape *t) { return t->file_end; }
struct file_ref *tape_file(const struct tape *t) { return t->file; }

bool tape_text(const struct tape *t, struct arena *a, struct str *out) {
    CHECK_OBJ(t, TAPE_MAGIC);
    if (!t->ended || t->error != 0 || (t->first != NULL && t->first->at != 0))
        return false;
    for (const struct tape_piece *p = t->first; p != NULL; p = p->next) {
        if (p->file != NULL)
            return false;
    }
    if (t->first != NULL && t->first->next == NULL) {
        *out = str_n(t->first->p, t->first->n);
        return true;
    }
    char *to = arena_bytes(a, (size_t)t->length);
    size_t at = 0;
    for (const struct tape_piece *p = t->first; p != NULL; at += p->n, p = p->next)
        memcpy(to + at, p->p, p->n);
    *out = str_n(to, at);
    return true;
}
