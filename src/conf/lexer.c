// nginx's words: bare, '...' and "...", comments, and the three marks ; { }. What each rule is was asked of nginx -t;
// the answers are the table in tree_test.c. Knows nothing of directives.
#include "conf/lexer.h"

void lexer_init(struct lexer *l, struct str text, struct arena *arena) {
    *l = (struct lexer){.text = text, .line = 1, .arena = arena};
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// Backslash drops before quotes and itself, makes control characters of t r n, and stays before anything else.
static struct str resolve(struct lexer *l, struct str raw) {
    if (memchr(raw.p, '\\', raw.n) == NULL)
        return raw;
    char *to = arena_bytes(l->arena, raw.n), *out = to;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        if (c == '\\' && i + 1 < raw.n) {
            char next = raw.p[i + 1];
            if (next == '"' || next == '\'' || next == '\\') {
                c = next;
                i++;
            } else if (next == 't' || next == 'r' || next == 'n') {
                c = next == 't' ? '\t' : next == 'r' ? '\r' : '\n';
                i++;
            }
        }
        *out++ = c;
    }
    return str_n(to, (size_t)(out - to));
}

static void fail(struct lexer *l, struct token *t, unsigned line, struct str text) {
    t->kind = TOKEN_ERROR;
    t->line = l->word_line;
    t->error_line = line;
    t->text = text;
    l->after_quote = false;
}

static void too_long(struct lexer *l, struct token *t, char quote) {
    t->open_quote = quote != 0;
    if (quote)
        fail(l, t, l->word_line,
             arena_printf(l->arena, "too long parameter, probably missing terminating \"%c\" character", quote));
    else
        fail(l, t, l->word_line,
             arena_printf(l->arena, "too long parameter \"%.10s...\" started", l->text.p + l->word_at));
}

static void at_end(struct lexer *l, struct token *t, char quote) {
    t->kind = TOKEN_END;
    t->line = l->line;
    t->open_quote = quote != 0;
}

static void read_quoted(struct lexer *l, struct token *t) {
    char quote = l->text.p[l->at];
    size_t start = ++l->at;
    for (;; l->at++) {
        if (l->at >= l->text.n) {
            at_end(l, t, quote);
            return;
        }
        char c = l->text.p[l->at];
        if (l->at - l->word_at >= LEXER_MAX_TOKEN) {
            if (c == quote)
                l->word_at++; // nginx names the text, not the quote
            too_long(l, t, c == quote ? 0 : quote);
            return;
        }
        if (c == quote)
            break;
        if (c == '\n')
            l->line++;
        if (c == '\\' && l->at + 1 < l->text.n) {
            l->at++;
            if (l->text.p[l->at] == '\n')
                l->line++;
        }
    }
    t->kind = TOKEN_WORD;
    t->text = resolve(l, str_n(l->text.p + start, l->at - start));
    l->at++;
    l->after_quote = true;
}

static void read_bare(struct lexer *l, struct token *t) {
    size_t start = l->at;
    bool dollar = false;
    for (;; l->at++) {
        if (l->at >= l->text.n) {
            at_end(l, t, 0);
            t->kind = TOKEN_WORD;
            break;
        }
        char c = l->text.p[l->at];
        if (l->at - start >= LEXER_MAX_TOKEN) {
            too_long(l, t, 0);
            return;
        }
        if (is_space(c) || c == ';' || (c == '{' && !dollar))
            break;
        dollar = c == '$';
        if (c == '\\' && l->at + 1 < l->text.n) {
            l->at++;
            if (l->text.p[l->at] == '\n')
                l->line++;
        }
    }
    t->kind = TOKEN_WORD;
    t->line = l->word_line;
    t->text = resolve(l, str_n(l->text.p + start, l->at - start));
}

static void skip_blank(struct lexer *l) {
    while (l->at < l->text.n) {
        char c = l->text.p[l->at];
        if (c == '#') {
            const char *nl = memchr(l->text.p + l->at, '\n', l->text.n - l->at);
            l->at = nl ? (size_t)(nl - l->text.p) : l->text.n;
            continue;
        }
        if (!is_space(c))
            return;
        if (c == '\n')
            l->line++;
        l->at++;
    }
}

void lexer_next(struct lexer *l, struct token *t) {
    *t = (struct token){.line = l->line};
    if (l->after_quote && l->at < l->text.n) {
        char c = l->text.p[l->at];
        if (!is_space(c) && c != ';' && c != '{' && c != ')') {
            t->open_quote = true;
            fail(l, t, l->line, arena_printf(l->arena, "unexpected \"%c\"", c));
            return;
        }
    }
    l->after_quote = false;
    skip_blank(l);
    t->line = l->line;
    if (l->at >= l->text.n) {
        t->kind = TOKEN_END;
        return;
    }
    char c = l->text.p[l->at];
    if (c == ';' || c == '{' || c == '}') {
        t->kind = c == ';' ? TOKEN_SEMICOLON : c == '{' ? TOKEN_OPEN : TOKEN_CLOSE;
        l->at++;
        return;
    }
    l->word_at = l->at;
    l->word_line = l->line;
    if (c == '"' || c == '\'')
        read_quoted(l, t);
    else
        read_bare(l, t);
}

static size_t word_line_end(const struct lexer *l) {
    const char *nl = memchr(l->text.p + l->word_at, '\n', l->text.n - l->word_at);
    return nl ? (size_t)(nl - l->text.p) : l->text.n;
}

bool lexer_line_looks_whole(const struct lexer *l) {
    size_t end = word_line_end(l);
    while (end > l->word_at && is_space(l->text.p[end - 1]))
        end--;
    return end > l->word_at && (l->text.p[end - 1] == ';' || l->text.p[end - 1] == '{');
}

void lexer_back_to_next_line(struct lexer *l) {
    l->at = word_line_end(l);
    l->line = l->word_line;
    l->after_quote = false;
}
