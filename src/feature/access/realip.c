// set_real_ip_from, real_ip_header, real_ip_recursive: the client's address as a trusted proxy tells it.
#include "feature/core/networks.h"
#include "http/conn.h"
#include "http/req.h"
#include "wire/forwarded.h"

struct realip_conf {
    struct conf_list from; // struct cidr; AF_UNIX for "unix:"
    bool recursive;
    struct str header;
};

// Of a request whose address was replaced: what it was.
struct realip_ctx {
    struct addr peer;
    struct str text; // of the address; made on demand
};

struct feature feature_realip;

static bool find_addr(struct req *r, const struct realip_conf *c, struct addr *a) {
    struct trusted t = {c->from.at, c->from.count};
    if (str_ieq(c->header, STR("X-Forwarded-For")))
        return forwarded_by_field(a, &r->in, c->header, &t, c->recursive);
    if (!str_eq(c->header, STR("proxy_protocol"))) {
        const struct field *f = head_find_name(&r->in, c->header);
        return f != NULL && forwarded_by_value(a, f->value, &t, c->recursive);
    }
    const struct proxy_info *p = r->conn != NULL ? r->conn->proxied : NULL;
    if (p == NULL || !p->has_addrs || !trusted_has(&t, &a->sa))
        return false;
    *a = p->source;
    return true;
}

// By the server's settings when the head was read, else by the location's.
static enum step replace(struct req *r, const void *conf) {
    struct addr a = r->client_addr;
    if (req_ctx(r, &feature_realip) != NULL || r != r->main || !find_addr(r, conf, &a))
        return STEP_NEXT;
    struct realip_ctx *ctx = req_ctx_make(r, &feature_realip, sizeof(*ctx));
    ctx->peer = r->client_addr;
    r->client_addr = a;
    r->client_text = STR_NONE;
    return STEP_NEXT;
}

// --- variables ---------------------------------------------------------------------------------------------------------------

static struct realip_ctx *ctx_of(struct eval *e) { return req_ctx(((struct req *)e->req)->main, &feature_realip); }

static bool get_peer_addr(struct eval *e, const struct var *v, struct str *out) {
    struct realip_ctx *ctx = ctx_of(e);
    if (ctx == NULL) {
        *out = req_client_text(e->req);
        return true;
    }
    if (ctx->text.p == NULL) {
        struct sbuf b;
        sbuf_init_arena(&b, e->arena, 48, ADDR_TEXT_MAX);
        addr_put_ip(&b, &ctx->peer.sa);
        ctx->text = sbuf_view(&b);
    }
    *out = ctx->text;
    return true;
}

static bool get_peer_port(struct eval *e, const struct var *v, struct str *out) {
    const struct realip_ctx *ctx = ctx_of(e);
    const struct addr *a = ctx != NULL ? &ctx->peer : &((struct req *)e->req)->client_addr;
    unsigned port = addr_port(&a->sa);
    *out = port != 0 ? arena_printf(e->arena, "%u", port) : STR("");
    return true;
}

static const struct var_def vars[] = {
    {"realip_remote_addr", false, VAR_VOLATILE, get_peer_addr, NULL, 0, "The address of the connection, whatever $remote_addr became."},
    {"realip_remote_port", false, VAR_VOLATILE, get_peer_port, NULL, 0, "The port of the connection."},
};

// --- reading -----------------------------------------------------------------------------------------------------------------

static bool set_from(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return take_network(cx, row, &((struct realip_conf *)conf)->from, node);
}

static bool bind_realip(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct realip_conf *c = conf;
    if (c->from.count == 0)
        return true;
    if (s->place == IN_SERVER)
        plan_add(cx, s, STAGE_POST_READ, 0, replace, c, "realip");
    plan_add(cx, s, STAGE_PREACCESS, -1, replace, c, "realip"); // before limits by address
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("set_real_ip_from", IN_HTTP_ALL, 1, 1, ROW_LISTED, set_from, NULL, "address | CIDR | host name | unix:",
            "Peers that are trusted to tell the client's address."),
    ROW_STR("real_ip_header", IN_HTTP_ALL, struct realip_conf, header, "X-Real-IP",
            "The field in which they tell it, or proxy_protocol."),
    ROW_FLAG("real_ip_recursive", IN_HTTP_ALL, struct realip_conf, recursive, "off",
             "Of a list of addresses the last that is not trusted counts, instead of the last."),
};

struct feature feature_realip = {.name = "realip",
                                 .rows = rows,
                                 .nrows = ARRAY_LEN(rows),
                                 .conf_size = sizeof(struct realip_conf),
                                 .vars = vars,
                                 .nvars = ARRAY_LEN(vars),
                                 .bind = bind_realip};
