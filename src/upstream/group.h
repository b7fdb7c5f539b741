// An upstream: peers, the balancer that chooses among them, and their state, which is one for the whole worker (a zone): all
// loops see the same failures, counts and weights, and a reload keeps them.
//
//   group (configuration, immutable) ── zone ──► group_state (shared, under one short lock)
//     peers[] address, weight, limits ─────────► peer_state: failures, active, current weight
//
// Where servers are named by host, the addresses change while the configuration does not: then the group has lists of peers
// that follow each other. A list is a group too, a counted copy with other peers (group_now, group_done); peers of the same
// server and address share their peer_state over lists and snapshots.
#pragma once
#include "conf/conf.h"
#include "io/link.h"

struct req;
struct exchange;

enum peer_flags { PEER_BACKUP = 1, PEER_DOWN = 2, PEER_DRAIN = 4 };

struct peer {
    struct addr_full addr;
    struct str name;        // as $upstream_addr shows it: "127.0.0.1:3000", "unix:/tmp/x.sock"
    struct str server;      // as written in `server`
    struct str route;       // of `server`; empty: none
    unsigned flags;
    bool by_address;        // of `resolve`: consistent hashing knows it by its address, else by its server
    unsigned weight;        // >= 1
    unsigned max_conns;     // 0: no limit
    unsigned max_fails;     // 0: never counted out
    uint64_t fail_timeout_ms;
    uint64_t slow_start_ms; // 0: none
    unsigned index;         // in group->peers
    struct peer_state *state;
};

enum peer_health { HEALTH_UNCHECKED, HEALTH_CHECKING, HEALTH_UP, HEALTH_UNHEALTHY };

// Shared; guarded by group_state->lock unless atomic. Lives as long as the group_state.
struct peer_state {
    unsigned slot;      // its place among the group's peer_states; the pool counts by it
    uint64_t id;        // no other of the group ever had it
    unsigned users;     // groups and lists that have it
    char *key;          // server, address: whose state it is
    unsigned weight;    // that the weights below are of
    int64_t current_weight, effective_weight; // smooth round robin
    unsigned fails;
    uint64_t checked_ms, accessed_ms; // loop clock
    uint64_t start_ms;  // since when it is given more and more (slow_start); 0: it has its full weight
    bool out;           // counted out by failures, until it answers again
    enum peer_health health; // by active checks
    unsigned active;    // requests (connections) now, exact over all loops
    uint64_t started_ms; // sum over the active requests of when they began (mod 2^64)
    // For the status API, as nginx's `peers` has them; nothing here is decided by these.
    uint64_t requests, failures, responses[6];
    uint64_t sent, received;         // bytes
    uint64_t unavailable;            // how often it was counted out by failures
    uint64_t selected_ms;            // when it was chosen last; 0: never
    uint64_t away_ms, downtime_ms;   // since when it is counted out or unhealthy (0: it is not); the sum of what was before
    uint64_t checks, checks_failed, unhealthy; // by health_check; the last: how often it became that
    bool check_passed;               // the last one
    uint64_t header_us, response_us; // moving averages of times to the head and to the end; 0: nothing known
    uint64_t measured_ms;            // when they were last added to
    _Atomic unsigned idle;           // links in the pool
    // learn.h
    _Atomic uint32_t closes_ms;      // idle age at which the peer was seen to close; UINT32_MAX: not seen
    _Atomic uint32_t closes_seen;    // 2: at least twice about then
    _Atomic uint64_t closes_at_ms;   // when that was seen last
    _Atomic uint32_t early_ms;       // the earliest idle age at which it was seen to close; UINT32_MAX: not seen
    _Atomic uint32_t early_weight;   // of what was seen then, less links that lived on
    _Atomic uint32_t kept_ms;        // the longest that the peer is known to have kept an idle link
    _Atomic uint32_t canary;         // 1: a request tries whether an idle link is alive
    _Atomic uint32_t canaries;       // that were answered since a close
    _Atomic uint32_t calm;           // links taken with care since a close
};

struct group;
struct group_state;

// What a balancer is asked.
struct choice {
    struct req *r;            // NULL in tests
    const uint64_t *eligible; // a bit per peer index that may be chosen
    bool backups;             // these are the backup servers
    uint64_t now_ms;
    struct str key;           // of `begin`
};

// A balancer: a pure function that picks one of the eligible peers.
struct balancer {
    const char *name;  // the directive: "least_conn"
    unsigned lacks;    // flags of peers that it cannot have (nginx: balancing method does not support parameter "backup")
    bool no_slow_start;
    // Returns the index of an eligible peer, or -1. Called under the group's lock; must not wait.
    int (*choose)(const struct group *g, struct choice *c);
    void (*begin)(const struct group *g, struct choice *c);   // before the lock is taken, to evaluate a key. NULL: nothing
    void (*prepare)(struct group *g, struct arena *a);        // what follows from the peers, for each list. NULL: nothing
};
extern const struct balancer balancer_round_robin;
int round_robin_choose(const struct group *g, struct choice *c); // for balancers that leave it to the turn

// Sticky sessions: which peer a request belongs to, before any balancer is asked.
struct sticky {
    const char *name;
    // The index of the peer, or -1. Outside of the lock.
    int (*find)(const struct group *g, struct req *r);
    // A peer has answered with a head. May add fields to r->out. NULL: nothing.
    void (*answered)(const struct group *g, struct exchange *x);
    // What follows from the peers, for each list: group->sticky_prepared. NULL: nothing.
    void (*prepare)(struct group *g, struct arena *a);
};

struct group {
    struct str name;            // of the upstream block, or "127.0.0.1:3000" for implicit ones
    struct peer *peers;
    unsigned npeers;
    bool implicit;              // made by proxy_pass to an address
    bool revives;               // when all peers are counted out by failures, a request asks them nevertheless
    unsigned default_port;      // of an implicit one
    const struct balancer *balancer;
    void *balance;              // the balancer's settings
    void *prepared;             // of balancer->prepare
    const struct sticky *sticky; // NULL: none
    void *sticky_conf, *sticky_prepared;
    unsigned queue;             // requests that may wait for a peer; 0: none does
    uint64_t queue_timeout_ms;
    unsigned total_weight;      // of primaries, the ones that are down included
    bool slow_start;            // some peer has it
    unsigned keepalive;         // idle connections kept for each loop, by all loops together; default 32 (nginx 1.29.7); 0: none
    int64_t keepalive_requests; // default 1000
    uint64_t keepalive_time_ms, keepalive_timeout_ms; // 1h, 60s
    bool keepalive_local;       // each location has connections of its own
    struct zone *zone;
    struct str zone_name;       // as the configuration calls it, for the status API; empty: none
    struct str state_path;      // file of `state`; empty: none
    bool mandatory;             // peers are not asked before their first check was passed (health_check mandatory)
    struct group_state *state;
    const struct conf_node *node;
    struct group_names *names;  // names.c: names that are resolved again and again; NULL: the peers never change
    const struct group *origin; // of a list: the group of the configuration, or what stands for one; else NULL
    unsigned refs;              // of a list, under the lock
    struct arena *arena;        // of a list: its own
};

extern struct feature feature_upstream; // the upstream block: src/feature/balance/upstream.c

// The group of that name, or NULL. For proxy_pass with variables at run time too: immutable after load.
struct group *group_find(const struct conf *c, struct str name);
// The list of peers that a request of now is to use: counted, given back with group_done when nothing of it is needed any
// more. The group itself where peers never change, and of a list that list.
struct group *group_now(struct group *g);
void group_done(struct group *list);
void group_keep(struct group *list); // one reference more
// An implicit group for "host:port" or "unix:/path" in proxy_pass without variables; made while loading. NULL and nginx's
// error when it is malformed. A name that does not resolve is a warning, and the group has no peers until it does.
struct group *group_implicit(struct conf_cx *cx, struct str host_port, unsigned default_port, const struct conf_node *node);
// addresses.c: an implicit group made at run time (proxy_pass with variables that gives an address or a name): a list that the
// request holds; its state is shared by all requests to that text. NULL and a line in the error log when it cannot be: 502.
// Waits for a name's addresses.
struct group *group_of_request(struct req *r, struct str host_port, unsigned default_port);

// eligible.c: once, before any balancer: not down, not tried, below max_conns, not counted out by failures (a counted-out
// peer is probed once after fail_timeout), primaries before backups. Then the balancer. Returns the peer with `active`
// counted, or NULL: none ("no live upstreams"). `tried` has a bit per peer and is updated.
struct peer *group_choose(struct group *g, struct req *r, uint64_t *tried, uint64_t now_ms);
// Why none of them may be asked now, for the error log: "3 servers: 1 down, 2 failed max_fails times, for 8000 ms more".
struct str group_why(struct group *g, struct arena *a, uint64_t now_ms);
enum { GROUP_PEERS_MAX = 4096 };
static inline size_t group_bits(const struct group *g) { return (g->npeers + 63) / 64; }
// The set bits of `set`, as `unsigned i`.
#define peers_each(i, g, set)                                                                                          \
    for (unsigned i = peers_next((set), (g)->npeers, 0); i < (g)->npeers; i = peers_next((set), (g)->npeers, i + 1))
static inline unsigned peers_next(const uint64_t *set, unsigned n, unsigned from) {
    for (unsigned word = from / 64; word < (n + 63) / 64; word++) {
        uint64_t bits = set[word] & (word == from / 64 ? ~(uint64_t)0 << (from % 64) : ~(uint64_t)0);
        if (bits != 0)
            return word * 64 + (unsigned)__builtin_ctzll(bits);
    }
    return n;
}
static inline bool peers_has(const uint64_t *set, unsigned i) { return (set[i / 64] >> (i % 64) & 1) != 0; }
// How the request at that peer ended; `active` goes down. FAILED counts towards max_fails.
enum peer_result { PEER_OK, PEER_FAILED, PEER_NEUTRAL };
struct peer_end {
    enum peer_result result;
    uint64_t start_ms;      // when group_choose gave the peer
    unsigned status;        // of the response; 0: none
    uint64_t header_ms;     // from the start to the head; UINT64_MAX: none came
    uint64_t sent, received; // bytes
};
// A check of the peer has ended, and its health is this now; for the counters. Under the group's lock.
void group_note_check(struct peer_state *ps, bool passed, enum peer_health before, uint64_t now_ms);
void group_release(struct group *g, struct peer *p, const struct peer_end *end, uint64_t now_ms);

// pool.c: idle connections, shared between loops: taken from one's own loop first, else from another's.
// A living idle link on this loop, or NULL. `careful`: the request could not be repeated, so none that the peer may be about
// to close (learn.h). If it has only such links, one of them is closed: the caller makes another. Does not wait.
struct link *pool_take(struct group *g, struct peer *p, bool careful);
// The same for connections of a kind, which is told by a tag (how TLS is spoken, the local address; 0: neither is said): these
// are never mixed. Those over TLS stay on their loop.
struct link *pool_take_tagged(struct group *g, struct peer *p, bool careful, uint64_t tag);
uint64_t pool_idle_ms(struct link *l); // how long a link just taken had been idle
// Whether the link just taken carries the one request of which it is not known whether the peer keeps idle links:
// pool_canary_done when it has ended; well: answered over that link.
bool pool_is_canary(struct link *l);
void pool_canary_done(struct peer *p, bool well);
// Whether the kernel is asked before a request goes out that could not be repeated: until a thousand of them met no closed link.
// After that epoll is trusted, which knows all but what happened in this very turn.
bool pool_may_close(struct peer *p);
void pool_peer_closed(struct peer *p, uint64_t idle_ms); // that a peer closed a link that had been idle for so long
// Takes over a link that is idle and clean; `requests` were served on it, it was made at `since_ms`. Closes it when the
// group keeps none, the limits are reached, or more than `keepalive` are idle (then the oldest goes).
void pool_give(struct group *g, struct peer *p, struct link *l, int64_t requests, uint64_t since_ms);
// The same for a link whose peer said how long it keeps it (Keep-Alive: timeout=5): never idle for longer than idle_ms.
void pool_give_for(struct group *g, struct peer *p, struct link *l, int64_t requests, uint64_t since_ms, uint64_t idle_ms);
// The same for one of a kind.
void pool_give_tagged(struct group *g, struct peer *p, struct link *l, int64_t requests, uint64_t since_ms, uint64_t idle_ms,
                      uint64_t tag);
void pool_facts(struct link *l, int64_t *requests, uint64_t *since_ms); // of a link just taken
// Closes the idle links of the calling loop: at its end, outside of tasks, before loop_free. Runs turns of the loop.
void pools_close(void);
