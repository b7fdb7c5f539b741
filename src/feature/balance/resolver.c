// resolver and what belongs to it: which name servers are asked. Without the directive they are the system's.
#include "feature/balance/balance.h"
#include "io/resolver.h"

// --- resolvers of the same words are one, over scopes and reloads ----------------------------------------------------------------

static void *zone_make(const void *params) { return resolver_new(params); }
static void zone_free(void *state) { resolver_unref(state); }
static const struct zone_kind kind = {"resolver", zone_make, zone_free, NULL};

static void unref_zone(void *zone) { zone_unref(zone); }
static void unref_resolver(void *rs) { resolver_unref(rs); }

static struct resolver *resolver_for(struct conf_cx *cx, const struct resolver_opts *o) {
    if (cx->conf->zones == NULL) {
        struct resolver *rs = resolver_new(o);
        arena_cleanup(cx->arena, unref_resolver, rs);
        return rs;
    }
    struct sbuf name;
    sbuf_init_arena(&name, cx->arena, 64, 1 << 16);
    for (size_t i = 0; i < o->count; i++) {
        addr_put(&name, &o->servers[i].sa, true);
        sbuf_chr(&name, ' ');
    }
    sbuf_printf(&name, "valid=%llu %d%d", (unsigned long long)o->valid_ms, o->ipv4, o->ipv6);
    struct zone *z = zone_get(cx->conf->zones, &kind, sbuf_view(&name), o, NULL);
    arena_cleanup(cx->arena, unref_zone, z);
    return z->state;
}

// --- rows ------------------------------------------------------------------------------------------------------------------------

static bool parse_on_off(struct conf_cx *cx, const struct conf_node *node, struct str arg, struct str value, bool *to) {
    if (!str_eq(value, STR("on")) && !str_eq(value, STR("off")))
        return conf_err(cx, node, "invalid parameter: " STR_FMT, STR_ARG(arg));
    *to = str_eq(value, STR("on"));
    return true;
}

static bool add_server(struct conf_cx *cx, const struct conf_node *node, struct str arg, struct addr_full *servers, size_t *n,
                       size_t max) {
    struct names found;
    const char *why = NULL;
    if (!names_resolve(cx->arena, arg, 53, &found, &why)) {
        if (why != NULL)
            return conf_err(cx, node, "%s in resolver \"" STR_FMT "\"", why, STR_ARG(arg));
        return conf_err(cx, node, "host not found in resolver \"" STR_FMT "\"", STR_ARG(arg));
    }
    for (size_t i = 0; i < found.count && *n < max; i++)
        servers[(*n)++] = found.at[i];
    return true;
}

static bool set_resolver(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct resolver_conf *rc = conf;
    struct addr_full servers[8];
    struct resolver_opts o = {.servers = servers, .ipv4 = true, .ipv6 = true};
    bool ok = true;
    for (unsigned i = 1; i < node->nargs && ok; i++) {
        struct str arg = node->args[i], value;
        if ((value = upstream_value(arg, STR("valid"))).p != NULL) {
            int64_t seconds;
            ok = conf_parse_sec(value, &seconds) || conf_err(cx, node, "invalid parameter: " STR_FMT, STR_ARG(arg));
            o.valid_ms = ok ? (uint64_t)seconds * 1000 : 0;
        } else if ((value = upstream_value(arg, STR("ipv4"))).p != NULL) {
            ok = parse_on_off(cx, node, arg, value, &o.ipv4);
        } else if ((value = upstream_value(arg, STR("ipv6"))).p != NULL) {
            ok = parse_on_off(cx, node, arg, value, &o.ipv6);
        } else if (!(value = upstream_value(arg, STR("status_zone"))).p) {
            ok = add_server(cx, node, arg, servers, &o.count, ARRAY_LEN(servers));
        }
    }
    if (!ok)
        return false;
    if (!o.ipv4 && !o.ipv6)
        return conf_err(cx, node, "\"ipv4\" and \"ipv6\" cannot both be \"off\"");
    if (o.count == 0)
        return conf_err(cx, node, "no name servers defined");
    rc->resolver = resolver_for(cx, &o);
    return true;
}

static bool finish(struct conf_cx *cx, struct scope *s, void *conf) {
    struct resolver_conf *rc = conf;
    if (rc->resolver == NULL)
        rc->resolver = resolver_for(cx, &(struct resolver_opts){.ipv4 = true, .ipv6 = true});
    return true;
}

#define R struct resolver_conf
static const struct conf_row rows[] = {
    ROW_FNS("resolver", IN_HTTP_ALL | IN_UPSTREAM, 1, 0xffff, 0, set_resolver, NULL,
            "address ... [valid=time] [ipv4=on|off] [ipv6=on|off] [status_zone=zone]",
            "Name servers that are asked for names of back ends; without it those of /etc/resolv.conf, after /etc/hosts."),
    ROW_MSEC("resolver_timeout", IN_HTTP_ALL | IN_UPSTREAM, R, timeout, "30s", 0, 0, "How long a name may take to be resolved."),
    ROW_FLAG("resolver_strict", IN_HTTP | IN_UPSTREAM, R, strict, "off",
             "Whether a name of a back end that does not resolve while the configuration is read is an error; else it is a "
             "warning, and the back end comes in when its name resolves."),
};
#undef R

struct feature feature_resolver = {
    .name = "resolver",
    .rows = rows,
    .nrows = ARRAY_LEN(rows),
    .conf_size = sizeof(struct resolver_conf),
    .finish = finish,
};
