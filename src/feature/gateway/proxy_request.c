// What a proxied request asks of the back end: which group, which URI, and the exchange.
#include "feature/gateway/proxy.h"
#include "feature/gateway/gateway_ssl.h"
#include "upstream/h2_client.h"
#include "wire/http1.h"

// nginx's rules: without a URI part the client's own line is passed as it came, unless the URI was changed since; with one, it
// replaces the location's prefix, and what follows is escaped again if it had been escaped. After `rewrite ... break` the URI
// part does not count.
static struct str map_uri(struct req *r, const struct proxy_target *t) {
    if (!t->has_uri && r->valid_unparsed_uri && r->unparsed_uri.n != 0)
        return r->unparsed_uri;
    bool replace = t->has_uri && !r->uri_goes_whole && str_starts(r->uri, t->location);
    struct str rest = replace ? str_from(r->uri, t->location.n) : r->uri;
    if (r->internal || str_chr(r->target.raw_path, '%') >= 0 || scan_ctl_sp(rest.p, rest.n) != rest.n)
        rest = uri_escape(rest, URI_ESCAPE_PATH, &r->arena);
    struct str parts[4] = {replace ? t->uri : STR(""), rest, r->args.n != 0 ? STR("?") : STR(""), r->args};
    return arena_join(&r->arena, parts, 4);
}

// proxy_pass with variables: the whole URL is made now. False: the status to answer.
static bool evaluate(struct req *r, const struct proxy_target *said, struct proxy_target *t, unsigned *status) {
    struct str url = req_eval(r, said->url);
    *status = 500;
    size_t prefix = str_istarts(url, STR("https://")) ? 8 : 7;
    if (prefix == 7 && !str_istarts(url, STR("http://"))) {
        log_msg(LOG_ERR, 0, "invalid URL prefix in \"" STR_FMT "\"", STR_ARG(url));
        return false;
    }
    *t = (struct proxy_target){.text = url};
    const char *why = proxy_split_url(t, url, &r->arena);
    if (why != NULL) {
        log_msg(LOG_ERR, 0, "%s in upstream \"" STR_FMT "\"", why, STR_ARG(str_from(url, prefix)));
        return false;
    }
    struct str name = t->has_port ? str_head(t->host_port, t->host_port.n - t->port.n - 1) : t->host_port;
    if (!t->is_unix && !t->has_port)
        t->group = group_find(r->conf, name);
    if (t->group == NULL)
        t->group = group_of_request(r, proxy_address(t, &r->arena), proxy_port(t));
    if (t->group == NULL) {
        *status = 502;
        return false;
    }
    return true;
}

static struct str uri_of(struct req *r, const struct proxy_target *said, const struct proxy_target *t) {
    if (said->url != NULL && t->has_uri)
        return t->uri; // as evaluated
    return map_uri(r, t);
}

static struct str method_of(struct req *r, const struct proxy_conf *pc) {
    if (pc->method != NULL) {
        struct str m = req_eval(r, pc->method);
        if (m.n != 0)
            return m;
    }
    return r->method_text;
}

enum step proxy_content(struct req *r, const void *conf) {
    const struct proxy_conf *pc = conf;
    struct proxy_target evaluated, *t = pc->target;
    unsigned status;
    if (t->url != NULL) {
        if (!evaluate(r, t, &evaluated, &status))
            return answer_status(r, status);
        t = &evaluated;
    }
    struct proxy_ctx *ctx = req_ctx_make(r, &feature_proxy, sizeof(*ctx));
    *ctx = (struct proxy_ctx){t->host, t->port, r->uri_changes};
    struct exchange *x = arena_new(&r->arena, struct exchange);
    x->r = r;
    x->gw = req_conf(r, &feature_gateway_proxy);
    bool h2 = pc->request.version == 20;
    x->protocol = h2 ? &h2_client : &h1_client;
    x->protocol_conf = (void *)(uintptr_t)&pc->request;
    x->group = t->group;
    if (t->tls)
        x->tls = (h2 ? gateway_ssl_for_h2 : gateway_ssl_for)(r, &feature_gateway_ssl_proxy, t->host);
    if (t->tls && x->tls == NULL)
        return answer_status(r, 500);
    x->scheme = t->tls ? STR("https://") : STR("http://");
    x->family = "proxy";
    x->host = t->host;
    x->method = method_of(r, pc);
    x->uri = uri_of(r, pc->target, t);
    x->needs_length = pc->request.version == 10;
    x->hide_trailers = !pc->pass_trailers;
    if (x->uri.n == 0) {
        log_msg(LOG_ERR, 0, "zero length URI to proxy");
        return answer_status(r, 500);
    }
    if (pc->body != NULL) {
        status = req_buffer_body(r); // it may be a part of what is sent
        if (status != 0)
            return answer_status(r, status);
        struct str body = req_eval(r, pc->body);
        x->text_body = body.p != NULL ? body : STR("");
    }
    return gateway_serve(x, &(struct gateway_rewrite){proxy_rewrite_field, pc}, &feature_cache_proxy);
}
