// "$scheme://$host" to parts, and parts to text in one pass.
#include "conf/conf.h"

bool tmpl_has_var(struct str source) {
    return str_chr(source, '$') >= 0;
}

static bool is_name(char c) {
    return ascii_is_digit((unsigned char)c) || ascii_is_alpha((unsigned char)c) || c == '_';
}

// The variable that begins at s.p[0] == '$'. Length of its text, or 0 and an error.
static size_t take_var(struct conf_cx *cx, struct str s, const struct conf_node *node, struct str *name) {
    if (s.n >= 2 && s.p[1] >= '1' && s.p[1] <= '9') { // a capture: one digit
        *name = str_n(s.p + 1, 1);
        return 2;
    }
    bool braces = s.n >= 2 && s.p[1] == '{';
    size_t start = braces ? 2 : 1, end = start;
    while (end < s.n && is_name(s.p[end]))
        end++;
    *name = str_n(s.p + start, end - start);
    if (braces && name->n > 0 && (end == s.n || s.p[end] != '}')) {
        conf_err(cx, node, "the closing bracket in \"" STR_FMT "\" variable is missing", STR_ARG(*name));
        return 0;
    }
    if (name->n == 0) {
        conf_err(cx, node, "invalid variable name");
        return 0;
    }
    return end + braces;
}

struct tmpl *tmpl_const(struct arena *arena, struct str text) {
    struct tmpl *t = arena_new(arena, struct tmpl);
    t->source = text;
    t->text = text;
    t->constant = true;
    return t;
}

struct tmpl *tmpl_compile(struct conf_cx *cx, struct str source, const struct conf_node *node) {
    struct tmpl *t = tmpl_const(cx->arena, source);
    size_t dollars = 0;
    for (size_t i = 0; i < source.n; i++)
        dollars += source.p[i] == '$';
    if (dollars == 0)
        return t;
    t->constant = false;
    t->text = STR_NONE;
    t->parts = arena_array(cx->arena, struct tmpl_part, 2 * dollars + 1);
    for (struct str rest = source; rest.n > 0;) {
        ssize_t text = str_chr(rest, '$');
        if (text != 0) {
            struct str head = text < 0 ? rest : str_head(rest, (size_t)text);
            t->parts[t->count++].text = head;
            rest = str_from(rest, head.n);
            continue;
        }
        struct str name;
        size_t len = take_var(cx, rest, node, &name);
        if (len == 0)
            return NULL;
        t->parts[t->count++].var = var_use(cx, name, node);
        rest = str_from(rest, len);
    }
    return t;
}

struct str tmpl_eval(const struct tmpl *t, struct eval *e) {
    if (t->constant)
        return t->text;
    struct str value;
    if (t->count == 1)
        return var_get(e, t->parts[0].var, &value) && value.n <= TMPL_MAX ? value : STR("");
    struct sbuf out;
    sbuf_init_arena(&out, e->arena, 128, TMPL_MAX);
    for (unsigned i = 0; i < t->count; i++) {
        const struct tmpl_part *part = &t->parts[i];
        if (part->var == NULL)
            sbuf_str(&out, part->text);
        else if (var_get(e, part->var, &value))
            sbuf_str(&out, value);
    }
    return out.overflow ? STR("") : sbuf_view(&out);
}
