// Regular expressions (PCRE2 with JIT) as nginx uses them: compiled at load, run with a match block and a JIT stack of the
// loop, captures given as offsets; named captures become variables.
#pragma once
#include "conf/conf.h"

struct regex;
struct req;

enum { REGEX_CAPTURES_MAX = 32 };

// NULL and nginx's error (`pcre2_compile() failed: ... in "..." at "..."`) when malformed. Named captures are made variables.
struct regex *regex_compile(struct conf_cx *cx, struct str pattern, bool nocase, const struct conf_node *node);
// True on a match. ov gets offset pairs, *pairs their number (at least 1). Does not wait. Errors of the engine (limits) are logged once and count
// as no match.
bool regex_match(const struct regex *re, struct str subject, size_t *ov, unsigned *pairs);
// regex_match, then sets $1.. and named variables of the request.
bool regex_match_req(const struct regex *re, struct str subject, struct req *r);
unsigned regex_captures(const struct regex *re);
// While a request runs (ssi); memory of its arena, no variables are made. NULL and the engine's words in *error.
struct regex *regex_compile_text(struct str pattern, bool nocase, struct arena *a, struct str *error);
// The next named capture: start with *at = 0. False at the end.
bool regex_next_name(const struct regex *re, unsigned *at, struct str *name, unsigned *capture);
