// map source $variable { ... }: a value that depends on another one.
#include "base/host_map.h"
#include "http/regex.h"
#include "http/req.h"

struct map_regex {
    struct regex *regex;
    struct tmpl *value;
};

struct value_map {
    struct tmpl *source;
    struct host_map names; // without hostnames: only its exact names; case does not count
    struct conf_list regexes; // struct map_regex, in order
    struct tmpl *dflt;        // NULL: empty
    bool hostnames;
};

// --- asking ----------------------------------------------------------------------------------------------------------------

static const struct tmpl *find(const struct value_map *m, struct str key, struct req *r) {
    struct str name = key;
    if (m->hostnames && name.n != 0 && name.p[name.n - 1] == '.')
        name.n--;
    const struct tmpl *value = m->hostnames ? host_map_find(&m->names, name) : map_get(&m->names.exact, name);
    if (value != NULL || key.n == 0)
        return value != NULL ? value : m->dflt;
    conf_list_each(const struct map_regex, re, m->regexes) {
        if (regex_match_req(re->regex, key, r))
            return re->value;
    }
    return m->dflt;
}

static bool get_mapped(struct eval *e, const struct var *v, struct str *out) {
    const struct value_map *m = (const struct value_map *)v->data;
    const struct tmpl *value = find(m, tmpl_eval(m->source, e), e->req);
    *out = value != NULL ? tmpl_eval(value, e) : STR("");
    return true;
}

// --- reading ---------------------------------------------------------------------------------------------------------------

static bool add_regex(struct conf_cx *cx, struct value_map *m, const struct conf_node *n, struct tmpl *value) {
    struct str pattern = str_from(n->args[0], 1);
    bool nocase = pattern.n != 0 && pattern.p[0] == '*';
    struct regex *re = regex_compile(cx, str_from(pattern, nocase), nocase, n);
    if (re == NULL)
        return false;
    *(struct map_regex *)conf_list_add(cx, NULL, &m->regexes, sizeof(struct map_regex)) = (struct map_regex){re, value};
    return true;
}

static bool add_name(struct conf_cx *cx, struct value_map *m, const struct conf_node *n, struct tmpl *value) {
    struct str key = n->args[0];
    if (key.n != 0 && key.p[0] == '\\')
        key = str_from(key, 1);
    if (m->hostnames && !host_map_valid(key))
        return conf_err(cx, n, "invalid hostname or wildcard \"" STR_FMT "\"", STR_ARG(key));
    bool fresh = m->hostnames ? host_map_add(&m->names, key, value) : map_get(&m->names.exact, key) == NULL;
    if (!fresh)
        return conf_err(cx, n, "conflicting parameter \"" STR_FMT "\"", STR_ARG(key));
    if (!m->hostnames)
        map_put(&m->names.exact, key, value);
    return true;
}

static bool add_entry(struct conf_cx *cx, struct value_map *m, unsigned *flags, const struct conf_node *n) {
    struct str key = n->args[0];
    if (n->block)
        return conf_err(cx, n, "unexpected \"{\"");
    if (n->nargs == 1 && str_eq(key, STR("hostnames"))) {
        m->hostnames = true;
        return true;
    }
    if (n->nargs == 1 && str_eq(key, STR("volatile"))) {
        *flags |= VAR_VOLATILE;
        return true;
    }
    if (n->nargs != 2)
        return conf_err(cx, n, "invalid number of the map parameters");
    struct tmpl *value = tmpl_compile(cx, n->args[1], n);
    if (value == NULL)
        return false;
    if (str_eq(key, STR("default"))) {
        if (m->dflt != NULL)
            return conf_err(cx, n, "duplicate default map parameter");
        m->dflt = value;
        return true;
    }
    return key.n != 0 && key.p[0] == '~' ? add_regex(cx, m, n, value) : add_name(cx, m, n, value);
}

static void free_map(void *arg) { host_map_done(&((struct value_map *)arg)->names); }

static bool set_map(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct str name = node->args[2];
    struct value_map *m = arena_new(cx->arena, struct value_map);
    host_map_init(&m->names, true, cx->conf->seed);
    arena_cleanup(cx->arena, free_map, m);
    m->source = tmpl_compile(cx, node->args[1], node);
    if (m->source == NULL)
        return false;
    if (name.n < 2 || name.p[0] != '$')
        return conf_err(cx, node, "invalid variable name \"" STR_FMT "\"", STR_ARG(name));
    unsigned flags = VAR_CHANGEABLE;
    bool ok = true;
    for (const struct conf_node *n = node->children; n != NULL; n = n->next)
        ok &= add_entry(cx, m, &flags, n);
    return var_make(cx, str_from(name, 1), flags, get_mapped, NULL, (uintptr_t)m, node) != NULL && ok;
}

static const struct conf_row rows[] = {
    ROW_DATA("map", IN_HTTP, 2, 2, ROW_REPEAT, set_map,
             "Makes a variable whose value is looked up by another value: by strings, host names or expressions."),
    ROW_NOOP_OF("map_hash_max_size", IN_HTTP, conf_set_num, "Tables of map grow by themselves."),
    ROW_NOOP_OF("map_hash_bucket_size", IN_HTTP, conf_set_num, "Tables of map grow by themselves."),
};

struct feature feature_map = {.name = "map", .rows = rows, .nrows = ARRAY_LEN(rows)};
