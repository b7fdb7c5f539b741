// The reading side of an object's body: at any number of places, on any loop. Blocks of a file are compared with their checksums
// the first time that they are read since the file was opened, so that a damaged one is never sent.
#include "cache/cache_private.h"
#include "cache/data.h"
#include "cache/store.h"
#include "io/file.h"
#include "io/log.h"
#include "io/loop.h"
#include <stdlib.h>
#include <unistd.h>

enum { GIVE_MAX = 1 << 20 };

// --- a descriptor that all loops share, as a file of this loop ------------------------------------------------------------

struct shared_file {
    struct file_ref file;
    struct cache_object *object;
};

static void close_shared(struct file_ref *f) {
    struct shared_file *s = container_of(f, struct shared_file, file);
    cache_object_unref(s->object);
    free(s);
}

static struct file_ref *file_of(struct cache_reader *r) {
    if (r->file == NULL) {
        struct shared_file *s = xmalloc(sizeof *s);
        *s = (struct shared_file){{1, r->object->data->fd, close_shared}, cache_object_ref(r->object)};
        r->file = &s->file;
    }
    return r->file;
}

// --- checks --------------------------------------------------------------------------------------------------------------

struct check_work {
    struct cache_data *data;
    unsigned first, last;
};

static int check_do(void *arg) {
    struct check_work *w = arg;
    int err = 0;
    for (unsigned i = w->first; err == 0 && i <= w->last; i++) {
        if (__atomic_load_n(&w->data->checked[i], __ATOMIC_RELAXED))
            continue;
        err = store_check_block(w->data, i);
        if (err == 0)
            __atomic_store_n(&w->data->checked[i], 1, __ATOMIC_RELAXED);
    }
    return err;
}

// 0; -EAGAIN: somebody must read the disk first, and wait is false; or what is wrong, logged, and the object is gone.
static int check(struct cache_reader *r, size_t n, bool wait) {
    struct cache_data *d = r->object->data;
    struct check_work w = {d, (unsigned)(r->pos / CACHE_SUM_BLOCK), (unsigned)((r->pos + n - 1) / CACHE_SUM_BLOCK)};
    bool all = true;
    for (unsigned i = w.first; i <= w.last; i++)
        all &= __atomic_load_n(&d->checked[i], __ATOMIC_RELAXED) != 0;
    if (LIKELY(all))
        return file_warm(file_of(r), (off_t)(d->at + r->pos), n, wait);
    if (!wait)
        return -EAGAIN;
    int err = helper_run(check_do, &w);
    if (err != 0) {
        cache_drop(d->cache, r->object, err == -EBADMSG ? "its body is damaged" : "its body cannot be read");
        return -EIO;
    }
    return 0;
}

bool cache_object_begins_well(struct cache_object *o) {
    struct cache_data *d = o->data;
    if (!cache_object_complete(o) || d->mem != NULL || d->n == 0 || __atomic_load_n(&d->checked[0], __ATOMIC_RELAXED))
        return true;
    struct check_work w = {d, 0, 0};
    int err = helper_run(check_do, &w);
    if (err != 0)
        cache_drop(d->cache, o, err == -EBADMSG ? "its body is damaged" : "its body cannot be read");
    return err == 0;
}

// --- a complete body -----------------------------------------------------------------------------------------------------

static ssize_t give_memory(struct cache_reader *r, struct chain *to, const char *mem, uint64_t end, size_t room) {
    size_t n = (size_t)MIN((uint64_t)room, end - r->pos);
    struct block *b = block_new(loop_blocks(loop_self()), n);
    memcpy(b->data, mem + r->pos, n);
    chain_give_block(to, b, b->data, n);
    return (ssize_t)n;
}

static ssize_t read_complete(struct cache_reader *r, struct chain *to, size_t room, enum body_wait wait) {
    const struct cache_data *d = r->object->data;
    if (r->pos >= d->n)
        return 0;
    if (d->mem != NULL)
        return give_memory(r, to, d->mem, d->n, room);
    size_t n = (size_t)MIN(MIN((uint64_t)room, (uint64_t)GIVE_MAX), d->n - r->pos);
    int err = check(r, n, wait == BODY_WAIT);
    if (err != 0)
        return err;
    chain_add_file(to, file_of(r), (off_t)(d->at + r->pos), n);
    return (ssize_t)n;
}

// --- a growing one -------------------------------------------------------------------------------------------------------

static ssize_t give_piece(struct cache_reader *r, struct chain *to, size_t room) {
    const struct cache_piece *p = r->object->data->pieces;
    while (p != NULL && p->at + p->n <= r->pos)
        p = p->next;
    if (p == NULL || p->at > r->pos)
        return -EIO; // came too late
    size_t skip = (size_t)(r->pos - p->at), n = MIN(room, p->n - skip);
    chain_add_copy(to, str_n(p->bytes + skip, n));
    return (ssize_t)n;
}

// With the lock held and something there.
static ssize_t give(struct cache_reader *r, struct chain *to, size_t room) {
    const struct cache_data *d = r->object->data;
    if (d->mem != NULL)
        return give_memory(r, to, d->mem, d->length, room);
    if (r->pos < d->in_file) {
        size_t n = (size_t)MIN(MIN((uint64_t)room, (uint64_t)GIVE_MAX), d->in_file - r->pos);
        chain_add_file(to, file_of(r), (off_t)(d->at + r->pos), n);
        return (ssize_t)n;
    }
    return give_piece(r, to, room);
}

static ssize_t read_growing(struct cache_reader *r, struct chain *to, size_t room, enum body_wait wait) {
    struct cache_data *d = r->object->data;
    pthread_mutex_lock(&d->lock);
    while (r->pos == d->length && !d->ended) {
        if (wait == BODY_NOWAIT) {
            pthread_mutex_unlock(&d->lock);
            return -EAGAIN;
        }
        int err = cache_await(&d->waiters, &d->lock, UINT64_MAX);
        if (err != 0)
            return err;
        pthread_mutex_lock(&d->lock);
    }
    ssize_t n = r->pos < d->length ? give(r, to, room) : d->error;
    if (n > 0)
        r->pos += (uint64_t)n;
    if (n > 0 && d->lost)
        cache_wake_all(&d->writer); // it may have waited for that
    pthread_mutex_unlock(&d->lock);
    return n;
}

static int64_t left(const struct cache_reader *r) {
    int64_t n = cache_object_length(r->object);
    return n < 0 || (uint64_t)n < r->pos ? -1 : n - (int64_t)r->pos;
}

static ssize_t read_object(struct body *b, struct chain *to, size_t room, enum body_wait wait) {
    struct cache_reader *r = container_of(b, struct cache_reader, body);
    bool complete = cache_object_complete(r->object);
    ssize_t n = complete ? read_complete(r, to, room, wait) : read_growing(r, to, room, wait);
    if (n > 0 && complete)
        r->pos += (uint64_t)n;
    b->length = left(r);
    return n;
}

static void seek_object(struct body *b, uint64_t at) {
    struct cache_reader *r = container_of(b, struct cache_reader, body);
    r->pos = at;
    b->length = left(r);
}

static void free_object(struct body *b) {
    struct cache_reader *r = container_of(b, struct cache_reader, body);
    struct cache_data *d = r->object->data;
    if (r->listed) {
        pthread_mutex_lock(&d->lock);
        list_remove(&r->node);
        cache_wake_all(&d->writer);
        pthread_mutex_unlock(&d->lock);
    }
    file_unref(r->file);
    cache_object_unref(r->object);
}

static const struct body_ops whole_ops = {"cache", read_object, NULL, free_object, .seek = seek_object};
static const struct body_ops growing_ops = {"cache, growing", read_object, NULL, free_object};

struct body *cache_object_body(struct cache_object *o, struct arena *a) {
    struct cache_reader *r = arena_new(a, struct cache_reader);
    struct cache_data *d = o->data;
    bool complete = cache_object_complete(o);
    list_init(&r->node);
    if (!complete) {
        pthread_mutex_lock(&d->lock);
        bool late = d->lost;
        if (!late)
            list_push_back(&d->readers, &r->node);
        r->listed = !late;
        pthread_mutex_unlock(&d->lock);
        if (late)
            return NULL;
    }
    r->object = cache_object_ref(o);
    body_init(&r->body, complete ? &whole_ops : &growing_ops, left(r));
    r->body.in_memory = complete && d->mem != NULL;
    r->body.ranges = complete && d->mem == NULL;
    r->body.length = left(r);
    return &r->body;
}
