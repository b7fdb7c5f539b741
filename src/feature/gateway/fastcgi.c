// fastcgi_pass and its settings: requests for FastCGI applications, PHP-FPM above all.
#include "feature/gateway/gateway.h"
#include "http/answer.h"
#include "http/regex.h"
#include "upstream/fcgi_client.h"
#include "wire/fastcgi.h"

extern struct feature feature_fastcgi;

struct fastcgi_conf {
    struct gateway_address *address;
    struct conf_list params; // struct gateway_param
    struct fcgi_request request;
    struct str index;        // fastcgi_index
    struct regex *split;     // fastcgi_split_path_info
};

// --- $fastcgi_script_name and $fastcgi_path_info ---------------------------------------------------------------------------------

struct fastcgi_split {
    struct str script, path_info;
    struct str uri; // that they were made of
};

static const struct fastcgi_split *split_of(struct req *r) {
    const struct fastcgi_conf *fc = req_conf(r, &feature_fastcgi);
    struct fastcgi_split *s = req_ctx_make(r, &feature_fastcgi, sizeof(*s));
    if (s->uri.p == r->uri.p && s->uri.n == r->uri.n)
        return s;
    *s = (struct fastcgi_split){.script = r->uri, .path_info = STR(""), .uri = r->uri};
    size_t ov[2 * REGEX_CAPTURES_MAX];
    unsigned pairs;
    if (fc->split == NULL || !regex_match(fc->split, r->uri, ov, &pairs) || pairs < 3)
        return s;
    s->script = str_n(r->uri.p + ov[2], ov[3] - ov[2]);
    s->path_info = str_n(r->uri.p + ov[4], ov[5] - ov[4]);
    return s;
}

static bool get_script_name(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = e->req;
    const struct fastcgi_conf *fc = req_conf(r, &feature_fastcgi);
    *out = split_of(r)->script;
    if (out->n != 0 && out->p[out->n - 1] == '/' && fc->index.n != 0) {
        struct str parts[2] = {*out, fc->index};
        *out = arena_join(&r->arena, parts, 2);
    }
    return true;
}

static bool get_path_info(struct eval *e, const struct var *v, struct str *out) {
    *out = split_of(e->req)->path_info;
    return true;
}

static const struct var_def vars[] = {
    {"fastcgi_script_name", false, VAR_VOLATILE, get_script_name, NULL, 0,
     "The URI, with fastcgi_index behind a slash; with fastcgi_split_path_info its first part."},
    {"fastcgi_path_info", false, VAR_VOLATILE, get_path_info, NULL, 0, "The second part that fastcgi_split_path_info found."},
};

// --- a request ---------------------------------------------------------------------------------------------------------------------

static void put_params(struct exchange *x, struct sbuf *to) {
    const struct fastcgi_conf *fc = container_of(x->protocol_conf, struct fastcgi_conf, request);
    gateway_put_params(x, fc->params, to, fcgi_put_param);
}

static enum step fastcgi_content(struct req *r, const void *conf) {
    const struct fastcgi_conf *fc = conf;
    unsigned status;
    struct group *g = gateway_group(r, fc->address, &status);
    if (g == NULL)
        return answer_status(r, status);
    struct exchange *x = gateway_exchange(r, &feature_gateway_fastcgi, &fcgi_client, g);
    x->protocol_conf = (void *)(uintptr_t)&fc->request;
    return gateway_serve(x, NULL, &feature_cache_fastcgi);
}

// --- settings ------------------------------------------------------------------------------------------------------------------------

static bool set_pass(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return gateway_set_address(cx, &((struct fastcgi_conf *)conf)->address, node, node->args[1]);
}

static bool set_param(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return gateway_add_param(cx, row, &((struct fastcgi_conf *)conf)->params, node);
}

static bool set_split(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct fastcgi_conf *fc = conf;
    fc->split = regex_compile(cx, node->args[1], false, node);
    if (fc->split == NULL)
        return false;
    return regex_captures(fc->split) == 2 ||
           conf_err(cx, node, "pattern \"" STR_FMT "\" must have 2 captures", STR_ARG(node->args[1]));
}

static bool set_catch(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    *(struct str *)conf_list_add(cx, row, &((struct fastcgi_conf *)conf)->request.catch_stderr, sizeof(struct str)) = node->args[1];
    return true;
}

static bool finish(struct conf_cx *cx, struct scope *s, void *conf) {
    struct fastcgi_conf *fc = conf;
    fc->request.put_params = put_params;
    return true;
}

static bool bind_pass(struct conf_cx *cx, struct scope *s, void *conf) {
    struct fastcgi_conf *fc = conf;
    return gateway_bind_address(cx, s, fc->address, fastcgi_content, fc, "fastcgi_pass");
}

#define F struct fastcgi_conf
static const struct conf_row rows[] = {
    ROW_FNS("fastcgi_pass", IN_LOCATION | IN_IF, 1, 1, 0, set_pass, NULL, "address",
            "Passes requests to a FastCGI server: host:port, unix:/path, or the name of an upstream."),
    ROW_FNS("fastcgi_param", IN_HTTP_ALL, 2, 3, ROW_LISTED, set_param, NULL, "name value [if_not_empty]",
            "A parameter of requests to the FastCGI server."),
    ROW_STR("fastcgi_index", IN_HTTP_ALL, F, index, "", "File name that $fastcgi_script_name gets behind a slash."),
    ROW_FNS("fastcgi_split_path_info", IN_HTTP_ALL, 1, 1, 0, set_split, NULL, "regex",
            "Splits the URI into $fastcgi_script_name and $fastcgi_path_info."),
    ROW_FLAG("fastcgi_keep_conn", IN_HTTP_ALL, F, request.keep_conn, "off", "Keeps connections to FastCGI servers open."),
    ROW_FNS("fastcgi_catch_stderr", IN_HTTP_ALL, 1, 1, ROW_LISTED, set_catch, NULL, "string",
            "An answer is invalid when the application's standard error holds this."),
};
#undef F

struct feature feature_fastcgi = {
    .name = "fastcgi",
    .rows = rows,
    .nrows = ARRAY_LEN(rows),
    .conf_size = sizeof(struct fastcgi_conf),
    .vars = vars,
    .nvars = ARRAY_LEN(vars),
    .finish = finish,
    .bind = bind_pass,
};
