// Nested networks are flattened to ascending segments:
//
//   10.0.0.0/8 A, 10.1.0.0/16 B   ->   0 none | 10.0.0.0 A | 10.1.0.0 B | 10.2.0.0 A | 11.0.0.0 none
#include "wire/addr_map.h"
#include <stdlib.h>

struct number {
    uint64_t hi, lo;
};

static int compare(struct number a, struct number b) {
    if (a.hi != b.hi)
        return a.hi < b.hi ? -1 : 1;
    return a.lo < b.lo ? -1 : a.lo > b.lo;
}

static struct number number_of(const uint8_t *bytes, size_t n) {
    struct number r = {0, 0};
    for (size_t i = 0; i < n; i++) {
        r.hi = r.hi << 8 | r.lo >> 56;
        r.lo = r.lo << 8 | bytes[i];
    }
    return r;
}

// The last address of a network whose first is `first`.
static struct number last_of(struct number first, unsigned free_bits) {
    if (free_bits >= 64) {
        first.lo = UINT64_MAX;
        first.hi |= free_bits == 128 ? UINT64_MAX : (1ull << (free_bits - 64)) - 1;
    } else {
        first.lo |= (1ull << free_bits) - 1;
    }
    return first;
}

// --- building ------------------------------------------------------------------------------------------------------------

struct building {
    struct addr_segment *at;
    size_t n;
};

// From here on it is this value. A segment that would be empty, or that says nothing new, goes.
static void emit(struct building *b, struct number from, void *value) {
    if (b->n != 0 && b->at[b->n - 1].hi == from.hi && b->at[b->n - 1].lo == from.lo)
        b->n--;
    if (b->n != 0 && b->at[b->n - 1].value == value)
        return;
    b->at[b->n++] = (struct addr_segment){from.hi, from.lo, value};
}

static bool is_max(struct number n, unsigned bits) {
    return bits == 32 ? n.lo == UINT32_MAX : n.hi == UINT64_MAX && n.lo == UINT64_MAX;
}

static void emit_behind(struct building *b, struct number last, unsigned bits, void *value) {
    if (is_max(last, bits))
        return;
    last.lo++;
    last.hi += last.lo == 0;
    emit(b, last, value);
}

static int by_start(const void *x, const void *y) {
    const struct cidr *a = &((const struct addr_network *)x)->net, *b = &((const struct addr_network *)y)->net;
    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    int order = memcmp(a->bytes, b->bytes, sizeof(a->bytes));
    return order != 0 ? order : (int)a->bits - (int)b->bits;
}

struct open_network {
    struct number last;
    void *value;
};

// Networks of one family, in order; they nest or are apart.
static void flatten(struct building *b, const struct addr_network *at, size_t n, unsigned bits, struct arena *arena) {
    struct open_network open[130]; // one of each length at most
    size_t depth = 0;
    b->at = arena_array(arena, struct addr_segment, 2 * n + 1);
    emit(b, (struct number){0, 0}, NULL);
    for (size_t i = 0; i <= n; i++) {
        struct number first = {0, 0};
        if (i < n)
            first = number_of(at[i].net.bytes, bits / 8);
        while (depth > 0 && (i == n || compare(open[depth - 1].last, first) < 0)) {
            depth--;
            emit_behind(b, open[depth].last, bits, depth > 0 ? open[depth - 1].value : NULL);
        }
        if (i == n)
            break;
        emit(b, first, at[i].value);
        CHECK(depth < ARRAY_LEN(open));
        open[depth++] = (struct open_network){last_of(first, bits - at[i].net.bits), at[i].value};
    }
}

void addr_map_of_networks(struct addr_map *m, struct addr_network *at, size_t n, struct arena *arena) {
    if (n != 0)
        qsort(at, n, sizeof(*at), by_start);
    size_t n4 = 0;
    while (n4 < n && at[n4].net.family == AF_INET)
        n4++;
    struct building b4 = {0}, b6 = {0};
    flatten(&b4, at, n4, 32, arena);
    flatten(&b6, n4 != 0 ? at + n4 : at, n - n4, 128, arena);
    *m = (struct addr_map){b4.at, b6.at, b4.n, b6.n};
}

void addr_map_of_ranges(struct addr_map *m, const struct addr_range *at, size_t n, struct arena *arena) {
    struct building b = {.at = arena_array(arena, struct addr_segment, 2 * n + 1)};
    emit(&b, (struct number){0, 0}, NULL);
    for (size_t i = 0; i < n; i++) {
        CHECK(at[i].first <= at[i].last && (i == 0 || at[i - 1].last < at[i].first));
        emit(&b, (struct number){0, at[i].first}, at[i].value);
        emit_behind(&b, (struct number){0, at[i].last}, 32, NULL);
    }
    *m = (struct addr_map){.v4 = b.at, .n4 = b.n};
}

// --- searching -----------------------------------------------------------------------------------------------------------

static void *search(const struct addr_segment *at, size_t n, struct number x) {
    if (n == 0)
        return NULL;
    size_t low = 0, high = n; // at[low] begins at or before x, at[high] behind it
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (compare((struct number){at[middle].hi, at[middle].lo}, x) <= 0)
            low = middle;
        else
            high = middle;
    }
    return at[low].value;
}

void *addr_map_find(const struct addr_map *m, const struct sockaddr *sa) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, none[4] = {0xff, 0xff, 0xff, 0xff};
    struct str bytes = str_n((const char *)none, sizeof(none));
    if (sa->sa_family == AF_INET || sa->sa_family == AF_INET6)
        bytes = addr_bytes(sa);
    if (bytes.n == 16 && memcmp(bytes.p, mapped, sizeof(mapped)) == 0)
        bytes = str_from(bytes, sizeof(mapped));
    struct number x = number_of((const uint8_t *)bytes.p, bytes.n);
    return bytes.n == 4 ? search(m->v4, m->n4, x) : search(m->v6, m->n6, x);
}
