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
// What is known of when a peer closes idle links, and so which of them a request that could not be repeated may take, is in
// learn.c. A link that such a request refuses is closed: the connection that is made instead takes its place, because there are
// back ends that have a process for each connection, which an idle one would keep from work.
#include "io/inbox.h"
#include "io/tls.h"
#include "upstream/h2_link.h"
#include "upstream/learn.h"
#include "upstream/state.h"
#include <stdlib.h>
#include <unistd.h>

enum { IDLE_MAGIC = 0x5749444c };

struct idle {
    struct message drop; // from a thief to the owner
    uint32_t magic;
    struct peer_state *peer;     // lives as long as `state`
    uint64_t parked_ms, until_ms;
    int64_t most;                // links that the group keeps
    bool survivor;               // of learn.h
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
    bool taken_canary;
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

enum { GRACE_MS = 100 };

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
            uint64_t now = loop_now(loop_self());
            learn_closed(e->peer, now - e->parked_ms, now);
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

static uint64_t idle_for(const struct idle *e, uint64_t now) {
    return now > e->parked_ms ? now - e->parked_ms : 0; // the clocks of two loops may be a turn apart
}

// What is looked for: any link, or one that the peer is not about to close.
struct search {
    struct peer_state *peer;
    uint64_t tag, now;
    bool careful;
    bool canary;          // what was found is one
    struct idle *refused; // the first that was not safe
};

static bool suits(struct search *s, struct idle *e) {
    if (!s->careful || learn_safe(s->peer, idle_for(e, s->now), s->now, &e->survivor, &s->canary))
        return true;
    if (s->refused == NULL)
        s->refused = e;
    return false;
}

// The oldest idle link of a peer says how long that keeps one. The shard's lock is held.
static void learn_from_oldest(struct pool_shard *sh, struct search *s) {
    struct list *all = &sh->by_slot[s->peer->slot];
    struct idle *e = list_empty(all) ? NULL : list_last(all, struct idle, of_peer);
    if (e != NULL && link_parked(e->link) && !link_readable(e->link) && !link_gone(e->link))
        learn_kept(s->peer, idle_for(e, s->now));
}

static struct idle *take_own(struct pool_shard *sh, struct search *s) {
    struct idle *found = NULL;
    pthread_mutex_lock(&sh->lock);
    if (s->peer->slot < sh->nslots) {
        if (s->careful)
            learn_from_oldest(sh, s);
        list_each(e, &sh->by_slot[s->peer->slot], struct idle, of_peer) {
            if (!link_parked(e->link) || link_readable(e->link) || link_gone(e->link) || e->tag != s->tag)
                continue;
            if (suits(s, e)) {
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

// The descriptor of a foreign link's connection, or -1. *good says whether it may be used; else it is one to be closed. The
// entry is the owner's to free.
static int steal_from(struct pool_shard *sh, struct search *s, struct pool_loop *pl, struct loop *owner, bool *good) {
    int fd = -1;
    struct idle *found = NULL;
    pthread_mutex_lock(&sh->lock);
    s->refused = NULL;
    if (s->peer->slot < sh->nslots) {
        list_each(e, &sh->by_slot[s->peer->slot], struct idle, of_peer) {
            if (e->fd >= 0 && e->tag == s->tag && suits(s, e)) {
                found = e;
                break;
            }
        }
    }
    *good = found != NULL;
    if (found == NULL)
        found = s->refused;
    if (found != NULL) {
        fd = link_take_fd(owner, found->fd);
        if (fd >= 0) {
            pl->taken_requests = found->requests;
            pl->taken_since_ms = found->since_ms;
            pl->taken_idle_ms = idle_for(found, s->now);
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
static struct link *steal(struct group_state *state, struct peer *p, struct search *s, struct pool_loop *pl) {
    int fd = -1;
    bool good = false;
    pthread_mutex_lock(&registry_lock);
    list_each(other, &registry, struct pool_loop, registered) {
        if (other == pl)
            continue;
        struct pool_shard *sh = shard_of(state, loop_id(other->loop), false);
        if (sh == NULL || atomic_load_explicit(&sh->count, memory_order_relaxed) == 0)
            continue;
        fd = steal_from(sh, s, pl, other->loop, &good);
        if (fd >= 0)
            break;
    }
    pthread_mutex_unlock(&registry_lock);
    if (fd < 0)
        return NULL;
    struct link *l = good ? link_new_fd(fd, p->addr.sa.sa_family == AF_UNIX ? NULL : &p->addr.sa) : NULL;
    if (!good)
        close(fd);
    if (l == NULL || link_alive(l))
        return l;
    pool_peer_closed(p, pl->taken_idle_ms); // its owner had not looked yet
    link_free(l);
    return NULL;
}

struct link *pool_take_tagged(struct group *g, struct peer *p, bool careful, uint64_t tag) {
    struct group_state *s = g->state;
    CHECK_OBJ(s, GROUP_STATE_MAGIC);
    if (atomic_load_explicit(&p->state->idle, memory_order_relaxed) == 0)
        return NULL;
    struct pool_loop *pl = pool_loop(true);
    struct pool_shard *sh = shard_of(s, loop_id(pl->loop), false);
    struct search look = {.peer = p->state, .tag = tag, .now = loop_now(pl->loop), .careful = careful};
    struct idle *e = sh == NULL ? NULL : take_own(sh, &look);
    if (e == NULL) {
        if (look.refused != NULL) {
            evict(pl, look.refused);
            return NULL;
        }
        if (sh != NULL && atomic_load_explicit(&s->idle, memory_order_relaxed) <=
                              (int64_t)atomic_load_explicit(&sh->count, memory_order_relaxed))
            return NULL;
        pl->taken = steal(s, p, &look, pl);
        pl->taken_canary = look.canary && pl->taken != NULL;
        if (look.canary && pl->taken == NULL)
            pool_canary_done(p, false);
        return pl->taken;
    }
    struct link *l = pl->taken = e->link;
    pl->taken_requests = e->requests;
    pl->taken_since_ms = e->since_ms;
    pl->taken_idle_ms = idle_for(e, look.now);
    pl->taken_canary = look.canary;
    link_unpark(l);
    entry_free(pl, e);
    return l;
}

bool pool_may_close(struct peer *p) { return learn_may_close(p->state); }
void pool_peer_closed(struct peer *p, uint64_t idle_ms) { learn_closed(p->state, idle_ms, loop_now(loop_self())); }
void pool_canary_done(struct peer *p, bool well) { learn_canary_done(p->state, well); }

bool pool_is_canary(struct link *l) {
    struct pool_loop *pl = pool_loop(true);
    CHECK(pl->taken == l);
    return pl->taken_canary;
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
        learn_kept(p->state, idle_ms); // its own word
    idle_ms = MIN(MIN(idle_ms, learn_retire_after(p->state, now)), g->keepalive_timeout_ms);
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
