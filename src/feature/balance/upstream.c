// The upstream block and its servers. What else may stand in the block has files of its own beside this one.
#include "feature/balance/balance.h"
#include "io/broker.h"
#include "upstream/addresses.h"

// --- what the block's other directives use -------------------------------------------------------------------------------------

bool upstream_balancer(struct conf_cx *cx, const struct conf_node *node, const struct balancer *b, void *settings) {
    struct group *g = upstream_of(cx);
    if (g->balancer != &balancer_round_robin)
        conf_warn(cx, node, "load balancing method redefined");
    g->balancer = b;
    g->balance = settings;
    return true;
}

bool upstream_bad_parameter(struct conf_cx *cx, const struct conf_node *node, struct str arg) {
    return conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(arg));
}

struct str upstream_value(struct str arg, struct str name) {
    if (arg.n <= name.n || arg.p[name.n] != '=' || !str_starts(arg, name))
        return STR_NONE;
    return str_from(arg, name.n + 1);
}

// --- server ------------------------------------------------------------------------------------------------------------------------

// While a block is read: the servers so far. In the scope's struct of the feature.
struct servers {
    struct groups *groups; // first, as struct upstream_conf has it
    struct group_server *at;
    unsigned count, cap;
    bool from_state;
};

static bool parse_number(struct conf_cx *cx, const struct conf_node *node, struct str arg, struct str value, unsigned least,
                         unsigned *out) {
    uint64_t n;
    if (!str_u64(value, INT_MAX, &n) || n < least)
        return upstream_bad_parameter(cx, node, arg);
    *out = (unsigned)n;
    return true;
}

static bool parse_seconds(struct conf_cx *cx, const struct conf_node *node, struct str arg, struct str value, uint64_t *ms) {
    int64_t seconds;
    if (!conf_parse_sec(value, &seconds))
        return upstream_bad_parameter(cx, node, arg);
    *ms = (uint64_t)seconds * 1000;
    return true;
}

static bool parse_flag(struct conf_cx *cx, const struct conf_node *node, struct str arg, struct group_server *s, bool *resolve) {
    const struct balancer *b = upstream_of(cx)->balancer;
    unsigned flag = 0;
    if (str_eq(arg, STR("backup")))
        flag = PEER_BACKUP;
    else if (str_eq(arg, STR("down")))
        flag = PEER_DOWN;
    else if (str_eq(arg, STR("drain")))
        flag = PEER_DRAIN;
    else if (str_eq(arg, STR("resolve")))
        *resolve = true;
    else
        return upstream_bad_parameter(cx, node, arg);
    if ((b->lacks & flag) != 0)
        return conf_err(cx, node, "balancing method does not support parameter \"" STR_FMT "\"", STR_ARG(arg));
    s->peer.flags |= flag;
    return true;
}

static bool parse_parameter(struct conf_cx *cx, const struct conf_node *node, struct str arg, struct group_server *s,
                            bool *resolve) {
    ssize_t eq = str_chr(arg, '=');
    if (eq < 0)
        return parse_flag(cx, node, arg, s, resolve);
    struct str name = str_head(arg, (size_t)eq), value = str_from(arg, (size_t)eq + 1);
    struct peer *p = &s->peer;
    if (str_eq(name, STR("weight")))
        return parse_number(cx, node, arg, value, 1, &p->weight);
    if (str_eq(name, STR("max_fails")))
        return parse_number(cx, node, arg, value, 0, &p->max_fails);
    if (str_eq(name, STR("max_conns")))
        return parse_number(cx, node, arg, value, 0, &p->max_conns);
    if (str_eq(name, STR("fail_timeout")))
        return parse_seconds(cx, node, arg, value, &p->fail_timeout_ms);
    if (str_eq(name, STR("slow_start"))) {
        if (upstream_of(cx)->balancer->no_slow_start)
            return conf_err(cx, node, "balancing method does not support parameter \"" STR_FMT "\"", STR_ARG(arg));
        return parse_seconds(cx, node, arg, value, &p->slow_start_ms);
    }
    if (str_eq(name, STR("route")) && value.n != 0) {
        p->route = value;
        return true;
    }
    if (str_eq(name, STR("service")) && value.n != 0) {
        s->service = value;
        return true;
    }
    return upstream_bad_parameter(cx, node, arg);
}

static void add_server(struct conf_cx *cx, struct servers *ss, const struct group_server *s) {
    if (ss->count == ss->cap) {
        unsigned cap = ss->cap ? ss->cap * 2 : 8;
        struct group_server *more = arena_array(cx->arena, struct group_server, cap);
        if (ss->count != 0)
            memcpy(more, ss->at, ss->count * sizeof(*more));
        ss->at = more;
        ss->cap = cap;
    }
    ss->at[ss->count++] = *s;
}

static bool read_server(struct conf_cx *cx, struct servers *ss, const struct conf_node *node) {
    struct group_server s = {.peer = {.server = node->args[1]}};
    bool resolve = false, ok = true;
    peer_defaults(&s.peer);
    for (unsigned i = 2; i < node->nargs; i++)
        ok = parse_parameter(cx, node, node->args[i], &s, &resolve) && ok;
    if (!ok)
        return false;
    if (s.service.n != 0 && !resolve)
        return conf_err(cx, node, "service upstream \"" STR_FMT "\" requires \"resolve\" parameter", STR_ARG(node->args[1]));
    if (!names_server(cx, node, node->args[1], 80, resolve, &s))
        return false;
    add_server(cx, ss, &s);
    return true;
}

static bool set_server(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct servers *ss = conf;
    if (ss->from_state)
        return conf_err(cx, node, "\"server\" directive cannot be used together with \"state\"");
    return read_server(cx, ss, node);
}

// --- state -------------------------------------------------------------------------------------------------------------------------

enum { STATE_MAX = 16 << 20 };

static int state_read(void *arg, struct str path, struct arena *arena, struct str *text) {
    *text = *(struct str *)arg;
    return 0;
}

static int state_glob(void *arg, struct str pattern, struct arena *arena, struct str **paths, size_t *count) {
    *count = 0;
    return 0;
}

// A file that holds `server` directives; none is there before the first change.
static bool set_state(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct servers *ss = conf;
    struct str path = conf_full_path(cx, node->args[1], false);
    if (ss->count != 0)
        return conf_err(cx, node, "\"state\" directive cannot be used together with \"server\"");
    ss->from_state = true;
    upstream_of(cx)->state_path = path;
    struct str text;
    int err = broker_read(path.p, cx->arena, STATE_MAX, &text);
    if (err != 0)
        return err == ENOENT || conf_err(cx, node, "open() \"" STR_FMT "\" failed (%d: %s)", STR_ARG(path), err, strerror(err));
    struct conf_source source = {.read = state_read, .glob = state_glob, .arg = &text};
    struct conf_tree tree;
    if (!conf_parse(&tree, path, STR_NONE, &source, cx->arena, &cx->conf->errors))
        return false;
    bool ok = true;
    for (const struct conf_node *n = tree.children; n != NULL; n = n->next) {
        if (!str_eq(n->args[0], STR("server")) || n->nargs < 2 || n->block)
            ok = conf_err(cx, n, "unknown directive \"" STR_FMT "\" in a state file", STR_ARG(n->args[0]));
        else
            ok = read_server(cx, ss, n) && ok;
    }
    return ok;
}

// --- the block ---------------------------------------------------------------------------------------------------------------------------

static bool set_zone(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    uint64_t size; // memory is taken as it is needed
    if (node->args[1].n == 0)
        return conf_err(cx, node, "invalid zone name \"" STR_FMT "\"", STR_ARG(node->args[1]));
    if (node->nargs == 3 && !conf_parse_size(node->args[2], &size))
        return conf_err(cx, node, "invalid zone size \"" STR_FMT "\"", STR_ARG(node->args[2]));
    if (node->nargs == 3 && size < 8 * 4096)
        return conf_err(cx, node, "zone \"" STR_FMT "\" is too small", STR_ARG(node->args[1]));
    upstream_of(cx)->zone_name = node->args[1];
    return true;
}

static bool open_upstream(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node,
                          struct scope *inner) {
    struct groups *gs = groups_of(cx->conf, true);
    struct group *g = arena_new(cx->arena, struct group);
    *(struct servers *)conf = (struct servers){.groups = gs};
    group_defaults(g);
    g->name = node->args[1];
    g->node = node;
    inner->data = g;
    if (map_get(&gs->by_name, g->name) != NULL)
        return conf_err(cx, node, "duplicate upstream \"" STR_FMT "\"", STR_ARG(g->name));
    map_put(&gs->by_name, g->name, g);
    return true;
}

static bool finish(struct conf_cx *cx, struct scope *s, void *conf) {
    struct servers *ss = conf;
    struct group *g = s->data;
    if (s->outer == NULL)
        groups_of(cx->conf, true)->addresses = addresses_ready(cx);
    if (s->place != IN_UPSTREAM)
        return true;
    unsigned primaries = 0;
    for (unsigned i = 0; i < ss->count; i++)
        primaries += (ss->at[i].peer.flags & PEER_BACKUP) == 0;
    if (ss->count == 0 && !ss->from_state)
        return conf_err(cx, s->node, "no servers are inside upstream");
    if (primaries == 0 && !ss->from_state)
        return conf_err_hint(cx, s->node, STR("all of them are backup"), "no servers in upstream \"" STR_FMT "\"",
                             STR_ARG(g->name));
    if (!names_peers(cx, s->node, g, ss->at, ss->count))
        return false;
    g->names = names_of(cx, s, g, ss->at, ss->count);
    group_ready(cx, g);
    return true;
}

static const struct conf_row rows[] = {
    ROW_BLOCK("upstream", IN_HTTP, 1, 1, IN_UPSTREAM, open_upstream,
              "A group of servers that proxy_pass and other gateways name."),
    ROW_FNS("server", IN_UPSTREAM, 1, 0xffff, ROW_REPEAT, set_server, NULL, "address [parameters]",
            "A server of the group: weight=, max_fails=, fail_timeout=, max_conns=, slow_start=, route=, service=, backup, "
            "down, drain, resolve."),
    ROW_FNS("zone", IN_UPSTREAM, 1, 2, 0, set_zone, NULL, "name [size]",
            "Names the group's state, which all threads share with or without it; no memory is set aside."),
    ROW_FNS("state", IN_UPSTREAM, 1, 1, 0, set_state, NULL, "file",
            "A file that holds the servers of the group instead of the configuration."),
};

struct feature feature_upstream = {
    .name = "upstream",
    .rows = rows,
    .nrows = ARRAY_LEN(rows),
    .conf_size = sizeof(struct servers),
    .finish = finish,
    .start = names_start,
    .stop = names_stop,
};
