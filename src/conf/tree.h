// Configuration text to a tree of directives, in nginx's language: words, quotes, comments, blocks, include with globs. Knows
// no directive but include. Line numbers and file names stay with each node.
#pragma once
#include "base/arena.h"
#include "base/list.h"
#include "base/sbuf.h"

struct conf_file {
    struct str path;    // as nginx names it in messages: absolute, or as given
    struct str text;    // for -T
    struct conf_file *next;
};

struct conf_node {
    struct str *args;    // args[0] is the directive's name; quotes and escapes are resolved as nginx does
    unsigned nargs;      // >= 1
    bool block;          // has { }
    const struct conf_file *file;
    unsigned line;       // of the terminating ';' or '{' (where nginx reports errors of the directive)
    unsigned seq;        // order of appearance in the whole configuration, includes expanded; from 1
    const unsigned *arg_lines; // where each argument begins, when they are not all on `line`; else NULL
    struct conf_node *children, *next, *parent;
};

struct conf_error {
    struct conf_error *next;
    bool warning;
    struct str text;             // nginx's wording, without "in FILE:LINE"
    const struct conf_file *file; // NULL: no place
    unsigned line;
    struct str hint;             // one more sentence, or empty
    unsigned seq;                // place in the order of the text: of the node it is about
};
enum { CONF_MAX_ERRORS = 100 }; // reading stops there

struct conf_errors {
    struct conf_error *head, **tail;
    unsigned errors, warnings;
    unsigned seq; // given to what is added next
    struct arena *arena;
};
void conf_errors_init(struct conf_errors *e, struct arena *arena);
// Appends; returns false so that parsers can `return conf_err(...)`.
bool conf_errors_add(struct conf_errors *e, bool warning, const struct conf_file *file, unsigned line, struct str hint,
                     const char *fmt, ...) PRINTF_LIKE(6, 7);
bool conf_errors_vadd(struct conf_errors *e, bool warning, const struct conf_file *file, unsigned line, struct str hint,
                      const char *fmt, va_list ap) PRINTF_LIKE(6, 0);
void conf_errors_sort(struct conf_errors *e); // into the order of the text; stable
// The text with its place as nginx writes it: `... in FILE:LINE`, `... in command line`, or bare. Without the hint.
void conf_error_print(const struct conf_error *e, struct sbuf *out);

// How the lexer gets at files: conf/ does no I/O.
struct conf_source {
    // The whole file into *text (arena). 0 or a positive errno.
    int (*read)(void *arg, struct str path, struct arena *arena, struct str *text);
    // Paths that match the glob, sorted as nginx does (byte order); no match gives none. 0 or errno.
    int (*glob)(void *arg, struct str pattern, struct arena *arena, struct str **paths, size_t *count);
    void *arg;
    struct str prefix; // directory of the main configuration file: relative includes start there (nginx conf_prefix)
};

struct conf_tree {
    struct conf_node *children; // top level
    struct conf_file *files;    // in the order they were opened; each once
    unsigned nodes;             // the highest seq
    bool broken;                // the text could not be read whole: directives are missing
    bool extra_close;           // somewhere outside all blocks there was a '}'
};

// Parses the file and what it includes; `extra` (the text of -g, may be empty) is parsed first as a file "command line".
// Goes on after an error at the next ';' or '}', so that all errors of the text are found. False when any error was found.
bool conf_parse(struct conf_tree *t, struct str path, struct str extra, const struct conf_source *src, struct arena *arena,
                struct conf_errors *errors);
