// The bytes of a body, private to the room: see object.h.
#pragma once
#include "cache/object.h"
#include "base/list.h"
#include "io/inbox.h"
#include <pthread.h>

enum {
    CACHE_MEMORY_MAX = 32 << 10, // a body up to here lies in memory, and is written to its file in one go
    CACHE_SUM_BLOCK = 256 << 10, // bytes that one checksum is of
};

// A task that waits for news of another loop. Lies on its stack.
struct cache_waiter {
    struct message m;
    struct list node;  // in the list of what it waits for, under the lock of that
    struct task *task;
    struct loop *loop;
    bool told;         // under the lock: a message is under way
    bool arrived;      // the task's
};
// With the lock held.
void cache_wake_all(struct list *waiters);
// Called with *lock held, which is given up while waiting and not taken again. 0: there was news; -ETIMEDOUT, -ECANCELED. Waits.
int cache_await(struct list *waiters, pthread_mutex_t *lock, uint64_t deadline_ms);

// Bytes that no file took.
struct cache_piece {
    struct cache_piece *next;
    uint64_t at;
    size_t n;
    char bytes[];
};

struct cache_data {
    uint32_t refs;  // atomic
    struct cache *cache; // counted
    int fd;         // -1: none yet. Set once, before `in_file` or `complete` says that bytes are there
    bool complete;  // atomic (release): from then on nothing below changes but `checked` and `linked`
    bool linked;    // atomic: the file has its name
    uint64_t at;    // of the body in the file
    uint64_t n;     // bytes, when complete
    char *mem;      // all of them; NULL: in the file
    int64_t promised; // by whoever began it: the length, -1: not known
    uint32_t *sums; // of each block; NULL: not known
    unsigned nsums;
    unsigned char *checked; // atomic bytes: which blocks agreed with their sums since the file was opened

    // While it grows, under the lock.
    pthread_mutex_t lock;
    struct list waiters;      // readers that have seen all
    struct list readers;      // struct cache_reader
    struct list writer;       // the writer, when it waits for readers
    uint64_t length, in_file; // appended; of it in the file
    size_t mem_cap;
    struct cache_piece *pieces, **pieces_tail; // what the file did not take
    bool ended, lost;
    int error;
    uint32_t sum;             // of the last, unfinished block
    size_t summed;
};

// Whoever reads the body.
struct cache_reader {
    struct body body;
    struct cache_object *object; // counted
    struct list node;            // in data->readers while it grows
    bool listed;                 // there
    uint64_t pos;
    struct file_ref *file;       // of this loop around data->fd; NULL: not yet
};

struct cache_data *cache_data_new(struct cache *c);
struct cache_data *cache_data_ref(struct cache_data *d);
void cache_data_unref(struct cache_data *d);
uint32_t cache_sum(uint32_t sum, const void *p, size_t n); // CRC-32; begins with 0
static inline unsigned cache_blocks(uint64_t n) { return (unsigned)((n + CACHE_SUM_BLOCK - 1) / CACHE_SUM_BLOCK); }
