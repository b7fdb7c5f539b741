// least_time: the server with the lowest average time of answers and the fewest requests in progress, for its weight. Servers
// of which nothing is known yet come first, so that each is tried; equal ones take turns. What was measured counts for less as
// it gets old, so that a server which was slow once is tried again.
#include "feature/balance/least_time.h"
#include "feature/balance/balance.h"

enum { HALF_LIFE_MS = 5000 };

bool least_time_parse(struct least_time *t, struct str what) {
    t->last_byte = str_eq(what, STR("last_byte"));
    return t->last_byte || str_eq(what, STR("header"));
}

double least_time_score(const struct least_time *t, const struct peer *p, uint64_t now_ms) {
    const struct peer_state *ps = p->state;
    uint64_t us = t->last_byte ? ps->response_us : ps->header_us;
    uint64_t age = now_ms > ps->measured_ms ? now_ms - ps->measured_ms : 0;
    us >>= MIN(age / HALF_LIFE_MS, (uint64_t)63);
    if (t->inflight && ps->active != 0) {
        // What is under way for longer than usual says more than the past.
        uint64_t so_far = (now_ms * ps->active - ps->started_ms) * 1000 / ps->active;
        us = MAX(us, so_far);
    }
    return (double)us * (ps->active + 1) / p->weight;
}

static int choose(const struct group *g, struct choice *c) {
    const struct least_time *t = g->balance;
    uint64_t least[GROUP_PEERS_MAX / 64];
    double best = 0;
    bool any = false;
    peers_each(i, g, c->eligible) {
        double score = least_time_score(t, &g->peers[i], c->now_ms);
        if (!any || score < best) {
            memset(least, 0, group_bits(g) * sizeof(*least));
            best = score;
        }
        if (!any || score <= best)
            least[i / 64] |= (uint64_t)1 << (i % 64);
        any = true;
    }
    struct choice among = *c;
    among.eligible = least;
    return any ? round_robin_choose(g, &among) : -1;
}

static const struct balancer least_time = {.name = "least_time", .choose = choose};

static bool set(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct least_time *t = arena_new(cx->arena, struct least_time);
    if (!least_time_parse(t, node->args[1]))
        return upstream_bad_parameter(cx, node, node->args[1]);
    if (node->nargs == 3 && !str_eq(node->args[2], STR("inflight")))
        return upstream_bad_parameter(cx, node, node->args[2]);
    t->inflight = node->nargs == 3;
    return upstream_balancer(cx, node, &least_time, t);
}

static const struct conf_row rows[] = {
    ROW_FNS("least_time", IN_UPSTREAM, 1, 2, ROW_REPEAT, set, NULL, "header | last_byte [inflight]",
            "Asks the server with the lowest average response time and the fewest requests in progress."),
};

struct feature feature_least_time = {.name = "least_time", .rows = rows, .nrows = ARRAY_LEN(rows)};
