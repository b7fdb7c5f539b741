#include "upstream/learn.h"
#include <stdatomic.h>

enum {
    MEMORY_MS = 10 * 60 * 1000,  // what was seen that long ago does not count any more
    QUIET_MS = 3000,             // without a close, and what was seen was at an age below
    QUIET_EARLY_MS = 100,        // this: a back end that was started anew had closed all its links
    RETIRE_LEAST_MS = 1000,
    RETIRE_MARGIN_MS = 500,
    CAREFUL_MARGIN_MS = 20,
    SURVIVED_MARGIN_MS = 50,
    KEPT_ENOUGH_MS = 20,
    CANARIES_ENOUGH = 3,
    BURST_MS = 10,               // closes within that time are one event
    EARLY_WEIGHT = 4,            // of a close, in links that live on
    EARLY_WEIGHT_MOST = 64,
    CALM_ENOUGH = 1000,          // links
};

static uint32_t get(_Atomic uint32_t *a) { return atomic_load_explicit(a, memory_order_relaxed); }
static void set(_Atomic uint32_t *a, uint32_t to) { atomic_store_explicit(a, to, memory_order_relaxed); }
static uint32_t clamped(uint64_t ms) { return (uint32_t)MIN(ms, (uint64_t)UINT32_MAX - 1); }
static uint32_t survived_margin(uint32_t age) { return MAX(age / 4, (uint32_t)SURVIVED_MARGIN_MS); }

void learn_kept(struct peer_state *ps, uint64_t idle_ms) {
    if (get(&ps->kept_ms) < clamped(idle_ms))
        set(&ps->kept_ms, clamped(idle_ms));
}

// Since the last close; the clocks of two loops may be a turn apart.
static uint64_t since_close(struct peer_state *ps, uint64_t now) {
    uint64_t at = atomic_load_explicit(&ps->closes_at_ms, memory_order_relaxed);
    return now > at ? now - at : 0;
}

static void note_early(struct peer_state *ps, uint32_t age, uint64_t now) {
    uint32_t early = get(&ps->early_ms), weight = get(&ps->early_weight);
    bool burst = since_close(ps, now) <= BURST_MS;
    if (early != UINT32_MAX && age > early + survived_margin(early))
        weight -= weight != 0;
    else if (!burst || weight == 0)
        weight = MIN(weight + EARLY_WEIGHT, (uint32_t)EARLY_WEIGHT_MOST);
    set(&ps->early_weight, weight);
    set(&ps->early_ms, weight == 0 ? UINT32_MAX : MIN(early, age));
}

void learn_closed(struct peer_state *ps, uint64_t idle_ms, uint64_t now) {
    uint32_t age = clamped(idle_ms), known = get(&ps->closes_ms);
    uint32_t apart = known > age ? known - age : age - known;
    bool same = known != UINT32_MAX && apart <= MAX(known / 8, (uint32_t)CAREFUL_MARGIN_MS);
    note_early(ps, age, now);
    set(&ps->closes_ms, same ? MIN(known, age) : age);
    set(&ps->closes_seen, same ? 2 : 1);
    atomic_store_explicit(&ps->closes_at_ms, now, memory_order_relaxed);
    set(&ps->calm, 0);
    set(&ps->canaries, 0);
    learn_kept(ps, age);
}

static void forget_old(struct peer_state *ps, uint64_t now) {
    if (LIKELY(get(&ps->closes_ms) == UINT32_MAX))
        return;
    uint64_t since = since_close(ps, now);
    if (since >= MEMORY_MS)
        set(&ps->closes_ms, UINT32_MAX);
    if (since >= MEMORY_MS || (since >= QUIET_MS && get(&ps->early_ms) <= QUIET_EARLY_MS)) {
        set(&ps->early_ms, UINT32_MAX);
        set(&ps->early_weight, 0);
    }
}

// One more link lives beyond the age at which the peer was seen to close. True: it was chance.
static bool survived(struct peer_state *ps, bool *survivor) {
    uint32_t weight = get(&ps->early_weight);
    if (!*survivor && weight != 0) {
        *survivor = true;
        set(&ps->early_weight, --weight);
    }
    if (weight != 0)
        return false;
    set(&ps->early_ms, UINT32_MAX);
    return true;
}

static bool is_canary(struct peer_state *ps, bool *canary) {
    uint32_t none = 0;
    *canary = atomic_compare_exchange_strong_explicit(&ps->canary, &none, 1, memory_order_relaxed, memory_order_relaxed);
    return *canary;
}

bool learn_safe(struct peer_state *ps, uint64_t idle_ms, uint64_t now, bool *survivor, bool *canary) {
    forget_old(ps, now);
    uint32_t early = get(&ps->early_ms);
    if (LIKELY(early == UINT32_MAX))
        return get(&ps->kept_ms) >= KEPT_ENOUGH_MS || is_canary(ps, canary);
    if (idle_ms > early + survived_margin(early))
        return survived(ps, survivor);
    return idle_ms + MAX(early / 10, (uint32_t)CAREFUL_MARGIN_MS) < early;
}

void learn_canary_done(struct peer_state *ps, bool well) {
    set(&ps->canary, 0);
    if (well && atomic_fetch_add_explicit(&ps->canaries, 1, memory_order_relaxed) + 1 >= CANARIES_ENOUGH)
        learn_kept(ps, KEPT_ENOUGH_MS);
}

uint64_t learn_retire_after(struct peer_state *ps, uint64_t now) {
    forget_old(ps, now);
    uint32_t known = get(&ps->closes_ms);
    if (known == UINT32_MAX || known < RETIRE_LEAST_MS || get(&ps->closes_seen) < 2)
        return UINT64_MAX;
    return known - MAX(known / 10, (uint32_t)RETIRE_MARGIN_MS);
}

bool learn_may_close(struct peer_state *ps) {
    if (get(&ps->calm) >= CALM_ENOUGH)
        return false;
    atomic_fetch_add_explicit(&ps->calm, 1, memory_order_relaxed);
    return true;
}
