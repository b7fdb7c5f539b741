// Tokens to a tree of directives, includes expanded. Goes on after each error: what was begun is dropped up to the next
// ';' or '}', and a quote that was probably forgotten ends with its line.
#include "conf/tree.h"
#include "base/map.h"
#include "conf/lexer.h"
#include <stdlib.h>

enum { MAX_BLOCKS = 64, MAX_INCLUDES = 32 };

struct level {
    struct conf_node *block; // NULL: outside all blocks
    struct conf_node **tail;
};

struct parser {
    struct conf_tree *tree;
    const struct conf_source *src;
    struct arena *arena;
    struct conf_errors *errors;
    struct map files; // path -> struct conf_file
    struct conf_file **files_tail;
    struct level levels[MAX_BLOCKS + 1];
    unsigned depth;
    unsigned includes;
    struct str *args; // of the directive being read
    unsigned *lines;
    size_t nargs, cap;
};

// One file being read.
struct reading {
    struct lexer lexer;
    struct conf_file *file;
    unsigned base;     // depth at its beginning: its blocks must end inside it
    bool command_line; // the text of -g
    bool skipping;     // after an error, to the next ';', '{' or '}'
};

static PRINTF_LIKE(5, 6) void report(struct parser *p, struct reading *r, unsigned line, struct str hint,
                                     const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    p->errors->seq = p->tree->nodes + 1;
    conf_errors_vadd(p->errors, false, r ? r->file : NULL, r && !r->command_line ? line : 0, hint, fmt, ap);
    va_end(ap);
    p->tree->broken = true;
}

static void push_arg(struct parser *p, struct token *t) {
    if (p->nargs == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 32;
        p->args = xrealloc(p->args, p->cap * sizeof(*p->args));
        p->lines = xrealloc(p->lines, p->cap * sizeof(*p->lines));
    }
    p->args[p->nargs] = t->text;
    p->lines[p->nargs++] = t->line;
}

static struct conf_node *make_node(struct parser *p, struct reading *r, unsigned line, bool block) {
    struct conf_node *n = arena_new(p->arena, struct conf_node);
    n->args = arena_alloc(p->arena, p->nargs * sizeof(struct str));
    memcpy(n->args, p->args, p->nargs * sizeof(struct str));
    n->nargs = (unsigned)p->nargs;
    n->block = block;
    n->file = r->file;
    n->line = line;
    n->seq = ++p->tree->nodes;
    n->parent = p->levels[p->depth].block;
    if (p->lines[0] != line) {
        unsigned *lines = arena_alloc(p->arena, p->nargs * sizeof(unsigned));
        memcpy(lines, p->lines, p->nargs * sizeof(unsigned));
        n->arg_lines = lines;
    }
    p->nargs = 0;
    return n;
}

static void append(struct parser *p, struct conf_node *n) {
    struct level *level = &p->levels[p->depth];
    *level->tail = n;
    level->tail = &n->next;
}

static void open_block(struct parser *p, struct reading *r, struct conf_node *n) {
    CHECK(p->depth < MAX_BLOCKS);
    p->depth++;
    p->levels[p->depth] = (struct level){n, &n->children};
}

// A block whose directives nobody will see: after an error, so that its '}' finds its '{'.
static void open_nameless(struct parser *p, struct reading *r) {
    p->nargs = 0;
    if (p->depth == MAX_BLOCKS) { // what follows cannot be told apart any more
        r->lexer.at = r->lexer.text.n;
        p->depth = r->base;
        return;
    }
    struct conf_node *n = arena_new(p->arena, struct conf_node);
    n->file = r->file;
    n->line = r->lexer.line;
    n->parent = p->levels[p->depth].block;
    open_block(p, r, n);
}

static bool is_glob(struct str s) {
    return str_chr(s, '*') >= 0 || str_chr(s, '?') >= 0 || str_chr(s, '[') >= 0;
}

static void read_file(struct parser *p, struct conf_file *file, bool command_line);

static int get_file(struct parser *p, struct str path, struct conf_file **file) {
    *file = map_get(&p->files, path);
    if (*file != NULL)
        return 0;
    struct str text = STR_NONE;
    int err = p->src->read(p->src->arg, path, p->arena, &text);
    if (err != 0)
        return err;
    struct conf_file *f = arena_new(p->arena, struct conf_file);
    f->path = arena_dup(p->arena, path);
    f->text = text;
    *p->files_tail = f;
    p->files_tail = &f->next;
    map_put(&p->files, f->path, f);
    *file = f;
    return 0;
}

static void report_errno(struct parser *p, struct reading *r, unsigned line, const char *call, struct str path,
                         int err) {
    const char *text = strerrordesc_np(err);
    report(p, r, line, STR_NONE, "%s() \"" STR_FMT "\" failed (%d: %s)", call, STR_ARG(path), err,
           text ? text : "Unknown error");
}

static void include_path(struct parser *p, struct reading *r, unsigned line, struct str path) {
    struct conf_file *file;
    int err = get_file(p, path, &file);
    if (err != 0) {
        report_errno(p, r, line, err == EISDIR ? "pread" : "open", path, err);
        return;
    }
    if (p->includes == MAX_INCLUDES) {
        report(p, r, line, STR("a file seems to include itself"), "includes of \"" STR_FMT "\" are nested too deep",
               STR_ARG(path));
        return;
    }
    p->includes++;
    read_file(p, file, false);
    p->includes--;
}

static void include(struct parser *p, struct reading *r, unsigned line) {
    struct str name = p->args[1];
    p->nargs = 0;
    bool absolute = name.n > 0 && name.p[0] == '/';
    struct str parts[] = {p->src->prefix, STR("/"), name};
    if (str_ends(p->src->prefix, STR("/")) || p->src->prefix.n == 0)
        parts[1] = STR_NONE;
    struct str path = absolute ? arena_dup(p->arena, name) : arena_join(p->arena, parts, 3);
    if (!is_glob(path)) {
        include_path(p, r, line, path);
        return;
    }
    struct str *paths = NULL;
    size_t count = 0;
    int err = p->src->glob(p->src->arg, path, p->arena, &paths, &count);
    if (err != 0)
        report_errno(p, r, line, "glob", path, err);
    for (size_t i = 0; err == 0 && i < count && p->errors->errors < CONF_MAX_ERRORS; i++)
        include_path(p, r, line, paths[i]);
}

static struct str semicolon_hint(struct parser *p) {
    return arena_printf(p->arena, "a ; may be missing at the end of line %u", p->lines[p->nargs - 1]);
}

static void on_semicolon(struct parser *p, struct reading *r, unsigned line) {
    if (r->skipping) {
        r->skipping = false;
    } else if (p->nargs == 0) {
        report(p, r, line, STR_NONE, "unexpected \";\"");
    } else if (p->nargs == 2 && str_eq(p->args[0], STR("include"))) {
        include(p, r, line);
    } else {
        append(p, make_node(p, r, line, false));
    }
}

static void on_open(struct parser *p, struct reading *r, unsigned line) {
    if (r->skipping) {
        r->skipping = false;
        open_nameless(p, r);
    } else if (p->nargs == 0) {
        report(p, r, line, STR_NONE, "unexpected \"{\"");
        open_nameless(p, r);
    } else if (r->command_line) {
        report(p, r, line, STR_NONE, "block directives are not supported in -g option");
        open_nameless(p, r);
    } else if (p->depth == MAX_BLOCKS) {
        report(p, r, line, STR_NONE, "blocks are nested more than %d deep", MAX_BLOCKS);
        open_nameless(p, r);
    } else {
        struct conf_node *n = make_node(p, r, line, true);
        append(p, n);
        open_block(p, r, n);
    }
}

static void on_close(struct parser *p, struct reading *r, unsigned line) {
    if (p->nargs > 0)
        report(p, r, line, semicolon_hint(p), "unexpected \"}\"");
    else if (p->depth == r->base && !r->skipping)
        report(p, r, line, STR("one \"}\" too many, or a block before it ends too early"), "unexpected \"}\"");
    p->nargs = 0;
    r->skipping = false;
    if (p->depth > r->base)
        p->depth--;
    else if (r->base == 0)
        p->tree->extra_close = true;
}

// True when reading goes on behind the line of a forgotten quote.
static bool on_end(struct parser *p, struct reading *r, struct token *t) {
    struct conf_node *open = p->levels[p->depth].block;
    struct str hint = STR_NONE;
    if (t->open_quote)
        hint = arena_printf(p->arena, "the quote in line %u may not be closed", r->lexer.word_line);
    else if (p->nargs > 0 && p->lines[p->nargs - 1] < t->line)
        hint = semicolon_hint(p);
    bool unfinished = p->nargs > 0 || t->open_quote;
    p->nargs = 0;
    if (unfinished && !r->skipping) {
        if (r->command_line)
            report(p, r, t->line, hint, "unexpected end of parameter, expecting \";\"");
        else
            report(p, r, t->line, hint, "unexpected end of file, expecting \";\" or \"}\"");
        if (t->open_quote && lexer_line_looks_whole(&r->lexer)) {
            lexer_back_to_next_line(&r->lexer);
            return true;
        }
    } else if (p->depth > r->base && !r->skipping && !r->command_line) {
        if (open->nargs > 0)
            hint = arena_printf(p->arena, "the block \"" STR_FMT "\" of line %u is not closed", STR_ARG(open->args[0]),
                                open->line);
        report(p, r, t->line, hint, "unexpected end of file, expecting \"}\"");
    }
    return false;
}

static void on_error(struct parser *p, struct reading *r, struct token *t) {
    struct str hint = STR_NONE;
    bool forgotten = t->open_quote && lexer_line_looks_whole(&r->lexer) && r->lexer.word_line < r->lexer.line;
    if (forgotten)
        hint = arena_printf(p->arena, "the quote in line %u may not be closed", r->lexer.word_line);
    if (!r->skipping)
        report(p, r, t->error_line, hint, STR_FMT, STR_ARG(t->text));
    p->nargs = 0;
    r->skipping = !forgotten;
    if (forgotten)
        lexer_back_to_next_line(&r->lexer);
}

static void read_file(struct parser *p, struct conf_file *file, bool command_line) {
    struct reading r = {.file = file, .base = p->depth, .command_line = command_line};
    lexer_init(&r.lexer, file->text, p->arena);
    while (p->errors->errors < CONF_MAX_ERRORS) {
        struct token t;
        lexer_next(&r.lexer, &t);
        switch (t.kind) {
        case TOKEN_WORD:
            if (!r.skipping)
                push_arg(p, &t);
            break;
        case TOKEN_SEMICOLON:
            on_semicolon(p, &r, t.line);
            break;
        case TOKEN_OPEN:
            on_open(p, &r, t.line);
            break;
        case TOKEN_CLOSE:
            on_close(p, &r, t.line);
            break;
        case TOKEN_ERROR:
            on_error(p, &r, &t);
            break;
        case TOKEN_END:
            if (on_end(p, &r, &t))
                break;
            p->depth = r.base;
            return;
        }
    }
    p->nargs = 0;
    p->depth = r.base;
}

bool conf_parse(struct conf_tree *t, struct str path, struct str extra, const struct conf_source *src,
                struct arena *arena, struct conf_errors *errors) {
    *t = (struct conf_tree){0};
    unsigned before = errors->errors;
    struct parser p = {.tree = t, .src = src, .arena = arena, .errors = errors, .files_tail = &t->files};
    p.levels[0].tail = &t->children;
    map_init(&p.files, false, 0);
    if (extra.n > 0) {
        struct conf_file *f = arena_new(arena, struct conf_file);
        f->path = STR("command line");
        f->text = arena_dup(arena, extra);
        read_file(&p, f, true);
    }
    struct conf_file *file;
    int err = get_file(&p, path, &file);
    if (err != 0)
        report_errno(&p, NULL, 0, err == EISDIR ? "pread" : "open", path, err);
    else
        read_file(&p, file, false);
    map_done(&p.files);
    free(p.args);
    free(p.lines);
    return errors->errors == before;
}
