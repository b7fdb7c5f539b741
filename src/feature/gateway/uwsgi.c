// uwsgi_pass and its settings: requests for uwsgi applications.
#include "feature/gateway/gateway.h"
#include "feature/gateway/gateway_ssl.h"
#include "http/answer.h"
#include "upstream/cgi_client.h"

extern struct feature feature_uwsgi;

struct uwsgi_conf {
    struct gateway_address *address;
    struct conf_list params; // struct gateway_param
    struct cgi_request request;
    bool tls;
};

static void put_params(struct exchange *x, struct sbuf *to, void (*put)(struct sbuf *to, struct str name, struct str value)) {
    const struct uwsgi_conf *c = container_of(x->protocol_conf, struct uwsgi_conf, request);
    gateway_put_params(x, c->params, to, put);
}

static enum step uwsgi_content(struct req *r, const void *conf) {
    const struct uwsgi_conf *c = conf;
    unsigned status;
    struct group *g = gateway_group(r, c->address, &status);
    if (g == NULL)
        return answer_status(r, status);
    struct exchange *x = gateway_exchange(r, &feature_gateway_uwsgi, &uwsgi_client, g);
    x->protocol_conf = (void *)(uintptr_t)&c->request;
    x->needs_length = true;
    if (c->tls) {
        x->tls = gateway_ssl_for(r, &feature_gateway_ssl_uwsgi, c->address->text != NULL ? req_eval(r, c->address->text) : c->address->fixed);
        if (x->tls == NULL)
            return answer_status(r, 500);
        x->scheme = STR("suwsgi://");
    }
    return gateway_serve(x, NULL, &feature_cache_uwsgi);
}

static bool set_pass(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct uwsgi_conf *c = conf;
    struct str address = node->args[1];
    c->tls = str_istarts(address, STR("suwsgi://"));
    if (c->tls || str_istarts(address, STR("uwsgi://")))
        address = str_from(address, c->tls ? 9 : 8);
    return gateway_set_address(cx, &c->address, node, address);
}

static bool set_param(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return gateway_add_param(cx, row, &((struct uwsgi_conf *)conf)->params, node);
}

static bool finish(struct conf_cx *cx, struct scope *s, void *conf) {
    ((struct uwsgi_conf *)conf)->request.put_params = put_params;
    return true;
}

static bool bind_pass(struct conf_cx *cx, struct scope *s, void *conf) {
    struct uwsgi_conf *c = conf;
    bool here = c->address != NULL && (c->address->scope == s || (s->place & (IN_IF | IN_LIMIT_EXCEPT)) != 0);
    if (here && c->tls && !gateway_ssl_ready(cx, &feature_gateway_ssl_uwsgi, s))
        return false;
    return gateway_bind_address(cx, s, c->address, uwsgi_content, c, "uwsgi_pass");
}

#define C struct uwsgi_conf
static const struct conf_row rows[] = {
    ROW_FNS("uwsgi_pass", IN_LOCATION | IN_IF, 1, 1, 0, set_pass, NULL, "address",
            "Passes requests to a uwsgi server: uwsgi:// or suwsgi:// and host:port, unix:/path, or the name of an upstream."),
    ROW_FNS("uwsgi_param", IN_HTTP_ALL, 2, 3, ROW_LISTED, set_param, NULL, "name value [if_not_empty]",
            "A parameter of requests to the uwsgi server."),
    ROW_NUM("uwsgi_modifier1", IN_HTTP_ALL, C, request.modifier1, "0", 0, 255, "The first modifier of uwsgi packets."),
    ROW_NUM("uwsgi_modifier2", IN_HTTP_ALL, C, request.modifier2, "0", 0, 255, "The second modifier of uwsgi packets."),
    ROW_TMPL("uwsgi_string", IN_HTTP_ALL, C, request.string, NULL, "Bytes behind the parameters of a packet."),
};
#undef C

struct feature feature_uwsgi = {
    .name = "uwsgi",
    .rows = rows,
    .nrows = ARRAY_LEN(rows),
    .conf_size = sizeof(struct uwsgi_conf),
    .finish = finish,
    .bind = bind_pass,
};
