// The timer wheel. loop_private.h draws it.
#include "io/timer.h"
#include "io/loop_private.h"

void wheel_init(struct wheel *w, uint64_t now) {
    w->now = w->until = now;
    w->levels = 0;
    for (int i = 0; i < WHEEL_LEVELS; i++) {
        w->used[i] = 0;
        for (int j = 0; j < WHEEL_SLOTS; j++)
            list_init(&w->slot[i][j]);
    }
}

static void place(struct wheel *w, struct timer *t) {
    uint64_t due = MAX(t->due_ms, w->until + 1); // what is late comes up at the next tick
    unsigned level = (63 - (unsigned)__builtin_clzll(due ^ w->now)) / WHEEL_BITS;
    unsigned slot = (due >> (level * WHEEL_BITS)) & (WHEEL_SLOTS - 1);
    t->queued_ms = due;
    list_push_back(&w->slot[level][slot], &t->node);
    w->used[level] |= UINT64_C(1) << slot;
    w->levels |= 1u << level;
}

// The first slot that has timers, and the time when it comes up.
static struct list *first_slot(struct wheel *w, uint64_t *at) {
    while (w->levels != 0) {
        unsigned level = (unsigned)__builtin_ctz(w->levels);
        if (w->used[level] == 0) {
            w->levels &= w->levels - 1;
            continue;
        }
        unsigned slot = (unsigned)__builtin_ctzll(w->used[level]);
        struct list *l = &w->slot[level][slot];
        if (list_empty(l)) { // timers were removed without a word to the wheel
            w->used[level] &= w->used[level] - 1;
            continue;
        }
        unsigned shift = level * WHEEL_BITS;
        uint64_t above = shift + WHEEL_BITS >= 64 ? 0 : w->now >> (shift + WHEEL_BITS) << (shift + WHEEL_BITS);
        *at = above | (uint64_t)slot << shift;
        return l;
    }
    return NULL;
}

uint64_t wheel_next(struct wheel *w) {
    uint64_t at = UINT64_MAX;
    first_slot(w, &at);
    return at;
}

static void come_up(struct wheel *w, struct list *slot, uint64_t to) {
    // Taken out as a whole: what fires may set timers of this slot anew, or remove them.
    struct list up = LIST_INIT(up);
    up.next = slot->next;
    up.prev = slot->prev;
    up.next->prev = up.prev->next = &up;
    list_init(slot);
    while (!list_empty(&up)) {
        struct timer *t = list_first(&up, struct timer, node);
        list_remove(&t->node);
        if (t->due_ms == UINT64_MAX)
            continue;
        if (t->due_ms > to) {
            place(w, t);
            continue;
        }
        t->due_ms = UINT64_MAX;
        t->fn(t);
    }
}

void wheel_run(struct wheel *w, uint64_t to) {
    uint64_t at;
    struct list *slot;
    w->until = MAX(w->until, to);
    while (w->now < to && (slot = first_slot(w, &at)) != NULL && at <= to) {
        w->now = at;
        come_up(w, slot, to);
    }
    w->now = MAX(w->now, to);
}

static void collect(struct wheel *w, struct list *all) {
    for (int i = 0; i < WHEEL_LEVELS; i++)
        for (int j = 0; j < WHEEL_SLOTS; j++)
            while (!list_empty(&w->slot[i][j])) {
                struct list *node = w->slot[i][j].next;
                list_remove(node);
                list_push_back(all, node);
            }
}

void wheel_rebase(struct wheel *w, uint64_t now) {
    struct list all = LIST_INIT(all);
    collect(w, &all);
    wheel_init(w, now);
    while (!list_empty(&all)) {
        struct timer *t = list_first(&all, struct timer, node);
        list_remove(&t->node);
        if (t->due_ms != UINT64_MAX)
            place(w, t);
    }
}

void wheel_done(struct wheel *w) {
    struct list all = LIST_INIT(all);
    collect(w, &all);
    while (!list_empty(&all)) {
        struct timer *t = list_first(&all, struct timer, node);
        CHECK(t->due_ms == UINT64_MAX);
        list_remove(&t->node);
    }
}

void timer_init(struct timer *t, void (*fn)(struct timer *t)) {
    list_init(&t->node);
    t->due_ms = t->queued_ms = UINT64_MAX;
    t->fn = fn;
}

void timer_set(struct loop *l, struct timer *t, uint64_t due_ms) {
    t->due_ms = due_ms;
    if (due_ms == UINT64_MAX)
        return;
    if (LIKELY(!list_empty(&t->node))) {
        if (LIKELY(t->queued_ms <= due_ms)) // moved when it comes up
            return;
        list_remove(&t->node);
    }
    place(&l->wheel, t);
}

void timer_clear(struct timer *t) { t->due_ms = UINT64_MAX; }

void timer_remove(struct timer *t) {
    t->due_ms = UINT64_MAX;
    list_remove(&t->node);
}
