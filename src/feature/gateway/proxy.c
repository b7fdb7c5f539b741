// proxy_pass and its settings: rows, what follows from several of them, and the variables of proxying.
#include "feature/gateway/proxy.h"
#include "feature/gateway/gateway_ssl.h"
#include "http/regex.h"
#include "http/route.h"

// --- proxy_pass -----------------------------------------------------------------------------------------------------------------

const char *proxy_split_url(struct proxy_target *t, struct str text, struct arena *a) {
    struct uri_url url;
    const char *why = "invalid host";
    if (!uri_parse_url(&url, text, &why))
        return why;
    t->tls = str_ieq(url.scheme, STR("https"));
    t->is_unix = url.is_unix;
    t->has_uri = url.has_path;
    t->uri = url.path;
    if (url.has_path && url.path.p[0] == '?') {
        struct str parts[2] = {STR("/"), url.path};
        t->uri = arena_join(a, parts, 2);
    }
    if (url.is_unix) {
        struct str parts[2] = {STR("unix:"), url.host};
        t->host_port = arena_join(a, parts, 2);
        t->host = STR("localhost");
        t->port = STR("");
        return NULL;
    }
    t->has_port = url.port.n != 0;
    struct str usual = t->tls ? STR("443") : STR("80");
    t->port = t->has_port ? url.port : usual;
    struct str both[3] = {url.host, STR(":"), url.port};
    t->host_port = t->has_port ? arena_join(a, both, 3) : url.host;
    t->host = t->has_port && !str_eq(url.port, usual) ? t->host_port : url.host;
    return NULL;
}

unsigned proxy_port(const struct proxy_target *t) { return t->tls ? 443 : 80; }

// Groups of addresses are found by their text: with the port, where it is not that of plain HTTP.
struct str proxy_address(const struct proxy_target *t, struct arena *a) {
    return t->tls && !t->has_port && !t->is_unix ? arena_printf(a, STR_FMT ":443", STR_ARG(t->host_port)) : t->host_port;
}

static bool uri_not_allowed(struct conf_cx *cx, const struct conf_node *node) {
    return conf_err_hint(cx, node, STR("there is no prefix that the URI part could replace: write the address alone"),
                         "\"proxy_pass\" cannot have URI part in location given by regular expression, or inside named "
                         "location, or inside \"if\" statement, or inside \"limit_except\" block");
}

bool proxy_parse_target(struct conf_cx *cx, struct proxy_target *t, struct str text, const struct conf_node *node) {
    size_t prefix = str_istarts(text, STR("https://")) ? 8 : 7;
    if (prefix == 7 && !str_istarts(text, STR("http://")))
        return conf_err(cx, node, "invalid URL prefix");
    const char *why = proxy_split_url(t, text, cx->arena);
    if (why != NULL)
        return conf_err(cx, node, "%s in upstream \"" STR_FMT "\"", why, STR_ARG(str_from(text, prefix)));
    return !t->has_uri || t->plain_location || uri_not_allowed(cx, node);
}

static bool set_pass(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct proxy_conf *pc = conf;
    struct proxy_target *t = arena_new(cx->arena, struct proxy_target);
    struct location *l = (struct location *)(uintptr_t)scope_location(cx->scope); // being made: ours to write
    t->scope = cx->scope;
    t->node = node;
    t->text = node->args[1];
    if (l != NULL) {
        bool prefix = l->kind == LOCATION_PREFIX || l->kind == LOCATION_EXACT || l->kind == LOCATION_PREFIX_FINAL;
        t->plain_location = prefix && cx->scope->place == IN_LOCATION;
        t->location = prefix ? l->text : STR("");
        if (cx->scope->place == IN_LOCATION && l->text.n != 0 && l->text.p[l->text.n - 1] == '/')
            l->auto_redirect = true;
    }
    if (tmpl_has_var(t->text)) {
        t->url = tmpl_compile(cx, t->text, node);
        if (t->url == NULL)
            return false;
    } else if (!proxy_parse_target(cx, t, t->text, node)) {
        return false;
    }
    pc->target = t;
    return true;
}

// --- other setters ----------------------------------------------------------------------------------------------------------------

static bool set_header(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct proxy_conf *pc = conf;
    if (!is_token(node->args[1]))
        return conf_err(cx, node, "invalid header name \"" STR_FMT "\"", STR_ARG(node->args[1]));
    struct tmpl *value = tmpl_compile(cx, node->args[2], node);
    if (value == NULL)
        return false;
    struct h1_set_header *h = conf_list_add(cx, row, &pc->request.set_headers, sizeof(*h));
    *h = (struct h1_set_header){node->args[1], (uint16_t)field_id_of(node->args[1]), value};
    return true;
}

// A pattern of proxy_redirect or proxy_cookie_*: "~regex", "~*regex", or a template.
static bool parse_pattern(struct conf_cx *cx, struct str text, const struct conf_node *node, struct tmpl **from,
                          struct regex **regex) {
    if (text.n != 0 && text.p[0] == '~') {
        bool nocase = text.n > 1 && text.p[1] == '*';
        *regex = regex_compile(cx, str_from(text, nocase ? 2 : 1), nocase, node);
        return *regex != NULL;
    }
    *from = tmpl_compile(cx, text, node);
    return *from != NULL;
}

static bool duplicate(struct conf_cx *cx, const struct conf_node *node) {
    return conf_err(cx, node, "\"" STR_FMT "\" directive is duplicate", STR_ARG(node->args[0]));
}

static bool set_redirect(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct proxy_conf *pc = conf;
    struct str word = node->args[1];
    bool again = pc->redirect_scope == cx->scope;
    pc->redirect_scope = cx->scope;
    if (node->nargs == 2 && str_eq(word, STR("off"))) {
        if (again)
            return duplicate(cx, node);
        pc->redirect_off = true;
        pc->redirects = (struct conf_list){0};
        return true;
    }
    if (again && pc->redirect_off)
        return duplicate(cx, node);
    if (node->nargs == 2 && !str_eq(word, STR("default")) && !str_eq(word, STR("false")))
        return conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(word));
    struct proxy_redirect made = {.dflt = node->nargs == 2};
    if (made.dflt && pc->target != NULL && pc->target->scope == cx->scope && pc->target->url != NULL)
        return conf_err(cx, node, "\"proxy_redirect default\" cannot be used with \"proxy_pass\" directive with variables");
    if (!made.dflt) {
        if (!parse_pattern(cx, word, node, &made.from, &made.regex))
            return false;
        made.to = tmpl_compile(cx, node->args[2], node);
        if (made.to == NULL)
            return false;
    }
    *(struct proxy_redirect *)conf_list_add(cx, row, &pc->redirects, sizeof(made)) = made;
    pc->redirect_off = false;
    return true;
}

static bool add_cookie(struct conf_cx *cx, const struct conf_row *row, struct conf_list *list, const struct conf_node *node) {
    struct proxy_cookie made = {0};
    if (node->nargs == 2) {
        if (!str_eq(node->args[1], STR("off")))
            return conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(node->args[1]));
        if (cx->again)
            return duplicate(cx, node);
        *list = (struct conf_list){0};
        return true;
    }
    if (cx->again && list->count == 0) // off
        return duplicate(cx, node);
    if (!parse_pattern(cx, node->args[1], node, &made.from, &made.regex))
        return false;
    made.to = tmpl_compile(cx, node->args[2], node);
    if (made.to == NULL)
        return false;
    *(struct proxy_cookie *)conf_list_add(cx, row, list, sizeof(made)) = made;
    return true;
}

static bool set_cookie_domain(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return add_cookie(cx, row, &((struct proxy_conf *)conf)->cookie_domains, node);
}

static bool set_cookie_path(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return add_cookie(cx, row, &((struct proxy_conf *)conf)->cookie_paths, node);
}

static bool add_flag(struct conf_cx *cx, const struct conf_row *row, struct proxy_cookie_flag *made, struct str word,
                     const struct conf_node *node) {
    if (!tmpl_has_var(word)) {
        unsigned bit = proxy_cookie_flag_of(word);
        made->flags |= bit;
        return bit != 0 || conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(word));
    }
    struct tmpl *t = tmpl_compile(cx, word, node);
    struct conf_list *l = &made->texts;
    struct condition *all = arena_array(cx->arena, struct condition, l->count + 1);
    if (l->count != 0)
        memcpy(all, l->at, l->count * sizeof(*all));
    all[l->count].value = t;
    *l = (struct conf_list){all, l->count + 1};
    return t != NULL;
}

static bool set_cookie_flags(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct proxy_conf *pc = conf;
    bool off = node->nargs == 2 && str_eq(node->args[1], STR("off"));
    if (cx->again && (off || pc->cookie_flags.count == 0))
        return duplicate(cx, node);
    if (off) {
        pc->cookie_flags = (struct conf_list){0};
        return true;
    }
    if (node->nargs == 2)
        return conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(node->args[1]));
    struct proxy_cookie_flag made = {0};
    if (!parse_pattern(cx, node->args[1], node, &made.name, &made.regex))
        return false;
    for (unsigned i = 2; i < node->nargs; i++) {
        if (!add_flag(cx, row, &made, node->args[i], node))
            return false;
    }
    *(struct proxy_cookie_flag *)conf_list_add(cx, row, &pc->cookie_flags, sizeof(made)) = made;
    return true;
}

// --- what follows -----------------------------------------------------------------------------------------------------------------

// nginx: "proxy_redirect default" turns the URL of proxy_pass into the location that it stands in.
static bool make_default_redirect(struct conf_cx *cx, struct proxy_conf *pc) {
    const struct proxy_target *t = pc->target;
    pc->has_dflt = false;
    if (t == NULL || t->url != NULL)
        return true;
    struct str with_slash[2] = {t->text, STR("/")};
    struct str from = t->has_uri ? t->text : arena_join(cx->arena, with_slash, 2);
    pc->dflt = (struct proxy_redirect){
        .from = tmpl_const(cx->arena, from),
        .to = tmpl_const(cx->arena, t->has_uri ? t->location : STR("/")),
    };
    pc->has_dflt = true;
    return true;
}

static bool finish(struct conf_cx *cx, struct scope *s, void *conf) {
    struct proxy_conf *pc = conf;
    pc->request.version = (unsigned)pc->version;
    h1_request_conf_ready(&pc->request);
    return make_default_redirect(cx, pc);
}

// The group of a proxy_pass without variables: an upstream block, or the address itself.
static bool find_group(struct conf_cx *cx, struct proxy_target *t) {
    struct str name = t->is_unix ? STR_NONE : str_head(t->host_port, t->host_port.n - (t->has_port ? t->port.n + 1 : 0));
    struct group *block = t->is_unix ? NULL : group_find(cx->conf, name);
    if (block != NULL && t->has_port)
        return conf_err_hint(cx, t->node, STR("the ports are those of the servers in the upstream block"),
                             "upstream \"" STR_FMT "\" may not have port " STR_FMT, STR_ARG(name), STR_ARG(t->port));
    t->group = block != NULL ? block : group_implicit(cx, proxy_address(t, cx->arena), proxy_port(t), t->node);
    return t->group != NULL;
}

static bool bind_pass(struct conf_cx *cx, struct scope *s, void *conf) {
    struct proxy_conf *pc = conf;
    struct proxy_target *t = pc->target;
    if (t == NULL || !plan_answers_in(s, t->scope))
        return true;
    if (t->url == NULL && t->group == NULL && !find_group(cx, t))
        return false;
    if ((t->tls || t->url != NULL) && !gateway_ssl_ready(cx, &feature_gateway_ssl_proxy, s))
        return false;
    plan_answer(cx, s, proxy_content, pc, "proxy_pass", t->scope, t->node);
    return true;
}

// --- variables ----------------------------------------------------------------------------------------------------------------------

static bool get_ctx(struct eval *e, const struct var *v, struct str *out) {
    const struct req *r = e->req;
    const struct proxy_ctx *c = req_ctx(r, &feature_proxy);
    if (c == NULL || c->uri_changes != r->uri_changes)
        return false;
    *out = *(const struct str *)((const char *)c + v->data);
    return true;
}

static bool get_forwarded_for(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = e->req;
    struct str before = head_join(&r->in, FIELD_X_FORWARDED_FOR, &r->arena);
    struct str parts[3] = {before, STR(", "), req_client_text(r)};
    *out = before.p == NULL ? parts[2] : arena_join(&r->arena, parts, 3);
    return true;
}

static const struct var_def vars[] = {
    {"proxy_host", false, VAR_VOLATILE, get_ctx, NULL, offsetof(struct proxy_ctx, host),
     "Name and port of the back end as proxy_pass says them; the default of Host."},
    {"proxy_port", false, VAR_VOLATILE, get_ctx, NULL, offsetof(struct proxy_ctx, port), "Port of the back end in proxy_pass."},
    {"proxy_add_x_forwarded_for", false, VAR_VOLATILE, get_forwarded_for, NULL, 0,
     "The client's X-Forwarded-For with its address appended."},
};

// --- rows ---------------------------------------------------------------------------------------------------------------------------

static const struct conf_word versions[] = {{"1.0", 10}, {"1.1", 11}, {"2", 20}, {NULL, 0}};

#define P struct proxy_conf
static const struct conf_row rows[] = {
    ROW_FNS("proxy_pass", IN_LOCATION | IN_IF | IN_LIMIT_EXCEPT, 1, 1, 0, set_pass, NULL, "URL",
            "Passes requests to a back end: http:// or https:// and an address, the name of an upstream, or unix:/path:."),
    ROW_FNS("proxy_set_header", IN_HTTP_ALL, 2, 2, ROW_LISTED, set_header, NULL, "field value",
            "A field of the request to the back end; an empty value leaves it out."),
    ROW_ENUM("proxy_http_version", IN_HTTP_ALL, P, version, "1.1", versions, "Version of HTTP towards back ends; 2 shares connections between requests."),
    ROW_TMPL("proxy_method", IN_HTTP_ALL, P, method, NULL, "Method of requests to the back end instead of the client's."),
    ROW_TMPL("proxy_set_body", IN_HTTP_ALL, P, body, NULL, "Body of requests to the back end instead of the client's."),
    ROW_FNS("proxy_redirect", IN_HTTP_ALL, 1, 2, ROW_REPEAT, set_redirect, NULL, "off | default | redirect replacement",
            "Rewrites Location and Refresh of responses."),
    ROW_FNS("proxy_cookie_domain", IN_HTTP_ALL, 1, 2, ROW_LISTED, set_cookie_domain, NULL, "off | domain replacement",
            "Rewrites the Domain attribute of cookies."),
    ROW_FNS("proxy_cookie_path", IN_HTTP_ALL, 1, 2, ROW_LISTED, set_cookie_path, NULL, "off | path replacement",
            "Rewrites the Path attribute of cookies."),
    ROW_FNS("proxy_cookie_flags", IN_HTTP_ALL, 1, 4, ROW_LISTED, set_cookie_flags, NULL, "off | cookie [flag ...]",
            "Adds or removes Secure, HttpOnly and SameSite of cookies."),
    ROW_NOOP_OF("proxy_headers_hash_max_size", IN_HTTP_ALL, conf_set_num, "Hash tables size themselves."),
    ROW_NOOP_OF("proxy_headers_hash_bucket_size", IN_HTTP_ALL, conf_set_num, "Hash tables size themselves."),
    ROW_FLAG("proxy_pass_trailers", IN_HTTP_ALL, P, pass_trailers, "off", "Passes trailer fields of responses on to clients."),
};
#undef P

struct feature feature_proxy = {
    .name = "proxy",
    .rows = rows,
    .nrows = ARRAY_LEN(rows),
    .conf_size = sizeof(struct proxy_conf),
    .vars = vars,
    .nvars = ARRAY_LEN(vars),
    .finish = finish,
    .bind = bind_pass,
};
