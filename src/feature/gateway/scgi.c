// scgi_pass and its settings: requests for SCGI applications.
#include "feature/gateway/gateway.h"
#include "http/answer.h"
#include "upstream/cgi_client.h"

extern struct feature feature_scgi;

struct scgi_conf {
    struct gateway_address *address;
    struct conf_list params; // struct gateway_param
    struct cgi_request request;
};

static void put_params(struct exchange *x, struct sbuf *to, void (*put)(struct sbuf *to, struct str name, struct str value)) {
    const struct scgi_conf *c = container_of(x->protocol_conf, struct scgi_conf, request);
    gateway_put_params(x, c->params, to, put);
}

static enum step scgi_content(struct req *r, const void *conf) {
    const struct scgi_conf *c = conf;
    unsigned status;
    struct group *g = gateway_group(r, c->address, &status);
    if (g == NULL)
        return answer_status(r, status);
    struct exchange *x = gateway_exchange(r, &feature_gateway_scgi, &scgi_client, g);
    x->protocol_conf = (void *)(uintptr_t)&c->request;
    x->needs_length = true;
    return gateway_serve(x, NULL, &feature_cache_scgi);
}

static bool set_pass(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct str address = node->args[1];
    return gateway_set_address(cx, &((struct scgi_conf *)conf)->address, node, address);
}

static bool set_param(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return gateway_add_param(cx, row, &((struct scgi_conf *)conf)->params, node);
}

static bool finish(struct conf_cx *cx, struct scope *s, void *conf) {
    ((struct scgi_conf *)conf)->request.put_params = put_params;
    return true;
}

static bool bind_pass(struct conf_cx *cx, struct scope *s, void *conf) {
    struct scgi_conf *c = conf;
    return gateway_bind_address(cx, s, c->address, scgi_content, c, "scgi_pass");
}

#define C struct scgi_conf
static const struct conf_row rows[] = {
    ROW_FNS("scgi_pass", IN_LOCATION | IN_IF, 1, 1, 0, set_pass, NULL, "address",
            "Passes requests to a SCGI server: host:port, unix:/path, or the name of an upstream."),
    ROW_FNS("scgi_param", IN_HTTP_ALL, 2, 3, ROW_LISTED, set_param, NULL, "name value [if_not_empty]",
            "A parameter of requests to the SCGI server."),
};
#undef C

struct feature feature_scgi = {
    .name = "scgi",
    .rows = rows,
    .nrows = ARRAY_LEN(rows),
    .conf_size = sizeof(struct scgi_conf),
    .finish = finish,
    .bind = bind_pass,
};
