// The upstream block: servers and what is said of them, and how many idle connections are kept.
#include "io/names.h"
#include "upstream/state.h"

// --- server ------------------------------------------------------------------------------------------------------------------------

struct server_words {
    struct peer peer; // all but its address
    struct names found;
};

struct reading {
    struct conf_cx *cx;
    struct group *group;
    struct server_words *servers;
    size_t count, cap;
    bool keepalive_seen;
};

static bool parse_number(struct conf_cx *cx, const struct conf_node *node, struct str arg, struct str value, unsigned least,
                         unsigned *out) {
    uint64_t n;
    if (!str_u64(value, INT_MAX, &n) || n < least)
        return conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(arg));
    *out = (unsigned)n;
    return true;
}

static bool is_not_yet(struct str arg) {
    static const char *const later[] = {"resolve", "route=", "service=", "slow_start=", "drain", "state="};
    for (size_t i = 0; i < ARRAY_LEN(later); i++) {
        struct str word = str_c(later[i]);
        if (str_eq(arg, word) || (word.p[word.n - 1] == '=' && str_starts(arg, word)))
            return true;
    }
    return false;
}

static bool parse_parameter(struct conf_cx *cx, const struct conf_node *node, struct str arg, struct peer *p) {
    ssize_t eq = str_chr(arg, '=');
    struct str name = eq < 0 ? arg : str_head(arg, (size_t)eq), value = eq < 0 ? STR("") : str_from(arg, (size_t)eq + 1);
    int64_t seconds;
    if (eq >= 0 && str_eq(name, STR("weight")))
        return parse_number(cx, node, arg, value, 1, &p->weight);
    if (eq >= 0 && str_eq(name, STR("max_fails")))
        return parse_number(cx, node, arg, value, 0, &p->max_fails);
    if (eq >= 0 && str_eq(name, STR("max_conns")))
        return parse_number(cx, node, arg, value, 0, &p->max_conns);
    if (eq >= 0 && str_eq(name, STR("fail_timeout")) && conf_parse_sec(value, &seconds)) {
        p->fail_timeout_ms = (uint64_t)seconds * 1000;
        return true;
    }
    if (str_eq(arg, STR("backup")) || str_eq(arg, STR("down"))) {
        p->flags |= str_eq(arg, STR("down")) ? PEER_DOWN : PEER_BACKUP;
        return true;
    }
    if (is_not_yet(arg))
        return conf_err_hint(cx, node, STR("weir does not have this parameter of \"server\" yet"),
                             "invalid parameter \"" STR_FMT "\"", STR_ARG(arg));
    return conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(arg));
}

static bool right_args(struct conf_cx *cx, const struct conf_node *node, unsigned least, unsigned most) {
    unsigned n = node->nargs - 1;
    if (n >= least && n <= most)
        return true;
    return conf_err(cx, node, "invalid number of arguments in \"" STR_FMT "\" directive", STR_ARG(node->args[0]));
}

static bool read_server(struct reading *rd, const struct conf_node *node) {
    struct conf_cx *cx = rd->cx;
    struct server_words s = {.peer = {.weight = 1, .max_fails = 1, .fail_timeout_ms = 10000, .server = {0}}};
    if (!right_args(cx, node, 1, UINT_MAX))
        return false;
    struct str address = s.peer.server = node->args[1];
    for (unsigned i = 2; i < node->nargs; i++)
        if (!parse_parameter(cx, node, node->args[i], &s.peer))
            return false;
    const char *why;
    if (!names_resolve(cx->arena, address, 80, &s.found, &why)) {
        if (why != NULL)
            return conf_err(cx, node, "%s in upstream \"" STR_FMT "\"", why, STR_ARG(address));
        return conf_err(cx, node, "host not found in upstream \"" STR_FMT "\"", STR_ARG(address));
    }
    if (rd->count == rd->cap) {
        size_t cap = rd->cap ? rd->cap * 2 : 8;
        struct server_words *more = arena_array(cx->arena, struct server_words, cap);
        if (rd->count != 0)
            memcpy(more, rd->servers, rd->count * sizeof(*more));
        rd->servers = more;
        rd->cap = cap;
    }
    rd->servers[rd->count++] = s;
    return true;
}

// --- keepalive and the rest ----------------------------------------------------------------------------------------------------------

static bool read_keepalive(struct reading *rd, const struct conf_node *node) {
    int64_t n;
    if (!right_args(rd->cx, node, 1, 2))
        return false;
    if (rd->keepalive_seen)
        return conf_err(rd->cx, node, "\"keepalive\" directive is duplicate");
    rd->keepalive_seen = true;
    if (!conf_parse_num(node->args[1], &n) || n > INT_MAX)
        return conf_err(rd->cx, node, "invalid value \"" STR_FMT "\" in \"keepalive\" directive", STR_ARG(node->args[1]));
    rd->group->keepalive = (unsigned)n;
    if (node->nargs == 3 && !str_eq(node->args[2], STR("local")))
        return conf_err(rd->cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(node->args[2]));
    return true;
}

static bool read_keepalive_requests(struct reading *rd, const struct conf_node *node) {
    if (!right_args(rd->cx, node, 1, 1))
        return false;
    return conf_parse_num(node->args[1], &rd->group->keepalive_requests) || conf_err(rd->cx, node, "\"keepalive_requests\" directive invalid number");
}

static bool read_time(struct reading *rd, const struct conf_node *node, uint64_t *ms) {
    if (!right_args(rd->cx, node, 1, 1))
        return false;
    return conf_parse_msec(node->args[1], ms) ||
           conf_err(rd->cx, node, "\"" STR_FMT "\" directive invalid value", STR_ARG(node->args[0]));
}

static bool read_node(struct reading *rd, const struct conf_node *node) {
    struct str name = node->args[0];
    static const char *const later[] = {"ip_hash", "hash", "random", "least_conn", "least_time", "queue", "sticky", "state",
                                        "ntlm", "resolver", "resolver_timeout", "sticky_cookie_insert"};
    if (node->block)
        return conf_err(rd->cx, node, "unknown directive \"" STR_FMT "\"", STR_ARG(name));
    if (str_eq(name, STR("server")))
        return read_server(rd, node);
    if (str_eq(name, STR("keepalive")))
        return read_keepalive(rd, node);
    if (str_eq(name, STR("keepalive_requests")))
        return read_keepalive_requests(rd, node);
    if (str_eq(name, STR("keepalive_time")))
        return read_time(rd, node, &rd->group->keepalive_time_ms);
    if (str_eq(name, STR("keepalive_timeout")))
        return read_time(rd, node, &rd->group->keepalive_timeout_ms);
    if (str_eq(name, STR("zone"))) // state is always shared by all threads
        return right_args(rd->cx, node, 1, 2);
    for (size_t i = 0; i < ARRAY_LEN(later); i++)
        if (str_eq(name, str_c(later[i])))
            return conf_err_hint(rd->cx, node, STR("weir balances round robin only, as yet"), "unknown directive \"" STR_FMT "\"",
                                 STR_ARG(name));
    return conf_err(rd->cx, node, "unknown directive \"" STR_FMT "\"", STR_ARG(name));
}

// --- the block ---------------------------------------------------------------------------------------------------------------------------

// A name with several addresses is that many peers.
static bool make_peers(struct reading *rd, const struct conf_node *node) {
    struct arena *a = rd->cx->arena;
    struct group *g = rd->group;
    size_t total = 0, primaries = 0;
    for (size_t i = 0; i < rd->count; i++) {
        total += rd->servers[i].found.count;
        primaries += (rd->servers[i].peer.flags & PEER_BACKUP) == 0;
    }
    if (total == 0)
        return conf_err(rd->cx, node, "no servers are inside upstream");
    if (primaries == 0)
        return conf_err_hint(rd->cx, node, STR("all of them are backup"), "no servers in upstream \"" STR_FMT "\"",
                             STR_ARG(rd->group->name));
    if (total > GROUP_PEERS_MAX)
        return conf_err(rd->cx, node, "%zu servers inside upstream, at most %d are possible", total, GROUP_PEERS_MAX);
    g->peers = arena_array(a, struct peer, total);
    for (size_t i = 0; i < rd->count; i++) {
        for (size_t k = 0; k < rd->servers[i].found.count; k++) {
            struct peer *p = &g->peers[g->npeers++];
            *p = rd->servers[i].peer;
            p->addr = rd->servers[i].found.at[k];
            p->name = peer_address_text(a, &p->addr);
        }
    }
    return true;
}

static bool set_upstream(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct groups *gs = groups_of(cx->conf, true);
    struct group *g = arena_new(cx->arena, struct group);
    group_defaults(g);
    g->implicit = false;
    g->name = node->args[1];
    g->node = node;
    if (map_get(&gs->by_name, g->name) != NULL)
        return conf_err(cx, node, "duplicate upstream \"" STR_FMT "\"", STR_ARG(g->name));
    struct reading rd = {.cx = cx, .group = g};
    bool ok = true;
    for (const struct conf_node *n = node->children; n != NULL; n = n->next)
        ok = read_node(&rd, n) && ok;
    if (!ok || !make_peers(&rd, node))
        return false;
    group_ready(cx, g);
    map_put(&gs->by_name, g->name, g);
    return true;
}

static const struct conf_row rows[] = {
    ROW_DATA("upstream", IN_HTTP, 1, 1, ROW_REPEAT, set_upstream,
             "A group of servers that proxy_pass and other gateways name."),
};

struct feature feature_upstream = {
    .name = "upstream",
    .rows = rows,
    .nrows = ARRAY_LEN(rows),
    .conf_size = sizeof(struct upstream_conf),
};
