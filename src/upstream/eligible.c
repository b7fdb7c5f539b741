// Which peers may be asked: decided once, before any balancer, so that no balancer knows of failures, limits or backups.
#include "io/log.h"
#include "upstream/state.h"

// A group of one peer never counts it out: there is nobody else to ask.
static bool counted_out(const struct group *g, const struct peer *p, const struct peer_state *ps, uint64_t now_ms) {
    return g->npeers > 1 && p->max_fails != 0 && ps->fails >= p->max_fails && now_ms - ps->checked_ms <= p->fail_timeout_ms;
}

static bool may_be_asked(const struct group *g, const struct peer *p, uint64_t now_ms) {
    const struct peer_state *ps = p->state;
    return (p->flags & PEER_DOWN) == 0 && ps->health != HEALTH_UNHEALTHY && ps->health != HEALTH_CHECKING &&
           (p->max_conns == 0 || ps->active < p->max_conns) && !counted_out(g, p, ps, now_ms);
}

// Fills `eligible` with the untried peers of one kind; false when there is none.
static bool collect(const struct group *g, const uint64_t *tried, unsigned kind, uint64_t now_ms, uint64_t *eligible) {
    bool any = false;
    memset(eligible, 0, group_bits(g) * sizeof(*eligible));
    for (unsigned i = 0; i < g->npeers; i++) {
        const struct peer *p = &g->peers[i];
        if ((p->flags & (PEER_BACKUP | PEER_DRAIN)) != kind || peers_has(tried, i))
            continue;
        if (may_be_asked(g, p, now_ms)) {
            eligible[i / 64] |= (uint64_t)1 << (i % 64);
            any = true;
        }
    }
    return any;
}

static int choose(const struct group *g, const uint64_t *tried, int bound, struct choice *c) {
    uint64_t eligible[GROUP_PEERS_MAX / 64];
    int i = -1;
    if (bound >= 0 && !peers_has(tried, (unsigned)bound) && may_be_asked(g, &g->peers[bound], c->now_ms))
        return bound;
    c->eligible = eligible;
    if (collect(g, tried, 0, c->now_ms, eligible))
        i = g->balancer->choose(g, c);
    c->backups = true;
    if (i < 0 && collect(g, tried, PEER_BACKUP, c->now_ms, eligible))
        i = g->balancer->choose(g, c);
    return i;
}

// All untried peers are counted out: they get another chance. False: there are none.
static bool revive(struct group *g, const uint64_t *tried, uint64_t now_ms) {
    bool any = false;
    for (unsigned i = 0; g->revives && i < g->npeers; i++) {
        const struct peer *p = &g->peers[i];
        if (!peers_has(tried, i) && counted_out(g, p, p->state, now_ms)) {
            p->state->fails = 0;
            any = true;
        }
    }
    return any;
}

struct peer *group_choose(struct group *g, struct req *r, uint64_t *tried, uint64_t now_ms) {
    struct group_state *s = g->state;
    CHECK_OBJ(s, GROUP_STATE_MAGIC);
    CHECK(g->npeers <= GROUP_PEERS_MAX);
    struct choice c = {.r = r, .now_ms = now_ms};
    int bound = g->sticky != NULL && r != NULL ? g->sticky->find(g, r) : -1;
    if (g->balancer->begin != NULL)
        g->balancer->begin(g, &c);
    pthread_mutex_lock(&s->lock);
    int i = choose(g, tried, bound, &c);
    if (UNLIKELY(i < 0) && revive(g, tried, now_ms)) {
        c.backups = false;
        i = choose(g, tried, bound, &c);
    }
    if (i >= 0) {
        struct peer_state *ps = g->peers[i].state;
        // A peer whose time out is over is probed by this request alone: the others see it counted out from now on again.
        if (now_ms - ps->checked_ms > g->peers[i].fail_timeout_ms)
            ps->checked_ms = now_ms;
        ps->active++;
        ps->started_ms += now_ms;
        ps->requests++;
        ps->selected_ms = now_ms;
    }
    pthread_mutex_unlock(&s->lock);
    if (i < 0)
        return NULL;
    tried[i / 64] |= (uint64_t)1 << (i % 64);
    return &g->peers[i];
}

struct str group_why(struct group *g, struct arena *a, uint64_t now_ms) {
    unsigned down = 0, drained = 0, ill = 0, full = 0, out = 0;
    uint64_t wait_ms = UINT64_MAX;
    pthread_mutex_lock(&g->state->lock);
    for (unsigned i = 0; i < g->npeers; i++) {
        const struct peer *p = &g->peers[i];
        const struct peer_state *ps = p->state;
        if ((p->flags & PEER_DOWN) != 0) {
            down++;
        } else if ((p->flags & PEER_DRAIN) != 0) {
            drained++;
        } else if (ps->health == HEALTH_UNHEALTHY || ps->health == HEALTH_CHECKING) {
            ill++;
        } else if (counted_out(g, p, ps, now_ms)) {
            out++;
            wait_ms = MIN(wait_ms, p->fail_timeout_ms - (now_ms - ps->checked_ms));
        } else if (p->max_conns != 0 && ps->active >= p->max_conns) {
            full++;
        }
    }
    pthread_mutex_unlock(&g->state->lock);
    struct sbuf b;
    sbuf_init_arena(&b, a, 128, 1024);
    sbuf_printf(&b, "%u server%s:", g->npeers, g->npeers == 1 ? "" : "s");
    const struct {
        unsigned n;
        const char *what;
    } kinds[] = {{down, "down"}, {drained, "draining"}, {ill, "not healthy by health_check"}, {full, "at max_conns"}};
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
        if (kinds[i].n != 0)
            sbuf_printf(&b, "%s %u %s", b.p[b.n - 1] == ':' ? "" : ",", kinds[i].n, kinds[i].what);
    if (out != 0)
        sbuf_printf(&b, "%s %u failed max_fails times, for %llu ms more", b.p[b.n - 1] == ':' ? "" : ",", out, (unsigned long long)wait_ms);
    if (b.p[b.n - 1] == ':')
        sbuf_lit(&b, " all were tried");
    sbuf_chr(&b, '\0');
    return str_n(b.p, b.n - 1);
}

// Counts the time that nobody may ask it.
static void note_away(struct peer_state *ps, uint64_t now_ms) {
    bool away = ps->out || ps->health == HEALTH_UNHEALTHY;
    if (away && ps->away_ms == 0) {
        ps->away_ms = MAX(now_ms, (uint64_t)1);
    } else if (!away && ps->away_ms != 0) {
        ps->downtime_ms += now_ms > ps->away_ms ? now_ms - ps->away_ms : 0;
        ps->away_ms = 0;
    }
}

void group_note_check(struct peer_state *ps, bool passed, enum peer_health before, uint64_t now_ms) {
    ps->checks++;
    ps->checks_failed += !passed;
    ps->check_passed = passed;
    ps->unhealthy += ps->health == HEALTH_UNHEALTHY && before != HEALTH_UNHEALTHY;
    note_away(ps, now_ms);
}

// It answers again.
static void recovered(const struct peer *p, struct peer_state *ps, uint64_t now_ms) {
    ps->fails = 0;
    if (ps->out && p->slow_start_ms != 0)
        ps->start_ms = now_ms;
    ps->out = false;
    note_away(ps, now_ms);
}

// Whether the peer is counted out by this failure.
static bool failed(const struct group *g, const struct peer *p, struct peer_state *ps, uint64_t now_ms) {
    bool disabled = false;
    ps->failures++;
    ps->fails++;
    ps->accessed_ms = ps->checked_ms = now_ms;
    if (p->max_fails != 0) {
        ps->effective_weight -= p->weight / p->max_fails;
        ps->out |= ps->fails >= p->max_fails && g->npeers > 1;
        note_away(ps, now_ms);
        disabled = ps->fails == p->max_fails && g->npeers > 1;
    }
    if (ps->effective_weight < 0)
        ps->effective_weight = 0;
    ps->unavailable += disabled;
    return disabled;
}

// A moving average over about the last eight.
static void add_time(uint64_t *average_us, uint64_t ms) {
    uint64_t us = MAX(ms * 1000, (uint64_t)1);
    *average_us = *average_us == 0 ? us : *average_us - *average_us / 8 + us / 8;
}

static void note_end(struct peer_state *ps, const struct peer_end *end, uint64_t now_ms) {
    ps->started_ms -= end->start_ms;
    ps->sent += end->sent;
    ps->received += end->received;
    if (end->status != 0)
        ps->responses[MIN(end->status / 100, 5u)]++;
    if (end->result != PEER_OK || end->header_ms == UINT64_MAX)
        return;
    add_time(&ps->header_us, end->header_ms);
    add_time(&ps->response_us, now_ms - end->start_ms);
    ps->measured_ms = now_ms;
}

void group_release(struct group *g, struct peer *p, const struct peer_end *end, uint64_t now_ms) {
    struct group_state *s = g->state;
    CHECK_OBJ(s, GROUP_STATE_MAGIC);
    bool disabled = false;
    pthread_mutex_lock(&s->lock);
    struct peer_state *ps = p->state;
    CHECK(ps->active > 0);
    ps->active--;
    note_end(ps, end, now_ms);
    if (end->result == PEER_FAILED)
        disabled = failed(g, p, ps, now_ms);
    else if (end->result == PEER_OK && ps->accessed_ms < ps->checked_ms)
        recovered(p, ps, now_ms);
    if (s->queued != 0)
        queue_wake(s);
    pthread_mutex_unlock(&s->lock);
    if (disabled)
        log_msg(LOG_WARN, 0, "upstream server temporarily disabled (fail_timeout %llu ms, max_fails %u reached)",
                (unsigned long long)p->fail_timeout_ms, p->max_fails);
}
