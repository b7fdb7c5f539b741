// sticky: requests of one client go to one server. `cookie`: weir sets a cookie that names the server. `route`: a variable
// names it, by the `route` of a server. `learn`: see sticky_learn.c. Where the server cannot be asked, or nobody is named, the
// balancing method chooses.
#include "feature/balance/sticky.h"
#include "base/date.h"
#include "http/req.h"
#include "upstream/exchange.h"
#include "wire/scan.h"
#include <openssl/evp.h>

struct str sticky_first(struct req *r, struct tmpl *const *of, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        struct str value = req_eval(r, of[i]);
        if (value.n != 0)
            return value;
    }
    return STR_NONE;
}

// --- cookie ------------------------------------------------------------------------------------------------------------------------

enum { EXPIRES_NONE = -1, EXPIRES_MAX = -2 };

struct cookie {
    struct str name;
    int64_t expires_s;          // or EXPIRES_*
    struct tmpl *domain, *samesite;
    bool httponly, secure;
    struct str path;
};

// What the cookie says of each peer, in group->sticky_prepared: its route, or the MD5 of its address in hex.

static struct str md5_hex(struct arena *a, struct str text) {
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    static const char digits[] = "0123456789abcdef";
    if (EVP_Digest(text.p, text.n, sum, &n, EVP_md5(), NULL) != 1)
        return text; // MD5 is not to be had (FIPS): the address itself does as well
    char *to = arena_bytes(a, n * 2 + 1);
    for (unsigned i = 0; i < n; i++) {
        to[i * 2] = digits[sum[i] >> 4];
        to[i * 2 + 1] = digits[sum[i] & 15];
    }
    return str_n(to, n * 2);
}

static void prepare_ids(struct group *g, struct arena *a) {
    struct str *ids = g->sticky_prepared = arena_array(a, struct str, MAX(g->npeers, 1));
    for (unsigned i = 0; i < g->npeers; i++)
        ids[i] = g->peers[i].route.n != 0 ? g->peers[i].route : md5_hex(a, g->peers[i].name);
}

static int find_id(const struct group *g, struct str id) {
    const struct str *ids = g->sticky_prepared;
    for (unsigned i = 0; id.n != 0 && i < g->npeers; i++)
        if (str_eq(ids[i], id))
            return (int)i;
    return -1;
}

static struct str sent_cookie(const struct cookie *ck, struct req *r) {
    struct str value;
    head_each(f, &r->in) {
        if (f->id == FIELD_COOKIE && cookie_find(f->value, ck->name, &value))
            return value;
    }
    return STR_NONE;
}

static int find_by_cookie(const struct group *g, struct req *r) { return find_id(g, sent_cookie(g->sticky_conf, r)); }

static void put_expires(struct sbuf *b, int64_t expires_s, struct req *r) {
    if (expires_s == EXPIRES_NONE)
        return;
    sbuf_lit(b, "; expires=");
    if (expires_s == EXPIRES_MAX) {
        sbuf_lit(b, "Thu, 31 Dec 2037 23:55:55 GMT; max-age=315360000");
        return;
    }
    char date[DATE_HTTP_LEN];
    date_http((int64_t)(loop_wall_ms(r->loop) / 1000) + expires_s, date);
    sbuf_put(b, date, sizeof(date));
    sbuf_printf(b, "; max-age=%lld", (long long)expires_s);
}

// A client that is not bound to this server gets the cookie.
static void set_cookie(const struct group *g, struct exchange *x) {
    const struct cookie *ck = g->sticky_conf;
    struct req *r = x->r;
    const struct str *ids = g->sticky_prepared;
    struct str id = ids[x->peer->index];
    if (str_eq(sent_cookie(ck, r), id))
        return;
    struct sbuf b;
    sbuf_init_arena(&b, &r->arena, 128, 8 << 10);
    sbuf_printf(&b, STR_FMT "=" STR_FMT, STR_ARG(ck->name), STR_ARG(id));
    put_expires(&b, ck->expires_s, r);
    struct str domain = ck->domain != NULL ? req_eval(r, ck->domain) : STR_NONE;
    struct str samesite = ck->samesite != NULL ? req_eval(r, ck->samesite) : STR_NONE;
    if (domain.n != 0)
        sbuf_printf(&b, "; domain=" STR_FMT, STR_ARG(domain));
    if (ck->httponly)
        sbuf_lit(&b, "; httponly");
    if (str_ieq(samesite, STR("strict")) || str_ieq(samesite, STR("lax")) || str_ieq(samesite, STR("none")))
        sbuf_printf(&b, "; samesite=" STR_FMT, STR_ARG(samesite));
    if (ck->secure)
        sbuf_lit(&b, "; secure");
    if (ck->path.n != 0)
        sbuf_printf(&b, "; path=" STR_FMT, STR_ARG(ck->path));
    if (!b.overflow && scan_ctl(b.p, b.n) == b.n)
        head_add(&r->out, FIELD_SET_COOKIE, STR("Set-Cookie"), sbuf_view(&b));
}

static const struct sticky by_cookie = {"cookie", find_by_cookie, set_cookie, prepare_ids};

static bool parse_expires(struct cookie *ck, struct str value) {
    if (str_eq(value, STR("max"))) {
        ck->expires_s = EXPIRES_MAX;
        return true;
    }
    return conf_parse_sec(value, &ck->expires_s);
}

static bool parse_cookie_word(struct conf_cx *cx, const struct conf_node *node, struct cookie *ck, struct str arg) {
    struct str value;
    if (str_eq(arg, STR("httponly"))) {
        ck->httponly = true;
    } else if (str_eq(arg, STR("secure"))) {
        ck->secure = true;
    } else if ((value = upstream_value(arg, STR("expires"))).p != NULL) {
        return parse_expires(ck, value) || upstream_bad_parameter(cx, node, arg);
    } else if ((value = upstream_value(arg, STR("domain"))).p != NULL) {
        return (ck->domain = tmpl_compile(cx, value, node)) != NULL;
    } else if ((value = upstream_value(arg, STR("path"))).p != NULL) {
        ck->path = value;
    } else if ((value = upstream_value(arg, STR("samesite"))).p != NULL) {
        if (!tmpl_has_var(value) && !str_ieq(value, STR("strict")) && !str_ieq(value, STR("lax")) && !str_ieq(value, STR("none")))
            return upstream_bad_parameter(cx, node, arg);
        return (ck->samesite = tmpl_compile(cx, value, node)) != NULL;
    } else {
        return upstream_bad_parameter(cx, node, arg);
    }
    return true;
}

static bool set_by_cookie(struct conf_cx *cx, const struct conf_node *node, struct group *g) {
    struct cookie *ck = arena_new(cx->arena, struct cookie);
    ck->expires_s = EXPIRES_NONE;
    if (node->nargs < 3 || node->args[2].n == 0)
        return conf_err(cx, node, "invalid number of arguments in \"sticky\" directive");
    ck->name = node->args[2];
    for (unsigned i = 3; i < node->nargs; i++)
        if (!parse_cookie_word(cx, node, ck, node->args[i]))
            return false;
    g->sticky = &by_cookie;
    g->sticky_conf = ck;
    return true;
}

// --- route -------------------------------------------------------------------------------------------------------------------------

struct route {
    struct tmpl **of;
    unsigned n;
};

static int find_by_route(const struct group *g, struct req *r) {
    const struct route *rt = g->sticky_conf;
    struct str route = sticky_first(r, rt->of, rt->n);
    for (unsigned i = 0; route.n != 0 && i < g->npeers; i++)
        if (str_eq(g->peers[i].route, route))
            return (int)i;
    return -1;
}

static const struct sticky by_route = {"route", find_by_route, NULL, NULL};

static bool set_by_route(struct conf_cx *cx, const struct conf_node *node, struct group *g) {
    struct route *rt = arena_new(cx->arena, struct route);
    if (node->nargs < 3)
        return conf_err(cx, node, "invalid number of arguments in \"sticky\" directive");
    rt->of = arena_array(cx->arena, struct tmpl *, node->nargs - 2);
    for (unsigned i = 2; i < node->nargs; i++) {
        if (!tmpl_has_var(node->args[i]))
            return conf_err(cx, node, "invalid variable name \"" STR_FMT "\"", STR_ARG(node->args[i]));
        rt->of[rt->n] = tmpl_compile(cx, node->args[i], node);
        if (rt->of[rt->n++] == NULL)
            return false;
    }
    g->sticky = &by_route;
    g->sticky_conf = rt;
    return true;
}

// --- rows --------------------------------------------------------------------------------------------------------------------------

static bool set(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct group *g = upstream_of(cx);
    if (str_eq(node->args[1], STR("cookie")))
        return set_by_cookie(cx, node, g);
    if (str_eq(node->args[1], STR("route")))
        return set_by_route(cx, node, g);
    if (str_eq(node->args[1], STR("learn")))
        return sticky_learn(cx, node, g);
    return upstream_bad_parameter(cx, node, node->args[1]);
}

static const struct conf_row rows[] = {
    ROW_FNS("sticky", IN_UPSTREAM, 1, 0xffff, 0, set, NULL,
            "cookie name [expires=time] [domain=domain] [httponly] [samesite=strict|lax|none|$variable] [secure] [path=path] | "
            "route $variable ... | "
            "learn create=$variable lookup=$variable zone=name:size [timeout=time] [header] [sync]",
            "Requests of one client go to one server: by a cookie of weir's, by a route that variables say, or by sessions that "
            "are learnt from responses."),
};

struct feature feature_sticky = {.name = "sticky", .rows = rows, .nrows = ARRAY_LEN(rows)};
