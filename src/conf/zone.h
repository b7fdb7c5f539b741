// Named state that outlives a reload: keep-alive pools, peers' health, counters, cache indices. A snapshot holds references;
// the next snapshot that asks for the same kind, name and parameters gets the same object.
#pragma once
#include "base/str.h"

struct zones; // the registry: one for a worker, thread-safe

// A kind of zone. State is made on first request and freed with the last reference.
struct zone_kind {
    const char *name;                     // "upstream", "limit_req"...
    void *(*make)(const void *params);    // params as given to zone_get; never NULL
    void (*free)(void *state);
    // Whether the state made for `old` serves `now`; false: a new one is made and a notice says that it starts empty.
    bool (*fits)(const void *state, const void *now);
};

struct zone {
    const struct zone_kind *kind;
    struct str name;
    void *state;
    uint32_t refs; // atomic
    struct zones *zones;
};

struct zones *zones_new(void);
void zones_free(struct zones *z); // no zone may be left
// A counted zone. *fresh (may be NULL) tells whether its state was made by this call.
struct zone *zone_get(struct zones *z, const struct zone_kind *kind, struct str name, const void *params, bool *fresh);
// fn(arg, "kind name") for each zone since the last call that was made although one of its kind and name existed, because its
// parameters are others: it starts empty. fn NULL: forgets them.
void zones_renewed(struct zones *z, void (*fn)(void *arg, struct str key), void *arg);
void zone_unref(struct zone *z); // any thread; NULL does nothing
