// root and alias: where files are.
#include "feature/core/core_rows.h"
#include "http/route.h"

static bool set_path(struct conf_cx *cx, const struct conf_row *row, struct http_core *core, const struct conf_node *node,
                     const char *other) {
    struct str name = node->args[0], path = node->args[1];
    if (conf_was_set(cx, core_row(other)))
        return conf_err(cx, node, "\"" STR_FMT "\" directive is duplicate, \"%s\" directive was specified earlier",
                        STR_ARG(name), other);
    static const char *const circular[] = {"$document_root", "${document_root}", "$realpath_root", "${realpath_root}"};
    for (size_t i = 0; i < ARRAY_LEN(circular); i++) {
        if (str_find(path, str_c(circular[i])) >= 0)
            return conf_err(cx, node, "the $%s variable cannot be used in the \"" STR_FMT "\" directive",
                            i < 2 ? "document_root" : "realpath_root", STR_ARG(name));
    }
    if (!core->is_alias && path.n != 0 && path.p[path.n - 1] == '/')
        path.n--;
    bool whole = path.n == 0 && node->args[1].n != 0; // "/": each URI is a path
    core->root = tmpl_has_var(path) ? tmpl_compile(cx, path, node)
                                    : tmpl_const(cx->arena, whole ? STR("") : conf_full_path(cx, path, false));
    return core->root != NULL;
}

bool bind_root(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct http_core *core = conf, *outer = s->outer != NULL ? scope_conf(s->outer, &feature_http_core) : NULL;
    if (core->root != NULL && (outer == NULL || outer->root != core->root))
        conf_reach_tmpl(cx, core->root, cx->conf->prefix, false, core->is_alias);
    return true;
}

bool set_root(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct http_core *core = conf;
    bool was_alias = conf_was_set(cx, core_row("alias"));
    if (!was_alias)
        core->is_alias = false; // an outer location's
    return set_path(cx, row, core, node, "alias");
}

bool set_alias(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct http_core *core = conf;
    const struct location *l = scope_location(cx->scope);
    if (l->kind == LOCATION_NAMED)
        return conf_err(cx, node, "the \"alias\" directive cannot be used inside the named location");
    if (conf_was_set(cx, core_row("root")))
        return set_path(cx, row, core, node, "root"); // the error
    core->is_alias = true;
    core->alias_skip = l->regex != NULL ? UINT64_MAX : l->text.n;
    return set_path(cx, row, core, node, "root");
}
