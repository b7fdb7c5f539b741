// Several short texts searched for at once, ASCII case folded: where one begins first, and of those that begin there the first
// of the list. Pure.
#pragma once
#include "base/arena.h"

struct matcher {
    struct str *texts; // lower case; empty ones never match
    unsigned count;
    size_t shortest, longest; // of those that are not empty; 0: there is none
    uint8_t skip[256];        // by the byte where the shortest text would end: how far a beginning is at least
    bool first[256];          // bytes that a text begins with
};

// Texts are copied.
void matcher_init(struct matcher *m, const struct str *texts, unsigned count, struct arena *a);
// The next place at or after `at` where a text may begin, in one piece of memory; n when there is none that ends in it.
// From n - shortest + 1 on nothing is said.
size_t matcher_scan(const struct matcher *m, const char *p, size_t n, size_t at);
// Whether a text stands at p: its index, MATCH_NONE, or MATCH_MORE when n bytes do not tell (not if they are the
// last ones). Texts with done[i] do not count.
enum { MATCH_NONE = -1, MATCH_MORE = -2 };
int matcher_at(const struct matcher *m, const char *p, size_t n, bool last, const bool *done);
