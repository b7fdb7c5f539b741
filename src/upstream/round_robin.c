// Smooth weighted round robin: each choice adds every eligible peer's effective weight to its current weight and takes the
// highest, which then pays the total. Weights 5 1 1 give a a b a c a a. A failure lowers the effective weight, each later
// choice restores one point, so that a peer that failed comes back slowly (nginx does the same).
#include "upstream/state.h"

static int choose(const struct group *g, struct group_state *s, const uint64_t *eligible, struct req *r) {
    int best = -1;
    int64_t total = 0;
    for (size_t word = 0; word < group_bits(g); word++) {
        for (uint64_t bits = eligible[word]; bits != 0; bits &= bits - 1) {
            unsigned i = (unsigned)(word * 64) + (unsigned)__builtin_ctzll(bits);
            struct peer_state *ps = &s->peers[i];
            ps->current_weight += ps->effective_weight;
            total += ps->effective_weight;
            if (ps->effective_weight < (int64_t)g->peers[i].weight)
                ps->effective_weight++;
            if (best < 0 || ps->current_weight > s->peers[best].current_weight)
                best = (int)i;
        }
    }
    if (best >= 0)
        s->peers[best].current_weight -= total;
    return best;
}

const struct balancer balancer_round_robin = {"round_robin", choose};
