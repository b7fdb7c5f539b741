// The script of a block: what rewrite, set, if, break and return say there, in the order of the text. It runs in the rewrite
// stage; the script of an `if` block is run by the script around it.
#pragma once
#include "http/answer.h"
#include "http/plan.h"
#include "http/regex.h"

extern struct feature feature_rewrite;

// One run of a block's script.
struct script_run {
    struct req *r;
    bool log;   // rewrite_log of the block that it began in
    bool quote; // captures in values are escaped again, if the client had escaped its path (nginx's rule)
};

enum script_step {
    SCRIPT_NEXT,
    SCRIPT_EXIT,   // the script is over
    SCRIPT_ANSWER, // so is the request: an answer is set
};
typedef enum script_step script_fn(struct script_run *run, const void *data);

// While a block is read: adds a step to the script of `s`; *data is its own, zeroed.
void *script_add(struct conf_cx *cx, struct scope *s, const struct conf_node *node, script_fn *fn, size_t data_size);
// Runs the script of a block; SCRIPT_NEXT when it has none. May change r->scope (an `if` that holds).
enum script_step script_run_block(struct script_run *run, const struct scope *s);

// A value in a script: text with variables. It differs from a template in what becomes of $1..$9, and a '?' may
// begin the query.
struct script_value;
// `query`: what follows the first literal question mark is the query. NULL and an error when malformed.
struct script_value *script_value_new(struct conf_cx *cx, struct str source, bool query, const struct conf_node *node);
// The text; *query is set to the part behind '?', STR_NONE when there is none (may be NULL for values without). False (and
// logged) when it grows beyond TMPL_MAX.
bool script_value_get(struct script_run *run, const struct script_value *v, struct str *text, struct str *query) MUST_USE;

// Matches as the rewrite module does: a failed match forgets the captures; rewrite_log tells of both.
bool script_match(struct script_run *run, const struct regex *re, struct str pattern, struct str subject);
