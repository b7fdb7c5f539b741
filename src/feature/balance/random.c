// random: a server by chance, as often as its weight says. With `two`, two are drawn and the better of them is asked.
#include "feature/balance/balance.h"
#include "feature/balance/least_time.h"

struct settings {
    bool two, by_time;
    struct least_time time;
};

// One eligible peer but `except`, or -1.
static int draw(const struct group *g, const struct choice *c, int except) {
    uint64_t total = 0;
    peers_each(i, g, c->eligible) {
        total += (int)i == except ? 0 : g->peers[i].weight;
    }
    if (total == 0)
        return -1;
    uint64_t at = group_random(g->state) % total;
    peers_each(i, g, c->eligible) {
        if ((int)i == except)
            continue;
        if (at < g->peers[i].weight)
            return (int)i;
        at -= g->peers[i].weight;
    }
    return -1;
}

static int choose(const struct group *g, struct choice *c) {
    const struct settings *s = g->balance;
    int one = draw(g, c, -1);
    int other = s->two && one >= 0 ? draw(g, c, one) : -1;
    if (other < 0)
        return one;
    const struct peer *a = &g->peers[one], *b = &g->peers[other];
    if (s->by_time) {
        double x = least_time_score(&s->time, a, c->now_ms), y = least_time_score(&s->time, b, c->now_ms);
        return y < x ? other : one;
    }
    return (uint64_t)b->state->active * a->weight < (uint64_t)a->state->active * b->weight ? other : one;
}

static const struct balancer balancer_random = {.name = "random", .lacks = PEER_BACKUP, .no_slow_start = true, .choose = choose};

static bool set(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct settings *s = arena_new(cx->arena, struct settings);
    if (node->nargs > 1 && !str_eq(node->args[1], STR("two")))
        return upstream_bad_parameter(cx, node, node->args[1]);
    s->two = node->nargs > 1;
    if (node->nargs > 2) {
        struct str how = node->args[2];
        if (str_starts(how, STR("least_time"))) {
            if (!least_time_parse(&s->time, upstream_value(how, STR("least_time"))))
                return upstream_bad_parameter(cx, node, how);
            s->by_time = true;
        } else if (!str_eq(how, STR("least_conn"))) {
            return upstream_bad_parameter(cx, node, how);
        }
    }
    return upstream_balancer(cx, node, &balancer_random, s);
}

static const struct conf_row rows[] = {
    ROW_FNS("random", IN_UPSTREAM, 0, 2, ROW_REPEAT, set, NULL, "[two [least_conn | least_time=header | least_time=last_byte]]",
            "Asks a server by chance, or the better of two."),
};

struct feature feature_random = {.name = "random", .rows = rows, .nrows = ARRAY_LEN(rows)};
