// events { }: how many connections; the rest is nginx's and accepted.
#include "feature/core/main.h"
#include "feature/core/networks.h"
#include "http/vhost.h"

static bool open_events(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node,
                        struct scope *inner) {
    struct main_conf *m = conf_own(cx, cx->scope, &feature_main);
    if (m->events != NULL)
        return conf_err(cx, node, "\"events\" directive is duplicate");
    m->events = conf;
    return true;
}

static bool set_connections(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    int64_t n;
    if (!conf_parse_num(node->args[1], &n))
        return conf_err(cx, node, "invalid number \"" STR_FMT "\"", STR_ARG(node->args[1]));
    ((struct events_conf *)conf)->worker_connections = n;
    return true;
}

static bool set_use(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return str_eq(node->args[1], STR("epoll")) ||
           conf_err(cx, node, "invalid event type \"" STR_FMT "\"", STR_ARG(node->args[1]));
}

static bool set_debug(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return take_network(cx, row, &((struct events_conf *)conf)->debug_clients, node);
}

// To where connections look.
static bool link_debug(struct conf_cx *cx, struct scope *root) {
    struct http_world *w = http_world(cx->conf);
    if (w != NULL)
        w->debug_clients = events_conf(cx->conf)->debug_clients;
    return true;
}

#define S struct events_conf
static const struct conf_row rows[] = {
    ROW_BLOCK("events", IN_MAIN, 0, 0, IN_EVENTS, open_events, "Holds what is said about connections as such."),
    ROW_FNS("worker_connections", IN_EVENTS, 1, 1, 0, set_connections, "512", "number",
            "How many client connections each event loop may have at a time."),
    ROW_FNS("use", IN_EVENTS, 1, 1, 0, set_use, NULL, "epoll", "How events are waited for: epoll."),
    ROW_FLAG("multi_accept", IN_EVENTS, S, multi_accept, "off", "Accepted for nginx's sake; weir accepts what is there."),
    ROW_FLAG("accept_mutex", IN_EVENTS, S, accept_mutex, "off",
             "Accepted for nginx's sake; connections go to the loop with the fewest."),
    ROW_MSEC("accept_mutex_delay", IN_EVENTS, S, accept_mutex_delay, "500ms", 0, 0, "Accepted for nginx's sake."),
    ROW_NOOP_OF("worker_aio_requests", IN_EVENTS, conf_set_num, "Accepted for nginx's sake."),
    ROW_FNS("debug_connection", IN_EVENTS, 1, 1, ROW_LISTED, set_debug, NULL, "address | CIDR | host name | unix:",
            "Connections of these clients are logged at level debug, whatever the error logs say."),
};

struct feature feature_events = {
    .name = "events", .rows = rows, .nrows = ARRAY_LEN(rows), .conf_size = sizeof(struct events_conf),
    .link = link_debug};
