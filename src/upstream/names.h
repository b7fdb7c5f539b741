// Servers named by host: their addresses change while the configuration does not. What a group says of its servers, the list
// of peers that follows from the addresses of now, and the work that keeps it up to date.
#pragma once
#include "io/names.h"
#include "upstream/group.h"

struct resolver;

// One `server` of an upstream block, or the one of an address in proxy_pass.
struct group_server {
    struct peer peer;       // all but its address
    struct names fixed;     // the addresses when it is not a name, else those found while loading, which may be none
    struct str host;        // the name; empty: `fixed` is all
    unsigned port;
    struct str service;     // SRV: as written in service=; empty: none
};

struct group_names {
    const struct group_server *servers;
    unsigned nservers;
    struct group *current;  // the list of now, counted; NULL: the group's own peers. Under the group's lock
    struct resolver *resolver;
    uint64_t timeout_ms;
    unsigned pending;       // atomic: servers that were not asked for yet
    int *errors;            // [nservers], atomic: of the last question; 0: addresses are known
};

// What the directives resolver, resolver_timeout and resolver_strict say (feature/balance/resolver.c).
struct resolver_conf {
    struct resolver *resolver; // never NULL when loading is over
    uint64_t timeout;          // ms
    bool strict;
};
extern struct feature feature_resolver;

// While loading. A server of this text: its fixed addresses or its name and port, as `service` and `later` (resolved at run
// time only) say. False and an error when it is malformed; a name without addresses is a warning, or an error when strict.
bool names_server(struct conf_cx *cx, const struct conf_node *node, struct str text, unsigned default_port, bool later,
                  struct group_server *s);
// The peers of the group from what is known while loading. False when there are too many (an error).
bool names_peers(struct conf_cx *cx, const struct conf_node *node, struct group *g, const struct group_server *servers,
                 unsigned count);
// What keeps the addresses up to date; NULL when no server is a name. `scope` says which resolver.
struct group_names *names_of(struct conf_cx *cx, const struct scope *scope, struct group *g,
                             const struct group_server *servers, unsigned count);

// Of the running snapshot, on the first loop.
void names_start(struct conf *c);
void names_stop(struct conf *c);
// Waits until a group that has no peer yet, because names were not asked for, has some or all of them were: at most the
// resolver's time-out. Waits only then.
void names_await(struct group *g);
// Why a group has no peer for some of its servers: 'host "x" ...', empty when all are known.
struct str names_missing(const struct group *g, struct arena *a);

// A list for a group, with room for peers, to be filled: one reference. Then group_list_ready.
struct group *group_list_new(const struct group *origin, unsigned npeers);
void group_list_ready(struct group *list);
