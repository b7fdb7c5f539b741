// Addresses to values: for geo and the like. Built once, then read by any thread. A search is one bisection, whatever the number
// of networks.
#pragma once
#include "base/arena.h"
#include "wire/addr.h"

// From this address (as a number; IPv4: lo) up to the next segment's, addresses have the value; NULL: none.
struct addr_segment {
    uint64_t hi, lo;
    void *value;
};
struct addr_map {
    struct addr_segment *v4, *v6; // ascending; the first begins at 0
    size_t n4, n6;
};

struct addr_network {
    struct cidr net;
    void *value; // not NULL
};
// Of several networks that hold an address the longest counts. No network twice. Sorts `at`; what is made is of the arena.
void addr_map_of_networks(struct addr_map *m, struct addr_network *at, size_t n, struct arena *arena);

// IPv4 ranges, both ends included.
struct addr_range {
    uint32_t first, last;
    void *value; // not NULL
};
// Ranges must ascend and not overlap.
void addr_map_of_ranges(struct addr_map *m, const struct addr_range *at, size_t n, struct arena *arena);

// The value, or NULL. IPv4-mapped IPv6 addresses count as IPv4; what is no IP address as 255.255.255.255 (nginx).
void *addr_map_find(const struct addr_map *m, const struct sockaddr *sa);
