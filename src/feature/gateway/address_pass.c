// Gateways whose *_pass takes an address: which group that is, and what an exchange with it needs.
#include "feature/gateway/gateway.h"
#include "http/answer.h"
#include "http/route.h"

bool gateway_set_address(struct conf_cx *cx, struct gateway_address **to, const struct conf_node *node, struct str text) {
    struct gateway_address *a = arena_new(cx->arena, struct gateway_address);
    struct location *l = (struct location *)(uintptr_t)scope_location(cx->scope); // being made: ours to write
    a->scope = cx->scope;
    a->node = node;
    if (l != NULL && cx->scope->place == IN_LOCATION && l->text.n != 0 && l->text.p[l->text.n - 1] == '/')
        l->auto_redirect = true;
    if (tmpl_has_var(text)) {
        a->text = tmpl_compile(cx, text, node);
        if (a->text == NULL)
            return false;
    }
    a->fixed = text;
    *to = a;
    return true;
}

static bool has_port(struct str text) {
    ssize_t close = str_chr(text, ']');
    return str_chr(close >= 0 ? str_from(text, (size_t)close) : text, ':') >= 0;
}

static bool find_group(struct conf_cx *cx, struct gateway_address *a) {
    a->group = group_find(cx->conf, a->fixed);
    if (a->group != NULL)
        return true;
    if (!str_starts(a->fixed, STR("unix:")) && !has_port(a->fixed))
        return conf_err_hint(cx, a->node, STR("write host:port, unix:/path, or the name of an upstream block"),
                             "no port in upstream \"" STR_FMT "\"", STR_ARG(a->fixed));
    a->group = group_implicit(cx, a->fixed, 0, a->node);
    return a->group != NULL;
}

bool gateway_reaches(const struct scope *from, const struct scope *s) {
    while (s != from && (s->place & (IN_IF | IN_LIMIT_EXCEPT)) != 0)
        s = s->outer;
    return s == from;
}

bool gateway_in_force(const struct scope *s, const struct gateway_address *a) { return a != NULL && gateway_reaches(a->scope, s); }

bool gateway_bind_address(struct conf_cx *cx, struct scope *s, struct gateway_address *a, hook_fn *fn, const void *conf,
                          const char *name) {
    if (!gateway_in_force(s, a))
        return true;
    if (a->text == NULL && a->group == NULL && !find_group(cx, a))
        return false;
    plan_add(cx, s, STAGE_CONTENT, 0, fn, conf, name);
    return true;
}

struct group *gateway_group(struct req *r, const struct gateway_address *a, unsigned *status) {
    if (a->text == NULL)
        return a->group;
    return gateway_group_of(r, a, arena_dup(&r->arena, req_eval(r, a->text)), status);
}

struct group *gateway_group_of(struct req *r, const struct gateway_address *a, struct str text, unsigned *status) {
    if (a->text == NULL)
        return a->group;
    struct group *g = group_find(r->conf, text);
    if (g != NULL)
        return g;
    *status = 500;
    if (text.n == 0 || (!str_starts(text, STR("unix:")) && !has_port(text))) {
        log_msg(LOG_ERR, 0, "no port in upstream \"" STR_FMT "\"", STR_ARG(text));
        return NULL;
    }
    *status = 502;
    return group_of_request(r, text, 0);
}

struct exchange *gateway_exchange(struct req *r, struct feature *settings, const struct protocol *protocol, struct group *g) {
    struct exchange *x = arena_new(&r->arena, struct exchange);
    x->r = r;
    x->gw = req_conf(r, settings);
    x->protocol = protocol;
    x->group = g;
    x->family = settings->family;
    x->scheme = arena_printf(&r->arena, "%s://", settings->family);
    x->method = r->method_text;
    return x;
}
