// A resolver asks name servers and keeps their answers, for all loops of the worker. Answers hold as long as their TTL says,
// within bounds; when a name cannot be asked for any more, the last good answer goes on to be used. Questions that many have
// at once are asked once.
#pragma once
#include "io/names.h"
#include "io/task.h"
#include "wire/dns.h"

struct resolver; // counted

struct resolver_opts {
    const struct addr_full *servers; // of UDP port and address; none: those of /etc/resolv.conf, behind /etc/hosts
    size_t count;
    uint64_t valid_ms;               // how long answers hold; 0: as long as they say
    bool ipv4, ipv6;                 // which addresses are asked for
};
struct resolver *resolver_new(const struct resolver_opts *o);
struct resolver *resolver_ref(struct resolver *rs);
void resolver_unref(struct resolver *rs); // any thread; NULL does nothing

struct service {
    struct str target;
    unsigned priority, weight, port;
};

struct resolved {
    struct names addrs;       // port 0
    struct service *services; // by priority
    size_t nservices;
    uint64_t fresh_ms;        // how long that holds from now
    int stale;                // not 0: this is the last good answer, for that reason it could not be renewed
};
// Memory of the answer from the arena. 0, or -ENOENT: there is no such name, or it has none of these; -ETIMEDOUT; -EIO: no
// server could tell; -EINVAL: no name that can be asked for; -ECANCELED. Waits, at most timeout_ms.
int resolver_addresses(struct resolver *rs, struct str name, uint64_t timeout_ms, struct arena *a, struct resolved *out);
int resolver_services(struct resolver *rs, struct str name, uint64_t timeout_ms, struct arena *a, struct resolved *out);
// "host not found", "timed out": nginx's words for such an error.
const char *resolver_error(int err);
int resolver_rcode(int err); // the number that nginx's messages show with them

// Counts since it was made, as nginx's API has them.
struct resolver_stats {
    uint64_t name, srv;                                       // requests
    uint64_t noerror, formerr, servfail, nxdomain, notimp, refused, timedout, unknown; // responses
};
void resolver_counters(struct resolver *rs, struct resolver_stats *to);
