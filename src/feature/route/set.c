// set $variable value.
#include "feature/route/rewrite.h"
#include "feature/route/script.h"

struct set {
    const struct var *var;
    struct script_value *value;
};

static enum script_step run_set(struct script_run *run, const void *data) {
    const struct set *s = data;
    struct str value;
    if (!script_value_get(run, s->value, &value, NULL)) {
        answer_status(run->r, 500);
        return SCRIPT_ANSWER;
    }
    if (s->var->set != NULL)
        s->var->set(&run->r->eval, s->var, value);
    else
        var_put(&run->r->eval, s->var, value);
    return SCRIPT_NEXT;
}

// Asked for before any `set` ran.
static bool get_unset(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = e->req;
    if (((const struct rewrite_conf *)req_conf(r, &feature_rewrite))->warn)
        log_msg(LOG_WARN, 0, "using uninitialized \"" STR_FMT "\" variable", STR_ARG(v->name));
    *out = STR("");
    return true;
}

static bool set_set(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct str name = node->args[1];
    if (name.n < 2 || name.p[0] != '$')
        return conf_err(cx, node, "invalid variable name \"" STR_FMT "\"", STR_ARG(name));
    struct set *s = script_add(cx, cx->scope, node, run_set, sizeof(*s));
    s->var = var_make(cx, str_from(name, 1), VAR_CHANGEABLE | VAR_WEAK, get_unset, NULL, 0, node);
    if (s->var == NULL)
        return false;
    s->value = script_value_new(cx, node->args[2], false, node);
    return s->value != NULL;
}

static const struct conf_row rows[] = {
    ROW_FNS("set", IN_SERVER | IN_SERVER_IF | IN_LOCATION | IN_IF, 2, 2, ROW_REPEAT, set_set, NULL, "$variable value",
            "Gives a variable a value."),
};

struct feature feature_set = {.name = "set", .rows = rows, .nrows = ARRAY_LEN(rows)};
