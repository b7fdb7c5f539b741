// location [=|^~|~|~*] uri { } and location @name { }: what answers for a part of the URIs.
#include "feature/core/blocks.h"
#include "http/regex.h"

struct modifier {
    const char *text;
    enum location_kind kind;
};
static const struct modifier modifiers[] = {
    {"=", LOCATION_EXACT}, {"^~", LOCATION_PREFIX_FINAL}, {"~*", LOCATION_REGEX_NOCASE}, {"~", LOCATION_REGEX},
};

static bool is_regex(enum location_kind k) { return k == LOCATION_REGEX || k == LOCATION_REGEX_NOCASE; }

// "= /x", and "=/x" in one word.
static bool take_text(struct conf_cx *cx, const struct conf_node *node, struct location *l) {
    if (node->nargs == 3) {
        for (size_t i = 0; i < ARRAY_LEN(modifiers); i++) {
            if (!str_eq(node->args[1], str_c(modifiers[i].text)))
                continue;
            l->kind = modifiers[i].kind;
            l->text = node->args[2];
            return true;
        }
        return conf_err(cx, node, "invalid location modifier \"" STR_FMT "\"", STR_ARG(node->args[1]));
    }
    l->text = node->args[1];
    l->kind = l->text.n != 0 && l->text.p[0] == '@' ? LOCATION_NAMED : LOCATION_PREFIX;
    for (size_t i = 0; i < ARRAY_LEN(modifiers); i++) {
        struct str m = str_c(modifiers[i].text);
        if (!str_starts(l->text, m))
            continue;
        l->kind = modifiers[i].kind;
        l->text = str_from(l->text, m.n);
        break;
    }
    return true;
}

static bool check_nesting(struct conf_cx *cx, const struct conf_node *node, const struct location *l,
                          const struct location *outer) {
    struct str o = outer->text;
    if (outer->kind == LOCATION_EXACT)
        return conf_err(cx, node, "location \"" STR_FMT "\" cannot be inside the exact location \"" STR_FMT "\"",
                        STR_ARG(l->text), STR_ARG(o));
    if (outer->kind == LOCATION_NAMED)
        return conf_err(cx, node, "location \"" STR_FMT "\" cannot be inside the named location \"" STR_FMT "\"",
                        STR_ARG(l->text), STR_ARG(o));
    if (l->kind == LOCATION_NAMED)
        return conf_err(cx, node, "named location \"" STR_FMT "\" can be on the server level only", STR_ARG(l->text));
    if (!is_regex(l->kind) && !str_starts(l->text, o))
        return conf_err(cx, node, "location \"" STR_FMT "\" is outside location \"" STR_FMT "\"", STR_ARG(l->text),
                        STR_ARG(o));
    return true;
}

static bool open_location(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node,
                          struct scope *inner) {
    struct location *l = arena_new(cx->arena, struct location);
    l->scope = inner;
    inner->data = l;
    if (!take_text(cx, node, l))
        return false;
    if (is_regex(l->kind)) {
        l->regex = regex_compile(cx, l->text, l->kind == LOCATION_REGEX_NOCASE, node);
        if (l->regex == NULL)
            return false;
    }
    if (cx->scope->place != IN_LOCATION)
        return route_add(cx, server_being_read(cx)->routes, l, node);
    struct location *outer = cx->scope->data;
    if (!check_nesting(cx, node, l, outer))
        return false;
    if (outer->inner == NULL)
        outer->inner = routes_new(cx->arena);
    return route_add(cx, outer->inner, l, node);
}

static const struct conf_row rows[] = {
    ROW_BLOCK("location", IN_SERVER | IN_LOCATION, 1, 2, IN_LOCATION, open_location,
              "What answers for URIs with that beginning, for exactly that URI (=), for those that match an expression "
              "(~, ~* without regard to case), or by name (@) for internal redirects."),
};

struct feature feature_location = {.name = "location", .rows = rows, .nrows = ARRAY_LEN(rows)};
