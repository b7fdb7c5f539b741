// The cache of one proxy_cache_path: one index in memory for the whole worker, files on disk. What a request does:
//
//   cache_open ─► HIT, UPDATING: ask->object is the answer
//              ─► MISS, EXPIRED: the back end is asked, then cache_keep and the object's body is written, or cache_refuse
//              ─► BUSY: cache_wait for who asks already, then again
//   and at last cache_close, whatever happened.
//
// The index knows an object by its name (key.h), 16 parts with a lock each; the key itself is compared when an object is
// loaded. Its memory, and that of small objects, is bounded by keys_zone: what was not used for longest goes.
#pragma once
#include "cache/object.h"
#include "conf/zone.h"

struct cache;
struct cache_fetch;

// How much is done at once by the loader, the manager and the purger.
struct cache_pace {
    int64_t files;
    uint64_t sleep_ms, threshold_ms;
};

// What a cache is declared with. Strings live as long as the snapshot.
struct cache_params {
    struct str name;
    struct str path; // absolute, NUL-terminated
    unsigned char levels[CACHE_LEVELS_MAX];
    uint64_t size;                // keys_zone
    uint64_t max_size, min_free;  // bytes of files; 0: no limit
    uint64_t inactive_ms;
    struct cache_pace manager, loader, purger;
};

extern const struct zone_kind cache_kind; // state: struct cache. The same path, levels and size: the same cache
// The configuration is in force in this process: its limits hold from now on, and the manager runs. Any thread.
void cache_start(struct cache *c, const struct cache_params *p);

enum cache_verdict {
    CACHE_HIT,
    CACHE_MISS,
    CACHE_EXPIRED,  // object is what there is; the caller renews it
    CACHE_UPDATING, // the same, and somebody else renews it
    CACHE_SCARCE,   // asked for too seldom so far (min_uses)
    CACHE_BUSY,     // somebody else asks the back end for it (lock)
    CACHE_FAILED,   // ask->error is the status to answer with
};

struct cache_ask {
    // In.
    struct cache *cache;
    struct str key;             // outlives the ask
    const struct head *request; // for Vary
    struct arena *arena;
    int64_t now_s;
    uint64_t now_ms;            // of the loop
    uint64_t min_uses;
    bool lock;                  // one request at a time asks for a new object
    uint64_t lock_age_ms;
    // Out.
    struct cache_id main, id;
    struct cache_object *object; // counted
    unsigned error;
    bool stale_updating, stale_error; // what the object itself allows
    // Private.
    struct str vary;            // of the main object: id is that of the variant
    struct cache_fetch *fetch;  // counted; `mine`: others may wait for it
    bool mine, collides;
    uint32_t updating;          // not 0: this request is the one that renews
    uint64_t purges;            // of the cache, when it was asked
};

// Only its names: for a request that asks the back end in any case (bypass), and may keep what it gets. Waits for a
// disk.
void cache_name(struct cache_ask *a);
// `to` (its input set) goes on where `from` was, which has nothing any more to renew: a request in the background.
void cache_take_over(struct cache_ask *to, struct cache_ask *from);
// Looks the key up. May be called again with the same ask, which is then begun anew. Waits for a disk.
enum cache_verdict cache_open(struct cache_ask *a);
void cache_close(struct cache_ask *a); // gives everything back; who waits for this request goes on without it

enum cache_news { CACHE_NEWS_OBJECT, CACHE_NEWS_AGAIN, CACHE_NEWS_REFUSED, CACHE_NEWS_LATE, CACHE_NEWS_CANCELLED };
// After CACHE_BUSY: OBJECT: a->object is the answer, maybe still growing. AGAIN: ask again. REFUSED: the answer cannot be kept,
// so nobody need wait for it. Waits.
enum cache_news cache_wait(struct cache_ask *a, uint64_t deadline_ms);

// The answer may be kept: an object that a->object is, in place of what it was, and that others can read from now on. `vary`:
// of cache_vary; length: of the body, -1 when it is not known. NULL: it cannot be kept after all.
struct cache_object *cache_keep(struct cache_ask *a, struct str vary, const struct cache_facts *facts, const struct head *head,
                                int64_t length);
// The object of cache_keep has ended (cache_object_end): into the index and to the disk with it, or out of the way.
void cache_kept(struct cache_ask *a);
// It cannot be kept: who waits asks for himself.
void cache_refuse(struct cache_ask *a);
// The object holds for longer; with the fields of a 304. It is a->object from then on.
void cache_renew(struct cache_ask *a, const struct cache_facts *facts, const struct head *fields);
// Nothing but a status is known, until then.
void cache_remember(struct cache_ask *a, unsigned status, int64_t until_s);

// Removes what the key names, with all its variants; a key that ends with '*': all that begin with what is before it. False:
// there was nothing of that key. Never waits for a disk.
bool cache_purge(struct cache *c, struct str key);

// What is kept under the key, and only that, with its variants. For requests that have changed it.
void cache_forget(struct cache *c, struct str key);

struct cache_numbers {
    uint64_t bytes, memory, objects; // of files; of keys_zone; known
    bool loading;
};
void cache_count(struct cache *c, struct cache_numbers *n);
