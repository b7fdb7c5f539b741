// Idle connections to back ends, shared between loops.
//
//   group_state ── shards[loop id] ── mutex ── by_age:  oldest ... newest
//                                         └── by_slot[]: of one peer_state, newest first
//
// A link belongs to the loop that registered it. On one's own loop giving and taking is an uncontended mutex and no system
// call: the link stays registered and parked. Another loop that has none takes a foreign one: under the shard's mutex it
// unlinks the entry and duplicates the descriptor, makes a link of its own from that, and sends the owner a message to
// detach the old one. The link object itself is never touched by the thief.
//
// An idle link that becomes readable, ends, or is too old wakes as a task on its loop, which closes it.
//
// More than `keepalive` may be idle for a moment (GRACE_MS): loops give back and take links in bursts, and closing what is
// needed again at once would cost a connection each time. After that the ones idle for longest go.
//
// A peer is learnt from. How long had a link been idle when the peer closed it? Two closes at about the same age of a second or
// more make later links retire a little earlier. And how long is it known to keep one? Requests that could not be repeated take
// a link only at an age at which the peer has been seen to keep others, or said that it does; and none whose age is near to the
// earliest at which it was seen to close, or beyond it, until enough links that lived on show that this was chance.
#include "io/inbox.h"
#include "io/tls.h"
#include "upstream/h2_link.h"
#include "upstream/state.h"
#include <stdlib.h>

enum { IDLE_MAGIC = 0x5749444c };

struct idle {
    struct message drop; // from a thief to the owner
    uint32_t magic;
    struct peer_state *peer;     // lives as long as `state`
    uint64_t parked_ms, until_ms;
    int64_t most;                // links that the group keeps
    bool survivor;               // it has lived beyond early_ms, and was counted
    bool excess;                 // parked for GRACE_MS only: there were more than that
    struct list of_peer, of_age; // under the shard's lock, unlinked when taken
    struct list of_loop;         // the owner's own
    struct pool_shard *shard;
    struct group_state *state;   // counted
    struct link *link;           // touched by the owner only
    int fd;                      // of the link; -1 for memory: cannot be taken by others
    int64_t requests;
    uint64_t since_ms, tag;
    bool stolen;                 // under the shard's lock
    bool dropped, noticed;       // the owner's: the message came; the task of the park has run
};

struct pool_shard {
    pthread_mutex_t lock;
    _Atomic unsigned count;
    struct list by_age;
    struct list *by_slot; // [nslots]
    unsigned nslots;
};

// What a loop has in all pools. Registered, so that a group that ends can reach every loop.
struct pool_loop {
    struct loop *loop;
    struct list all, spare; // struct idle by of_loop
    struct list registered; // under registry_lock
    struct link *taken;     // facts of the link taken last
    int64_t taken_requests;
    uint64_t taken_since_ms, taken_idle_ms;
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list registry = LIST_INIT(registry);
static _Atomic unsigned loops; // in it
static unsigned slot;
static pthread_once_t slot_once = PTHREAD_ONCE_INIT;

static void make_slot(void) { slot = loop_slot_new(); }

static struct pool_loop *pool_loop(bool make) {
    struct loop *loop = loop_self();
    pthread_once(&slot_once, make_slot);
    void **place = loop_slot(loop, slot);
    if (*place == NULL && make) {
        struct pool_loop *pl = xcalloc(1, sizeof(*pl));
        pl->loop = loop;
        list_init(&pl->all);
        list_init(&pl->spare);
        pthread_mutex_lock(&registry_lock);
        list_push_back(&registry, &pl->registered);
        atomic_fetch_add_explicit(&loops, 1, memory_order_relaxed);
        pthread_mutex_unlock(&registry_lock);
        *place = pl;
    }
    return *place;
}

static struct pool_shard *shard_of(struct group_state *s, unsigned loop, bool make) {
    if (loop >= POOL_LOOPS_MAX)
        return NULL;
    struct pool_shard *sh = atomic_load_explicit(&s->shards[loop], memory_order_acquire);
    if (sh == NULL && make) {
        sh = xcalloc(1, sizeof(*sh));
        pthread_mutex_init(&sh->lock, NULL);
        list_init(&sh->by_age);
        atomic_store_explicit(&s->shards[loop], sh, memory_order_release);
    }
    return sh;
}

void pool_shards_free(struct group_state *s) {
    for (unsigned i = 0; i < POOL_LOOPS_MAX; i++) {
        struct pool_shard *sh = atomic_load_explicit(&s->shards[i], memory_order_acquire);
        if (sh == NULL)
            continue;
        CHECK(list_empty(&sh->by_age));
        pthread_mutex_destroy(&sh->lock);
        free(sh->by_slot);
        free(sh);
    }
}

// Room for the lists of more peers; those that are there move. The shard's lock is held.
static void grow_slots(struct pool_shard *sh, unsigned wanted) {
    unsigned more = MAX(wanted + 1, sh->nslots * 2);
    struct list *lists = xcalloc(more, sizeof(*lists));
    for (unsigned i = 0; i < more; i++) {
        list_init(&lists[i]);
        if (i < sh->nslots && !list_empty(&sh->by_slot[i])) {
            list_insert_after(&sh->by_slot[i], &lists[i]);
            list_remove(&sh->by_slot[i]);
        }
    }
    free(sh->by_slot);
    sh->by_slot = lists;
    sh->nslots = more;
}

// --- what is learnt of peers ---------------------------------------------------------------------------------------------------

enum {
    LEARN_MEMORY_MS = 10 * 60 * 1000, // what was seen that long ago does not count any more
    RETIRE_LEAST_MS = 1000,           // shorter ages may be chance: a back end that is started anew closes all links at once
    RETIRE_MARGIN_MS = 500,
    CAREFUL_MARGIN_MS = 20,
    SURVIVED_MARGIN_MS = 50,
    KEPT_MARGIN_MS = 10,
    EARLY_WEIGHT = 4,                 // of a close, in links that live on
    EARLY_WEIGHT_MOST = 64,
    BURST_MS = 10,                    // closes within that time are one event: a back end that ends closes all at once
    GRACE_MS = 100,
    CALM_ENOUGH = 1000,               // links
};

static uint32_t survived_margin(uint32_t age) { return MAX(age / 4, (uint32_t)SURVIVED_MARGIN_MS); }

static void raise_to(_Atomic uint32_t *a, uint64_t value) {
    uint32_t to = (uint32_t)MIN(value, (uint64_t)UINT32_MAX - 1);
    if (atomic_load_explicit(a, memory_order_relaxed) < to)
        atomic_store_explicit(a, to, memory_order_relaxed);
}

// Many more links must live beyond an age than were closed at it, before that age counts as safe again: a back end that is slow
// now and then lets a few live on.
static void note_early(struct peer_state *ps, uint32_t age, uint64_t now) {
    uint32_t early = atomic_load_explicit(&ps->early_ms, memory_order_relaxed);
    uint32_t weight = atomic_load_explicit(&ps->early_weight, memory_order_relaxed);
    bool burst = now - atomic_load_explicit(&ps->closes_at_ms, memory_order_relaxed) <= BURST_MS;
    if (early != UINT32_MAX && age > early + survived_margin(early))
        weight -= weight != 0;
    else if (!burst || weight == 0)
        weight = MIN(weight + EARLY_WEIGHT, (uint32_t)EARLY_WEIGHT_MOST);
    atomic_store_explicit(&ps->early_weight, weight, memory_order_relaxed);
    atomic_store_explicit(&ps->early_ms, weight == 0 ? UINT32_MAX : MIN(early, age), memory_order_relaxed);
}

// Updates race with those of other loops; what is lost then is one observation of many.
void pool_peer_closed(struct peer *p, uint64_t idle_ms) {
    struct peer_state *ps = p->state;
    uint32_t age = (uint32_t)MIN(idle_ms, (uint64_t)UINT32_MAX - 1);
    uint32_t known = atomic_load_explicit(&ps->closes_ms, memory_order_relaxed);
    uint32_t apart = known > age ? known - age : age - known;
    uint64_t now = loop_now(loop_self());
    bool same = known != UINT32_MAX && apart <= MAX(known / 8, (uint32_t)CAREFUL_MARGIN_MS);
    note_early(ps, age, now);
    atomic_store_explicit(&ps->closes_ms, same ? MIN(known, age) : age, memory_order_relaxed);
    atomic_store_explicit(&ps->closes_seen, same ? 2 : 1, memory_order_relaxed);
    atomic_store_explicit(&ps->closes_at_ms, now, memory_order_relaxed);
    atomic_store_explicit(&ps->calm, 0, memory_order_relaxed);
    raise_to(&ps->kept_ms, age);
}

// What was seen too long ago does not count any more.
static void forget_old(struct peer_state *ps, uint64_t now) {
    if (LIKELY(atomic_load_explicit(&ps->closes_ms, memory_order_relaxed) == UINT32_MAX) ||
        now - atomic_load_explicit(&ps->closes_at_ms, memory_order_relaxed) < LEARN_MEMORY_MS)
        return;
    atomic_store_explicit(&ps->closes_ms, UINT32_MAX, memory_order_relaxed);
    atomic_store_explicit(&ps->early_ms, UINT32_MAX, memory_order_relaxed);
    atomic_store_explicit(&ps->early_weight, 0, memory_order_relaxed);
}

bool pool_may_close(struct peer *p) {
    struct peer_state *ps = p->state;
    if (atomic_load_explicit(&ps->calm, memory_order_relaxed) >= CALM_ENOUGH)
        return false;
    atomic_fetch_add_explicit(&ps->calm, 1, memory_order_relaxed);
    return true;
}

// One more link lives beyond the age at which the peer was seen to close. True: it was chance.
static bool survived(struct peer_state *ps, struct idle *e) {
    uint32_t weight = atomic_load_explicit(&ps->early_weight, memory_order_relaxed);
    if (!e->survivor && weight != 0) {
        e->survivor = true;
        atomic_store_explicit(&ps->early_weight, --weight, memory_order_relaxed);
    }
    if (weight != 0)
        return false;
    atomic_store_explicit(&ps->early_ms, UINT32_MAX, memory_order_relaxed);
    return true;
}

// Whether the peer will keep a link of that age, which is still alive, for a while. The shard's lock is held.
static bool is_safe(struct peer_state *ps, struct idle *e, uint64_t now) {
    uint64_t idle_ms = now > e->parked_ms ? now - e->parked_ms : 0; // the clocks of two loops may be a turn apart
    forget_old(ps, now);
    uint32_t early = atomic_load_explicit(&ps->early_ms, memory_order_relaxed);
    if (early == UINT32_MAX)
        return idle_ms + MAX(idle_ms / 8, (uint64_t)KEPT_MARGIN_MS) <= atomic_load_explicit(&ps->kept_ms, memory_order_relaxed);
    if (idle_ms > early + survived_margin(early))
        return survived(ps, e);
    return idle_ms + MAX(early / 10, (uint32_t)CAREFUL_MARGIN_MS) < early;
}

// The oldest idle link of a peer says how long that keeps one. Of this loop's own; the shard's lock is held.
static void learn_from_oldest(struct pool_shard *sh, struct peer_state *ps, uint64_t now) {
    struct idle *e = list_empty(&sh->by_slot[ps->slot]) ? NULL : list_last(&sh->by_slot[ps->slot], struct idle, of_peer);
    if (e != NULL && link_parked(e->link) && !link_readable(e->link) && !link_gone(e->link))
        raise_to(&ps->kept_ms, now - e->parked_ms);
}

static uint64_t retire_after(struct peer_state *ps, uint64_t now) {
    forget_old(ps, now);
    uint32_t known = atomic_load_explicit(&ps->closes_ms, memory_order_relaxed);
    if (known == UINT32_MAX || known < RETIRE_LEAST_MS || atomic_load_explicit(&ps->closes_seen, memory_order_relaxed) < 2)
        return UINT64_MAX;
    return known - MAX(known / 10, (uint32_t)RETIRE_MARGIN_MS);
}

// --- entries ---------------------------------------------------------------------------------------------------------------

// The shard's lock is held.
static void unlink_entry(struct idle *e) {
    list_remove(&e->of_peer);
    list_remove(&e->of_age);
    atomic_fetch_sub_explicit(&e->shard->count, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&e->state->idle, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&e->peer->idle, 1, memory_order_relaxed);
}

static void entry_free(struct pool_loop *pl, struct idle *e) {
    group_state_unref(e->state);
    e->state = NULL;
    e->link = NULL;
    list_remove(&e->of_loop);
    list_push_front(&pl->spare, &e->of_loop);
}

static struct idle *entry_new(struct pool_loop *pl) {
    struct idle *e;
    if (list_empty(&pl->spare)) {
        e = xcalloc(1, sizeof(*e));
        e->magic = IDLE_MAGIC;
        list_init(&e->of_peer);
        list_init(&e->of_age);
    } else {
        e = list_first(&pl->spare, struct idle, of_loop);
        list_remove(&e->of_loop);
    }
    list_push_back(&pl->all, &e->of_loop);
    e->stolen = e->dropped = e->noticed = false;
    return e;
}

static void evict_oldest(struct pool_loop *pl, struct pool_shard *sh);
static void noticed(void *arg);

// Makes an entry known that nobody else knows of. Its link is parked first: from then on a thief's message may come at any
// time.
static void put_in(struct pool_loop *pl, struct idle *e, uint64_t now) {
    struct pool_shard *sh = e->shard;
    struct group_state *s = e->state;
    bool full = atomic_load_explicit(&s->idle, memory_order_relaxed) >= e->most;
    bool may_wait = full && !e->excess && now == e->parked_ms;
    e->excess = may_wait;
    link_park(e->link, noticed, e, "idle upstream", may_wait ? MIN(e->until_ms, now + GRACE_MS) : e->until_ms);
    pthread_mutex_lock(&sh->lock);
    if (UNLIKELY(e->peer->slot >= sh->nslots))
        grow_slots(sh, e->peer->slot);
    list_push_front(&sh->by_slot[e->peer->slot], &e->of_peer);
    list_push_back(&sh->by_age, &e->of_age);
    atomic_fetch_add_explicit(&sh->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&e->peer->idle, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->idle, 1, memory_order_relaxed);
    pthread_mutex_unlock(&sh->lock);
    if (full && !may_wait)
        evict_oldest(pl, sh);
}

// The task of a parked link: it is readable, gone or too old, all of which end it. A thief may have been faster.
static void noticed(void *arg) {
    struct idle *e = arg;
    CHECK_OBJ(e, IDLE_MAGIC);
    pthread_mutex_lock(&e->shard->lock);
    bool stolen = e->stolen;
    if (!stolen)
        unlink_entry(e);
    pthread_mutex_unlock(&e->shard->lock);
    if (stolen && !e->dropped) {
        e->noticed = true; // the thief's message ends it
        return;
    }
    if (!stolen && e->excess && link_news(e->link) == LINK_TIMEOUT) {
        put_in(pool_loop(true), e, loop_now(loop_self()));
        return;
    }
    if (!stolen) {
        if ((link_news(e->link) & (LINK_GONE | LINK_READABLE)) != 0) {
            struct peer closed = {.state = e->peer};
            pool_peer_closed(&closed, loop_now(loop_self()) - e->parked_ms);
        }
        link_free(e->link);
    }
    entry_free(pool_loop(true), e);
}

// From a thief, on the owner's loop: the old link goes, without a word to the peer.
static void drop_stolen(struct message *m) {
    struct idle *e = container_of(m, struct idle, drop);
    CHECK_OBJ(e, IDLE_MAGIC);
    bool task_comes = !link_parked(e->link) && !e->noticed;
    link_unpark(e->link);
    link_free(e->link);
    e->link = NULL;
    if (task_comes)
        e->dropped = true;
    else
        entry_free(pool_loop(true), e);
}

// Unparks and closes an entry of this loop that is still linked. One whose task is already queued is left to that.
static void evict(struct pool_loop *pl, struct idle *e) {
    if (!link_parked(e->link))
        return;
    pthread_mutex_lock(&e->shard->lock);
    bool stolen = e->stolen;
    if (!stolen)
        unlink_entry(e);
    pthread_mutex_unlock(&e->shard->lock);
    if (stolen)
        return;
    link_unpark(e->link);
    link_free(e->link);
    entry_free(pl, e);
}

// --- taking -----------------------------------------------------------------------------------------------------------------

static struct idle *take_own(struct pool_shard *sh, struct peer_state *ps, bool careful, uint64_t tag, uint64_t now) {
    struct idle *found = NULL;
    pthread_mutex_lock(&sh->lock);
    if (ps->slot < sh->nslots) {
        if (careful)
            learn_from_oldest(sh, ps, now);
        list_each(e, &sh->by_slot[ps->slot], struct idle, of_peer) {
            if (!link_parked(e->link) || link_readable(e->link) || link_gone(e->link) || e->tag != tag)
                continue;
            if (!careful || is_safe(ps, e, now)) {
                found = e;
                break;
            }
        }
    }
    if (found != NULL)
        unlink_entry(found);
    pthread_mutex_unlock(&sh->lock);
    return found;
}

// The descriptor of a foreign link's connection, or -1. The entry is the owner's to free.
static int steal_from(struct pool_shard *sh, struct peer_state *ps, bool careful, uint64_t tag, struct pool_loop *pl,
                      struct loop *owner) {
    int fd = -1;
    struct idle *found = NULL;
    uint64_t now = loop_now(pl->loop);
    pthread_mutex_lock(&sh->lock);
    if (ps->slot < sh->nslots) {
        list_each(e, &sh->by_slot[ps->slot], struct idle, of_peer) {
            if (e->fd >= 0 && e->tag == tag && (!careful || is_safe(ps, e, now))) {
                found = e;
                break;
            }
        }
    }
    if (found != NULL) {
        fd = link_take_fd(owner, found->fd);
        if (fd >= 0) {
            pl->taken_requests = found->requests;
            pl->taken_since_ms = found->since_ms;
            pl->taken_idle_ms = now > found->parked_ms ? now - found->parked_ms : 0;
            found->stolen = true;
            unlink_entry(found);
            found->drop.fn = drop_stolen;
            inbox_post(owner, &found->drop);
        }
    }
    pthread_mutex_unlock(&sh->lock);
    return fd;
}

// Asks the other loops in turn. The registry is held, so that no loop ends meanwhile.
static struct link *steal(struct group_state *s, struct peer *p, bool careful, uint64_t tag, struct pool_loop *pl) {
    int fd = -1;
    pthread_mutex_lock(&registry_lock);
    list_each(other, &registry, struct pool_loop, registered) {
        if (other == pl)
            continue;
        struct pool_shard *sh = shard_of(s, loop_id(other->loop), false);
        if (sh == NULL || atomic_load_explicit(&sh->count, memory_order_relaxed) == 0)
            continue;
        fd = steal_from(sh, p->state, careful, tag, pl, other->loop);
        if (fd >= 0)
            break;
    }
    pthread_mutex_unlock(&registry_lock);
    if (fd < 0)
        return NULL;
    struct link *l = link_new_fd(fd, p->addr.sa.sa_family == AF_UNIX ? NULL : &p->addr.sa);
    if (l == NULL)
        return NULL;
    if (!link_alive(l)) { // its owner had not looked yet
        pool_peer_closed(p, pl->taken_idle_ms);
        link_free(l);
        return NULL;
    }
    return l;
}

struct link *pool_take_tagged(struct group *g, struct peer *p, bool careful, uint64_t tag) {
    struct group_state *s = g->state;
    CHECK_OBJ(s, GROUP_STATE_MAGIC);
    if (atomic_load_explicit(&p->state->idle, memory_order_relaxed) == 0)
        return NULL;
    struct pool_loop *pl = pool_loop(true);
    struct pool_shard *sh = shard_of(s, loop_id(pl->loop), false);
    uint64_t now = loop_now(pl->loop);
    struct idle *e = sh == NULL ? NULL : take_own(sh, p->state, careful, tag, now);
    if (e == NULL) {
        if (sh != NULL && atomic_load_explicit(&s->idle, memory_order_relaxed) <=
                              (int64_t)atomic_load_explicit(&sh->count, memory_order_relaxed))
            return NULL;
        pl->taken = steal(s, p, careful, tag, pl);
        return pl->taken;
    }
    struct link *l = pl->taken = e->link;
    pl->taken_requests = e->requests;
    pl->taken_since_ms = e->since_ms;
    pl->taken_idle_ms = now - e->parked_ms;
    link_unpark(l);
    entry_free(pl, e);
    return l;
}

struct link *pool_take(struct group *g, struct peer *p, bool careful) { return pool_take_tagged(g, p, careful, 0); }

uint64_t pool_idle_ms(struct link *l) {
    struct pool_loop *pl = pool_loop(true);
    CHECK(pl->taken == l);
    return pl->taken_idle_ms;
}

void pool_facts(struct link *l, int64_t *requests, uint64_t *since_ms) {
    struct pool_loop *pl = pool_loop(true);
    CHECK(pl->taken == l);
    *requests = pl->taken_requests;
    *since_ms = pl->taken_since_ms;
}

// --- giving -----------------------------------------------------------------------------------------------------------------

// The oldest of this loop's links of the group makes room for a new one.
static void evict_oldest(struct pool_loop *pl, struct pool_shard *sh) {
    struct idle *oldest = NULL;
    pthread_mutex_lock(&sh->lock);
    list_each(e, &sh->by_age, struct idle, of_age) {
        if (link_parked(e->link)) {
            oldest = e;
            break;
        }
    }
    pthread_mutex_unlock(&sh->lock);
    if (oldest != NULL)
        evict(pl, oldest);
}

void pool_give_tagged(struct group *g, struct peer *p, struct link *l, int64_t requests, uint64_t since_ms, uint64_t idle_ms,
                      uint64_t tag) {
    struct group_state *s = g->state;
    CHECK_OBJ(s, GROUP_STATE_MAGIC);
    uint64_t now = loop_now(loop_self());
    if (idle_ms != UINT64_MAX && idle_ms != 0)
        raise_to(&p->state->kept_ms, idle_ms); // its own word
    idle_ms = MIN(MIN(idle_ms, retire_after(p->state, now)), g->keepalive_timeout_ms);
    struct pool_shard *sh = shard_of(s, loop_id(loop_self()), g->keepalive != 0);
    if (g->keepalive == 0 || sh == NULL || requests >= g->keepalive_requests || now - since_ms >= g->keepalive_time_ms ||
        idle_ms == 0) {
        link_free(l);
        return;
    }
    struct pool_loop *pl = pool_loop(true);
    struct idle *e = entry_new(pl);
    e->peer = p->state;
    e->parked_ms = now;
    e->shard = sh;
    e->state = s;
    group_state_ref(s);
    e->link = l;
    e->fd = link_is_tls(l) ? -1 : link_fd(l);
    e->requests = requests;
    e->tag = tag;
    e->since_ms = since_ms;
    e->until_ms = now + idle_ms;
    e->most = (int64_t)g->keepalive * atomic_load_explicit(&loops, memory_order_relaxed);
    e->excess = e->survivor = false;
    put_in(pl, e, now);
}

void pool_give_for(struct group *g, struct peer *p, struct link *l, int64_t requests, uint64_t since_ms, uint64_t idle_ms) {
    pool_give_tagged(g, p, l, requests, since_ms, idle_ms, 0);
}

void pool_give(struct group *g, struct peer *p, struct link *l, int64_t requests, uint64_t since_ms) {
    pool_give_for(g, p, l, requests, since_ms, UINT64_MAX);
}

// --- ends -------------------------------------------------------------------------------------------------------------------

struct forget {
    struct message m;
    struct group_state *state; // counted
};

static void forget_here(struct message *m) {
    struct forget *f = container_of(m, struct forget, m);
    struct pool_loop *pl = pool_loop(false);
    if (pl != NULL) {
        list_each_safe(e, &pl->all, struct idle, of_loop) {
            if (e->state == f->state && e->link != NULL)
                evict(pl, e);
        }
    }
    group_state_unref(f->state);
    free(f);
}

void pool_forget(struct group_state *s) {
    if (atomic_load_explicit(&s->idle, memory_order_relaxed) == 0)
        return;
    pthread_mutex_lock(&registry_lock);
    list_each(pl, &registry, struct pool_loop, registered) {
        struct forget *f = xcalloc(1, sizeof(*f));
        f->m.fn = forget_here;
        f->state = s;
        group_state_ref(s);
        inbox_post(pl->loop, &f->m);
    }
    pthread_mutex_unlock(&registry_lock);
}

void pools_close(void) {
    h2_ups_close();
    struct pool_loop *pl = pool_loop(false);
    if (pl == NULL)
        return;
    // After this no thief finds the loop, and messages that were posted are in its inbox.
    pthread_mutex_lock(&registry_lock);
    list_remove(&pl->registered);
    atomic_fetch_sub_explicit(&loops, 1, memory_order_relaxed);
    pthread_mutex_unlock(&registry_lock);
    list_each_safe(e, &pl->all, struct idle, of_loop) {
        if (e->link != NULL)
            evict(pl, e);
    }
    for (int turns = 0; !list_empty(&pl->all) && task_self() == NULL && turns < 100; turns++)
        loop_turn(pl->loop, 0); // links that wake at this moment, and what thieves have asked for
    list_each_safe(e, &pl->spare, struct idle, of_loop) {
        list_remove(&e->of_loop);
        free(e);
    }
    *loop_slot(pl->loop, slot) = NULL;
    CHECK(list_empty(&pl->all));
    free(pl);
}
