// scgi_pass and uwsgi_pass and their settings: requests for applications behind a gateway interface. The two differ in how a
// request is written (upstream/cgi_client.c); uwsgi may go over TLS.
#include "feature/gateway/gateway.h"
#include "feature/gateway/gateway_ssl.h"
#include "http/answer.h"
#include "upstream/cgi_client.h"

extern struct feature feature_scgi, feature_uwsgi;

// What tells the two apart.
struct kind {
    const char *pass;
    struct feature *settings, *cache;
    const struct protocol *protocol;
    struct str scheme, tls_scheme; // of *_pass; empty: none is written
};

struct cgi_conf {
    const struct kind *kind;
    struct gateway_address *address;
    bool tls;                // of `address`
    struct conf_list params; // struct gateway_param
    struct cgi_request request;
};

static const struct kind scgi = {"scgi_pass", &feature_gateway_scgi, &feature_cache_scgi, &scgi_client, {0}, {0}},
                         uwsgi = {"uwsgi_pass", &feature_gateway_uwsgi, &feature_cache_uwsgi, &uwsgi_client, {"uwsgi://", 8}, {"suwsgi://", 9}};

// Takes the scheme off: whether it was that of TLS.
static bool take_scheme(const struct kind *k, struct str *text) {
    bool tls = k->tls_scheme.n != 0 && str_istarts(*text, k->tls_scheme);
    if (tls)
        *text = str_from(*text, k->tls_scheme.n);
    else if (k->scheme.n != 0 && str_istarts(*text, k->scheme))
        *text = str_from(*text, k->scheme.n);
    return tls;
}

// --- a request -------------------------------------------------------------------------------------------------------------------

static void put_params(struct exchange *x, struct sbuf *to, void (*put)(struct sbuf *to, struct str name, struct str value)) {
    const struct cgi_conf *c = container_of(x->protocol_conf, struct cgi_conf, request);
    gateway_put_params(x, c->params, to, put);
}

static enum step pass(struct req *r, const void *conf) {
    const struct cgi_conf *c = conf;
    unsigned status;
    bool tls = c->tls;
    struct str text = c->address->fixed;
    if (c->address->text != NULL) {
        text = arena_dup(&r->arena, req_eval(r, c->address->text));
        tls = take_scheme(c->kind, &text);
    }
    struct group *g = gateway_group_of(r, c->address, text, &status);
    if (g == NULL)
        return answer_status(r, status);
    struct exchange *x = gateway_exchange(r, c->kind->settings, c->kind->protocol, g);
    x->protocol_conf = (void *)(uintptr_t)&c->request;
    x->needs_length = true;
    if (tls) {
        x->tls = gateway_ssl_for(r, &feature_gateway_ssl_uwsgi, text);
        if (x->tls == NULL)
            return answer_status(r, 500);
        x->scheme = c->kind->tls_scheme;
    }
    return gateway_serve(x, NULL, c->kind->cache);
}

// --- settings --------------------------------------------------------------------------------------------------------------------

static const struct kind *kind_of(const struct conf_cx *cx) { return cx->feature == &feature_scgi ? &scgi : &uwsgi; }

static bool set_pass(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct cgi_conf *c = conf;
    struct str address = node->args[1];
    c->tls = !tmpl_has_var(address) && take_scheme(kind_of(cx), &address);
    return gateway_set_address(cx, &c->address, node, address);
}

static bool set_param(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return gateway_add_param(cx, row, &((struct cgi_conf *)conf)->params, node);
}

static bool finish(struct conf_cx *cx, struct scope *s, void *conf) {
    struct cgi_conf *c = conf;
    c->kind = kind_of(cx);
    c->request.put_params = put_params;
    return true;
}

static bool bind_pass(struct conf_cx *cx, struct scope *s, void *conf) {
    struct cgi_conf *c = conf;
    if (!gateway_in_force(s, c->address))
        return true;
    bool may_be_tls = c->tls || (c->address->text != NULL && c->kind->tls_scheme.n != 0);
    if (may_be_tls && !gateway_ssl_ready(cx, &feature_gateway_ssl_uwsgi, s))
        return false;
    return gateway_bind_address(cx, s, c->address, pass, c, c->kind->pass);
}

#define C struct cgi_conf
static const struct conf_row rows[] = {
    ROW_FNS("*_pass", IN_LOCATION | IN_IF, 1, 1, 0, set_pass, NULL, "address",
            "Passes requests to a server of that protocol: host:port, unix:/path, or the name of an upstream; suwsgi:// before it "
            "means uwsgi over TLS."),
    ROW_FNS("*_param", IN_HTTP_ALL, 2, 3, ROW_LISTED, set_param, NULL, "name value [if_not_empty]",
            "A parameter of requests to the server."),
    // From here on uwsgi alone.
    ROW_NUM("*_modifier1", IN_HTTP_ALL, C, request.modifier1, "0", 0, 255, "The first modifier of uwsgi packets."),
    ROW_NUM("*_modifier2", IN_HTTP_ALL, C, request.modifier2, "0", 0, 255, "The second modifier of uwsgi packets."),
    ROW_TMPL("*_string", IN_HTTP_ALL, C, request.string, NULL, "Bytes behind the parameters of a packet."),
};
#undef C
enum { SCGI_ROWS = 2 };

#define FAMILY(word, count)                                                                                            \
    struct feature feature_##word = {                                                                                  \
        .name = #word,                                                                                                 \
        .family = #word,                                                                                               \
        .rows = rows,                                                                                                  \
        .nrows = (count),                                                                                              \
        .conf_size = sizeof(struct cgi_conf),                                                                          \
        .finish = finish,                                                                                              \
        .bind = bind_pass,                                                                                             \
    }
FAMILY(scgi, SCGI_ROWS);
FAMILY(uwsgi, ARRAY_LEN(rows));
