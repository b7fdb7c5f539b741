// server_name: exact names, *.example.com, .example.com, www.example.*, ~expressions, $hostname.
#include "feature/core/blocks.h"
#include "http/regex.h"
#include <unistd.h>

static struct str host_name(struct conf_cx *cx) {
    char name[256] = "";
    if (gethostname(name, sizeof(name) - 1) != 0)
        return STR("");
    return arena_lower(cx->arena, str_c(name));
}

static bool has_upper(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] >= 'A' && s.p[i] <= 'Z')
            return true;
    }
    return false;
}

static bool take_name(struct conf_cx *cx, const struct conf_row *row, struct server *s, const struct conf_node *node,
                      struct str name) {
    if ((name.n != 0 && name.p[0] == '*' && (name.n < 3 || name.p[1] != '.')) || str_eq(name, STR(".")))
        return conf_err(cx, node, "server name \"" STR_FMT "\" is invalid", STR_ARG(name));
    if (str_chr(name, '/') >= 0)
        conf_warn(cx, node, "server name \"" STR_FMT "\" has suspicious symbols", STR_ARG(name));
    struct server_name *n = conf_list_add(cx, row, &s->names, sizeof *n);
    if (str_eq(name, STR("$hostname")))
        name = host_name(cx);
    if (name.n == 0 || name.p[0] != '~') {
        n->text = arena_lower(cx->arena, name);
        return true;
    }
    if (name.n == 1)
        return conf_err(cx, node, "empty regex in server name \"" STR_FMT "\"", STR_ARG(name));
    n->text = name;
    struct str pattern = str_from(name, 1);
    n->regex = regex_compile(cx, pattern, has_upper(pattern), node); // hosts come in lower case
    return n->regex != NULL;
}

static bool set_server_name(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct server *s = server_being_read(cx);
    if (s->names.count == 0) {
        s->name = str_eq(node->args[1], STR("$hostname")) ? host_name(cx) : node->args[1];
        if (s->name.n > 1 && s->name.p[0] == '.')
            s->name = str_from(s->name, 1);
        if (s->name.n != 0 && s->name.p[0] != '~')
            s->name = arena_lower(cx->arena, s->name);
    }
    for (unsigned i = 1; i < node->nargs; i++) {
        if (!take_name(cx, row, s, node, node->args[i]))
            return false;
    }
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("server_name", IN_SERVER, 1, 0xffff, ROW_REPEAT, set_server_name, NULL, "name ...",
            "The names that this server answers to: exact, with * in front or at the end, or expressions after ~."),
};

struct feature feature_server_name = {.name = "server_name", .rows = rows, .nrows = ARRAY_LEN(rows)};
