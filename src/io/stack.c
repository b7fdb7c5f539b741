// The pool of stacks: slabs, guard pages, and giving memory back. See stack.h for the picture.
#include "io/stack.h"
#include "io/task.h"
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum {
    SLAB_STACKS = 64,
    COLOURS = 16,
    COLOUR_STEP = 128,
    TOP_ROOM = 4096, // for the object and the colour, so that TASK_STACK bytes are left below
};

struct slab {
    struct slab *next;
    char *base;
    enum stack_guard guard;
};

struct free_stack {
    struct slab *slab;
    uint32_t index;
};

struct stacks {
    size_t object_size, page, slot;
    struct slab *slabs;
    struct free_stack *free; // a stack of stacks: the warmest is last
    size_t free_count, total;
    size_t cold;     // free[0..cold) have no memory behind them
    size_t free_min; // the smallest free_count since the last trim
};

static _Atomic int best_guard = GUARD_INSTALL;
static _Atomic long protected_stacks; // of all loops: mappings are the process's
static _Atomic long protect_limit;    // 0: not read yet
static _Atomic size_t high_water;

void stack_test_best_guard(enum stack_guard best) { atomic_store(&best_guard, (int)best); }
size_t stack_high_water(void) { return atomic_load_explicit(&high_water, memory_order_relaxed); }

struct stacks *stacks_new(size_t object_size) {
    CHECK(object_size + COLOURS * COLOUR_STEP <= TOP_ROOM);
    struct stacks *s = xcalloc(1, sizeof(*s));
    s->object_size = (object_size + 63) & ~(size_t)63;
    s->page = (size_t)sysconf(_SC_PAGESIZE);
    size_t usable = (size_t)TASK_STACK * FIBER_STACK_FACTOR + TOP_ROOM;
    s->slot = s->page + ((usable + s->page - 1) & ~(s->page - 1));
    return s;
}

static char *slot_base(const struct stacks *s, const struct slab *slab, uint32_t index) {
    return slab->base + index * s->slot;
}
static struct stack *slot_object(const struct stacks *s, const struct slab *slab, uint32_t index) {
    char *end = slot_base(s, slab, index) + s->slot;
    return (struct stack *)(end - (index % COLOURS) * COLOUR_STEP - s->object_size);
}

// A protected page splits its mapping in two; half of what the system allows is for everybody else.
static long protect_limit_read(void) {
    long limit = atomic_load(&protect_limit);
    if (limit != 0)
        return limit;
    char text[32] = "";
    int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = read(fd, text, sizeof(text) - 1);
        text[n > 0 ? n : 0] = '\0';
        close(fd);
    }
    limit = strtol(text, NULL, 10);
    limit = (limit > 0 ? limit : 65530) / 4;
    atomic_store(&protect_limit, limit > 0 ? limit : 1);
    return limit;
}

// An emulator may say yes to any advice and do nothing.
static bool advice_is_taken_seriously(const struct stacks *s, const struct slab *slab) {
    static _Atomic int known; // 1: yes, -1: no
    if (atomic_load(&known) == 0)
        atomic_store(&known, madvise(slab->base, s->page, INT_MAX) != 0 ? 1 : -1);
    return atomic_load(&known) > 0;
}

static bool guard_install(const struct stacks *s, const struct slab *slab) {
    if (atomic_load(&best_guard) > GUARD_INSTALL || !advice_is_taken_seriously(s, slab))
        return false;
    for (uint32_t i = 0; i < SLAB_STACKS; i++)
        if (madvise(slot_base(s, slab, i), s->page, MADV_GUARD_INSTALL) != 0) {
            if (errno == EINVAL) // an older kernel: ask no more
                atomic_store(&best_guard, GUARD_PROTECT);
            return false;
        }
    return true;
}

static bool guard_protect(const struct stacks *s, const struct slab *slab) {
    if (atomic_load(&best_guard) > GUARD_PROTECT)
        return false;
    if (atomic_fetch_add(&protected_stacks, SLAB_STACKS) + SLAB_STACKS > protect_limit_read())
        goto none;
    for (uint32_t i = 0; i < SLAB_STACKS; i++)
        if (mprotect(slot_base(s, slab, i), s->page, PROT_NONE) != 0) {
            mprotect(slab->base, SLAB_STACKS * s->slot, PROT_READ | PROT_WRITE);
            goto none;
        }
    return true;
none:
    atomic_fetch_sub(&protected_stacks, SLAB_STACKS);
    return false;
}

// More free stacks, all of them cold. Called when none is free.
static bool slab_add(struct stacks *s) {
    struct free_stack *free_new = realloc(s->free, (s->total + SLAB_STACKS) * sizeof(*s->free));
    if (free_new == NULL)
        return false;
    s->free = free_new;
    struct slab *slab = calloc(1, sizeof(*slab));
    if (slab == NULL)
        return false;
    size_t size = SLAB_STACKS * s->slot;
    slab->base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (slab->base == MAP_FAILED) {
        free(slab);
        return false;
    }
    madvise(slab->base, size, MADV_NOHUGEPAGE); // a huge page would make the whole slab resident
    fiber_root_add(slab->base, size);
    slab->guard = guard_install(s, slab) ? GUARD_INSTALL : guard_protect(s, slab) ? GUARD_PROTECT : GUARD_CANARY;
    slab->next = s->slabs;
    s->slabs = slab;
    for (uint32_t i = 0; i < SLAB_STACKS; i++)
        s->free[i] = (struct free_stack){slab, i};
    s->free_count = s->cold = SLAB_STACKS;
    s->total += SLAB_STACKS;
    return true;
}

void *stack_get(struct stacks *s, bool *fresh) {
    if (UNLIKELY(s->free_count == 0) && !slab_add(s))
        return NULL;
    struct free_stack f = s->free[--s->free_count];
    s->cold = MIN(s->cold, s->free_count);
    s->free_min = MIN(s->free_min, s->free_count);
    struct stack *k = slot_object(s, f.slab, f.index);
    *fresh = k->slab == NULL;
    if (LIKELY(!*fresh))
        return k;
    k->slab = f.slab;
    k->index = f.index;
    k->low = slot_base(s, f.slab, f.index) + s->page;
    k->canary = f.slab->guard == GUARD_CANARY;
    for (int i = 0; k->canary && i < STACK_CANARY_WORDS; i++)
        ((uint64_t *)k->low)[i] = STACK_CANARY;
    k->valgrind_id = fiber_valgrind_add(k->low, k);
    return k;
}

bool stack_intact_slow(const struct stack *s) {
    const uint64_t *w = (const uint64_t *)s->low;
    for (int i = 0; i < STACK_CANARY_WORDS; i++)
        if (w[i] != STACK_CANARY)
            return false;
    return true;
}

void stack_put(struct stacks *s, void *object) {
    struct stack *k = object;
    s->free[s->free_count++] = (struct free_stack){k->slab, k->index};
}

// False when there is no memory behind it anyway.
static bool slot_forget(struct stacks *s, struct free_stack f, void (*forget)(void *object)) {
    struct stack *k = slot_object(s, f.slab, f.index);
    if (k->slab == NULL)
        return false;
    forget(k);
    fiber_valgrind_remove(k->valgrind_id);
    fiber_clean(k->low, s->slot - s->page);
    return true;
}

void stacks_trim(struct stacks *s, void (*forget)(void *object)) {
    // Those below free_min were not touched since the last call.
    for (; s->cold < s->free_min; s->cold++) {
        struct free_stack f = s->free[s->cold];
        if (slot_forget(s, f, forget))
            madvise(slot_base(s, f.slab, f.index) + s->page, s->slot - s->page, MADV_DONTNEED);
    }
    s->free_min = s->free_count;
}

void stacks_free(struct stacks *s, void (*forget)(void *object)) {
    if (s == NULL)
        return;
    CHECK(s->free_count == s->total);
    for (size_t i = s->cold; i < s->free_count; i++)
        slot_forget(s, s->free[i], forget);
    while (s->slabs != NULL) {
        struct slab *slab = s->slabs;
        s->slabs = slab->next;
        if (slab->guard == GUARD_PROTECT)
            atomic_fetch_sub(&protected_stacks, SLAB_STACKS);
        fiber_root_remove(slab->base, SLAB_STACKS * s->slot);
        munmap(slab->base, SLAB_STACKS * s->slot);
        free(slab);
    }
    free(s->free);
    free(s);
}

void *stacks_guarded(const struct stacks *s, const void *addr) {
    for (const struct slab *slab = s->slabs; slab != NULL; slab = slab->next) {
        size_t at = (size_t)((const char *)addr - slab->base);
        if ((const char *)addr < slab->base || at >= SLAB_STACKS * s->slot)
            continue;
        if (slab->guard == GUARD_CANARY || at % s->slot >= s->page)
            return NULL;
        struct stack *k = slot_object(s, slab, (uint32_t)(at / s->slot));
        return k->slab != NULL ? k : NULL;
    }
    return NULL;
}

#ifdef WEIR_DEBUG

#define FILL 0xa5a5a5a5a5a5a5a5ull

// Pages that nobody touched are not resident and stay so: fresh ones among the touched are zero below the deepest frame,
// those of earlier tasks hold the fill.
__attribute__((no_sanitize("address"))) void stack_measure(struct stack *s) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char resident[1024];
    size_t pages = ((size_t)((char *)s - s->low) + page - 1) / page;
    CHECK(pages <= ARRAY_LEN(resident));
    if (mincore(s->low, pages * page, resident) != 0)
        return;
    char *at = s->low + (s->canary ? STACK_CANARY_WORDS * sizeof(uint64_t) : 0);
    const uint64_t *w = (const uint64_t *)at, *end = (const uint64_t *)s;
    while (w < end) {
        size_t i = (size_t)((char *)w - s->low) / page;
        if ((resident[i] & 1) == 0)
            w = (const uint64_t *)(s->low + (i + 1) * page);
        else if (*w == 0 || *w == FILL)
            w++;
        else
            break;
    }
    size_t used = (size_t)((char *)end - (char *)MIN(w, end));
    size_t seen = atomic_load_explicit(&high_water, memory_order_relaxed);
    while (used > seen && !atomic_compare_exchange_weak(&high_water, &seen, used))
        ;
    for (uint64_t *f = (uint64_t *)(uintptr_t)w; f < end; f++)
        *f = FILL;
}

#else

void stack_measure(struct stack *s) {}

#endif
