// grpc_pass: gRPC servers, over HTTP/2. Both directions stream; trailers pass; an error of weir's own carries a grpc-status, so
// that clients say something better than the status of HTTP.
#include "feature/gateway/gateway.h"
#include "feature/gateway/gateway_ssl.h"
#include "http/answer.h"
#include "upstream/h2_client.h"

extern struct feature feature_grpc;

struct grpc_conf {
    struct gateway_address *address;
    bool tls;                       // grpcs://, of a fixed address
    struct h1_request_conf request; // grpc_set_header
};

// --- where -------------------------------------------------------------------------------------------------------------------------

static bool has_port(struct str text) {
    ssize_t close = str_chr(text, ']');
    return str_chr(close >= 0 ? str_from(text, (size_t)close) : text, ':') >= 0;
}

// Takes "grpc://" or "grpcs://" off: whether it was the latter.
static bool take_scheme(struct str *text) {
    bool tls = str_istarts(*text, STR("grpcs://"));
    if (tls || str_istarts(*text, STR("grpc://")))
        *text = str_from(*text, tls ? 8 : 7);
    return tls;
}

static const char *refuse_uri(struct str text) {
    return !str_istarts(text, STR("unix:")) && str_chr(text, '/') >= 0 ? "\"grpc_pass\" cannot have URI part" : NULL;
}

static struct group *find_group(struct req *r, const struct grpc_conf *gc, struct str *host, bool *tls, unsigned *status) {
    if (gc->address->text == NULL) {
        *tls = gc->tls;
        *host = gc->address->fixed;
        return gc->address->group;
    }
    struct str text = arena_dup(&r->arena, req_eval(r, gc->address->text));
    *status = 500;
    *tls = take_scheme(&text);
    if (text.n == 0 || refuse_uri(text) != NULL) {
        log_msg(LOG_ERR, 0, "invalid address \"" STR_FMT "\" in \"grpc_pass\"", STR_ARG(text));
        return NULL;
    }
    *host = text;
    struct group *g = group_find(r->conf, text);
    if (g == NULL)
        g = group_of_request(r, text, *tls ? 443 : 80);
    *status = 502;
    return g;
}

// --- a request ---------------------------------------------------------------------------------------------------------------------

// The client's own target, unless it was changed since.
static struct str target_of(struct req *r) {
    if (r->valid_unparsed_uri && r->unparsed_uri.n != 0)
        return r->unparsed_uri;
    struct str parts[3] = {uri_escape(r->uri, URI_ESCAPE_PATH, &r->arena), r->args.n != 0 ? STR("?") : STR(""), r->args};
    return arena_join(&r->arena, parts, 3);
}

static enum step grpc_content(struct req *r, const void *conf) {
    const struct grpc_conf *gc = conf;
    unsigned status = 500;
    struct str host;
    bool tls;
    struct group *g = find_group(r, gc, &host, &tls, &status);
    if (g == NULL)
        return answer_status(r, status);
    struct exchange *x = gateway_exchange(r, &feature_gateway_grpc, &h2_client, g);
    x->protocol_conf = (void *)(uintptr_t)&gc->request;
    x->uri = target_of(r);
    // As in nginx: a port is said when it is not the usual one.
    struct str usual = tls ? STR(":443") : STR(":80");
    x->host = str_istarts(host, STR("unix:")) ? STR("localhost") : str_ends(host, usual) ? str_head(host, host.n - usual.n) : host;
    if (tls) {
        x->tls = gateway_ssl_for_h2(r, &feature_gateway_ssl_grpc, host);
        if (x->tls == NULL)
            return answer_status(r, 500);
        x->scheme = STR("grpcs://");
    }
    gateway_grpc_web(r, x);
    status = gateway_run(x);
    return status != 0 ? answer_status(r, status) : gateway_answer(r, NULL, x);
}

// --- errors ------------------------------------------------------------------------------------------------------------------------

// The mapping that gRPC documents for statuses of HTTP, and what each status is called.
static struct str status_of(unsigned http) {
    switch (http) {
    case 400:
        return STR("13"); // INTERNAL
    case 401:
        return STR("16"); // UNAUTHENTICATED
    case 403:
        return STR("7"); // PERMISSION_DENIED
    case 404:
        return STR("12"); // UNIMPLEMENTED
    case 408:
    case 504:
        return STR("4"); // DEADLINE_EXCEEDED
    case 413:
        return STR("8"); // RESOURCE_EXHAUSTED
    case 429:
    case 502:
    case 503:
        return STR("14"); // UNAVAILABLE
    default:
        return STR("2"); // UNKNOWN
    }
}

static bool is_grpc(const struct head *h) { return str_istarts(head_value(h, FIELD_CONTENT_TYPE), STR("application/grpc")); }

// An error that no gRPC server made, for a client of gRPC: no page, but a grpc-status.
static enum step grpc_error(struct req *r, const void *conf) {
    if (r->out.status < 400 || !is_grpc(&r->in) || is_grpc(&r->out) || head_find_name(&r->out, STR("grpc-status")) != NULL)
        return STEP_NEXT;
    unsigned status = r->out.status;
    head_set(&r->out, FIELD_CONTENT_TYPE, STR("application/grpc"));
    head_add(&r->out, FIELD_UNKNOWN, STR("grpc-status"), status_of(status));
    head_add(&r->out, FIELD_UNKNOWN, STR("grpc-message"), status_reason(status));
    body_free(r->out_body);
    r->out_body = NULL;
    r->out_length = 0;
    return STEP_NEXT;
}

// --- settings ------------------------------------------------------------------------------------------------------------------------

static bool set_pass(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct grpc_conf *gc = conf;
    struct str text = node->args[1];
    if (!tmpl_has_var(text)) {
        gc->tls = take_scheme(&text);
        const char *why = refuse_uri(text);
        if (why != NULL)
            return conf_err(cx, node, "%s in \"" STR_FMT "\"", why, STR_ARG(node->args[1]));
        if (text.n == 0)
            return conf_err(cx, node, "no host in upstream \"" STR_FMT "\"", STR_ARG(node->args[1]));
    }
    return gateway_set_address(cx, &gc->address, node, text);
}

static bool set_header(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct grpc_conf *gc = conf;
    if (!is_token(node->args[1]))
        return conf_err(cx, node, "invalid header name \"" STR_FMT "\"", STR_ARG(node->args[1]));
    struct tmpl *value = tmpl_compile(cx, node->args[2], node);
    if (value == NULL)
        return false;
    struct h1_set_header *h = conf_list_add(cx, row, &gc->request.set_headers, sizeof(*h));
    *h = (struct h1_set_header){node->args[1], (uint16_t)field_id_of(node->args[1]), value};
    return true;
}

static bool finish(struct conf_cx *cx, struct scope *s, void *conf) {
    h1_request_conf_ready(&((struct grpc_conf *)conf)->request);
    return true;
}

static bool bind_pass(struct conf_cx *cx, struct scope *s, void *conf) {
    struct grpc_conf *gc = conf;
    struct gateway_address *a = gc->address;
    if (a == NULL)
        return true;
    if (a->text == NULL && a->group == NULL && group_find(cx->conf, a->fixed) == NULL && !has_port(a->fixed))
        a->fixed = arena_printf(cx->arena, STR_FMT ":%s", STR_ARG(a->fixed), gc->tls ? "443" : "80");
    bool here = gateway_in_force(s, a);
    if (here && (gc->tls || a->text != NULL) && !gateway_ssl_ready(cx, &feature_gateway_ssl_grpc, s))
        return false;
    if (here)
        plan_add(cx, s, STAGE_RESPONSE, RESPONSE_HEADERS - 1, grpc_error, gc, "grpc_pass");
    return gateway_bind_address(cx, s, a, grpc_content, gc, "grpc_pass");
}

static const struct conf_row rows[] = {
    ROW_FNS("grpc_pass", IN_LOCATION | IN_IF, 1, 1, 0, set_pass, NULL, "address",
            "Passes requests to a gRPC server: grpc:// or grpcs:// and host:port, unix:/path, or the name of an upstream."),
    ROW_FNS("grpc_set_header", IN_HTTP_ALL, 2, 2, ROW_LISTED, set_header, NULL, "field value",
            "A field of the request to the gRPC server; an empty value leaves it out."),
};

struct feature feature_grpc = {
    .name = "grpc",
    .rows = rows,
    .nrows = ARRAY_LEN(rows),
    .conf_size = sizeof(struct grpc_conf),
    .finish = finish,
    .bind = bind_pass,
};
