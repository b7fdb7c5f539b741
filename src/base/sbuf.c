// Growing text. The fast paths are inline in sbuf.h.
#include "base/sbuf.h"
#include "base/arena.h"
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAP = 256 };

// What p points at before there is storage: never NULL, so that room of 0 bytes can be had. Nothing is written to it.
static char *no_storage(void) {
    return (char *)"";
}

void sbuf_init_heap(struct sbuf *b, size_t max) {
    *b = (struct sbuf){.p = no_storage(), .max = max};
}

void sbuf_init_arena(struct sbuf *b, struct arena *arena, size_t hint, size_t max) {
    size_t cap = MIN(hint, max);
    *b = (struct sbuf){.p = cap != 0 ? arena_bytes(arena, cap) : no_storage(), .cap = cap, .max = max, .arena = arena};
}

void sbuf_init_fixed(struct sbuf *b, char *storage, size_t cap) {
    *b = (struct sbuf){.p = storage, .cap = cap, .max = cap, .fixed = true};
}

void sbuf_done(struct sbuf *b) {
    if (b->arena == NULL && !b->fixed && b->cap != 0)
        free(b->p);
    *b = (struct sbuf){.p = no_storage(), .fixed = true};
}

char *sbuf_room_slow(struct sbuf *b, size_t n) {
    if (b->fixed || n > b->max - b->n) {
        b->overflow = true;
        return NULL;
    }
    size_t cap = MAX(b->cap <= b->max / 2 ? b->cap * 2 : b->max, MIN((size_t)FIRST_CAP, b->max));
    cap = MAX(cap, b->n + n);
    if (b->arena != NULL) {
        char *p = arena_bytes(b->arena, cap);
        if (b->n != 0)
            memcpy(p, b->p, b->n);
        b->p = p;
    } else {
        b->p = xrealloc(b->cap != 0 ? b->p : NULL, cap);
    }
    b->cap = cap;
    return b->p + b->n;
}

#define ROW(t) t "0" t "1" t "2" t "3" t "4" t "5" t "6" t "7" t "8" t "9"
static const char two_digits[] =
    ROW("0") ROW("1") ROW("2") ROW("3") ROW("4") ROW("5") ROW("6") ROW("7") ROW("8") ROW("9");

void sbuf_u64(struct sbuf *b, uint64_t v) {
    char text[20], *at = text + sizeof(text);
    while (v >= 100) {
        at -= 2;
        memcpy(at, two_digits + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10) {
        at -= 2;
        memcpy(at, two_digits + v * 2, 2);
    } else {
        *--at = (char)('0' + v);
    }
    sbuf_put(b, at, (size_t)(text + sizeof(text) - at));
}

void sbuf_hex(struct sbuf *b, uint64_t v) {
    char text[16], *at = text + sizeof(text);
    do {
        *--at = "0123456789abcdef"[v & 15];
        v >>= 4;
    } while (v != 0);
    sbuf_put(b, at, (size_t)(text + sizeof(text) - at));
}

// The text fills what may be had to the last byte, so that vsnprintf's NUL finds no place in the buffer.
static COLD void print_to_the_brim(struct sbuf *b, size_t len, const char *fmt, va_list ap) {
    char *text = xmalloc(len + 1);
    vsnprintf(text, len + 1, fmt, ap);
    sbuf_put(b, text, len);
    free(text);
}

void sbuf_vprintf(struct sbuf *b, const char *fmt, va_list ap) {
    size_t room = b->cap - b->n;
    va_list again;
    va_copy(again, ap);
    int len = vsnprintf(room != 0 ? b->p + b->n : NULL, room, fmt, ap);
    CHECK(len >= 0); // a malformed format
    if ((size_t)len < room) {
        b->n += (size_t)len;
    } else if (!b->fixed && (size_t)len < b->max - b->n) {
        char *to = sbuf_room(b, (size_t)len + 1);
        vsnprintf(to, (size_t)len + 1, fmt, again);
        b->n += (size_t)len;
    } else if ((size_t)len <= b->max - b->n) {
        print_to_the_brim(b, (size_t)len, fmt, again);
    } else { // a cut text says more than none
        room = b->max - b->n;
        if (room > 1) {
            vsnprintf(sbuf_room(b, room), room, fmt, again);
            b->n += room - 1;
        }
        b->overflow = true;
    }
    va_end(again);
}

void sbuf_printf(struct sbuf *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    sbuf_vprintf(b, fmt, ap);
    va_end(ap);
}

const char *sbuf_cstr(struct sbuf *b) {
    char *to = sbuf_room(b, 1);
    if (to == NULL) {
        if (b->cap == 0)
            return "";
        b->n = b->cap - 1; // full: the last byte gives way
        to = b->p + b->n;
    }
    *to = '\0';
    return b->p;
}
