// What the files of upstream/ share about a group: its state for the whole worker, and where the groups of a configuration
// are found. Private to upstream/ and to the feature that reads `upstream` blocks.
#pragma once
#include "conf/zone.h"
#include "upstream/group.h"
#include <pthread.h>
#include <stdatomic.h>

enum { GROUP_STATE_MAGIC = 0x57475250, POOL_LOOPS_MAX = 256 };

struct pool_shard; // pool.c: idle links of one group on one loop

// Shared by all loops and by all snapshots that have the same peers under the same name. Counted: by the zone, and by each
// idle link in a pool.
struct group_state {
    uint32_t magic;
    _Atomic uint32_t refs;
    pthread_mutex_t lock;      // guards peers[]; held for the time of a choice, never over a wait
    unsigned npeers;
    struct peer_state *peers;  // [npeers]
    char **names;              // [npeers] addresses, to see whether the state fits another configuration
    _Atomic int64_t idle;      // links in the pools of all loops
    struct pool_shard *_Atomic shards[POOL_LOOPS_MAX]; // by loop id; made on first use
};

struct group_state *group_state_new(const struct group *g);
void group_state_ref(struct group_state *s);
void group_state_unref(struct group_state *s); // any thread

void pool_shards_free(struct group_state *s); // no idle link is left
void pool_forget(struct group_state *s);      // asks all loops to close their idle links of that state; any thread

// The groups of one configuration. feature_upstream's struct in the http block points to it.
struct groups {
    struct map by_name;  // upstream blocks
    struct map implicit; // "host:port" of proxy_pass
};
struct upstream_conf {
    struct groups *groups;
};
struct groups *groups_of(const struct conf *c, bool make); // NULL: none, and not asked to make

void group_defaults(struct group *g);                                        // nginx 1.29.7's
struct str peer_address_text(struct arena *a, const struct addr_full *addr); // $upstream_addr
// While loading: what the peers say is complete; gives the group its zone and state.
void group_ready(struct conf_cx *cx, struct group *g);
