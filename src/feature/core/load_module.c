// load_module: weir loads nothing. A module whose work is built in is passed over silently; of others a warning says what weir
// offers instead, and their directives fail as unknown ones do.
#include "conf/conf.h"

struct module {
    const char *name; // of the file, without "ngx_", "_module.so" and a "_filter" or "_static" in between
    const char *instead; // NULL: built in
};

static const struct module modules[] = {
    {"http_acme", "certificates come from files that weir reads anew when they change"},
    {"http_auth_pam", "auth_request asks another service"},
    {"http_auth_spnego", "auth_request asks another service"},
    {"http_brotli", NULL},
    {"http_cache_purge", "proxy_cache_purge is the directive that nginx documents"},
    {"http_dav_ext", "dav_methods has PUT, DELETE, MKCOL, COPY and MOVE"},
    {"http_echo", "return answers with a text"},
    {"http_fancyindex", "autoindex lists directories as HTML, XML or JSON"},
    {"http_geoip", "map and geo choose by address"},
    {"http_geoip2", "map and geo choose by address"},
    {"http_headers_more", "add_header, proxy_hide_header and proxy_set_header change fields"},
    {"http_image", "images are passed as they are"},
    {"http_js", "map, auth_request and sub_filter need no script"},
    {"http_lua", "map, auth_request and sub_filter need no script"},
    {"http_modsecurity", "a firewall can be asked with auth_request"},
    {"http_naxsi", "a firewall can be asked with auth_request"},
    {"http_ndk", "it is part of script modules"},
    {"http_perl", "map, auth_request and sub_filter need no script"},
    {"http_subs", "sub_filter replaces text"},
    {"http_upload", "request bodies are passed to a back end"},
    {"http_uploadprogress", "request bodies are passed to a back end"},
    {"http_vhost_traffic_status", "stub_status counts connections and requests"},
    {"http_xslt", "XML is passed as it is"},
    {"http_zstd", NULL},
    {"mail", "weir speaks HTTP"},
    {"nchan", "a back end can push events through proxy_pass"},
    {"otel", "access logs can have the variables of a trace"},
    {"rtmp", "weir speaks HTTP"},
    {"stream", "weir speaks HTTP"},
    {"stream_geoip", "weir speaks HTTP"},
    {"stream_js", "weir speaks HTTP"},
};

static void cut_end(struct str *s, struct str end) {
    if (str_ends(*s, end))
        s->n -= end.n;
}

static const struct module *find_module(struct str file) {
    struct str name = str_from(file, (size_t)(str_rchr(file, '/') + 1));
    cut_end(&name, STR(".so"));
    cut_end(&name, STR("_module"));
    cut_end(&name, STR("_filter"));
    cut_end(&name, STR("_static"));
    if (str_starts(name, STR("ngx_")))
        name = str_from(name, 4);
    if (str_eq(name, STR("ndk_http")))
        name = STR("http_ndk");
    for (size_t i = 0; i < ARRAY_LEN(modules); i++) {
        if (str_eq(name, str_c(modules[i].name)))
            return &modules[i];
    }
    return NULL;
}

static bool load_module(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct str file = node->args[1];
    const struct module *m = find_module(file);
    if (m == NULL)
        conf_warn(cx, node, "\"" STR_FMT "\" is not loaded: weir has its modules built in, and none of that name", STR_ARG(file));
    else if (m->instead != NULL)
        conf_warn(cx, node, "\"" STR_FMT "\" is not loaded: weir has no such module; %s", STR_ARG(file), m->instead);
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("load_module", IN_MAIN, 1, 1, ROW_REPEAT, load_module, NULL, "file",
            "Accepted for nginx's sake: weir has its modules built in. Of a module that it lacks a warning says what there is "
            "instead."),
};

struct feature feature_load_module = {.name = "load_module", .rows = rows, .nrows = ARRAY_LEN(rows)};
