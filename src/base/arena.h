// Memory that is freed all at once. Two kinds: of a loop (its chunks are blocks of the loop's pool; per request) and of
// the heap (configuration). Not for objects that grow without a limit of a directive.
#pragma once
#include "base/str.h"

struct blocks;
struct arena_chunk;
struct arena_cleanup;

struct arena {
    char *at, *end;             // free bytes of the newest chunk
    struct arena_chunk *chunks; // newest first
    struct arena_cleanup *cleanups;
    struct blocks *pool; // NULL: heap
    size_t total;        // bytes of all chunks
};

// pool NULL: chunks come from malloc. No allocation happens before the first use.
void arena_init(struct arena *a, struct blocks *pool);
// Runs the clean-ups, last registered first, then frees all chunks. The arena may be used again afterwards.
void arena_done(struct arena *a);

void *arena_alloc_slow(struct arena *a, size_t size);
// Aligned to 16 bytes, uninitialised, never NULL.
static inline void *arena_alloc(struct arena *a, size_t size) {
    size = (size + 15) & ~(size_t)15;
    if (LIKELY((size_t)(a->end - a->at) >= size && a->at != NULL)) {
        void *p = a->at;
        a->at += size;
        return p;
    }
    return arena_alloc_slow(a, size);
}
void *arena_zalloc(struct arena *a, size_t size) MUST_USE; // zeroed
// size * count bytes, zeroed; a product that overflows is a bug of ours.
void *arena_zalloc_array(struct arena *a, size_t size, size_t count) MUST_USE;
// Bytes without alignment; for text.
char *arena_bytes(struct arena *a, size_t size) MUST_USE;
struct str arena_dup(struct arena *a, struct str s);      // a copy, NUL-terminated behind its end
struct str arena_lower(struct arena *a, struct str s);    // a copy in ASCII lower case
struct str arena_join(struct arena *a, const struct str *parts, size_t count);
struct str arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
// Calls fn(arg) at arena_done. fn must not wait.
void arena_cleanup(struct arena *a, void (*fn)(void *arg), void *arg);

#define arena_new(a, type)         ((type *)arena_zalloc((a), sizeof(type)))
#define arena_array(a, type, count) ((type *)arena_zalloc_array((a), sizeof(type), (count)))
