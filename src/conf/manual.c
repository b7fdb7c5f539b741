// The manual, from the rows: `weir help NAME` and the Markdown reference.
#include "conf/build.h"

// What follows the name: from the row, or from the type.
static void put_syntax(struct sbuf *out, const struct conf_row *row) {
    static const struct {
        conf_set_fn *set;
        const char *text;
    } types[] = {
        {conf_set_flag, "on | off"}, {conf_set_num, "number"}, {conf_set_size, "size"},  {conf_set_msec, "time"},
        {conf_set_sec, "time"},      {conf_set_str, "text"},   {conf_set_tmpl, "value"}, {conf_set_bufs, "number size"},
    };
    if (row->syntax != NULL) {
        sbuf_printf(out, " %s", row->syntax);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (row->set == types[i].set) {
            sbuf_printf(out, " %s", types[i].text);
            return;
        }
    if (row->set == conf_set_enum || row->set == conf_set_bits) {
        const char *sep = " ";
        for (const struct conf_word *w = row->extra; w->word != NULL; w++, sep = " | ")
            sbuf_printf(out, "%s%s", sep, w->word);
        if (row->set == conf_set_bits)
            sbuf_lit(out, " ...");
        return;
    }
    for (unsigned i = 0; i < row->min_args; i++)
        sbuf_lit(out, " value");
    if (row->max_args == 0xffff)
        sbuf_lit(out, " ...");
    else
        for (unsigned i = row->min_args; i < row->max_args; i++)
            sbuf_lit(out, " [value]");
}

static void put_range(struct sbuf *out, const struct conf_row *row) {
    const char *unit = row->set == conf_set_msec ? " ms" : row->set == conf_set_sec ? " s" : "";
    if (row->min != 0 && row->max != 0)
        sbuf_printf(out, "%lld to %lld%s", (long long)row->min, (long long)row->max, unit);
    else if (row->max != 0)
        sbuf_printf(out, "at most %lld%s", (long long)row->max, unit);
    else if (row->min != 0)
        sbuf_printf(out, "at least %lld%s", (long long)row->min, unit);
}

static void put_usage(struct sbuf *out, struct str name, const struct conf_row *row) {
    sbuf_str(out, name);
    put_syntax(out, row);
    sbuf_str(out, row->block ? STR(" { ... }") : STR(";"));
}

static void put_default(struct sbuf *out, struct str name, const struct conf_row *row) {
    sbuf_printf(out, STR_FMT " %s%s", STR_ARG(name), row->dflt, row->block ? "" : ";");
}

static void put_flags(struct sbuf *out, const struct conf_row *row, const char *lead, const char *end) {
    if (row->flags & ROW_LISTED)
        sbuf_printf(out, "%sMay be given several times; the first in a block replaces what was inherited.%s", lead,
                    end);
    if (row->flags & ROW_IGNORED)
        sbuf_printf(out, "%sAccepted so that nginx's files run unchanged; it has no effect.%s", lead, end);
}

// Families are parts of one table.
static bool has_row(const struct feature *f, const struct conf_row *row) {
    return f->nrows != 0 && (uintptr_t)row >= (uintptr_t)f->rows && (uintptr_t)row < (uintptr_t)(f->rows + f->nrows);
}

// The other directives that the same row stands for.
static void put_family(struct sbuf *out, struct feature *const *features, size_t n, const struct named_row *self,
                       const char *lead, const char *end) {
    size_t count = 0;
    for (size_t i = 0; i < n && self->row->name[0] == '*' && !(self->row->flags & ROW_NO_SHARE); i++) {
        if (features[i] == self->feature || !has_row(features[i], self->row))
            continue;
        sbuf_printf(out, "%s%s%s", count++ ? ", " : lead, features[i]->family, self->row->name + 1);
    }
    if (count > 0)
        sbuf_printf(out, "%s", end);
}

static void put_plain(struct sbuf *out, struct feature *const *features, size_t n, const struct named_row *r,
                      struct arena *arena) {
    sbuf_lit(out, "Syntax:   ");
    put_usage(out, r->name, r->row);
    sbuf_lit(out, "\nDefault:  ");
    if (r->row->dflt != NULL)
        put_default(out, r->name, r->row);
    else
        sbuf_lit(out, "-");
    sbuf_printf(out, "\nContext:  " STR_FMT "\n", STR_ARG(names_of_places(r->row->places, arena)));
    if (r->row->min != 0 || r->row->max != 0) {
        sbuf_lit(out, "Range:    ");
        put_range(out, r->row);
        sbuf_chr(out, '\n');
    }
    sbuf_printf(out, "Feature:  %s\n\n%s\n", r->feature->name, r->row->help);
    put_flags(out, r->row, "", "\n");
    put_family(out, features, n, r, "Likewise: ", "\n");
}

bool manual_directive(struct feature *const *features, size_t n, struct str name, struct sbuf *out) {
    struct names names;
    names_init(&names, features, n);
    const struct named_row *first = names_find(&names, name);
    for (const struct named_row *r = first; r != NULL; r = r->next) {
        if (r != first)
            sbuf_chr(out, '\n');
        put_plain(out, features, n, r, &names.arena);
    }
    const char *module = first == NULL ? known_module(name) : NULL;
    const char *instead = first == NULL ? known_instead(name) : NULL;
    if (instead != NULL)
        sbuf_printf(out, "\"" STR_FMT "\" is a directive of nginx's %s, which weir does not have: %s.\n", STR_ARG(name), module, instead);
    else if (module != NULL)
        sbuf_printf(out, "\"" STR_FMT "\" is a directive of nginx's %s. weir does not have it yet.\n", STR_ARG(name),
                    module);
    names_done(&names);
    return first != NULL || module != NULL;
}

bool manual_knows(struct feature *const *features, size_t n, struct str name) {
    struct names names;
    names_init(&names, features, n);
    bool known = false;
    for (const struct named_row *r = names_find(&names, name); r != NULL && !known; r = r->next)
        known = (r->row->flags & ROW_IGNORED) == 0;
    names_done(&names);
    return known;
}

static void put_var_notes(struct sbuf *out, const struct var_def *v) {
    if (v->set != NULL || (v->flags & VAR_CHANGEABLE))
        sbuf_lit(out, " It may be set.");
}

bool manual_variable(struct feature *const *features, size_t n, struct str name, struct sbuf *out) {
    if (name.n > 0 && name.p[0] == '$')
        name = str_from(name, 1);
    const struct var_def *best = NULL;
    const struct feature *owner = NULL;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < features[i]->nvars; k++) {
            const struct var_def *v = &features[i]->vars[k];
            struct str own = str_c(v->name);
            bool fits = v->prefix ? str_istarts(name, own) : str_ieq(name, own);
            if (fits && (best == NULL || own.n > strlen(best->name))) {
                best = v;
                owner = features[i];
            }
        }
    if (best == NULL)
        return false;
    sbuf_printf(out, "$%s%s\n\n%s", best->name, best->prefix ? "name" : "", best->help);
    put_var_notes(out, best);
    sbuf_printf(out, "\nFeature:  %s\n", owner->name);
    return true;
}

static void put_markdown_row(struct sbuf *out, struct feature *const *features, size_t n, const struct named_row *r,
                             struct arena *arena) {
    sbuf_printf(out, "### " STR_FMT "\n\n", STR_ARG(r->name));
    sbuf_lit(out, "| | |\n|---|---|\n| Syntax | `");
    struct sbuf usage; // a bar ends a table's cell
    sbuf_init_arena(&usage, arena, 128, 4096);
    put_usage(&usage, r->name, r->row);
    for (size_t i = 0; i < usage.n; i++) {
        if (usage.p[i] == '|')
            sbuf_chr(out, '\\');
        sbuf_chr(out, usage.p[i]);
    }
    sbuf_lit(out, "` |\n| Default | ");
    if (r->row->dflt != NULL) {
        sbuf_chr(out, '`');
        put_default(out, r->name, r->row);
        sbuf_chr(out, '`');
    } else {
        sbuf_lit(out, "none");
    }
    sbuf_printf(out, " |\n| Context | " STR_FMT " |\n", STR_ARG(names_of_places(r->row->places, arena)));
    if (r->row->min != 0 || r->row->max != 0) {
        sbuf_lit(out, "| Range | ");
        put_range(out, r->row);
        sbuf_lit(out, " |\n");
    }
    sbuf_printf(out, "\n%s\n\n", r->row->help);
    put_flags(out, r->row, "", "\n\n");
    put_family(out, features, n, r, "Likewise: ", ".\n\n");
}

static void put_markdown_vars(struct sbuf *out, const struct feature *f) {
    if (f->nvars == 0)
        return;
    sbuf_lit(out, "| Variable | |\n|---|---|\n");
    for (size_t i = 0; i < f->nvars; i++) {
        const struct var_def *v = &f->vars[i];
        sbuf_printf(out, "| `$%s%s` | %s", v->name, v->prefix ? "*name*" : "", v->help);
        put_var_notes(out, v);
        sbuf_lit(out, " |\n");
    }
    sbuf_chr(out, '\n');
}

void manual_markdown(struct feature *const *features, size_t n, struct sbuf *out) {
    struct arena arena;
    arena_init(&arena, NULL);
    sbuf_lit(out, "# Directives and variables\n\nGenerated from the program's own tables.\n\n");
    for (size_t i = 0; i < n; i++) {
        const struct feature *f = features[i];
        if (f->nrows == 0 && f->nvars == 0)
            continue;
        sbuf_printf(out, "## %s\n\n", f->name);
        for (size_t k = 0; k < f->nrows; k++) {
            const struct conf_row *row = &f->rows[k];
            struct named_row r = {.feature = f, .row = row, .name = str_c(row->name)};
            if (row->name[0] == '*')
                r.name = arena_printf(&arena, "%s%s", f->family, row->name + 1);
            put_markdown_row(out, features, n, &r, &arena);
        }
        put_markdown_vars(out, f);
    }
    arena_done(&arena);
}

struct str manual_similar(struct feature *const *features, size_t n, struct str name, struct arena *arena) {
    struct names names;
    names_init(&names, features, n);
    struct str near = names_near(&names, name, 0, arena);
    names_done(&names);
    return near;
}
