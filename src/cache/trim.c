// The manager of a cache: a thread of its own, because it does nothing but wait for the disk. First it loads (loader.c), then it
// removes what nobody uses, what is too much, and what was purged.
#include "cache/cache_private.h"
#include "io/log.h"
#include <errno.h>
#include <signal.h>
#include <sys/statvfs.h>
#include <time.h>

enum { LOOK_MS = 10000, LOOK_MIN_MS = 100 };

uint64_t cache_clock_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int64_t cache_wall_s(void) { return time(NULL); }

// --- pauses --------------------------------------------------------------------------------------------------------------

bool cache_stopping(struct cache *c) { return __atomic_load_n(&c->stopping, __ATOMIC_ACQUIRE); }

static bool sleep_ms(struct cache *c, uint64_t ms, bool for_news) {
    uint64_t until = cache_clock_ms() + ms;
    struct timespec t = {(time_t)(until / 1000), (long)(until % 1000) * 1000000};
    pthread_mutex_lock(&c->lock);
    int err = 0;
    while (!c->stopping && err == 0 && !(for_news && c->full))
        err = pthread_cond_timedwait(&c->news, &c->lock, &t);
    if (for_news)
        c->full = false;
    pthread_mutex_unlock(&c->lock);
    return !cache_stopping(c);
}

void pacer_init(struct cache *c, struct pacer *p, const struct cache_pace *pace) {
    pthread_mutex_lock(&c->lock);
    *p = (struct pacer){.pace = *pace, .start_ms = cache_clock_ms()};
    pthread_mutex_unlock(&c->lock);
}

bool pacer_step(struct cache *c, struct pacer *p) {
    if (++p->files < p->pace.files && cache_clock_ms() - p->start_ms < p->pace.threshold_ms)
        return !cache_stopping(c);
    bool on = sleep_ms(c, p->pace.sleep_ms, false);
    p->files = 0;
    p->start_ms = cache_clock_ms();
    return on;
}

void trim_wake(struct cache *c) {
    pthread_mutex_lock(&c->lock);
    c->full = true;
    pthread_cond_broadcast(&c->news);
    pthread_mutex_unlock(&c->lock);
}

// --- what goes -----------------------------------------------------------------------------------------------------------

static bool is_busy(const struct cache_entry *e) { return e->fetch != NULL || e->updating != 0; }

static struct cache_entry *oldest(struct cache_part *p) {
    return list_empty(&p->used) ? NULL : list_last(&p->used, struct cache_entry, used);
}

// What was not asked for during `inactive`. The time of the next one that will be due.
static uint64_t remove_inactive(struct cache *c, uint64_t inactive_ms, struct pacer *pace) {
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < CACHE_PARTS; i++) {
        struct cache_part *p = &c->parts[i];
        for (bool on = true; on;) {
            uint64_t now = cache_clock_ms();
            pthread_mutex_lock(&p->lock);
            struct cache_entry *e = oldest(p);
            bool due = e != NULL && e->used_ms + inactive_ms <= now;
            if (e != NULL && !due)
                next = MIN(next, e->used_ms + inactive_ms);
            if (due && is_busy(e))
                index_touch(c, p, e, now);
            else if (due)
                index_remove(c, p, e);
            pthread_mutex_unlock(&p->lock);
            on = due && pacer_step(c, pace);
        }
    }
    return next;
}

// The one of all that was not used for longest. False: there is none that may go.
static bool remove_oldest(struct cache *c) {
    struct cache_part *best = NULL;
    uint64_t used = UINT64_MAX;
    for (size_t i = 0; i < CACHE_PARTS; i++) {
        struct cache_part *p = &c->parts[i];
        pthread_mutex_lock(&p->lock);
        const struct cache_entry *e = oldest(p);
        if (e != NULL && e->used_nth < used) {
            used = e->used_nth;
            best = p;
        }
        pthread_mutex_unlock(&p->lock);
    }
    if (best == NULL)
        return false;
    pthread_mutex_lock(&best->lock);
    struct cache_entry *e = oldest(best);
    if (e != NULL && is_busy(e))
        index_touch(c, best, e, cache_clock_ms());
    else if (e != NULL)
        index_remove(c, best, e);
    pthread_mutex_unlock(&best->lock);
    return true;
}

static bool disk_is_short(const struct cache *c, uint64_t min_free) {
    struct statvfs fs;
    return min_free != 0 && statvfs(c->path.p, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < min_free;
}

static void remove_surplus(struct cache *c, uint64_t max_size, uint64_t min_free, struct pacer *pace) {
    for (int tries = 0; tries < 1 << 20; tries++) {
        bool much = max_size != 0 && __atomic_load_n(&c->bytes, __ATOMIC_RELAXED) > max_size;
        if ((!much && !disk_is_short(c, min_free)) || !remove_oldest(c) || !pacer_step(c, pace))
            return;
    }
}

static uint64_t trim(struct cache *c) {
    pthread_mutex_lock(&c->lock);
    struct cache_params l = c->limits;
    pthread_mutex_unlock(&c->lock);
    struct pacer pace;
    pacer_init(c, &pace, &l.manager);
    uint64_t next = remove_inactive(c, l.inactive_ms, &pace);
    remove_surplus(c, l.max_size, l.min_free, &pace);
    uint64_t now = cache_clock_ms(), most = MIN((uint64_t)LOOK_MS, l.inactive_ms); // who comes meanwhile is not awaited longer
    return MAX(next <= now ? 0 : MIN(next - now, most), (uint64_t)LOOK_MIN_MS);
}

// --- the thread ----------------------------------------------------------------------------------------------------------

static void *manage(void *arg) {
    struct cache *c = arg;
    loader_run(c);
    __atomic_store_n(&c->loading, false, __ATOMIC_RELEASE);
    while (!cache_stopping(c)) {
        purge_scan(c);
        sleep_ms(c, trim(c), true);
    }
    return NULL;
}

void cache_start(struct cache *c, const struct cache_params *p) {
    CHECK(c->magic == CACHE_MAGIC);
    pthread_mutex_lock(&c->lock);
    c->limits = *p;
    c->limits.name = c->limits.path = STR_NONE;
    __atomic_store_n(&c->max_size, p->max_size, __ATOMIC_RELAXED);
    bool first = !c->running;
    if (first) {
        sigset_t all, old; // signals are for the thread that waits for them
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        int err = pthread_create(&c->manager, NULL, manage, c);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        c->running = err == 0;
        if (err != 0)
            log_msg(LOG_ALERT, err, "a thread for the manager of cache \"" STR_FMT "\" cannot be made", STR_ARG(c->name));
    }
    pthread_mutex_unlock(&c->lock);
    if (!first)
        trim_wake(c);
}

void trim_stop(struct cache *c) {
    pthread_mutex_lock(&c->lock);
    __atomic_store_n(&c->stopping, true, __ATOMIC_RELEASE);
    bool running = c->running;
    c->running = false;
    pthread_cond_broadcast(&c->news);
    pthread_mutex_unlock(&c->lock);
    if (running)
        pthread_join(c->manager, NULL);
}
