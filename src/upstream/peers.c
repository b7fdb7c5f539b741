// The state of peers, shared by all loops, and the lists of peers that follow each other where addresses change.
//
//   group_state ── slots[] ──► peer_state "server address"
//                                  ▲      ▲
//   group of a snapshot ── peers[] ┘      │      its list of now is in names->current
//   list (counted copy) ── peers[] ───────┘
#include "upstream/names.h"
#include "upstream/state.h"
#include <stdlib.h>

struct group_state *group_state_new(void) {
    struct group_state *s = xcalloc(1, sizeof(*s));
    s->magic = GROUP_STATE_MAGIC;
    atomic_init(&s->refs, 1);
    pthread_mutex_init(&s->lock, NULL);
    list_init(&s->queue);
    s->random = (uint64_t)(uintptr_t)s ^ 0x9e3779b97f4a7c15;
    return s;
}

void group_state_ref(struct group_state *s) { atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed); }

void group_state_unref(struct group_state *s) {
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    pool_shards_free(s);
    CHECK(list_empty(&s->queue));
    for (unsigned i = 0; i < s->nslots; i++) {
        free(s->slots[i]->key);
        free(s->slots[i]);
    }
    free(s->slots);
    pthread_mutex_destroy(&s->lock);
    s->magic = 0;
    free(s);
}

uint64_t group_random(struct group_state *s) {
    // splitmix64: what chooses a server need not be secret.
    uint64_t z = s->random += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

// --- peer_states -------------------------------------------------------------------------------------------------------------

// "server address n": several servers may have one address, the n-th of them each has a state of its own.
static char *key_of(const struct group *g, unsigned i) {
    const struct peer *p = &g->peers[i];
    unsigned before = 0;
    for (unsigned k = 0; k < i; k++)
        before += str_eq(g->peers[k].name, p->name) && str_eq(g->peers[k].server, p->server);
    struct sbuf b;
    sbuf_init_heap(&b, 1 << 16);
    sbuf_printf(&b, STR_FMT " " STR_FMT " %u", STR_ARG(p->server), STR_ARG(p->name), before);
    char *key = xstrdup(sbuf_cstr(&b));
    sbuf_done(&b);
    return key;
}

static struct peer_state *find_state(struct group_state *s, const char *key) {
    for (unsigned i = 0; i < s->nslots; i++)
        if (strcmp(s->slots[i]->key, key) == 0)
            return s->slots[i];
    return NULL;
}

// Nobody has it, asks it, or holds an idle link of it.
static bool is_spare(const struct peer_state *ps) {
    return ps->users == 0 && ps->active == 0 && atomic_load_explicit(&ps->idle, memory_order_relaxed) == 0;
}

static struct peer_state *new_state(struct group_state *s) {
    for (unsigned i = 0; i < s->nslots; i++) {
        struct peer_state *ps = s->slots[i];
        if (is_spare(ps)) {
            free(ps->key);
            *ps = (struct peer_state){.slot = i};
            return ps;
        }
    }
    if (s->nslots == s->cap) {
        s->cap = MAX(8, s->cap * 2);
        s->slots = xrealloc(s->slots, s->cap * sizeof(struct peer_state *));
    }
    struct peer_state *ps = s->slots[s->nslots] = xcalloc(1, sizeof(*ps));
    ps->slot = s->nslots++;
    return ps;
}

void group_attach(struct group *g) {
    struct group_state *s = g->state;
    CHECK_OBJ(s, GROUP_STATE_MAGIC);
    for (unsigned i = 0; i < g->npeers; i++) {
        struct peer *p = &g->peers[i];
        p->index = i;
        char *key = key_of(g, i);
        pthread_mutex_lock(&s->lock);
        struct peer_state *ps = find_state(s, key);
        if (ps != NULL) {
            free(key);
        } else {
            ps = new_state(s);
            ps->key = key;
            ps->id = ++s->last_id;
            atomic_store_explicit(&ps->closes_ms, UINT32_MAX, memory_order_relaxed);
            atomic_store_explicit(&ps->early_ms, UINT32_MAX, memory_order_relaxed);
        }
        if (ps->weight != p->weight) {
            ps->weight = p->weight;
            ps->effective_weight = p->weight;
            ps->current_weight = 0;
        }
        if (ps->users++ == 0 && g->mandatory)
            ps->health = HEALTH_CHECKING;
        pthread_mutex_unlock(&s->lock);
        p->state = ps;
    }
}

void group_detach(struct group *g) {
    pthread_mutex_lock(&g->state->lock);
    for (unsigned i = 0; i < g->npeers; i++)
        g->peers[i].state->users--;
    pthread_mutex_unlock(&g->state->lock);
}

// --- lists -------------------------------------------------------------------------------------------------------------------

void group_prepare(struct group *g, struct arena *a) {
    g->total_weight = 0;
    g->slow_start = false;
    for (unsigned i = 0; i < g->npeers; i++) {
        g->total_weight += g->peers[i].flags & PEER_BACKUP ? 0 : g->peers[i].weight;
        g->slow_start |= g->peers[i].slow_start_ms != 0;
    }
    g->prepared = NULL;
    if (g->balancer->prepare != NULL)
        g->balancer->prepare(g, a);
    if (g->sticky != NULL && g->sticky->prepare != NULL)
        g->sticky->prepare(g, a);
}

struct group *group_now(struct group *g) {
    if (LIKELY(g->names == NULL || g->origin != NULL)) {
        group_keep(g);
        return g;
    }
    pthread_mutex_lock(&g->state->lock);
    struct group *list = g->names->current;
    if (list != NULL)
        list->refs++;
    pthread_mutex_unlock(&g->state->lock);
    return list != NULL ? list : g;
}

void group_keep(struct group *list) {
    if (list->origin == NULL)
        return;
    pthread_mutex_lock(&list->state->lock);
    list->refs++;
    pthread_mutex_unlock(&list->state->lock);
}

void group_done(struct group *list) {
    if (list == NULL || list->origin == NULL)
        return;
    struct group_state *s = list->state;
    pthread_mutex_lock(&s->lock);
    CHECK(list->refs > 0);
    bool last = --list->refs == 0;
    pthread_mutex_unlock(&s->lock);
    if (!last)
        return;
    group_detach(list);
    struct arena *a = list->arena;
    arena_done(a);
    free(a);
    group_state_unref(s);
}

struct group *group_list_new(const struct group *origin, unsigned npeers) {
    struct arena *a = xcalloc(1, sizeof(*a));
    arena_init(a, NULL);
    struct group *list = arena_new(a, struct group);
    pthread_mutex_lock(&origin->state->lock); // `mandatory` may be being set
    *list = *origin;
    pthread_mutex_unlock(&origin->state->lock);
    list->origin = origin;
    list->arena = a;
    list->refs = 1;
    list->npeers = npeers;
    list->peers = arena_array(a, struct peer, MAX(npeers, 1));
    group_state_ref(list->state);
    return list;
}

void group_list_ready(struct group *list) {
    group_attach(list);
    group_prepare(list, list->arena);
}
