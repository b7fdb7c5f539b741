// What the ways of `sticky` share. sticky.c: the directive, cookie and route; sticky_learn.c: learn.
#pragma once
#include "feature/balance/balance.h"

// sticky learn ...: sets the group's sticky and sticky_conf. False and an error.
bool sticky_learn(struct conf_cx *cx, const struct conf_node *node, struct group *g);
// The first of the templates' values that is not empty; a value "-" counts as empty, as variables of logs have it.
struct str sticky_first(struct req *r, struct tmpl *const *of, unsigned n);
