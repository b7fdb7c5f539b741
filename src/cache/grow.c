// The writing side of an object's body: in memory while it is small, then in a file without a name, and when the file fails,
// in memory for those who are reading.
#include "cache/cache_private.h"
#include "cache/data.h"
#include "cache/store.h"
#include "io/file.h"
#include "io/log.h"
#include "io/loop.h"
#include "io/task.h"
#include <isa-l/crc.h>
#include <stdlib.h>
#include <unistd.h>

enum { LOST_MAX = 1 << 20 }; // bytes in memory that no reader has seen, when there is no file

// --- waiting -------------------------------------------------------------------------------------------------------------

static void arrive(struct message *m) {
    struct cache_waiter *w = container_of(m, struct cache_waiter, m);
    w->arrived = true;
    task_wake(w->task);
}

void cache_wake_all(struct list *waiters) {
    list_each_safe(w, waiters, struct cache_waiter, node) {
        list_remove(&w->node);
        w->told = true;
        inbox_post(w->loop, &w->m);
    }
}

int cache_await(struct list *waiters, pthread_mutex_t *lock, uint64_t deadline_ms) {
    struct cache_waiter w = {.m = {.fn = arrive}, .task = task_self(), .loop = loop_self()};
    list_push_back(waiters, &w.node);
    pthread_mutex_unlock(lock);
    int err = 0;
    while (!w.arrived && err == 0)
        err = task_park(deadline_ms);
    if (w.arrived)
        return 0;
    pthread_mutex_lock(lock);
    bool told = w.told;
    if (!told)
        list_remove(&w.node);
    pthread_mutex_unlock(lock);
    task_shield(true); // the message lies on this stack
    while (told && !w.arrived)
        task_park(UINT64_MAX);
    task_shield(false);
    return told && err == -ETIMEDOUT ? 0 : err;
}

// --- the object ----------------------------------------------------------------------------------------------------------

uint32_t cache_sum(uint32_t sum, const void *p, size_t n) { return crc32_gzip_refl(sum, p, n); }

struct cache_data *cache_data_new(struct cache *c) {
    struct cache_data *d = xcalloc(1, sizeof *d);
    d->refs = 1;
    d->cache = cache_ref(c);
    d->fd = -1;
    d->promised = -1;
    pthread_mutex_init(&d->lock, NULL);
    list_init(&d->waiters);
    list_init(&d->readers);
    list_init(&d->writer);
    d->pieces_tail = &d->pieces;
    return d;
}

struct cache_data *cache_data_ref(struct cache_data *d) {
    __atomic_add_fetch(&d->refs, 1, __ATOMIC_RELAXED);
    return d;
}

void cache_data_unref(struct cache_data *d) {
    if (d == NULL || __atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    for (struct cache_piece *p = d->pieces, *next; p != NULL; p = next) {
        next = p->next;
        free(p);
    }
    if (d->fd >= 0)
        store_close(d->fd, d->n);
    free(d->mem);
    free(d->sums);
    free(d->checked);
    pthread_mutex_destroy(&d->lock);
    cache_unref(d->cache);
    free(d);
}

bool cache_object_complete(const struct cache_object *o) { return __atomic_load_n(&o->data->complete, __ATOMIC_ACQUIRE); }

int64_t cache_object_length(const struct cache_object *o) {
    return cache_object_complete(o) ? (int64_t)o->data->n : o->data->promised;
}

bool cache_object_lost(const struct cache_object *o) { return o->data->lost; }

// --- bytes ---------------------------------------------------------------------------------------------------------------

// Checksums of whole blocks, as the bytes come. Only the writer touches them.
static void sum_up(struct cache_data *d, const char *p, size_t n) {
    while (n != 0) {
        size_t take = MIN(n, (size_t)CACHE_SUM_BLOCK - d->summed);
        d->sum = cache_sum(d->sum, p, take);
        d->summed += take;
        p += take;
        n -= take;
        if (d->summed < CACHE_SUM_BLOCK)
            return;
        if ((d->nsums & (d->nsums + 1)) == 0 || d->sums == NULL) // room for 2^k - 1
            d->sums = xrealloc(d->sums, (2 * (size_t)d->nsums + 2) * sizeof *d->sums);
        d->sums[d->nsums++] = d->sum;
        d->sum = 0;
        d->summed = 0;
    }
}

static void close_sums(struct cache_data *d) {
    if (d->summed == 0)
        return;
    d->sums = xrealloc(d->sums, ((size_t)d->nsums + 1) * sizeof *d->sums);
    d->sums[d->nsums++] = d->sum;
    d->summed = 0;
}

static void to_memory(struct cache_data *d, const struct chain *bytes) {
    if (bytes->bytes == 0)
        return;
    size_t need = (size_t)d->length + bytes->bytes;
    if (need > d->mem_cap) {
        d->mem_cap = MIN(MAX(need, 2 * d->mem_cap), (size_t)CACHE_MEMORY_MAX);
        d->mem = xrealloc(d->mem, d->mem_cap);
    }
    d->length += chain_peek(bytes, d->mem + d->length, bytes->bytes);
}

static void to_pieces(struct cache_data *d, const char *bytes, size_t n) {
    struct cache_piece *p = xmalloc(sizeof *p + n);
    *p = (struct cache_piece){.at = d->length, .n = n};
    memcpy(p->bytes, bytes, n);
    *d->pieces_tail = p;
    d->pieces_tail = &p->next;
    d->length += n;
}

// Pieces that no reader will ask for any more. What is in them and not yet read by the slowest is returned.
static uint64_t forget_read(struct cache_data *d) {
    uint64_t read = d->length;
    list_each(r, &d->readers, struct cache_reader, node) read = MIN(read, r->pos);
    while (d->pieces != NULL && d->pieces->at + d->pieces->n <= read) {
        struct cache_piece *p = d->pieces;
        d->pieces = p->next;
        if (d->pieces == NULL)
            d->pieces_tail = &d->pieces;
        free(p);
    }
    return d->length - read;
}

static void lose(struct cache_data *d, int err) {
    log_msg(LOG_CRIT, -err, "cache file in \"%s\" cannot be written, the response is not cached", cache_dir(d->cache));
    pthread_mutex_lock(&d->lock);
    d->lost = true;
    pthread_mutex_unlock(&d->lock);
}

// From memory into a file; what is read meanwhile still comes from memory.
static void begin_file(struct cache_object *o) {
    struct cache_data *d = o->data;
    d->at = store_body_at(o, true);
    int fd = store_create(d->cache, o, d->mem, (size_t)d->length);
    if (fd < 0) {
        // The bytes in memory are for the readers that are there.
        lose(d, fd);
        pthread_mutex_lock(&d->lock);
        char *mem = d->mem;
        size_t n = (size_t)d->length;
        d->length = 0;
        d->mem = NULL;
        if (n != 0)
            to_pieces(d, mem, n);
        pthread_mutex_unlock(&d->lock);
        free(mem);
        return;
    }
    pthread_mutex_lock(&d->lock);
    d->fd = fd;
    d->in_file = d->length;
    free(d->mem);
    d->mem = NULL;
    pthread_mutex_unlock(&d->lock);
}

static void append_memory(struct cache_data *d, const struct chain *bytes) {
    pthread_mutex_lock(&d->lock);
    to_memory(d, bytes);
    cache_wake_all(&d->waiters);
    pthread_mutex_unlock(&d->lock);
}

static bool append_file(struct cache_data *d, const struct chain *bytes) {
    int err = store_write(d->fd, (off_t)(d->at + d->length), bytes);
    if (err != 0) {
        lose(d, err);
        return false;
    }
    pthread_mutex_lock(&d->lock);
    d->length += bytes->bytes;
    d->in_file = d->length;
    cache_wake_all(&d->waiters);
    pthread_mutex_unlock(&d->lock);
    return true;
}

static int append_lost(struct cache_data *d, const struct chain *bytes) {
    pthread_mutex_lock(&d->lock);
    for (const struct piece *p = bytes->head; p != NULL; p = p->next)
        to_pieces(d, p->p, p->n);
    cache_wake_all(&d->waiters);
    while (forget_read(d) > LOST_MAX) {
        int err = cache_await(&d->writer, &d->lock, UINT64_MAX);
        if (err != 0)
            return err;
        pthread_mutex_lock(&d->lock);
    }
    pthread_mutex_unlock(&d->lock);
    return 0;
}

// Pieces of files, which a body may give, as memory.
static ssize_t own_bytes(struct chain *from, struct chain *to) {
    while (from->head != NULL) {
        struct piece *p = from->head;
        if (p->kind == PIECE_MEM) {
            chain_move(to, from, p->n);
            continue;
        }
        ssize_t n = file_read(p->file, p->off, p->n, to);
        if (n <= 0)
            return n < 0 ? n : -EIO;
        chain_drop(from, (size_t)n);
    }
    return 0;
}

int cache_object_append(struct cache_object *o, struct chain *from) {
    struct cache_data *d = o->data;
    struct chain bytes;
    chain_init(&bytes, from->pool);
    ssize_t err = own_bytes(from, &bytes);
    for (const struct piece *p = bytes.head; p != NULL; p = p->next)
        sum_up(d, p->p, p->n);
    if (err == 0 && d->fd < 0 && !d->lost && d->length + bytes.bytes > CACHE_MEMORY_MAX)
        begin_file(o);
    if (err == 0 && d->fd < 0 && !d->lost)
        append_memory(d, &bytes);
    else if (err == 0 && (d->lost || !append_file(d, &bytes)))
        err = append_lost(d, &bytes);
    chain_done(&bytes);
    chain_done(from);
    return (int)err;
}

void cache_object_end(struct cache_object *o, int err) {
    struct cache_data *d = o->data;
    close_sums(d);
    if (d->at == 0)
        d->at = store_body_at(o, false);
    if (d->nsums != 0)
        d->checked = xcalloc(d->nsums, 1);
    if (d->checked != NULL)
        memset(d->checked, 1, d->nsums); // nobody but us has written them
    pthread_mutex_lock(&d->lock);
    d->ended = true;
    d->error = err;
    d->n = d->length;
    if (err == 0 && !d->lost)
        __atomic_store_n(&d->complete, true, __ATOMIC_RELEASE);
    cache_wake_all(&d->waiters);
    pthread_mutex_unlock(&d->lock);
}
