// The log writer: takes lines from loops without ever making them wait, and appends them to files. Not here: what a line
// says (log.c, the access log), and descriptors (log_target.c).
//
//   loop 0   shard ─ fill ──┐ end of turn          ready files
//   loop 1   shard ─ fill ──┼─────────► file: queue ─────────► writer (one helper, or who writes at once) ─► target
//   no loop  ────────────────┘           of batches
//
// A shard is one loop's side of one file: the batch that it fills now, and how much it has waiting. At the end of the turn
// its batch goes to the file's queue, the file to the ready list, and the writer is woken if it is not at work already.
// Whoever holds a file's io_lock writes; who finds it taken leaves, because the holder looks at the queue again after it
// let go. A target that takes nothing stays ready and is tried again by the loops' timers. A written batch goes back to its
// shard. Threads: `lock` guards a file's queue and is never held across a system call.
#include "base/list.h"
#include "io/inbox.h"
#include "io/log_private.h"
#include "io/timer.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    LOG_LOOPS = 512,             // loops with a shard; further ones write themselves, like threads without a loop
    WAITING_MAX = 1 << 20,       // bytes that one loop and file may have unwritten
    BATCH_FIRST = 4 << 10,       // a batch begins so,
    BATCH_FULL = 64 << 10,       // and leaves its shard when so much is in it
    WRITE_BATCHES = 16,          // batches a write carries
    GATHER_MS = 5,               // a busy loop wakes the writer no more often than so,
    GATHER_BYTES = 32 << 10,     // unless a batch has so much
    RETRY_MS = 100,              // a target that takes nothing is tried again
    LOG_FILE_MAGIC = 0x106f11e0,
};

struct batch {
    struct batch *next;
    struct shard *shard;
    size_t n, cap, off; // off: already written
    char data[];
};

// One loop's side of one file. Of the loop, but for the two atomics, by which the writer gives back.
struct shard {
    struct log_file *file;
    struct loop_log *home; // NULL: the shard of threads without a loop, guarded by the file's lock
    struct list node;      // in home->dirty while fill holds bytes (and then has a reference of the file)
    struct batch *fill;
    size_t buffer_size; // of the last write
    uint64_t due_ms;    // for buffered lines: when to hand them over
    bool full;
    bool dropping;
    uint64_t dropped, accepted;
    _Atomic uint64_t written; // of accepted; lost bytes too
    _Atomic(struct batch *) spare;
};

// What a loop has besides its shards. One for each loop number, never freed: a later loop of that number goes on with it.
struct loop_log {
    struct loop *loop;
    unsigned id;
    struct list dirty;
    struct timer timer;
    uint64_t timer_due_ms, retry_ms; // 0: none
    uint64_t gather_ms;              // not before this time is the writer woken for a few lines
    uint64_t handed;                 // bytes put into queues,
    uint64_t announced;              // of those, what the writer was woken for,
    _Atomic uint64_t done;           // and what was written or lost
};

struct log_file {
    uint32_t magic;
    _Atomic unsigned refs; // users, the ready list, dirty shards
    struct list node;      // in registry.files
    char *path;
    const struct log_ops *ops;

    pthread_mutex_t lock; // guards:
    struct batch *queue, **queue_end;
    struct log_target next; // takes the place of target; have_next
    bool have_next, ready, adopted;
    struct shard outside;
    struct log_file *next_ready; // of the ready list's lock

    pthread_mutex_t io_lock; // guards, and is held by who writes:
    struct log_target target;
    struct batch *active, **active_end;
    bool failing; // the last write failed, and that was reported
    struct log_gzip *gzip; // NULL: lines as they are

    _Atomic(struct shard *) shards[LOG_LOOPS]; // each written by its loop only
};

static struct {
    pthread_mutex_t lock;
    struct list files;
    pthread_once_t once;
    unsigned slot; // in loops: their loop_log
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER, .files = LIST_INIT(registry.files), .once = PTHREAD_ONCE_INIT};

static struct {
    pthread_mutex_t lock;
    struct log_file *first, **end;
} ready = {.lock = PTHREAD_MUTEX_INITIALIZER, .end = &ready.first};

enum writer_state { WRITER_IDLE, WRITER_RUNNING, WRITER_WANTED };
static _Atomic int writer_state;

static _Atomic(struct loop_log *) loop_logs[LOG_LOOPS];

// --- files -------------------------------------------------------------------------------------------------------------

static void registry_init(void) { registry.slot = loop_slot_new(); }

static struct log_file *file_find(const char *path) { // under registry.lock; gives a reference
    list_each(f, &registry.files, struct log_file, node) {
        if (strcmp(f->path, path) == 0)
            return log_file_ref(f);
    }
    return NULL;
}

static struct log_file *file_new(const char *path, const struct log_target *t) { // under registry.lock
    struct log_file *f = xcalloc(1, sizeof(*f));
    f->magic = LOG_FILE_MAGIC;
    f->refs = 1;
    f->path = xstrdup(path);
    f->ops = log_ops_for(path);
    f->target = *t;
    f->queue_end = &f->queue;
    f->active_end = &f->active;
    f->outside.file = f;
    pthread_mutex_init(&f->lock, NULL);
    pthread_mutex_init(&f->io_lock, NULL);
    list_push_back(&registry.files, &f->node);
    return f;
}

static void file_free(struct log_file *f) {
    if (f->have_next)
        f->ops->close(&f->next);
    f->ops->close(&f->target);
    log_gzip_free(f->gzip);
    for (unsigned i = 0; i < LOG_LOOPS; i++) {
        struct shard *s = f->shards[i];
        if (s != NULL) {
            free(s->fill);
            free(s->spare);
            free(s);
        }
    }
    free(f->outside.spare);
    pthread_mutex_destroy(&f->lock);
    pthread_mutex_destroy(&f->io_lock);
    free(f->path);
    f->magic = 0;
    free(f);
}

struct log_file *log_file_open(const char *path, int *err) {
    pthread_once(&registry.once, registry_init);
    pthread_mutex_lock(&registry.lock);
    struct log_file *f = file_find(path);
    if (f == NULL) {
        struct log_target t;
        int rc = log_ops_for(path)->open(path, &t);
        if (rc == 0)
            f = file_new(path, &t);
        else
            *err = rc;
    }
    pthread_mutex_unlock(&registry.lock);
    return f;
}

void log_file_set_gzip(struct log_file *f, int level) {
    pthread_mutex_lock(&f->io_lock);
    if (f->gzip == NULL)
        f->gzip = log_gzip_new(level);
    pthread_mutex_unlock(&f->io_lock);
}

struct log_file *log_file_ref(struct log_file *f) {
    CHECK_OBJ(f, LOG_FILE_MAGIC);
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void log_file_unref(struct log_file *f) {
    if (f == NULL)
        return;
    CHECK_OBJ(f, LOG_FILE_MAGIC);
    unsigned refs = atomic_load_explicit(&f->refs, memory_order_relaxed);
    while (refs > 1) {
        if (atomic_compare_exchange_weak_explicit(&f->refs, &refs, refs - 1, memory_order_release, memory_order_relaxed))
            return;
    }
    // Perhaps the last one: only under the lock can nobody find the file again meanwhile.
    pthread_mutex_lock(&registry.lock);
    bool last = atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1;
    if (last)
        list_remove(&f->node);
    pthread_mutex_unlock(&registry.lock);
    if (last)
        file_free(f);
}

const char *log_file_path(const struct log_file *f) { return f->path; }

// --- writing -------------------------------------------------------------------------------------------------------------

static void file_make_ready(struct log_file *f) { // under f->lock
    if (f->ready)
        return;
    f->ready = true;
    log_file_ref(f);
    pthread_mutex_lock(&ready.lock);
    f->next_ready = NULL;
    *ready.end = f;
    ready.end = &f->next_ready;
    pthread_mutex_unlock(&ready.lock);
}

static void batch_done(struct batch *b) {
    struct shard *s = b->shard;
    struct batch *old = NULL;
    struct loop_log *home = s->home;
    size_t n = b->n;
    if (b->cap <= BATCH_FULL)
        old = atomic_exchange_explicit(&s->spare, b, memory_order_acq_rel);
    else
        old = b;
    free(old);
    atomic_fetch_add_explicit(&s->written, n, memory_order_release);
    if (home != NULL)
        atomic_fetch_add_explicit(&home->done, n, memory_order_release);
}

static void active_consume(struct log_file *f, size_t n) {
    while (f->active != NULL) {
        struct batch *b = f->active;
        if (n < b->n - b->off) {
            b->off += n;
            return;
        }
        n -= b->n - b->off;
        f->active = b->next;
        if (f->active == NULL)
            f->active_end = &f->active;
        batch_done(b);
    }
}

// Puts the new target in the place of the old one. A line of which the old target has only a part goes whole to the new one.
static void target_swap(struct log_file *f, const struct log_target *next) {
    f->ops->close(&f->target);
    f->target = *next;
    f->failing = false;
    if (f->gzip != NULL)
        log_gzip_forget(f->gzip);
    struct batch *b = f->active;
    while (b != NULL && b->off > 0 && b->data[b->off - 1] != '\n')
        b->off--;
}

// Moves what is queued to the active list. False when there is nothing to write.
static bool file_take(struct log_file *f) {
    pthread_mutex_lock(&f->lock);
    if (f->queue != NULL) {
        *f->active_end = f->queue;
        f->active_end = f->queue_end;
        f->queue = NULL;
        f->queue_end = &f->queue;
    }
    struct log_target next = f->next;
    bool swap = f->have_next;
    f->have_next = false;
    pthread_mutex_unlock(&f->lock);
    if (swap)
        target_swap(f, &next);
    return f->active != NULL || (f->gzip != NULL && log_gzip_waits(f->gzip));
}

// Under io_lock. False: the target takes nothing now.
static bool file_write_out(struct log_file *f) {
    while (file_take(f)) {
        struct iovec iov[WRITE_BATCHES];
        int count = 0;
        size_t total = 0;
        for (struct batch *b = f->active; b != NULL && count < WRITE_BATCHES; b = b->next, count++) {
            iov[count] = (struct iovec){b->data + b->off, b->n - b->off};
            total += iov[count].iov_len;
        }
        ssize_t n = f->gzip == NULL ? f->ops->write(&f->target, iov, count)
                                    : log_gzip_write(f->gzip, f->ops, &f->target, iov, count);
        if (n == -EAGAIN)
            return false;
        if (n < 0) {
            active_consume(f, total); // lost: there is no other place for it
            if (!f->failing)
                log_msg(LOG_CRIT, (int)-n, "write() to \"%s\" failed, log lines are lost until it succeeds", f->path);
            f->failing = true;
            continue;
        }
        f->failing = false;
        active_consume(f, (size_t)n);
    }
    return true;
}

// Writes what the file has, unless somebody is at it: then he will.
static void file_drain(struct log_file *f) {
    bool more = true;
    while (more && pthread_mutex_trylock(&f->io_lock) == 0) {
        bool took = file_write_out(f);
        pthread_mutex_unlock(&f->io_lock);
        pthread_mutex_lock(&f->lock);
        more = took && (f->queue != NULL || f->have_next);
        if (!took)
            file_make_ready(f);
        pthread_mutex_unlock(&f->lock);
    }
}

static void ready_drain(void) {
    pthread_mutex_lock(&ready.lock);
    struct log_file *f = ready.first;
    ready.first = NULL;
    ready.end = &ready.first;
    pthread_mutex_unlock(&ready.lock);
    while (f != NULL) {
        struct log_file *next = f->next_ready;
        pthread_mutex_lock(&f->lock);
        f->ready = false;
        pthread_mutex_unlock(&f->lock);
        file_drain(f);
        log_file_unref(f); // of the ready list
        f = next;
    }
}

// On a helper thread. One at a time: a disk that hangs takes one helper, not all.
static void writer_run(void *arg) {
    int running = WRITER_RUNNING;
    do {
        atomic_store(&writer_state, WRITER_RUNNING);
        ready_drain();
        running = WRITER_RUNNING;
    } while (!atomic_compare_exchange_strong(&writer_state, &running, WRITER_IDLE));
}

static void writer_kick(void) {
    if (atomic_exchange(&writer_state, WRITER_WANTED) == WRITER_IDLE)
        helper_post(writer_run, NULL);
}

// --- shards --------------------------------------------------------------------------------------------------------------

static void queue_batch(struct log_file *f, struct batch *b) { // under f->lock
    b->next = NULL;
    *f->queue_end = b;
    f->queue_end = &b->next;
}

static void shard_hand_over(struct shard *s) { // on its loop
    struct batch *b = s->fill;
    s->fill = NULL;
    s->full = false;
    s->due_ms = 0;
    s->home->handed += b->n;
    pthread_mutex_lock(&s->file->lock);
    queue_batch(s->file, b);
    file_make_ready(s->file);
    pthread_mutex_unlock(&s->file->lock);
}

static void shard_clean(struct shard *s) { // nothing is in fill any more
    if (list_empty(&s->node))
        return;
    list_remove(&s->node);
    log_file_unref(s->file);
}

static void timer_fired(struct timer *t) {
    struct loop_log *l = container_of(t, struct loop_log, timer);
    l->timer_due_ms = 0;
    if (l->retry_ms != 0 && l->retry_ms <= loop_now(l->loop)) {
        l->retry_ms = 0;
        if (l->handed != atomic_load_explicit(&l->done, memory_order_acquire))
            writer_kick();
    }
}

// One timer for the earlier of: the next buffer that is due, and trying again what was handed over.
static void loop_log_set_timer(struct loop_log *l, uint64_t due_ms) {
    if (l->handed == atomic_load_explicit(&l->done, memory_order_acquire))
        l->retry_ms = 0;
    else if (l->retry_ms == 0)
        l->retry_ms = loop_now(l->loop) + RETRY_MS;
    if (l->retry_ms != 0 && (due_ms == 0 || l->retry_ms < due_ms))
        due_ms = l->retry_ms;
    if (due_ms == 0 || (l->timer_due_ms != 0 && l->timer_due_ms <= due_ms))
        return; // if it is set, it will fire early and be set again
    l->timer_due_ms = due_ms;
    timer_set(l->loop, &l->timer, due_ms);
}

// When the lines of the shard are to be handed over; 0: when the buffer is full, or at the end.
static uint64_t shard_due(const struct shard *s, uint64_t now) {
    if (s->full)
        return now;
    if (s->buffer_size != 0)
        return s->due_ms;
    return s->fill != NULL && s->fill->n < GATHER_BYTES ? MAX(s->home->gather_ms, now) : now;
}

static void turn_end(void *arg) {
    struct loop_log *l = arg;
    if (list_empty(&l->dirty) && l->handed == atomic_load_explicit(&l->done, memory_order_relaxed))
        return;
    uint64_t now = loop_now(l->loop), next_due = 0;
    list_each_safe(s, &l->dirty, struct shard, node) {
        uint64_t due = shard_due(s, now);
        if (due == 0 || due > now) {
            next_due = next_due == 0 || (due != 0 && due < next_due) ? due : next_due;
            continue;
        }
        if (s->fill != NULL)
            shard_hand_over(s);
        shard_clean(s);
    }
    if (l->handed != l->announced) {
        l->announced = l->handed;
        l->gather_ms = now + GATHER_MS;
        writer_kick();
    }
    loop_log_set_timer(l, next_due);
}

static void loop_log_hand_over(struct loop_log *l) {
    list_each_safe(s, &l->dirty, struct shard, node) {
        if (s->fill != NULL)
            shard_hand_over(s);
        shard_clean(s);
    }
}

// The loop is freed: what it had, buffered lines too, goes to the writer, and no timer is left.
static void loop_ends(void *arg) {
    struct loop_log *l = arg;
    loop_log_hand_over(l);
    timer_remove(&l->timer);
    if (l->handed != l->announced) {
        l->announced = l->handed;
        writer_kick();
    }
}

static NOINLINE struct loop_log *loop_log_begin(struct loop *loop) {
    unsigned id = loop_id(loop);
    if (id >= LOG_LOOPS)
        return NULL;
    struct loop_log *l = loop_logs[id];
    if (l == NULL) {
        l = xcalloc(1, sizeof(*l));
        l->id = id;
        list_init(&l->dirty);
        loop_logs[id] = l;
    }
    l->loop = loop;
    l->timer_due_ms = l->retry_ms = l->gather_ms = 0;
    timer_init(&l->timer, timer_fired);
    *loop_slot(loop, registry.slot) = l;
    loop_at_turn_end(loop, turn_end, l);
    loop_at_free(loop, loop_ends, l);
    return l;
}

static struct loop_log *loop_log_here(void) {
    struct loop *loop = loop_self();
    if (loop == NULL)
        return NULL;
    struct loop_log *l = *loop_slot(loop, registry.slot);
    return LIKELY(l != NULL) ? l : loop_log_begin(loop);
}

static struct shard *shard_here(struct log_file *f) {
    struct loop_log *l = loop_log_here();
    if (l == NULL)
        return NULL;
    struct shard *s = atomic_load_explicit(&f->shards[l->id], memory_order_relaxed);
    if (UNLIKELY(s == NULL)) {
        s = xcalloc(1, sizeof(*s));
        s->file = f;
        s->home = l;
        list_init(&s->node);
        atomic_store_explicit(&f->shards[l->id], s, memory_order_release);
    }
    return s;
}

static uint64_t count_lines(struct str lines) {
    uint64_t n = 0;
    for (const char *p = lines.p, *end = p + lines.n; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
        n++;
    return n;
}

enum admitted { ADMIT_NO, ADMIT_NO_BEGIN, ADMIT_YES, ADMIT_YES_END };

// Whether the shard has room for the lines; _BEGIN and _END when a time of dropping begins and ends.
static enum admitted shard_admit(struct shard *s, struct str lines) {
    uint64_t waiting = s->accepted - atomic_load_explicit(&s->written, memory_order_acquire);
    if (LIKELY(!s->dropping && waiting + lines.n <= WAITING_MAX)) {
        s->accepted += lines.n;
        return ADMIT_YES;
    }
    if (s->dropping && waiting + lines.n <= WAITING_MAX / 2) {
        s->dropping = false;
        s->accepted += lines.n;
        return ADMIT_YES_END;
    }
    enum admitted no = s->dropping ? ADMIT_NO : ADMIT_NO_BEGIN;
    s->dropped = (s->dropping ? s->dropped : 0) + count_lines(lines);
    s->dropping = true;
    return no;
}

static void report_dropping(const struct log_file *f, enum admitted a, uint64_t dropped) {
    if (a == ADMIT_NO_BEGIN)
        log_msg(LOG_ERR, 0, "log \"%s\" takes no more data: %u bytes wait, further lines are dropped", f->path, WAITING_MAX);
    else if (a == ADMIT_YES_END)
        log_msg(LOG_ERR, 0, "log \"%s\" takes data again: %llu lines were dropped", f->path, (unsigned long long)dropped);
}

// A batch of the shard with room for n more bytes: `b`, grown, or a fresh one.
static struct batch *batch_room(struct shard *s, struct batch *b, size_t n) {
    if (b == NULL) {
        b = atomic_exchange_explicit(&s->spare, NULL, memory_order_acquire);
        if (b != NULL) {
            b->n = b->off = 0;
            b->next = NULL;
        }
    }
    size_t have = b != NULL ? b->n : 0, cap = b != NULL ? b->cap : 0;
    if (LIKELY(cap - have >= n))
        return b;
    size_t want = MAX(cap * 2, (size_t)BATCH_FIRST);
    while (want - have < n)
        want *= 2;
    struct batch *grown = xrealloc(b, sizeof(*b) + want);
    if (b == NULL)
        *grown = (struct batch){.shard = s};
    grown->cap = want;
    return grown;
}

static void shard_append(struct shard *s, struct str lines) {
    // A batch that would grow beyond its measure leaves now; the writer is woken at the end of the turn all the same.
    size_t full = MAX((size_t)BATCH_FULL, s->buffer_size);
    if (s->fill != NULL && s->fill->n + lines.n > full)
        shard_hand_over(s);
    s->fill = batch_room(s, s->fill, lines.n);
    memcpy(s->fill->data + s->fill->n, lines.p, lines.n);
    s->fill->n += lines.n;
    if (list_empty(&s->node)) {
        list_push_back(&s->home->dirty, &s->node);
        log_file_ref(s->file);
    }
}

// Threads without a loop.
static void outside_write(struct log_file *f, struct str lines) {
    pthread_mutex_lock(&f->lock);
    struct shard *s = &f->outside;
    enum admitted a = shard_admit(s, lines);
    uint64_t dropped = s->dropped;
    if (a >= ADMIT_YES) {
        struct batch *b = batch_room(s, NULL, lines.n);
        memcpy(b->data, lines.p, lines.n);
        b->n = lines.n;
        queue_batch(f, b);
    }
    pthread_mutex_unlock(&f->lock);
    report_dropping(f, a, dropped);
    file_drain(f);
}

static bool shard_write(struct shard *s, struct str lines, size_t buffer_size, uint64_t flush_ms) {
    enum admitted a = shard_admit(s, lines);
    if (UNLIKELY(a != ADMIT_YES)) {
        report_dropping(s->file, a, s->dropped);
        if (a < ADMIT_YES)
            return false;
    }
    s->buffer_size = buffer_size;
    shard_append(s, lines);
    if (buffer_size != 0) {
        s->full = s->full || s->fill->n >= buffer_size;
        if (flush_ms != 0 && s->due_ms == 0)
            s->due_ms = loop_now(s->home->loop) + flush_ms;
    }
    return true;
}

// --- the doors -----------------------------------------------------------------------------------------------------------

void log_file_write(struct log_file *f, struct str lines, size_t buffer_size, uint64_t flush_ms) {
    CHECK_OBJ(f, LOG_FILE_MAGIC);
    if (lines.n == 0)
        return;
    struct shard *s = shard_here(f);
    if (UNLIKELY(s == NULL))
        outside_write(f, lines);
    else
        shard_write(s, lines, buffer_size, flush_ms);
}

void log_file_write_now(struct log_file *f, struct str lines) {
    CHECK_OBJ(f, LOG_FILE_MAGIC);
    struct shard *s = shard_here(f);
    if (s == NULL) {
        outside_write(f, lines);
        return;
    }
    if (!shard_write(s, lines, 0, 0))
        return;
    shard_hand_over(s);
    file_drain(f);
    shard_clean(s);
}

static void file_replace(struct log_file *f, const struct log_target *t) {
    pthread_mutex_lock(&f->lock);
    if (f->have_next)
        f->ops->close(&f->next);
    f->next = *t;
    f->have_next = true;
    bool on_loop = loop_self() != NULL;
    if (on_loop)
        file_make_ready(f);
    pthread_mutex_unlock(&f->lock);
    if (on_loop)
        writer_kick();
    else
        file_drain(f);
}

struct log_file *log_file_adopt(const char *path, int fd) {
    pthread_once(&registry.once, registry_init);
    struct log_target t;
    log_target_take(&t, fd);
    pthread_mutex_lock(&registry.lock);
    struct log_file *f = file_find(path);
    bool found = f != NULL;
    if (!found)
        f = file_new(path, &t);
    pthread_mutex_lock(&f->lock);
    f->adopted = true;
    pthread_mutex_unlock(&f->lock);
    pthread_mutex_unlock(&registry.lock);
    if (found)
        file_replace(f, &t);
    return f;
}

// All files with a reference each, NULL at the end; the caller frees the array.
static struct log_file **registry_all(void) {
    pthread_mutex_lock(&registry.lock);
    size_t n = 0;
    list_each(f, &registry.files, struct log_file, node) n++;
    struct log_file **all = xcalloc(n + 1, sizeof(struct log_file *));
    n = 0;
    list_each(f, &registry.files, struct log_file, node) all[n++] = log_file_ref(f);
    pthread_mutex_unlock(&registry.lock);
    return all;
}

void log_file_reopen(struct log_file *f) {
    pthread_mutex_lock(&f->lock);
    bool ours = !f->adopted;
    pthread_mutex_unlock(&f->lock);
    struct log_target t;
    int rc = ours ? f->ops->open(f->path, &t) : 0;
    if (rc != 0)
        log_msg(LOG_EMERG, -rc, "open() \"%s\" failed", f->path);
    else if (ours)
        file_replace(f, &t);
}

void log_files_each(void (*fn)(void *arg, struct log_file *f), void *arg) {
    struct log_file **all = registry_all();
    for (struct log_file **f = all; *f != NULL; f++) {
        fn(arg, *f);
        log_file_unref(*f);
    }
    free(all);
}

int log_file_dup(struct log_file *f) {
    pthread_mutex_lock(&f->io_lock);
    int fd = f->target.owned ? fcntl(f->target.fd, F_DUPFD_CLOEXEC, 3) : -1;
    pthread_mutex_unlock(&f->io_lock);
    return fd;
}

void log_files_reopen(void) {
    struct log_file **all = registry_all();
    for (struct log_file **f = all; *f != NULL; f++) {
        log_file_reopen(*f);
        log_file_unref(*f);
    }
    free(all);
}

void log_loop_hand_over(void) {
    pthread_once(&registry.once, registry_init);
    struct loop *loop = loop_self();
    struct loop_log *l = loop != NULL ? *loop_slot(loop, registry.slot) : NULL;
    if (l != NULL)
        loop_log_hand_over(l);
}

void log_files_flush(void) {
    struct log_file **all = registry_all();
    log_loop_hand_over();
    for (struct log_file **f = all; *f != NULL; f++) {
        pthread_mutex_lock(&(*f)->io_lock); // a writer that is still at it ends first
        pthread_mutex_unlock(&(*f)->io_lock);
        file_drain(*f);
        log_file_unref(*f);
    }
    free(all);
}
