// Text under construction: one growable, bounded buffer, written in one pass. What does not fit under the bound is
// dropped whole (printf: cut) and `overflow` is set; what is put afterwards and fits is written, so look at `overflow`
// before the text counts. Nothing is ever written past the end. Replaces sprintf, strcat and two-pass lengths.
#pragma once
#include "base/str.h"

struct arena;

struct sbuf {
    char *p; // never NULL
    size_t n, cap, max; // n <= cap <= max
    struct arena *arena; // NULL: heap (sbuf_done frees) or fixed
    bool fixed;          // storage is the caller's and never grows
    bool overflow;
};

// Storage from the heap; grows up to max bytes; sbuf_done frees it.
void sbuf_init_heap(struct sbuf *b, size_t max);
// Storage from the arena, which frees it with everything else; sbuf_done does nothing.
void sbuf_init_arena(struct sbuf *b, struct arena *arena, size_t hint, size_t max);
// Storage is the caller's array of cap bytes.
void sbuf_init_fixed(struct sbuf *b, char *storage, size_t cap);
void sbuf_done(struct sbuf *b);

char *sbuf_room_slow(struct sbuf *b, size_t n);
// A pointer to n writable bytes at the end, not yet counted, or NULL (and overflow set) when they cannot be had.
static inline char *sbuf_room(struct sbuf *b, size_t n) {
    return LIKELY(b->cap - b->n >= n) ? b->p + b->n : sbuf_room_slow(b, n);
}
static inline void sbuf_put(struct sbuf *b, const void *p, size_t n) {
    char *to = sbuf_room(b, n);
    if (LIKELY(to != NULL) && n != 0) {
        memcpy(to, p, n);
        b->n += n;
    }
}
static inline void sbuf_str(struct sbuf *b, struct str s) { sbuf_put(b, s.p, s.n); }
static inline void sbuf_chr(struct sbuf *b, char c) { sbuf_put(b, &c, 1); }
#define sbuf_lit(b, literal) sbuf_put((b), "" literal, sizeof(literal) - 1)
void sbuf_u64(struct sbuf *b, uint64_t v); // decimal
void sbuf_hex(struct sbuf *b, uint64_t v); // lower case, no prefix
void sbuf_printf(struct sbuf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void sbuf_vprintf(struct sbuf *b, const char *fmt, va_list ap);

static inline struct str sbuf_view(const struct sbuf *b) { return str_n(b->p, b->n); }
// Adds a NUL after the text (not counted) and returns it; with overflow the last byte gives way.
const char *sbuf_cstr(struct sbuf *b);
