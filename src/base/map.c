// Open addressing with linear probing and stored hashes; a removal shifts the run behind it back, so no tombstones.
#include "base/map.h"
#include "base/hash.h"
#include <stdlib.h>

struct map_slot {
    struct str key;
    uint64_t hash;
    void *value; // NULL: free
};

void map_init(struct map *m, bool fold, uint64_t seed) {
    *m = (struct map){.fold = fold, .seed = seed};
}

void map_done(struct map *m) {
    free(m->slots);
    map_init(m, m->fold, m->seed);
}

static inline uint64_t key_hash(const struct map *m, struct str key) {
    return m->fold ? hash_istr(key, m->seed) : hash_str(key, m->seed);
}

// The slot of the key, or the free one where it belongs. The map has a free slot.
static struct map_slot *find(const struct map *m, struct str key, uint64_t hash) {
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct map_slot *s = &m->slots[i];
        if (s->value == NULL)
            return s;
        if (s->hash == hash && (m->fold ? str_ieq(s->key, key) : str_eq(s->key, key)))
            return s;
    }
}

static struct map_slot *find_free(const struct map *m, uint64_t hash) {
    size_t i = hash & (m->cap - 1);
    while (m->slots[i].value != NULL)
        i = (i + 1) & (m->cap - 1);
    return &m->slots[i];
}

static COLD void grow(struct map *m) {
    struct map bigger = *m;
    bigger.cap = m->cap != 0 ? m->cap * 2 : 8;
    bigger.slots = xcalloc(bigger.cap, sizeof(*bigger.slots));
    for (size_t i = 0; i < m->cap; i++) {
        if (m->slots[i].value != NULL)
            *find_free(&bigger, m->slots[i].hash) = m->slots[i];
    }
    free(m->slots);
    *m = bigger;
}

void *map_get(const struct map *m, struct str key) {
    return m->count != 0 ? find(m, key, key_hash(m, key))->value : NULL;
}

void *map_put(struct map *m, struct str key, void *value) {
    CHECK(value != NULL);
    if (m->count >= m->cap - m->cap / 4) // also when empty; at most three quarters are taken
        grow(m);
    uint64_t hash = key_hash(m, key);
    struct map_slot *s = find(m, key, hash);
    void *before = s->value;
    m->count += before == NULL;
    *s = (struct map_slot){key, hash, value};
    return before;
}

void *map_del(struct map *m, struct str key) {
    if (m->count == 0)
        return NULL;
    struct map_slot *hole = find(m, key, key_hash(m, key));
    void *value = hole->value;
    if (value == NULL)
        return NULL;
    size_t mask = m->cap - 1, at = (size_t)(hole - m->slots);
    for (size_t i = (at + 1) & mask; m->slots[i].value != NULL; i = (i + 1) & mask) {
        // An entry may move into the hole unless its home lies behind the hole.
        size_t from_home = (i - (m->slots[i].hash & mask)) & mask;
        if (from_home >= ((i - at) & mask)) {
            m->slots[at] = m->slots[i];
            at = i;
        }
    }
    m->slots[at].value = NULL;
    m->count--;
    return value;
}

bool map_next(const struct map *m, size_t *at, struct str *key, void **value) {
    while (*at < m->cap) {
        const struct map_slot *s = &m->slots[(*at)++];
        if (s->value != NULL) {
            *key = s->key;
            *value = s->value;
            return true;
        }
    }
    return false;
}
