// valid_referers: which pages may refer to these; $invalid_referer is "1" for others.
#include "base/host_map.h"
#include "http/regex.h"
#include "http/vhost.h"

struct referers {
    const struct scope *where;
    struct host_map hosts;    // -> struct str: what the path must begin with
    struct conf_list regexes; // struct regex *, of what follows "http://"
    struct conf_list names;   // struct regex *, of host names (server_names)
    bool none, blocked, server_names;
};

struct referers_conf {
    struct referers *own; // NULL: every referer is valid
};

struct feature feature_valid_referers;

enum { HOST_MAX = 256 };

// --- asking ------------------------------------------------------------------------------------------------------------------

typedef struct regex *regex_ptr;

static bool any_matches(const struct conf_list *list, struct str text) {
    size_t ov[2 * REGEX_CAPTURES_MAX];
    unsigned pairs;
    conf_list_each(const regex_ptr, re, *list) {
        if (regex_match(*re, text, ov, &pairs))
            return true;
    }
    return false;
}

// What is behind "http://" or "https://"; false: no such beginning, or next to nothing behind it (nginx).
static bool without_scheme(struct str referer, struct str *rest) {
    size_t n = str_istarts(referer, STR("http://")) ? 7 : str_istarts(referer, STR("https://")) ? 8 : 0;
    *rest = str_from(referer, n);
    return n != 0 && rest->n != 0 && referer.n >= strlen("http://i.ru");
}

static bool is_valid(const struct referers *v, const struct req *r) {
    const struct field *f = head_find(&r->in, FIELD_REFERER);
    struct str rest;
    if (f == NULL)
        return v->none;
    if (!without_scheme(f->value, &rest))
        return v->blocked;
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != ':')
        n++;
    if (n > HOST_MAX)
        return false;
    struct str host = str_head(rest, n), path = str_from(rest, n);
    const struct str *prefix = host_map_find(&v->hosts, host);
    if (prefix == NULL)
        return any_matches(&v->names, host) || any_matches(&v->regexes, rest);
    while (path.n != 0 && path.p[0] != '/')
        path = str_from(path, 1);
    return prefix->n == 0 || str_starts(path, *prefix);
}

static bool get_invalid(struct eval *e, const struct var *v, struct str *out) {
    const struct req *r = e->req;
    const struct referers_conf *c = req_conf(r, &feature_valid_referers);
    *out = c->own == NULL || is_valid(c->own, r) ? STR("") : STR("1");
    return true;
}

// --- reading -----------------------------------------------------------------------------------------------------------------

static void free_referers(void *arg) { host_map_done(&((struct referers *)arg)->hosts); }

static struct referers *own(struct conf_cx *cx, struct referers_conf *c) {
    if (c->own == NULL || c->own->where != cx->scope) {
        c->own = arena_new(cx->arena, struct referers);
        c->own->where = cx->scope;
        host_map_init(&c->own->hosts, true, cx->conf->seed);
        arena_cleanup(cx->arena, free_referers, c->own);
    }
    return c->own;
}

static bool add_regex(struct conf_cx *cx, struct conf_list *list, struct str text, const struct conf_node *node) {
    struct str pattern = str_from(text, 1);
    if (pattern.n == 0)
        return conf_err(cx, node, "empty regex in \"" STR_FMT "\"", STR_ARG(text));
    struct regex *re = regex_compile(cx, pattern, true, node);
    if (re != NULL)
        *(struct regex **)conf_list_add(cx, NULL, list, sizeof(re)) = re;
    return re != NULL;
}

static bool add_host(struct conf_cx *cx, struct referers *v, struct str host, struct str path, const struct conf_node *node) {
    struct str *prefix = arena_new(cx->arena, struct str);
    *prefix = path;
    if (!host_map_valid(host))
        return conf_err(cx, node, "invalid hostname or wildcard \"" STR_FMT "\"", STR_ARG(host));
    if (!host_map_add(&v->hosts, host, prefix))
        return conf_err(cx, node, "conflicting parameter \"" STR_FMT "\"", STR_ARG(host));
    return true;
}

static bool add_word(struct conf_cx *cx, struct referers *v, struct str word, const struct conf_node *node) {
    if (word.n == 0)
        return conf_err(cx, node, "invalid referer \"\"");
    if (str_eq(word, STR("none")))
        v->none = true;
    else if (str_eq(word, STR("blocked")))
        v->blocked = true;
    else if (str_eq(word, STR("server_names")))
        v->server_names = true;
    else if (word.p[0] == '~')
        return add_regex(cx, &v->regexes, word, node);
    else {
        ssize_t slash = str_chr(word, '/');
        size_t n = slash < 0 ? word.n : (size_t)slash;
        return add_host(cx, v, str_head(word, n), str_from(word, n), node);
    }
    return true;
}

static bool set_referers(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct referers *v = own(cx, conf);
    for (unsigned i = 1; i < node->nargs; i++) {
        if (!add_word(cx, v, node->args[i], node))
            return false;
    }
    return true;
}

static bool add_server_names(struct conf_cx *cx, const struct scope *s, struct referers *v) {
    while (s->place != IN_SERVER)
        s = s->outer;
    const struct server *server = s->data;
    conf_list_each(const struct server_name, n, server->names) {
        if (n->regex != NULL)
            *(struct regex **)conf_list_add(cx, NULL, &v->names, sizeof(n->regex)) = n->regex;
        else if (!add_host(cx, v, n->text, STR(""), s->node))
            return false;
    }
    return true;
}

static bool bind_referers(struct conf_cx *cx, struct scope *s, void *conf) {
    struct referers_conf *c = conf;
    struct referers *v = c->own;
    if (v == NULL || v->where != s)
        return true;
    if (v->server_names && !add_server_names(cx, s, v))
        return false;
    bool any = v->hosts.exact.count + v->hosts.head.count + v->hosts.tail.count != 0;
    if ((v->none || v->blocked) && !any)
        return conf_err(cx, s->node, "the \"none\" or \"blocked\" referers are specified in the \"valid_referers\" directive without any "
                                     "valid referer");
    return true;
}

static const struct var_def vars[] = {
    {"invalid_referer", false, 0, get_invalid, NULL, 0, "\"1\" when the Referer is none of valid_referers, else empty."},
};
static const struct conf_row rows[] = {
    ROW_FNS("valid_referers", IN_SERVER | IN_LOCATION, 1, 0xffff, ROW_REPEAT, set_referers, NULL,
            "none | blocked | server_names | string ...", "Which referers leave $invalid_referer empty."),
    ROW_NOOP_OF("referer_hash_max_size", IN_SERVER | IN_LOCATION, conf_set_num, "Tables of referers grow by themselves."),
    ROW_NOOP_OF("referer_hash_bucket_size", IN_SERVER | IN_LOCATION, conf_set_num, "Tables of referers grow by themselves."),
};

struct feature feature_valid_referers = {.name = "valid_referers",
                                         .rows = rows,
                                         .nrows = ARRAY_LEN(rows),
                                         .conf_size = sizeof(struct referers_conf),
                                         .vars = vars,
                                         .nvars = ARRAY_LEN(vars),
                                         .bind = bind_referers};
