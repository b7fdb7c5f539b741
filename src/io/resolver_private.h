// What resolver.c (answers kept, who waits for them) and resolver_ask.c (a question to servers) share.
#pragma once
#include "io/resolver.h"
#include "wire/resolv.h"
#include <stdatomic.h>

enum { ADDRESSES_MAX = 256 };

// An answer, in one piece of malloc.
struct answer {
    size_t naddrs, nservices;
    struct addr_full *addrs;
    struct service *services;
};

// A question being asked.
struct question {
    bool srv;
    bool ipv4, ipv6;
    struct str name;
    const struct resolv_conf *rc; // servers; candidates of the name
    bool search;                  // the candidates of rc; else the name alone
    unsigned first;               // server to begin with
    bool (*given_up)(void *arg);  // nobody wants it any more
    void *arg;
    struct counters *counters;
    // out
    int result;             // as resolver_addresses
    struct answer *answer;  // with result 0; the caller's to free
    uint64_t ttl_ms;        // of it, or of a negative answer; UINT64_MAX: it says nothing
    unsigned last;          // server that answered
};
void question_ask(struct question *q); // Waits

struct counters {
    _Atomic uint64_t name, srv, rcode[6], timedout, unknown;
};

struct answer *answer_new(size_t naddrs, size_t nservices, size_t text); // room for the targets of services behind it
char *answer_targets(struct answer *a);
