// A hash map from byte strings to pointers. Keys are not copied: they must outlive the map. One thread, or read-only.
#pragma once
#include "base/str.h"

struct map {
    struct map_slot *slots; // open addressing, power of two, NULL when empty
    size_t count, cap;
    uint64_t seed;
    bool fold; // ASCII case of keys does not count
};

void map_init(struct map *m, bool fold, uint64_t seed);
void map_done(struct map *m);
void *map_get(const struct map *m, struct str key); // NULL when absent
// Sets key to value (not NULL); the map then refers to this key, not an equal one before. Returns the value that was
// there before, or NULL.
void *map_put(struct map *m, struct str key, void *value);
void *map_del(struct map *m, struct str key); // the value removed, or NULL
// Visits all entries in no order: start with *at = 0; false at the end. The map must not change meanwhile.
bool map_next(const struct map *m, size_t *at, struct str *key, void **value);
