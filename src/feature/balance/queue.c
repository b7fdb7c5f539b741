// queue: requests wait when no server can be asked at once, instead of being answered with 502.
#include "feature/balance/balance.h"

static bool set(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct group *g = upstream_of(cx);
    uint64_t n;
    if (!str_u64(node->args[1], INT_MAX, &n) || n == 0)
        return conf_err(cx, node, "invalid value \"" STR_FMT "\" in \"queue\" directive", STR_ARG(node->args[1]));
    g->queue = (unsigned)n;
    if (node->nargs == 2)
        return true;
    struct str value = upstream_value(node->args[2], STR("timeout"));
    return (value.p != NULL && conf_parse_msec(value, &g->queue_timeout_ms)) || upstream_bad_parameter(cx, node, node->args[2]);
}

static const struct conf_row rows[] = {
    ROW_FNS("queue", IN_UPSTREAM, 1, 2, 0, set, NULL, "number [timeout=time]",
            "How many requests may wait until a server can be asked, and how long; 60s if not said."),
};

struct feature feature_upstream_queue = {.name = "upstream queue", .rows = rows, .nrows = ARRAY_LEN(rows)};
