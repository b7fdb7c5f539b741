// The rows of the response cache, as families: proxy_cache, fastcgi_cache...
#include "feature/gateway/cache.h"
#include <unistd.h>

static const struct conf_word stale_words[] = {
    {"error", NEXT_ERROR},       {"timeout", NEXT_TIMEOUT}, {"invalid_header", NEXT_INVALID_HEADER},
    {"non_idempotent", NEXT_NON_IDEMPOTENT},
    {"updating", NEXT_UPDATING}, {"http_500", NEXT_500},    {"http_502", NEXT_502},
    {"http_503", NEXT_503},      {"http_504", NEXT_504},    {"http_403", NEXT_403},
    {"http_404", NEXT_404},      {"http_429", NEXT_429},    {"off", NEXT_OFF},
    {NULL, 0},
};

static const struct conf_word method_words[] = {
    {"GET", 1 << METHOD_GET}, {"HEAD", 1 << METHOD_HEAD}, {"POST", 1 << METHOD_POST}, {NULL, 0}};

// --- *_cache_path ----------------------------------------------------------------------------------------------------------

static bool bad_value(struct conf_cx *cx, const struct conf_node *node, const char *name, struct str word) {
    return conf_err(cx, node, "invalid %s value \"" STR_FMT "\"", name, STR_ARG(word));
}

static bool take_levels(struct str value, unsigned char *levels) {
    struct str one;
    size_t n = 0;
    if (value.n == 0)
        return true;
    while (str_split(&value, ':', &one)) {
        if (n == CACHE_LEVELS_MAX || one.n != 1 || (one.p[0] != '1' && one.p[0] != '2'))
            return false;
        levels[n++] = (unsigned char)(one.p[0] - '0');
    }
    return true;
}

static bool take_zone(struct conf_cx *cx, const struct conf_node *node, struct str word, struct str value, struct cache_zone *z) {
    ssize_t colon = str_chr(value, ':');
    if (colon == 0)
        return true; // as if it were not there (nginx)
    if (colon < 0 || !conf_parse_size(str_from(value, (size_t)colon + 1), &z->params.size))
        return conf_err(cx, node, "invalid keys zone size \"" STR_FMT "\"", STR_ARG(word));
    if (z->params.size < 2 * (uint64_t)sysconf(_SC_PAGESIZE))
        return conf_err(cx, node, "keys zone \"" STR_FMT "\" is too small", STR_ARG(word));
    z->name = z->params.name = str_head(value, (size_t)colon);
    return true;
}

// Takes "NAME=" off the front of *value.
static bool is(struct str word, const char *name, struct str *value) {
    size_t n = strlen(name);
    if (!str_starts(word, str_n(name, n)) || word.n <= n || word.p[n] != '=')
        return false;
    *value = str_from(word, n + 1);
    return true;
}

// "loader_files=100" and the like. 0: none of these; else whether it is good.
static int take_pace(struct conf_cx *cx, const struct conf_node *node, struct str word, struct cache_params *p) {
    struct {
        const char *files, *sleep, *threshold;
        struct cache_pace *pace;
    } all[] = {{"loader_files", "loader_sleep", "loader_threshold", &p->loader},
               {"manager_files", "manager_sleep", "manager_threshold", &p->manager},
               {"purger_files", "purger_sleep", "purger_threshold", &p->purger}};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct str value;
        if (is(word, all[i].files, &value))
            return (conf_parse_num(value, &all[i].pace->files) && all[i].pace->files > 0) || bad_value(cx, node, all[i].files, word) ? 1 : -1;
        if (is(word, all[i].sleep, &value))
            return conf_parse_msec(value, &all[i].pace->sleep_ms) || bad_value(cx, node, all[i].sleep, word) ? 1 : -1;
        if (is(word, all[i].threshold, &value))
            return conf_parse_msec(value, &all[i].pace->threshold_ms) || bad_value(cx, node, all[i].threshold, word) ? 1 : -1;
    }
    return 0;
}

static bool is_switch(struct str value) { return str_eq(value, STR("on")) || str_eq(value, STR("off")); }

static bool take_word(struct conf_cx *cx, const struct conf_node *node, struct str word, struct cache_zone *z) {
    struct cache_params *p = &z->params;
    struct str value;
    if (is(word, "levels", &value))
        return take_levels(value, p->levels) || conf_err(cx, node, "invalid \"levels\" \"" STR_FMT "\"", STR_ARG(word));
    if (is(word, "use_temp_path", &value)) // files without a name need no other directory
        return is_switch(value) ||
               conf_err(cx, node, "invalid use_temp_path value \"" STR_FMT "\", it must be \"on\" or \"off\"", STR_ARG(word));
    if (is(word, "keys_zone", &value))
        return take_zone(cx, node, word, value, z);
    if (is(word, "inactive", &value)) {
        int64_t s;
        if (!conf_parse_sec(value, &s))
            return bad_value(cx, node, "inactive", word);
        p->inactive_ms = (uint64_t)s * 1000;
        return true;
    }
    if (is(word, "max_size", &value))
        return conf_parse_offset(value, &p->max_size) || bad_value(cx, node, "max_size", word);
    if (is(word, "min_free", &value))
        return conf_parse_offset(value, &p->min_free) || bad_value(cx, node, "min_free", word);
    if (is(word, "purger", &value))
        return is_switch(value) || conf_err(cx, node, "invalid purger value \"" STR_FMT "\", it must be \"on\" or \"off\"", STR_ARG(word));
    int taken = take_pace(cx, node, word, p);
    return taken > 0 || (taken == 0 && conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(word)));
}

static bool is_new(struct conf_cx *cx, const struct cache_zone *first, const struct cache_zone *z) {
    for (const struct cache_zone *o = first; o != NULL; o = o->next) {
        if (str_eq(o->name, z->name))
            return strcmp(o->family, z->family) == 0
                       ? conf_err(cx, z->node, "duplicate zone \"" STR_FMT "\"", STR_ARG(z->name))
                       : conf_err(cx, z->node, "the shared memory zone \"" STR_FMT "\" is already declared for a different use",
                                  STR_ARG(z->name));
        if (str_eq(o->params.path, z->params.path))
            return conf_err(cx, z->node, "the same path name \"" STR_FMT "\" used in " STR_FMT ":%u and", STR_ARG(z->params.path),
                            STR_ARG(o->node->file->path), o->node->line);
    }
    return true;
}

static bool set_path(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct cache_zone *z = arena_new(cx->arena, struct cache_zone);
    *z = (struct cache_zone){
        .family = cx->feature->family,
        .node = node,
        .params = {.inactive_ms = 600000, .loader = {100, 50, 200}, .manager = {100, 50, 200}, .purger = {10, 50, 50}},
    };
    struct str path = conf_full_path(cx, node->args[1], false);
    while (path.n > 1 && path.p[path.n - 1] == '/')
        path = arena_dup(cx->arena, str_head(path, path.n - 1));
    z->params.path = path;
    if (path.n > PATH_MAX - 128)
        return conf_err(cx, node, "the path \"" STR_FMT "\" is too long", STR_ARG(path));
    for (unsigned i = 2; i < node->nargs; i++) {
        if (!take_word(cx, node, node->args[i], z))
            return false;
    }
    if (z->name.n == 0)
        return conf_err(cx, node, "\"" STR_FMT "\" must have \"keys_zone\" parameter", STR_ARG(node->args[0]));
    struct cache_zones *all = cache_zones_of(cx->scope);
    if (!is_new(cx, all->first, z))
        return false;
    z->next = all->first;
    all->first = z;
    conf_needs_directory(cx, path);
    return true;
}

// --- others ----------------------------------------------------------------------------------------------------------------

struct pair {
    struct feature *cache, *gateway;
};
static const struct pair pairs[] = {{&feature_cache_proxy, &feature_gateway_proxy}, {&feature_cache_fastcgi, &feature_gateway_fastcgi},
                                    {&feature_cache_uwsgi, &feature_gateway_uwsgi}, {&feature_cache_scgi, &feature_gateway_scgi}};

bool cache_is_set(struct conf_cx *cx) {
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        const struct cache_conf *c = scope_conf(cx->scope, pairs[i].cache);
        if (pairs[i].gateway == cx->feature)
            return c->on && c->set == cx->scope;
    }
    return false;
}

static bool store_is_set(struct conf_cx *cx) {
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        const struct gateway_conf *gw = scope_conf(cx->scope, pairs[i].gateway);
        if (pairs[i].cache == cx->feature)
            return gw->store_set == cx->scope;
    }
    return false;
}

static bool set_cache(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct cache_conf *c = conf;
    struct str name = node->args[1];
    c->on = !str_eq(name, STR("off"));
    c->name = NULL;
    c->zone = NULL;
    c->zone_name = name;
    c->node = node;
    c->set = cx->scope;
    if (c->on && store_is_set(cx))
        return conf_err(cx, node, "\"%s_cache\" directive is incompatible with \"%s_store\"", cx->feature->family, cx->feature->family);
    if (!c->on || !tmpl_has_var(name))
        return true;
    c->name = tmpl_compile(cx, name, node);
    return c->name != NULL;
}

static bool set_valid(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct cache_conf *c = conf;
    static const unsigned usual[] = {200, 301, 302};
    int64_t seconds;
    if (!conf_parse_sec(node->args[node->nargs - 1], &seconds))
        return conf_err(cx, node, "invalid time value \"" STR_FMT "\"", STR_ARG(node->args[node->nargs - 1]));
    for (size_t i = 0; node->nargs == 2 && i < ARRAY_LEN(usual); i++)
        *(struct cache_valid *)conf_list_add(cx, row, &c->valid, sizeof(struct cache_valid)) = (struct cache_valid){usual[i], seconds};
    for (unsigned i = 1; i + 1 < node->nargs; i++) {
        uint64_t status = 0;
        if (!str_eq(node->args[i], STR("any")) && (!str_u64(node->args[i], 599, &status) || status < 100))
            return conf_err(cx, node, "invalid status \"" STR_FMT "\"", STR_ARG(node->args[i]));
        *(struct cache_valid *)conf_list_add(cx, row, &c->valid, sizeof(struct cache_valid)) = (struct cache_valid){(unsigned)status, seconds};
    }
    return true;
}

static bool set_bypass(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return gateway_add_conditions(cx, row, &((struct cache_conf *)conf)->bypass, node);
}
static bool set_no_cache(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return gateway_add_conditions(cx, row, &((struct cache_conf *)conf)->no_cache, node);
}
// "PURGE from 127.0.0.1" or "zone $uri" mean something else in a module that many have; taken as conditions, they would make each
// request a purge.
static bool set_purge(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct str first = node->args[1];
    if (!tmpl_has_var(first) && first.n != 0 && !str_eq(first, STR("0")) && !str_eq(first, STR("1")))
        return conf_err_hint(cx, node,
                             STR("this is the syntax of the module ngx_cache_purge; here a variable says whether the request purges its "
                                 "own key: map $request_method $purge { PURGE 1; default 0; }"),
                             "invalid value \"" STR_FMT "\"", STR_ARG(first));
    return gateway_add_conditions(cx, row, &((struct cache_conf *)conf)->purge, node);
}

static bool set_range_offset(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return conf_parse_offset(node->args[1], &((struct cache_conf *)conf)->max_range_offset) ||
           conf_err(cx, node, "\"" STR_FMT "\" directive invalid value", STR_ARG(node->args[0]));
}

static bool finish(struct conf_cx *cx, struct scope *s, void *conf) {
    struct cache_conf *c = conf;
    if (s->outer == NULL)
        c->max_range_offset = UINT64_MAX;
    c->methods |= 1u << METHOD_GET | 1u << METHOD_HEAD;
    if (c->use_stale & NEXT_OFF)
        c->use_stale = NEXT_OFF;
    if (c->on && c->key == NULL && strcmp(cx->feature->family, "proxy") != 0)
        conf_warn(cx, c->node, "no \"%s_cache_key\" for \"%s_cache\"", cx->feature->family, cx->feature->family);
    return true;
}

// Zones may be declared behind their use.
static bool bind_zone(struct conf_cx *cx, struct scope *s, void *conf) {
    struct cache_conf *c = conf;
    if (!c->on || c->name != NULL || c->zone != NULL)
        return true;
    for (struct cache_zone *z = cache_zones_of(s)->first; z != NULL; z = z->next) {
        if (!str_eq(z->name, c->zone_name))
            continue;
        if (strcmp(z->family, cx->feature->family) != 0)
            return conf_err(cx, z->node, "the shared memory zone \"" STR_FMT "\" is already declared for a different use", STR_ARG(z->name));
        c->zone = z;
    }
    return c->zone != NULL ||
           conf_err(cx, c->node, "\"%s_cache\" zone \"" STR_FMT "\" is unknown", cx->feature->family, STR_ARG(c->zone_name));
}

#define C struct cache_conf
static const struct conf_row rows[] = {
    ROW_FNS("*_cache_path", IN_HTTP, 2, 0xffff, ROW_REPEAT, set_path, NULL,
            "path [levels=levels] [use_temp_path=on|off] keys_zone=name:size [inactive=time] [max_size=size] [min_free=size] "
            "[manager_files=number] [manager_sleep=time] [manager_threshold=time] [loader_files=number] [loader_sleep=time] "
            "[loader_threshold=time] [purger=on|off] [purger_files=number] [purger_sleep=time] [purger_threshold=time]",
            "A cache: where its files are, how much memory its keys may take, and what may be removed when."),
    ROW_FNS("*_cache", IN_HTTP_ALL, 1, 1, 0, set_cache, NULL, "zone | off", "The cache that keeps responses, declared by *_cache_path."),
    ROW_TMPL("*_cache_key", IN_HTTP_ALL, C, key, NULL, "What a response is kept under."),
    ROW_FNS("*_cache_valid", IN_HTTP_ALL, 1, 0xffff, ROW_LISTED, set_valid, NULL, "[code ...] time",
            "For how long responses are kept that do not say it themselves; without codes those with 200, 301 and 302."),
    ROW_FNS("*_cache_bypass", IN_HTTP_ALL, 1, 0xffff, ROW_LISTED, set_bypass, NULL, "string ...",
            "The back end is asked, whatever the cache has, if any of these is neither empty nor \"0\"."),
    ROW_FNS("*_no_cache", IN_HTTP_ALL, 1, 0xffff, ROW_LISTED, set_no_cache, NULL, "string ...",
            "The response is not kept if any of these is neither empty nor \"0\"."),
    ROW_FNS("*_cache_purge", IN_HTTP_ALL, 1, 0xffff, ROW_LISTED, set_purge, NULL, "string ...",
            "The request removes what is kept under its key, or with a final * all keys that begin so, if any of these is neither empty nor \"0\": 204, or 404."),
    ROW_BITS("*_cache_methods", IN_HTTP_ALL, C, methods, "GET HEAD", method_words,
             "Methods of requests whose responses are kept; GET and HEAD always are."),
    ROW_BITS("*_cache_use_stale", IN_HTTP_ALL, C, use_stale, "off", stale_words,
             "When a response that is too old is used all the same."),
    ROW_NUM("*_cache_min_uses", IN_HTTP_ALL, C, min_uses, "1", 0, 0, "How many requests there must be before a response is kept."),
    ROW_FLAG("*_cache_lock", IN_HTTP_ALL, C, lock, "off",
             "Of several requests for what is not there one asks the back end; the others read its response while it comes."),
    ROW_MSEC("*_cache_lock_timeout", IN_HTTP_ALL, C, lock_timeout, "5s", 0, 0,
             "How long a request waits for the head of that response; then it asks by itself, and its response is not kept."),
    ROW_MSEC("*_cache_lock_age", IN_HTTP_ALL, C, lock_age, "5s", 0, 0,
             "After how long without a response one more request may ask the back end."),
    ROW_FLAG("*_cache_revalidate", IN_HTTP_ALL, C, revalidate, "off",
             "Asks whether a response that is too old has changed, by If-Modified-Since and If-None-Match."),
    ROW_FLAG("*_cache_background_update", IN_HTTP_ALL, C, background_update, "off",
             "Renews a response that is too old beside a request that gets the old one."),
    ROW_FNS("*_cache_max_range_offset", IN_HTTP_ALL, 1, 1, 0, set_range_offset, NULL, "number",
            "Requests for a Range that begins behind this byte are passed on as they are, and not kept."),
    ROW_FLAG("*_cache_convert_head", IN_HTTP_ALL, C, convert_head, "on", "Asks the back end for the whole by GET when a client sends HEAD."),
};
#undef C
enum { CGI_ROWS = ARRAY_LEN(rows) - 1 }; // HEAD is converted for HTTP only

#define FAMILY(word, count)                                                                                            \
    struct feature feature_cache_##word = {                                                                            \
        .name = #word " cache",                                                                                        \
        .family = #word,                                                                                               \
        .rows = rows,                                                                                                  \
        .nrows = count,                                                                                                \
        .conf_size = sizeof(struct cache_conf),                                                                        \
        .finish = finish,                                                                                              \
        .bind = bind_zone,                                                                                             \
    }
FAMILY(proxy, ARRAY_LEN(rows));
FAMILY(fastcgi, CGI_ROWS);
FAMILY(uwsgi, CGI_ROWS);
FAMILY(scgi, CGI_ROWS);
