// least_conn: the server with the fewest requests in progress for its weight; several of them take turns.
#include "feature/balance/balance.h"

static int choose(const struct group *g, struct choice *c) {
    uint64_t least[GROUP_PEERS_MAX / 64];
    int best = -1;
    bool many = false;
    peers_each(i, g, c->eligible) {
        const struct peer *p = &g->peers[i], *b = best < 0 ? NULL : &g->peers[best];
        uint64_t mine = b == NULL ? 0 : (uint64_t)p->state->active * b->weight,
                 its = b == NULL ? 1 : (uint64_t)b->state->active * p->weight;
        if (mine < its) {
            best = (int)i;
            many = false;
        } else if (mine == its) {
            many = true;
        }
    }
    if (best < 0 || !many)
        return best;
    memset(least, 0, group_bits(g) * sizeof(*least));
    const struct peer *b = &g->peers[best];
    peers_each(i, g, c->eligible) {
        const struct peer *p = &g->peers[i];
        if ((uint64_t)p->state->active * b->weight == (uint64_t)b->state->active * p->weight)
            least[i / 64] |= (uint64_t)1 << (i % 64);
    }
    struct choice among = *c;
    among.eligible = least;
    return round_robin_choose(g, &among);
}

static const struct balancer least_conn = {.name = "least_conn", .choose = choose};

static bool set(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return upstream_balancer(cx, node, &least_conn, NULL);
}

static const struct conf_row rows[] = {
    ROW_FN("least_conn", IN_UPSTREAM, 0, 0, ROW_REPEAT, set, NULL, "Asks the server with the fewest requests in progress, of all threads."),
};

struct feature feature_least_conn = {.name = "least_conn", .rows = rows, .nrows = ARRAY_LEN(rows)};
