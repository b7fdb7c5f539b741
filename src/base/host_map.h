// Names of hosts to pointers, as server_name and `map ... hostnames` have them: exact, "*.example.com", ".example.com" (which
// is both), "www.example.*". Exact beats wildcard, a leading wildcard a trailing one, a longer one a shorter one. The cost of
// a search is one look-up for each dot of the host.
#pragma once
#include "base/map.h"

struct host_map {
    struct map exact; // "example.com"
    struct map head;  // ".example.com", of *.example.com
    struct map tail;  // "www.example.", of www.example.*
};

void host_map_init(struct host_map *m, bool fold, uint64_t seed); // fold: ASCII case of hosts does not count
void host_map_done(struct host_map *m);
// Whether a name may be added: at most one asterisk, in the right place, and no "..".
bool host_map_valid(struct str name);
// Adds a valid name, whose bytes must outlive the map. False when it is there already; then it keeps its value.
bool host_map_add(struct host_map *m, struct str name, void *value) MUST_USE;
void *host_map_find(const struct host_map *m, struct str host); // NULL when absent
