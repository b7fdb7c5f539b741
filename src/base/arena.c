// Chunks of an arena: objects are cut from the front, aligned; text from the back, packed.
//
//   chunk ─ [header][objects ──►  free  ◄── text]
//                           at            end
#include "base/arena.h"
#include "base/block.h"
#include "base/poison.h"
#include "base/swar.h"
#include <stdio.h>
#include <stdlib.h>

struct arena_chunk {
    struct arena_chunk *next;
    struct block *block; // NULL: from malloc
    char data[] __attribute__((aligned(16)));
};

struct arena_cleanup {
    struct arena_cleanup *next;
    void (*fn)(void *arg);
    void *arg;
};

// The first holds a usual proxied request.
enum { FIRST_CHUNK = 8192, POOL_CHUNK = 16384, HEAP_CHUNK = 65536 };

void arena_init(struct arena *a, struct blocks *pool) {
    *a = (struct arena){.pool = pool};
}

void arena_done(struct arena *a) {
    while (a->cleanups != NULL) {
        struct arena_cleanup *c = a->cleanups;
        a->cleanups = c->next;
        c->fn(c->arg);
    }
    struct arena_chunk *c = a->chunks;
    while (c != NULL) {
        struct arena_chunk *next = c->next;
        if (c->block != NULL)
            block_unref(c->block);
        else
            free(c);
        c = next;
    }
    arena_init(a, a->pool);
}

static size_t chunk_size(const struct arena *a) {
    if (a->at == NULL) // none was opened yet
        return FIRST_CHUNK;
    return a->pool != NULL || a->total < HEAP_CHUNK ? POOL_CHUNK : HEAP_CHUNK;
}

// A chunk of `size` bytes in all; not yet in the list.
static struct arena_chunk *chunk_new(struct arena *a, size_t size, size_t *usable) {
    struct block *block = NULL;
    struct arena_chunk *c;
    if (a->pool != NULL && !WEIR_ASAN) {
        block = block_new(a->pool, size);
        c = (struct arena_chunk *)block->data;
        size = block->size;
    } else {
        c = xmalloc(size);
    }
    c->block = block;
    a->total += size;
    *usable = size - sizeof(*c);
    return c;
}

// A chunk that holds one large object alone: behind the newest, whose free bytes stay in use.
static void *alloc_alone(struct arena *a, size_t size) {
    size_t usable;
    struct arena_chunk *c = chunk_new(a, sizeof(*c) + size, &usable);
    struct arena_chunk **at = a->chunks != NULL ? &a->chunks->next : &a->chunks;
    c->next = *at;
    *at = c;
    return c->data;
}

static void chunk_open(struct arena *a) {
    size_t usable;
    struct arena_chunk *c = chunk_new(a, chunk_size(a), &usable);
    c->next = a->chunks;
    a->chunks = c;
    a->at = c->data;
    a->end = c->data + (usable & ~(size_t)15);
}

// Objects above a quarter of a chunk would waste the rest of the one in use. Under AddressSanitizer every object is
// alone in its memory, so that each byte past its end is found.
static bool stands_alone(const struct arena *a, size_t size) {
    return WEIR_ASAN || size > chunk_size(a) / 4;
}

void *arena_alloc_slow(struct arena *a, size_t size) {
    CHECK(size <= (size_t)1 << 30);
    if (stands_alone(a, size))
        return alloc_alone(a, size);
    chunk_open(a);
    void *p = a->at;
    a->at += size;
    return p;
}

char *arena_bytes(struct arena *a, size_t size) {
    if (UNLIKELY((size_t)(a->end - a->at) < size || a->at == NULL)) {
        CHECK(size <= (size_t)1 << 30);
        if (stands_alone(a, size))
            return alloc_alone(a, size);
        chunk_open(a);
    }
    return a->end -= size;
}

void *arena_zalloc(struct arena *a, size_t size) {
    CHECK(size <= (size_t)1 << 30);
    return memset(arena_alloc(a, size), 0, size);
}

void *arena_zalloc_array(struct arena *a, size_t size, size_t count) {
    size_t total;
    CHECK(!__builtin_mul_overflow(size, count, &total));
    return arena_zalloc(a, total);
}

struct str arena_dup(struct arena *a, struct str s) {
    char *p = arena_bytes(a, s.n + 1);
    if (s.n != 0)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return str_n(p, s.n);
}

struct str arena_lower(struct arena *a, struct str s) {
    char *p = arena_bytes(a, s.n + 1);
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        uint64_t w = swar_lower64(swar_load64(s.p + i));
        memcpy(p + i, &w, sizeof(w));
    }
    for (; i < s.n; i++)
        p[i] = (char)ascii_lower((unsigned char)s.p[i]);
    p[s.n] = '\0';
    return str_n(p, s.n);
}

struct str arena_join(struct arena *a, const struct str *parts, size_t count) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        CHECK(!__builtin_add_overflow(n, parts[i].n, &n));
    char *p = arena_bytes(a, n + 1), *at = p;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].n != 0)
            memcpy(at, parts[i].p, parts[i].n);
        at += parts[i].n;
    }
    *at = '\0';
    return str_n(p, n);
}

struct str arena_printf(struct arena *a, const char *fmt, ...) {
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    CHECK(len >= 0);
    if ((size_t)len < sizeof(text))
        return arena_dup(a, str_n(text, (size_t)len));
    char *p = arena_bytes(a, (size_t)len + 1);
    va_start(ap, fmt);
    vsnprintf(p, (size_t)len + 1, fmt, ap);
    va_end(ap);
    return str_n(p, (size_t)len);
}

void arena_cleanup(struct arena *a, void (*fn)(void *arg), void *arg) {
    struct arena_cleanup *c = arena_alloc(a, sizeof(*c));
    *c = (struct arena_cleanup){a->cleanups, fn, arg};
    a->cleanups = c;
}
