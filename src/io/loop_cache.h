// Things that a loop remembers by a key until nobody asks for them any more: open files, logs. At most so many, the one not used for
// longest goes first; a timer lets go what was not used for a while. Each loop has one cache of a kind, for all configurations, so
// nothing in it needs a lock.
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "io/timer.h"

struct loop;

// An entry begins with this.
struct cached {
    struct list node; // the last used first
    struct str key;
    uint64_t used_ms, inactive_ms;
    int64_t uses;     // no more than inactive_ms apart, this one included
};

struct loop_cache_kind {
    size_t entry_size;                 // struct cached and what follows
    void (*release)(struct cached *e); // what the entry holds; its memory is the cache's
    unsigned slot;                     // one more than the loop's; given with the first cache, 0: none yet
};

struct loop_cache;

// The calling loop's cache of that kind; made when it is first asked for.
struct loop_cache *loop_cache_of(struct loop *l, struct loop_cache_kind *kind);
// An entry, used now: NULL when there is none.
struct cached *loop_cache_find(struct loop_cache *c, struct str key, uint64_t inactive_ms);
// A new one, zeroed but for what struct cached says; others go until there are fewer than max. The key is copied.
struct cached *loop_cache_add(struct loop_cache *c, struct str key, size_t max, uint64_t inactive_ms);
void loop_cache_remove(struct loop_cache *c, struct cached *e);
