// What the files of upstream/ share about a group: its state for the whole worker, and where the groups of a configuration
// are found. Private to upstream/ and to the features that read `upstream` blocks.
#pragma once
#include "base/list.h"
#include "conf/zone.h"
#include "upstream/group.h"
#include <pthread.h>
#include <stdatomic.h>

enum { GROUP_STATE_MAGIC = 0x57475250, POOL_LOOPS_MAX = 256 };

struct pool_shard; // pool.c: idle links of one group on one loop

// Shared by all loops, and by all snapshots that have an upstream of that name. Counted: by the zone, and by each idle link
// in a pool.
struct group_state {
    uint32_t magic;
    _Atomic uint32_t refs;
    pthread_mutex_t lock;      // guards all but the atomics; held for the time of a choice, never over a wait
    struct peer_state **slots; // [nslots], those that nobody uses any more are used again
    unsigned nslots, cap;
    uint64_t last_id;          // of a peer_state
    uint64_t random;           // state of a generator
    struct list queue;         // queue.c: requests that wait for a peer
    _Atomic unsigned queued;   // changed under the lock only
    _Atomic int64_t idle;      // links in the pools of all loops
    struct pool_shard *_Atomic shards[POOL_LOOPS_MAX]; // by loop id; made on first use
};

struct group_state *group_state_new(void);
void group_state_ref(struct group_state *s);
void group_state_unref(struct group_state *s); // any thread
uint64_t group_random(struct group_state *s);  // under the lock

// Gives each peer of g its index and its peer_state in g->state: the one that has its server and address already, or a new
// one. group_detach gives them back.
void group_attach(struct group *g);
void group_detach(struct group *g);

void pool_shards_free(struct group_state *s); // no idle link is left
void pool_forget(struct group_state *s);      // asks all loops to close their idle links of that state; any thread

// Requests that wait for a peer (queue). A peer may have become free: called under the lock.
void queue_wake(struct group_state *s);

// The groups of one configuration. feature_upstream's struct in the http block points to it.
struct groups {
    struct map by_name;  // upstream blocks
    struct map implicit; // "host:port" of proxy_pass
    struct group **all;  // [count], in the order they were made
    size_t count, cap;
    struct addresses *addresses; // of groups made at run time
};
struct upstream_conf {
    struct groups *groups;
};
struct groups *groups_of(const struct conf *c, bool make); // NULL: none, and not asked to make

void group_defaults(struct group *g);                                        // nginx 1.29.7's
void peer_defaults(struct peer *p);
struct str peer_address_text(struct arena *a, const struct addr_full *addr); // $upstream_addr
// While loading: what the peers say is complete; gives the group its zone and state.
void group_ready(struct conf_cx *cx, struct group *g);
// What follows from the peers of a group or a list: sums, and what its balancer prepares.
void group_prepare(struct group *g, struct arena *a);
