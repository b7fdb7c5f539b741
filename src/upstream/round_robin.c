// Smooth weighted round robin: each choice adds every eligible peer's effective weight to its current weight and takes the
// highest, which then pays the total. Weights 5 1 1 give a a b a c a a. A failure lowers the effective weight, each later
// choice restores one point, so that a peer that failed comes back slowly (nginx does the same). A peer with slow_start that
// has come back counts for a growing part of its weight; all weights of such a group are counted in thousandths.
#include "upstream/state.h"

enum { WHOLE = 1000 };

static int64_t weight_of(const struct group *g, const struct peer *p, struct peer_state *ps, uint64_t now_ms) {
    if (LIKELY(!g->slow_start))
        return ps->effective_weight;
    if (ps->start_ms == 0 || p->slow_start_ms == 0)
        return ps->effective_weight * WHOLE;
    uint64_t age = now_ms - ps->start_ms;
    if (age >= p->slow_start_ms) {
        ps->start_ms = 0;
        return ps->effective_weight * WHOLE;
    }
    return MAX((int64_t)1, ps->effective_weight * (int64_t)(age * WHOLE / p->slow_start_ms));
}

int round_robin_choose(const struct group *g, struct choice *c) {
    int best = -1;
    int64_t total = 0;
    peers_each(i, g, c->eligible) {
        struct peer *p = &g->peers[i];
        struct peer_state *ps = p->state;
        int64_t weight = weight_of(g, p, ps, c->now_ms);
        ps->current_weight += weight;
        total += weight;
        if (ps->effective_weight < (int64_t)p->weight)
            ps->effective_weight++;
        if (best < 0 || ps->current_weight > g->peers[best].state->current_weight)
            best = (int)i;
    }
    if (best >= 0)
        g->peers[best].state->current_weight -= total;
    return best;
}

const struct balancer balancer_round_robin = {.name = "round_robin", .choose = round_robin_choose};
