// Idle connections to the servers of an upstream: how many are kept, for how long.
#include "feature/balance/balance.h"

static bool set_keepalive(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    int64_t n;
    if (!conf_parse_num(node->args[1], &n) || n > INT_MAX)
        return conf_err(cx, node, "invalid value \"" STR_FMT "\" in \"keepalive\" directive", STR_ARG(node->args[1]));
    upstream_of(cx)->keepalive = (unsigned)n;
    upstream_of(cx)->keepalive_local = node->nargs == 3;
    if (node->nargs == 3 && !str_eq(node->args[2], STR("local")))
        return upstream_bad_parameter(cx, node, node->args[2]);
    return true;
}

static bool set_requests(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return conf_parse_num(node->args[1], &upstream_of(cx)->keepalive_requests) || 
           conf_err(cx, node, "\"keepalive_requests\" directive invalid number");
}

static bool set_time(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct group *g = upstream_of(cx);
    uint64_t *ms = str_eq(node->args[0], STR("keepalive_time")) ? &g->keepalive_time_ms : &g->keepalive_timeout_ms;
    return conf_parse_msec(node->args[1], ms) || 
           conf_err(cx, node, "\"" STR_FMT "\" directive invalid value", STR_ARG(node->args[0]));
}

static const struct conf_row rows[] = {
    ROW_FNS("keepalive", IN_UPSTREAM, 1, 2, 0, set_keepalive, NULL, "connections [local]",
            "Idle connections kept to the group's servers, for each thread, used by all of them; 32 if not said, 0 for none. local: a location uses only its own."),
    ROW_FNS("keepalive_requests", IN_UPSTREAM, 1, 1, 0, set_requests, NULL, "number",
            "Requests served over one kept connection before it is closed; 1000 if not said."),
    ROW_FNS("keepalive_time", IN_UPSTREAM, 1, 1, 0, set_time, NULL, "time",
            "How long a connection may serve requests; 1h if not said."),
    ROW_FNS("keepalive_timeout", IN_UPSTREAM, 1, 1, 0, set_time, NULL, "timeout",
            "How long a kept connection may be idle; 60s if not said, less where the server is known to close earlier."),
};

struct feature feature_upstream_keepalive = {.name = "upstream keepalive", .rows = rows, .nrows = ARRAY_LEN(rows)};
