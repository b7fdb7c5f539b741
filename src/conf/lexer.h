// Bytes of a configuration to tokens. Private to conf/.
#pragma once
#include "base/arena.h"

enum { LEXER_MAX_TOKEN = 4096 }; // raw bytes of one parameter, as in nginx

enum token_kind { TOKEN_WORD, TOKEN_SEMICOLON, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_END, TOKEN_ERROR };

struct token {
    enum token_kind kind;
    unsigned line;       // where it begins
    struct str text;     // WORD: quotes and escapes resolved. ERROR: nginx's wording
    unsigned error_line; // ERROR
    bool open_quote;     // ERROR or END: a quote that `line` opens was not closed, or wrongly
};

struct lexer {
    struct str text;
    size_t at;
    unsigned line;    // of `at`, from 1
    bool after_quote; // a quoted word has just ended: only white space ; { or ) may follow
    size_t word_at;   // where the newest word began, and its line
    unsigned word_line;
    struct arena *arena; // for words with escapes and texts of errors
};

void lexer_init(struct lexer *l, struct str text, struct arena *arena); // text outlives the words
void lexer_next(struct lexer *l, struct token *t);
// Whether the line on which the newest word began ends as a directive does (';' or '{'): then a quote on it was
// probably forgotten.
bool lexer_line_looks_whole(const struct lexer *l);
void lexer_back_to_next_line(struct lexer *l); // goes on behind the line on which the newest word began
