// An upstream: peers, the balancer that chooses among them, and their state, which is one for the whole worker (a zone): all
// loops see the same failures, counts and weights, and a reload keeps them.
//
//   group (configuration, immutable) ── zone ──► group_state (shared, under one short lock)
//     peers[] address, weight, limits              peer_state[] failures, active, current weight, idle links per loop
#pragma once
#include "conf/conf.h"
#include "io/link.h"

struct req;
struct exchange;

enum peer_flags { PEER_BACKUP = 1, PEER_DOWN = 2 };

struct peer {
    struct addr_full addr;
    struct str name;        // as $upstream_addr shows it: "127.0.0.1:3000", "unix:/tmp/x.sock"
    struct str server;      // as written in `server`
    unsigned flags;
    unsigned weight;        // >= 1
    unsigned max_conns;     // 0: no limit
    unsigned max_fails;     // 0: never counted out
    uint64_t fail_timeout_ms;
    unsigned index;         // in group->peers and group_state->peers
};

// Shared; guarded by group_state->lock unless atomic.
struct peer_state {
    int64_t current_weight, effective_weight; // smooth round robin
    unsigned fails;
    uint64_t checked_ms, accessed_ms; // loop clock
    unsigned active;    // requests (connections) now, exact over all loops
    uint64_t requests, failures, responses[6]; // for the status API
};

struct group;
struct group_state;

// A balancer: a pure function that picks one of the eligible peers. Called under the group's lock; must not wait.
struct balancer {
    const char *name; // "round_robin"
    // `eligible` has a bit per peer index that may be chosen. Returns a peer index, or -1.
    int (*choose)(const struct group *g, struct group_state *s, const uint64_t *eligible, struct req *r);
};
extern const struct balancer balancer_round_robin;

struct group {
    struct str name;            // of the upstream block, or "127.0.0.1:3000" for implicit ones
    struct peer *peers;
    unsigned npeers;
    bool of_request;            // made by group_of_request: ends with its request
    bool implicit;              // made by proxy_pass to an address
    unsigned default_port;      // of an implicit one
    const struct balancer *balancer;
    unsigned keepalive;         // idle connections kept in all loops together; default 32 (nginx 1.29.7); 0: none
    int64_t keepalive_requests; // default 1000
    uint64_t keepalive_time_ms, keepalive_timeout_ms; // 1h, 60s
    bool keepalive_local_unused;
    struct zone *zone;
    struct group_state *state;
    const struct conf_node *node;
};

extern struct feature feature_upstream; // the upstream block: src/feature/balance/upstream.c

// The group of that name, or NULL. For proxy_pass with variables at run time too: immutable after load.
struct group *group_find(const struct conf *c, struct str name);
// An implicit group for "host:port" or "unix:/path" in proxy_pass without variables; made while loading. Names are resolved
// at load (issue 4 makes that live): NULL and nginx's error `host not found in upstream "x"` when it cannot be.
struct group *group_implicit(struct conf_cx *cx, struct str host_port, unsigned default_port, const struct conf_node *node);
// An implicit group made at run time (proxy_pass with variables that gives an address): lives as long as the request; its
// state too. NULL when it is no address.
struct group *group_of_request(struct req *r, struct str host_port, unsigned default_port);

// eligible.c: once, before any balancer: not down, not tried, below max_conns, not counted out by failures (a counted-out
// peer is probed once after fail_timeout), primaries before backups. Then the balancer. Returns the peer with `active`
// counted, or NULL: none ("no live upstreams"). `tried` has a bit per peer and is updated.
struct peer *group_choose(struct group *g, struct req *r, uint64_t *tried, uint64_t now_ms);
enum { GROUP_PEERS_MAX = 4096 };
static inline size_t group_bits(const struct group *g) { return (g->npeers + 63) / 64; }
// How the request at that peer ended; `active` goes down. FAILED counts towards max_fails.
enum peer_result { PEER_OK, PEER_FAILED, PEER_NEUTRAL };
void group_release(struct group *g, struct peer *p, enum peer_result result, uint64_t now_ms);

// pool.c: idle connections, shared between loops: taken from one's own loop first, else from another's.
struct link *pool_take(struct group *g, struct peer *p); // a living idle link on this loop, or NULL. Does not wait.
// Takes over a link that is idle and clean; `requests` were served on it, it was made at `since_ms`. Closes it when the
// group keeps none, the limits are reached, or more than `keepalive` are idle (then the oldest goes).
void pool_give(struct group *g, struct peer *p, struct link *l, int64_t requests, uint64_t since_ms);
// The same for a link whose peer said how long it keeps it (Keep-Alive: timeout=5): never idle for longer than idle_ms.
void pool_give_for(struct group *g, struct peer *p, struct link *l, int64_t requests, uint64_t since_ms, uint64_t idle_ms);
void pool_facts(struct link *l, int64_t *requests, uint64_t *since_ms); // of a link just taken
// Closes the idle links of the calling loop: at its end, outside of tasks, before loop_free. Runs turns of the loop.
void pools_close(void);
