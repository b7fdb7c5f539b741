// What the directives of an upstream block share.
#pragma once
#include "upstream/names.h"
#include "upstream/state.h"

// The group whose block is being read.
static inline struct group *upstream_of(const struct conf_cx *cx) { return cx->scope->data; }
// A balancing method: nginx's warning when there was one already. Always true.
bool upstream_balancer(struct conf_cx *cx, const struct conf_node *node, const struct balancer *b, void *settings);
bool upstream_bad_parameter(struct conf_cx *cx, const struct conf_node *node, struct str arg); // reports; false
// "name=value": the value, or STR_NONE when arg is another one.
struct str upstream_value(struct str arg, struct str name);
