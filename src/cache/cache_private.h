// What the files of the room share: the cache, its index, its manager.
#pragma once
#include "base/list.h"
#include "cache/cache.h"
#include <pthread.h>

enum { CACHE_MAGIC = 0x57434348, CACHE_PARTS = 16, PURGES_KEPT = 64, CACHE_BLOCK = 4096 /* files are counted in these */,
    CACHE_USES_MAX = UINT16_MAX };

// Somebody asks a back end for a new object, and others may wait for it.
struct cache_fetch {
    uint32_t refs; // atomic
    pthread_mutex_t lock;
    struct list waiters;
    enum { FETCH_ASKING, FETCH_FLOWING, FETCH_REFUSED, FETCH_FAILED } state;
    struct cache_object *object; // counted; FLOWING
    uint64_t start_ms;
};
struct cache_fetch *fetch_new(uint64_t now_ms);
struct cache_fetch *fetch_ref(struct cache_fetch *f);
void fetch_unref(struct cache_fetch *f);
void fetch_tell(struct cache_fetch *f, int state, struct cache_object *o); // the first word counts

// One for each key that is known, so its size decides how many keys a megabyte holds: see KEY_MEMORY.
struct cache_entry {
    struct cache_entry *next; // of its bucket
    struct list used;         // in the part's list, last used first
    struct cache_id id, main;
    uint64_t used_ms, used_nth;  // when, and as which use of this cache: the order over all parts
    struct cache_object *object; // counted
    struct cache_fetch *fetch;   // counted
    uint32_t disk;            // CACHE_BLOCKs of its file; 0: none. Also while the file gets its name
    uint32_t updating;        // who renews it; 0: nobody
    uint32_t error_until;     // unix seconds
    uint16_t error, uses;     // uses: at most CACHE_USES_MAX
};

struct cache_part {
    pthread_mutex_t lock; // of all below
    struct cache_entry **buckets;
    size_t nbuckets, count;
    struct list used, loaded; // entries; the objects of those that have one. Last used first
} __attribute__((aligned(64)));

// A purge, for what was asked for before it and is stored after it, and for objects that are found later.
struct cache_purged {
    uint64_t number;
    int64_t at_s;        // objects stored up to then
    bool prefix, scanned; // scanned: it covers nothing any more that is in the index or has a file
    struct cache_id main; // !prefix
    struct str text;     // of the prefix; owned
};

struct cache {
    uint32_t magic;
    uint32_t refs; // atomic: the zone, objects, jobs
    struct str name, path;
    unsigned char levels[CACHE_LEVELS_MAX];
    uint64_t size, seed;
    uint64_t bytes, memory, nth_use;        // atomic
    uint32_t serial;                        // atomic: of who renews
    uint64_t objects;                       // atomic: entries
    bool loading;                           // atomic: there may be files that the index does not know
    struct cache_part parts[CACHE_PARTS];
    pthread_mutex_t names; // held while a file gets its name or loses it, and while the index is asked whether it may

    // Under its lock: limits, and what the manager has to do.
    pthread_mutex_t lock;
    pthread_cond_t news;
    struct cache_params limits; // without strings
    uint64_t max_size;          // of them; atomic
    bool running, stopping, joined, full;
    pthread_t manager;
    struct cache_purged *purges; // newest last; the last PURGES_KEPT, and those not scanned for yet
    size_t npurges, purges_cap;
    uint64_t purge_number;       // atomic too: of the last one
    uint64_t forgotten;          // of the last one that is not among them
    unsigned rules;              // atomic too: not scanned for yet
};

struct cache *cache_ref(struct cache *c);
void cache_unref(struct cache *c);
const char *cache_dir(const struct cache *c);
// What was found of this object cannot be used: it goes, with a line of the error log.
void cache_drop(struct cache *c, const struct cache_object *o, const char *why);

// --- the index (index.c). All with the part locked -----------------------------------------------------------------------

struct cache_part *index_part(struct cache *c, const struct cache_id *main);
struct cache_entry *index_find(struct cache_part *p, const struct cache_id *id);
// A new entry, or the one that is there; room is made by letting go of others. NULL: no memory to be had.
struct cache_entry *index_add(struct cache *c, struct cache_part *p, const struct cache_id *main, const struct cache_id *id,
                              uint64_t now_ms);
void index_touch(struct cache *c, struct cache_part *p, struct cache_entry *e, uint64_t now_ms);
// The entry goes, and its file (by a job).
void index_remove(struct cache *c, struct cache_part *p, struct cache_entry *e);
// The entry's object is `o` (counted by this), or none. What is loaded is bounded: others may be let go.
void index_set_object(struct cache *c, struct cache_part *p, struct cache_entry *e, struct cache_object *o);
void index_set_disk(struct cache *c, struct cache_entry *e, uint64_t bytes);
static inline bool index_is_empty(const struct cache_entry *e) {
    return e->object == NULL && e->disk == 0 && e->fetch == NULL && e->error == 0 && e->updating == 0;
}

// --- jobs: work with files, on a helper thread (job.c) -------------------------------------------------------------------

void job_store(struct cache *c, struct cache_object *o);  // its file is finished and named
void job_rewrite(struct cache *c, struct cache_object *o); // its file gets the head of a renewed object
// Unless an entry has a file of that name. The only one that may be called with the part locked.
void job_delete(struct cache *c, const struct cache_id *main, const struct cache_id *id);

// --- purge.c -------------------------------------------------------------------------------------------------------------

// Whether a purge since `number` covers what has that key.
bool purge_since(struct cache *c, uint64_t number, struct str key, const struct cache_id *main);
bool purge_covers(struct cache *c, const struct cache_object *o); // by a rule that is not scanned for; before it is used
void purge_scan(struct cache *c); // the manager's, once all is loaded: removes what prefixes cover

// --- the manager's thread (trim.c, loader.c) -----------------------------------------------------------------------------

void loader_run(struct cache *c);
void trim_wake(struct cache *c); // there is something to do
void trim_stop(struct cache *c); // ends the thread
// After `files` or the threshold: sleeps. False: the manager is to stop.
struct pacer {
    struct cache_pace pace;
    int64_t files;
    uint64_t start_ms;
};
void pacer_init(struct cache *c, struct pacer *p, const struct cache_pace *pace);
bool pacer_step(struct cache *c, struct pacer *p);
bool cache_stopping(struct cache *c);
uint64_t cache_clock_ms(void); // monotonic, the scale of loop_now
int64_t cache_wall_s(void);
