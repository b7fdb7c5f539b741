// split_clients string $variable { 20% a; 30.5% b; * c; }: a value for a share of all requests, by a hash of the string that
// is the same as nginx's, so that a client keeps its share.
#include "base/hash.h"
#include "http/req.h"

struct share {
    uint32_t below; // hashes below it have the value; 0: all others ("*")
    struct str value;
};

struct split {
    struct tmpl *source;
    struct share *at;
    unsigned count;
};

static bool get_share(struct eval *e, const struct var *v, struct str *out) {
    const struct split *s = (const struct split *)v->data;
    uint32_t hash = hash_murmur2(tmpl_eval(s->source, e));
    for (unsigned i = 0; i < s->count; i++) {
        if (s->at[i].below == 0 || hash < s->at[i].below) {
            *out = s->at[i].value;
            return true;
        }
    }
    *out = STR("");
    return true;
}

// "20%", "0.5%", "33.33%" in hundredths of a percent; 0 when malformed.
static unsigned parse_percent(struct str s) {
    if (s.n < 2 || s.p[s.n - 1] != '%')
        return 0;
    s.n--;
    ssize_t point = str_chr(s, '.');
    struct str whole = point < 0 ? s : str_head(s, (size_t)point), part = point < 0 ? STR("") : str_from(s, (size_t)point + 1);
    uint64_t n = 0, hundredths = 0;
    if (part.n > 2 || (whole.n != 0 && !str_u64(whole, 1000000, &n)) || (part.n != 0 && !str_u64(part, 99, &hundredths)) ||
        whole.n + part.n == 0)
        return 0;
    return (unsigned)(n * 100 + hundredths * (part.n == 1 ? 10 : 1));
}

static bool add_share(struct conf_cx *cx, struct split *s, unsigned *sum, uint64_t *below, const struct conf_node *n) {
    if (n->block)
        return conf_err(cx, n, "unexpected \"{\"");
    if (n->nargs < 2)
        return conf_err(cx, n, "invalid number of the split_clients parameters");
    if (n->nargs > 2)
        conf_warn(cx, n, "only the first word of a split_clients value counts");
    struct share *share = &s->at[s->count++];
    share->value = n->args[1];
    if (str_eq(n->args[0], STR("*"))) {
        *sum = 10000; // all that is left
        return true;
    }
    unsigned hundredths = parse_percent(n->args[0]);
    if (hundredths == 0)
        return conf_err(cx, n, "invalid percent value \"" STR_FMT "\"", STR_ARG(n->args[0]));
    *sum += hundredths;
    if (*sum > 10000)
        return conf_err(cx, NULL, "percent total is greater than 100%%");
    *below += hundredths * (uint64_t)UINT32_MAX / 10000;
    share->below = (uint32_t)*below;
    return true;
}

static bool set_split(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct str name = node->args[2];
    struct split *s = arena_new(cx->arena, struct split);
    s->source = tmpl_compile(cx, node->args[1], node);
    if (s->source == NULL)
        return false;
    if (name.n < 2 || name.p[0] != '$')
        return conf_err(cx, node, "invalid variable name \"" STR_FMT "\"", STR_ARG(name));
    if (var_make(cx, str_from(name, 1), VAR_CHANGEABLE, get_share, NULL, (uintptr_t)s, node) == NULL)
        return false;
    size_t count = 0;
    for (const struct conf_node *n = node->children; n != NULL; n = n->next)
        count++;
    s->at = arena_array(cx->arena, struct share, count + 1);
    unsigned sum = 0;
    uint64_t below = 0;
    for (const struct conf_node *n = node->children; n != NULL; n = n->next) {
        if (!add_share(cx, s, &sum, &below, n))
            return false;
    }
    return true;
}

static const struct conf_row rows[] = {
    ROW_DATA("split_clients", IN_HTTP, 2, 2, ROW_REPEAT, set_split,
             "Makes a variable that has each of its values for a share of requests, by a hash of a string."),
};

struct feature feature_split_clients = {.name = "split_clients", .rows = rows, .nrows = ARRAY_LEN(rows)};
