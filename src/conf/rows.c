// The types of rows: text to value, with nginx's formats and wording.
#include "conf/conf.h"

static void *field(void *conf, const struct conf_row *row) {
    return (char *)conf + row->offset;
}

bool conf_parse_num(struct str s, int64_t *n) {
    uint64_t v;
    if (!str_u64(s, INT64_MAX, &v))
        return false;
    *n = (int64_t)v;
    return true;
}

static bool parse_scaled(struct str s, bool giga, uint64_t *bytes) {
    unsigned shift = 0;
    if (s.n > 0) {
        switch (ascii_lower((unsigned char)s.p[s.n - 1])) {
        case 'k':
            shift = 10;
            break;
        case 'm':
            shift = 20;
            break;
        case 'g':
            shift = giga ? 30 : 0;
            break;
        default:
            break;
        }
    }
    uint64_t v;
    if (!str_u64(str_head(s, s.n - (shift != 0)), (uint64_t)INT64_MAX >> shift, &v))
        return false;
    *bytes = v << shift;
    return true;
}

bool conf_parse_size(struct str s, uint64_t *bytes) {
    return parse_scaled(s, false, bytes);
}
bool conf_parse_offset(struct str s, uint64_t *bytes) {
    return parse_scaled(s, true, bytes);
}

struct unit {
    const char *name;
    uint64_t ms;
};
// Largest first: units must come in this order, each at most once.
static const struct unit units[] = {
    {"y", 365 * 86400000ull},
    {"M", 30 * 86400000ull},
    {"w", 7 * 86400000ull},
    {"d", 86400000},
    {"h", 3600000},
    {"m", 60000},
    {"s", 1000},
    {"ms", 1},
};
enum { UNIT_FIRST_MS = 2, UNIT_SECONDS = 6, UNIT_MS = 7 }; // years and months are for whole seconds only

static size_t take_unit(struct str *s, size_t from) {
    for (size_t i = ARRAY_LEN(units); i-- > from;) {
        struct str name = str_c(units[i].name);
        if (!str_starts(*s, name))
            continue;
        *s = str_from(*s, name.n);
        return i;
    }
    return SIZE_MAX;
}

// "1h 30m", "90", "1h30": digits and a unit, in falling order; the last may lack its unit and counts seconds.
static bool parse_time(struct str s, size_t first, size_t last, uint64_t max_ms, uint64_t *ms) {
    uint64_t total = 0;
    bool any = false;
    for (;;) {
        while (s.n > 0 && s.p[0] == ' ')
            s = str_from(s, 1);
        if (s.n == 0)
            break;
        size_t digits = 0;
        while (digits < s.n && ascii_is_digit((unsigned char)s.p[digits]))
            digits++;
        uint64_t v;
        if (!str_u64(str_head(s, digits), INT64_MAX, &v))
            return false;
        s = str_from(s, digits);
        size_t unit = UNIT_SECONDS;
        if (s.n > 0 && s.p[0] != ' ')
            unit = take_unit(&s, first);
        else
            first = ARRAY_LEN(units); // nothing may follow a bare number
        if (unit > last || v > (max_ms - total) / units[unit].ms)
            return false;
        total += v * units[unit].ms;
        first = MAX(first, unit + 1);
        any = true;
    }
    if (any)
        *ms = total;
    return any;
}

bool conf_parse_msec(struct str s, uint64_t *ms) {
    return parse_time(s, UNIT_FIRST_MS, UNIT_MS, INT64_MAX, ms);
}

bool conf_parse_sec(struct str s, int64_t *sec) {
    int64_t n;
    if (conf_parse_num(s, &n)) { // beyond what fits as milliseconds
        *sec = n;
        return true;
    }
    uint64_t ms;
    if (!parse_time(s, 0, UNIT_SECONDS, UINT64_MAX, &ms))
        return false;
    *sec = (int64_t)(ms / 1000);
    return true;
}

static struct str name_of(const struct conf_node *node) {
    return node->args[0];
}

static bool invalid_value(struct conf_cx *cx, const struct conf_node *node, const char *what) {
    return conf_err(cx, node, "\"" STR_FMT "\" directive invalid %s", STR_ARG(name_of(node)), what);
}

static bool in_range(struct conf_cx *cx, const struct conf_row *row, const struct conf_node *node, uint64_t v) {
    if (row->min == 0 && row->max == 0)
        return true;
    if (row->max == 0 && (int64_t)v < row->min)
        return conf_err(cx, node, "value must be equal to or greater than %lld", (long long)row->min);
    if (row->max != 0 && (v < (uint64_t)row->min || v > (uint64_t)row->max)) {
        if (row->min == 0)
            return conf_err(cx, node, "value must be equal to or less than %lld", (long long)row->max);
        return conf_err(cx, node, "value must be between %lld and %lld", (long long)row->min, (long long)row->max);
    }
    return true;
}

bool conf_set_flag(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct str v = node->args[1];
    bool on = str_ieq(v, STR("on"));
    if (!on && !str_ieq(v, STR("off")))
        return conf_err(cx, node,
                        "invalid value \"" STR_FMT "\" in \"" STR_FMT "\" directive, it must be \"on\" or \"off\"",
                        STR_ARG(v), STR_ARG(name_of(node)));
    *(bool *)field(conf, row) = on;
    return true;
}

bool conf_set_num(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    int64_t v;
    if (!conf_parse_num(node->args[1], &v))
        return invalid_value(cx, node, "number");
    if (!in_range(cx, row, node, (uint64_t)v))
        return false;
    *(int64_t *)field(conf, row) = v;
    return true;
}

bool conf_set_size(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    uint64_t v;
    if (!conf_parse_offset(node->args[1], &v))
        return invalid_value(cx, node, "value");
    if (!in_range(cx, row, node, v))
        return false;
    *(uint64_t *)field(conf, row) = v;
    return true;
}

bool conf_set_msec(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    uint64_t v;
    if (!conf_parse_msec(node->args[1], &v))
        return invalid_value(cx, node, "value");
    if (!in_range(cx, row, node, v))
        return false;
    *(uint64_t *)field(conf, row) = v;
    return true;
}

bool conf_set_sec(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    int64_t v;
    if (!conf_parse_sec(node->args[1], &v))
        return invalid_value(cx, node, "value");
    if (!in_range(cx, row, node, (uint64_t)v))
        return false;
    *(int64_t *)field(conf, row) = v;
    return true;
}

bool conf_set_str(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    *(struct str *)field(conf, row) = node->args[1];
    return true;
}

bool conf_set_tmpl(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct tmpl *t = tmpl_compile(cx, node->args[1], node);
    if (t == NULL)
        return false;
    *(struct tmpl **)field(conf, row) = t;
    return true;
}

static const struct conf_word *find_word(const struct conf_row *row, struct str word) {
    for (const struct conf_word *w = row->extra; w->word != NULL; w++)
        if (str_ieq(word, str_c(w->word)))
            return w;
    return NULL;
}

static bool bad_word(struct conf_cx *cx, const struct conf_row *row, const struct conf_node *node, struct str word) {
    struct sbuf list;
    sbuf_init_arena(&list, cx->arena, 64, 1024);
    sbuf_lit(&list, "it may be:");
    for (const struct conf_word *w = row->extra; w->word != NULL; w++)
        sbuf_printf(&list, " %s", w->word);
    return conf_err_hint(cx, node, sbuf_view(&list), "invalid value \"" STR_FMT "\"", STR_ARG(word));
}

bool conf_set_enum(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    const struct conf_word *w = find_word(row, node->args[1]);
    if (w == NULL)
        return bad_word(cx, row, node, node->args[1]);
    *(int *)field(conf, row) = w->value;
    return true;
}

bool conf_set_bits(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    unsigned bits = cx->again ? *(unsigned *)field(conf, row) : 0;
    for (unsigned i = 1; i < node->nargs; i++) {
        const struct conf_word *w = find_word(row, node->args[i]);
        if (w == NULL)
            return bad_word(cx, row, node, node->args[i]);
        if (w->value != 0 && (bits & (unsigned)w->value) == (unsigned)w->value)
            conf_warn(cx, node, "duplicate value \"" STR_FMT "\"", STR_ARG(node->args[i]));
        bits |= (unsigned)w->value;
    }
    *(unsigned *)field(conf, row) = bits;
    return true;
}

bool conf_set_bufs(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    int64_t count;
    uint64_t size;
    if (!conf_parse_num(node->args[1], &count) || count == 0 || !conf_parse_size(node->args[2], &size) || size == 0)
        return invalid_value(cx, node, "value");
    *(struct conf_bufs *)field(conf, row) = (struct conf_bufs){(uint64_t)count, size};
    return true;
}

bool conf_set_nothing(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return true;
}
