// limit_except method ... { }: what holds for all other methods. The block takes the place of its location then; the
// location's rewrite directives do not run (nginx).
#include "http/route.h"

static const enum method methods[] = {METHOD_GET,     METHOD_HEAD,     METHOD_POST,      METHOD_PUT,  METHOD_DELETE,
                                      METHOD_MKCOL,   METHOD_COPY,     METHOD_MOVE,      METHOD_OPTIONS, METHOD_PROPFIND,
                                      METHOD_PROPPATCH, METHOD_LOCK,   METHOD_UNLOCK,    METHOD_PATCH};

static bool take_method(struct location *l, struct str name) {
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (!str_ieq(name, method_name(methods[i])))
            continue;
        l->unlimited_methods |= 1u << methods[i];
        if (methods[i] == METHOD_GET)
            l->unlimited_methods |= 1u << METHOD_HEAD;
        return true;
    }
    return false;
}

static bool open_limit_except(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node,
                              struct scope *inner) {
    struct location *l = cx->scope->data;
    if (l->limited != NULL)
        return conf_err(cx, node, "\"limit_except\" directive is duplicate");
    l->limited = inner;
    for (unsigned i = 1; i < node->nargs; i++) {
        if (!take_method(l, node->args[i]))
            return conf_err(cx, node, "invalid method \"" STR_FMT "\"", STR_ARG(node->args[i]));
    }
    return true;
}

static const struct conf_row rows[] = {
    ROW_BLOCK("limit_except", IN_LOCATION, 1, 0xffff, IN_LIMIT_EXCEPT, open_limit_except,
              "Holds what is in force for requests with any other method; GET includes HEAD."),
};

struct feature feature_limit_except = {.name = "limit_except", .rows = rows, .nrows = ARRAY_LEN(rows)};
