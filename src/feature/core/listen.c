// listen: addresses, ports and Unix sockets, with the parameters of their sockets.
#include "feature/core/blocks.h"
#include "io/names.h"

static bool bad(struct conf_cx *cx, const struct conf_node *node, const char *what, struct str arg) {
    return conf_err(cx, node, "invalid %s \"" STR_FMT "\"", what, STR_ARG(arg));
}

static bool take_int(struct str text, int min, int *out) {
    int64_t v;
    if (!conf_parse_num(text, &v) || v < min || v > INT_MAX)
        return false;
    *out = (int)v;
    return true;
}

// "on", "off", "30m::10": idle, interval, count.
static bool take_keepalive(struct str v, struct listen_opts *o) {
    o->keepalive = 1;
    if (str_eq(v, STR("on")))
        return true;
    if (str_eq(v, STR("off"))) {
        o->keepalive = 0;
        return true;
    }
    int *to[3] = {&o->keepidle, &o->keepintvl, &o->keepcnt};
    bool any = false;
    struct str part;
    unsigned i = 0;
    for (; str_split(&v, ':', &part); i++) {
        if (i == 3)
            return false;
        if (part.n == 0)
            continue;
        int64_t n;
        if (i < 2 ? !conf_parse_sec(part, &n) : !conf_parse_num(part, &n))
            return false;
        if (n <= 0 || n > 32767)
            return false;
        *to[i] = (int)n;
        any = true;
    }
    return any && i > 1;
}

static bool take_buffer(struct str text, int *out) {
    uint64_t v;
    if (!conf_parse_size(text, &v) || v > INT_MAX)
        return false;
    *out = (int)v;
    return true;
}

struct value_param {
    const char *name, *what;
};
static const struct value_param value_params[] = {
    {"backlog=", "backlog"}, {"rcvbuf=", "rcvbuf"}, {"sndbuf=", "sndbuf"}, {"fastopen=", "fastopen"},
};

static bool take_value(struct listen_opts *o, size_t which, struct str v) {
    switch (which) {
    case 0:
        return take_int(v, 1, &o->backlog);
    case 1:
        return take_buffer(v, &o->rcvbuf);
    case 2:
        return take_buffer(v, &o->sndbuf);
    default:
        return take_int(v, 0, &o->fastopen);
    }
}

static bool take_flag(struct conf_cx *cx, const struct conf_node *node, struct listen_conf *l, struct str p) {
    struct listen_opts *o = &l->opts;
    if (str_eq(p, STR("bind")))
        return true;
    if (str_eq(p, STR("reuseport"))) {
        o->reuseport = true;
        return true;
    }
    if (str_eq(p, STR("deferred"))) {
        o->deferred = true;
        return true;
    }
    if (str_eq(p, STR("ipv6only=on")) || str_eq(p, STR("ipv6only=off"))) {
        o->ipv6only = str_ends(p, STR("=on"));
        return true;
    }
    if (!str_starts(p, STR("so_keepalive=")))
        return bad(cx, node, "parameter", p);
    struct str v = str_from(p, 13);
    return take_keepalive(v, o) ||
           conf_err(cx, node, "invalid so_keepalive value: \"" STR_FMT "\"", STR_ARG(v));
}

static bool not_yet(struct conf_cx *cx, const struct conf_node *node, struct str p) {
    const char *module = str_eq(p, STR("quic")) ? "ngx_http_v3_module" : "ngx_http_v2_module";
    struct str hint = STR("weir does not have it yet");
    return conf_err_hint(cx, node, hint, "the \"" STR_FMT "\" parameter requires %s", STR_ARG(p), module);
}

static bool take_param(struct conf_cx *cx, const struct conf_node *node, struct listen_conf *l, struct str p) {
    if (str_eq(p, STR("default_server")) || str_eq(p, STR("default"))) {
        l->default_server = true;
        return true;
    }
    if (str_eq(p, STR("ssl"))) {
        l->ssl = true;
        return true;
    }
    if (str_eq(p, STR("proxy_protocol"))) {
        l->proxy_protocol = true;
        return true;
    }
    if (str_eq(p, STR("http2"))) {
        conf_warn(cx, node, "the \"listen ... http2\" directive is deprecated, use the \"http2\" directive instead");
        l->http2 = true;
        return true;
    }
    if (str_eq(p, STR("quic")) || str_eq(p, STR("spdy")))
        return not_yet(cx, node, p);
    if (str_starts(p, STR("accept_filter=")))
        return conf_err(cx, node, "accept filters \"" STR_FMT "\" are not supported on this platform, ignored", STR_ARG(p));
    l->has_opts = l->opts.bind = true;
    for (size_t i = 0; i < ARRAY_LEN(value_params); i++) {
        struct str name = str_c(value_params[i].name);
        if (str_starts(p, name))
            return take_value(&l->opts, i, str_from(p, name.n)) || bad(cx, node, value_params[i].what, p);
    }
    return take_flag(cx, node, l, p);
}

// "8000-8010" behind the address: takes the end off *text.
static bool take_port_range(struct str *text, unsigned *last) {
    ssize_t dash = str_rchr(*text, '-');
    uint64_t end;
    if (dash <= 0 || !ascii_is_digit((unsigned char)text->p[dash - 1]) || !str_u64(str_from(*text, (size_t)dash + 1), 65535, &end))
        return false;
    size_t from = (size_t)dash;
    while (from > 0 && ascii_is_digit((unsigned char)text->p[from - 1]))
        from--;
    if (from != 0 && text->p[from - 1] != ':') // "my-host-1"
        return false;
    *last = (unsigned)end;
    *text = str_head(*text, (size_t)dash);
    return true;
}

static bool resolve(struct conf_cx *cx, const struct conf_node *node, struct str text, struct names *out) {
    struct addr_full *one = arena_new(cx->arena, struct addr_full);
    const char *why = NULL;
    if (addr_parse(one, text, 80, true, &why)) {
        *out = (struct names){one, 1};
        return true;
    }
    const char *resolve_why = NULL;
    bool special = str_starts(text, STR("unix:")) || str_starts(text, STR(":")) || str_starts(text, STR("[")) ||
                   (text.n != 0 && ascii_is_digit((unsigned char)text.p[0]) && str_chr(text, '.') < 0);
    if (!special && names_resolve(cx->arena, text, 80, out, &resolve_why))
        return true;
    if (special)
        resolve_why = why;
    return conf_err(cx, node, "%s in \"" STR_FMT "\" of the \"listen\" directive",
                    resolve_why != NULL ? resolve_why : "host not found", STR_ARG(node->args[1]));
}

static bool set_listen(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct server *s = server_being_read(cx);
    struct str text = node->args[1];
    unsigned last = 0;
    bool range = !str_starts(text, STR("unix:")) && take_port_range(&text, &last);
    struct names names;
    if (!resolve(cx, node, text, &names))
        return false;
    if (range && last < addr_port(&names.at[0].sa))
        return conf_err(cx, node, "invalid port range in \"" STR_FMT "\" of the \"listen\" directive", STR_ARG(node->args[1]));
    struct listen_conf l = {
        .text = node->args[1], .opts = {.backlog = 511, .ipv6only = true, .keepalive = -1}, .node = node};
    for (unsigned i = 2; i < node->nargs; i++) {
        if (!take_param(cx, node, &l, node->args[i]))
            return false;
    }
    for (size_t i = 0; i < names.count; i++) {
        unsigned first = names.at[i].sa.sa_family == AF_UNIX ? 0 : addr_port(&names.at[i].sa);
        for (unsigned port = first; port <= (range ? last : first); port++) {
            struct listen_conf *to = conf_list_add(cx, row, &s->listens, sizeof *to);
            *to = l;
            to->addr = names.at[i];
            if (range)
                addr_set_port(&to->addr.sa, port);
        }
    }
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("listen", IN_SERVER, 1, 0xffff, ROW_REPEAT, set_listen, NULL,
            "address[:port] | port | unix:path [default_server] [ssl] [http2] [proxy_protocol] [backlog=number] [reuseport] "
            "[so_keepalive=on|off|idle:intvl:cnt] "
            "[deferred] [ipv6only=on|off] [rcvbuf=size] [sndbuf=size] [fastopen=number] [bind]",
            "An address, a port or a Unix socket on which the server accepts connections."),
};

struct feature feature_listen = {.name = "listen", .rows = rows, .nrows = ARRAY_LEN(rows)};
