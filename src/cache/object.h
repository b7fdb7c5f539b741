// An answer that is kept: what its head said, for how long it holds, and its body, in memory, in a file, or both; or still
// growing, while it comes in and several read it. Shared by all loops and counted; what is complete is immutable.
//
//   object ─► head, key, times           data ─► [ memory | file ]
//      └───────── data ──────────────────►        ▲ append (one writer)      ▲ readers of any loop, each at its own place
//
// Validation makes a new object with a new head around the same data.
#pragma once
#include "base/list.h"
#include "cache/key.h"
#include "http/body.h"

enum { CACHE_OBJECT_MAGIC = 0x5743414f };

struct cache;
struct cache_data;
struct cache_entry;

enum { CACHE_HEAD_UNSAID = -2 };

// What is known of an answer beside its fields. Times are unix seconds.
struct cache_facts {
    int64_t valid;     // fresh until
    int64_t updating;  // may be served while it is renewed, until (stale-while-revalidate)
    int64_t error;     // may be served instead of an error, until (stale-if-error)
    int64_t stored;    // when it came, or was validated last
    int64_t age;       // what its Age was then
    bool by_origin;    // Cache-Control or Expires decided `valid`
    int64_t head_length; // Content-Length of an answer to HEAD, CACHE_HEAD_UNSAID: it had none; -1: it is an answer to something else
};

struct cache_object {
    uint32_t magic;
    uint32_t refs; // atomic
    struct cache_id main, id;    // of the key; of its file, which is `main` or that of a variant: settled, under the lock of its
                                 // part of the index, when it gets there
    struct cache_id variant;     // which requests it answers, with `vary`: see cache_variant_of
    uint64_t number;             // of the first purge that it is older than; 0: from the disk, so its time decides
    struct str key;
    struct str vary;  // as of cache_vary; "": none
    struct cache_facts facts;
    struct head head; // of the answer; no framing, nothing of the connection. Not to be changed
    struct str text;  // that the strings above lie in
    struct list loaded;        // of the index, under the lock of its part; beside others that are in memory
    struct cache_entry *entry; // the same: that it is in; NULL: none
    struct cache_data *data;
};

struct cache_object *cache_object_ref(struct cache_object *o);
void cache_object_unref(struct cache_object *o); // NULL does nothing; any thread
// A new answer, whose body is to be appended; its length, or -1 when that is not known. Copies what it is given. NULL: too large a head (CACHE_HEAD_MAX).
enum { CACHE_HEAD_MAX = 256 << 10 };
struct cache_object *cache_object_new(struct cache *c, const struct cache_id *main, const struct cache_id *id, struct str key,
                                      struct str vary, const struct cache_facts *facts, const struct head *head, int64_t length);
// The same answer with new facts, and with the fields of a 304 in place of its own of the same names (RFC 9111 3.2).
struct cache_object *cache_object_renew(struct cache_object *old, const struct cache_facts *facts, const struct head *fields);
size_t cache_object_memory(const struct cache_object *o);

bool cache_object_complete(const struct cache_object *o);
int64_t cache_object_length(const struct cache_object *o); // of the body; -1: not known yet

// Whether the first block of a complete body is as it was written: asked before a head is sent. If not, the object is gone from
// the cache, logged. Waits for the disk, the first time.
bool cache_object_begins_well(struct cache_object *o);
// The body from its beginning; can seek once it is complete. Waits for the writer, and for a disk. The body holds the object.
// NULL: it came too late, the file has failed.
struct body *cache_object_body(struct cache_object *o, struct arena *a);

// --- the writer: one task, or none that waits ---------------------------------------------------------------------------

// Takes all of the chain. Waits for the file. A file that fails is told to the log, once, and forgotten: the readers that are
// there get everything, from memory, and the writer waits for them. 0, or -ECANCELED.
int cache_object_append(struct cache_object *o, struct chain *bytes);
// No more will come. err 0: it is complete, and may be kept (cache_store). Else readers get that error.
void cache_object_end(struct cache_object *o, int err);
bool cache_object_lost(const struct cache_object *o); // its file failed: it cannot be kept
