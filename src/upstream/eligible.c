// Which peers may be asked: decided once, before any balancer, so that no balancer knows of failures, limits or backups.
#include "io/log.h"
#include "upstream/state.h"

// A group of one peer never counts it out: there is nobody else to ask.
static bool counted_out(const struct group *g, const struct peer *p, const struct peer_state *ps, uint64_t now_ms) {
    return g->npeers > 1 && p->max_fails != 0 && ps->fails >= p->max_fails && now_ms - ps->checked_ms <= p->fail_timeout_ms;
}

static bool may_be_asked(const struct group *g, const struct peer *p, const struct peer_state *ps, uint64_t now_ms) {
    return (p->flags & PEER_DOWN) == 0 && (p->max_conns == 0 || ps->active < p->max_conns) && !counted_out(g, p, ps, now_ms);
}

// Fills `eligible` with the untried peers of one kind; false when there is none.
static bool collect(const struct group *g, const struct group_state *s, const uint64_t *tried, unsigned kind, uint64_t now_ms,
                    uint64_t *eligible) {
    bool any = false;
    memset(eligible, 0, group_bits(g) * sizeof(*eligible));
    for (unsigned i = 0; i < g->npeers; i++) {
        const struct peer *p = &g->peers[i];
        if ((p->flags & PEER_BACKUP) != kind || (tried[i / 64] >> (i % 64) & 1) != 0)
            continue;
        if (may_be_asked(g, p, &s->peers[i], now_ms)) {
            eligible[i / 64] |= (uint64_t)1 << (i % 64);
            any = true;
        }
    }
    return any;
}

struct peer *group_choose(struct group *g, struct req *r, uint64_t *tried, uint64_t now_ms) {
    struct group_state *s = g->state;
    CHECK_OBJ(s, GROUP_STATE_MAGIC);
    CHECK(g->npeers <= GROUP_PEERS_MAX && s->npeers == g->npeers);
    uint64_t eligible[GROUP_PEERS_MAX / 64];
    int i = -1;
    pthread_mutex_lock(&s->lock);
    if (collect(g, s, tried, 0, now_ms, eligible))
        i = g->balancer->choose(g, s, eligible, r);
    if (i < 0 && collect(g, s, tried, PEER_BACKUP, now_ms, eligible))
        i = g->balancer->choose(g, s, eligible, r);
    if (i >= 0) {
        struct peer_state *ps = &s->peers[i];
        // A peer whose time out is over is probed by this request alone: the others see it counted out from now on again.
        if (now_ms - ps->checked_ms > g->peers[i].fail_timeout_ms)
            ps->checked_ms = now_ms;
        ps->active++;
        ps->requests++;
    }
    pthread_mutex_unlock(&s->lock);
    if (i < 0)
        return NULL;
    tried[i / 64] |= (uint64_t)1 << (i % 64);
    return &g->peers[i];
}

void group_release(struct group *g, struct peer *p, enum peer_result result, uint64_t now_ms) {
    struct group_state *s = g->state;
    CHECK_OBJ(s, GROUP_STATE_MAGIC);
    bool disabled = false;
    pthread_mutex_lock(&s->lock);
    struct peer_state *ps = &s->peers[p->index];
    CHECK(ps->active > 0);
    ps->active--;
    if (result == PEER_FAILED) {
        ps->failures++;
        ps->fails++;
        ps->accessed_ms = ps->checked_ms = now_ms;
        if (p->max_fails != 0) {
            ps->effective_weight -= p->weight / p->max_fails;
            disabled = ps->fails == p->max_fails && g->npeers > 1;
        }
        if (ps->effective_weight < 0)
            ps->effective_weight = 0;
    } else if (result == PEER_OK && ps->accessed_ms < ps->checked_ms) {
        ps->fails = 0;
    }
    pthread_mutex_unlock(&s->lock);
    if (disabled)
        log_msg(LOG_WARN, 0, "upstream server temporarily disabled (fail_timeout %llu ms, max_fails %u reached)",
                (unsigned long long)p->fail_timeout_ms, p->max_fails);
}
