// SSI commands as text.
#include "feature/content/ssi_command.h"

bool ssi_end_feed(struct ssi_end *e, char c) {
    char before = e->last;
    e->last = c;
    if (e->quote != '\0') {
        if (e->escaped)
            e->escaped = false;
        else if (c == '\\')
            e->escaped = true;
        else if (c == e->quote)
            e->quote = '\0';
        e->dashes = 0;
        return false;
    }
    if ((c == '"' || c == '\'') && before == '=') // elsewhere it is just a character
        e->quote = c;
    if (c == '>' && e->dashes == 2)
        return true;
    e->dashes = c == '-' ? MIN(e->dashes + 1, 2u) : 0;
    return false;
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
static bool is_word(char c) { return ascii_is_alpha((unsigned char)c) || c == '_'; }

static struct str skip_spaces(struct str s) {
    while (s.n != 0 && is_space(s.p[0]))
        s = str_from(s, 1);
    return s;
}

static struct str take_word(struct str *s) {
    size_t n = 0;
    while (n < s->n && is_word(s->p[n]))
        n++;
    struct str word = str_head(*s, n);
    *s = str_from(*s, n);
    return word;
}

// The value behind its opening quote, without escapes. False: it does not end.
static bool take_value(struct str *rest, char quote, struct str *value) {
    char *p = (char *)(uintptr_t)rest->p;
    size_t made = 0;
    for (size_t i = 0; i < rest->n; i++) {
        if (p[i] == quote) {
            *value = str_n(p, made);
            *rest = str_from(*rest, i + 1);
            return true;
        }
        if (p[i] == '\\' && i + 1 < rest->n && (p[i + 1] == '"' || p[i + 1] == '\'' || p[i + 1] == '\\'))
            i++;
        p[made++] = p[i];
    }
    return false;
}

const char *ssi_parse(char *bytes, size_t n, struct ssi_command *c) {
    struct str text = str_n(bytes, n);
    *c = (struct ssi_command){0};
    text = skip_spaces(text);
    c->name = take_word(&text);
    if (c->name.n == 0 || (text.n != 0 && !is_space(text.p[0])))
        return "unexpected symbol in SSI command";
    for (text = skip_spaces(text); text.n != 0; text = skip_spaces(text)) {
        struct str name = take_word(&text);
        text = skip_spaces(text);
        if (name.n == 0 || text.n == 0 || text.p[0] != '=')
            return "unexpected symbol in SSI command";
        text = skip_spaces(str_from(text, 1));
        if (text.n == 0 || (text.p[0] != '"' && text.p[0] != '\''))
            return "unexpected symbol instead of a quoted value in SSI command";
        char quote = text.p[0];
        if (c->count == SSI_PARAMS_MAX)
            return "too many SSI command parameters";
        text = str_from(text, 1);
        c->params[c->count].name = name;
        if (!take_value(&text, quote, &c->params[c->count++].value))
            return "a value without its closing quote in SSI command";
    }
    return NULL;
}

struct str ssi_param(const struct ssi_command *c, const char *name) {
    for (unsigned i = 0; i < c->count; i++) {
        if (str_eq(c->params[i].name, str_c(name)))
            return c->params[i].value;
    }
    return STR_NONE;
}
