// match: what the response to a health check must be like.
#pragma once
#include "upstream/exchange.h"

struct match;

extern struct feature feature_match;

// The match block of that name, or NULL: for the bind of health_check.
const struct match *match_find(const struct conf *c, struct str name);
bool match_wants_body(const struct match *m);
enum { MATCH_BODY_MAX = 256 << 10 }; // of the body, that is looked at
// NULL: the response is as it must be; else what is not: "checking status code", "checking header"... m NULL: a
// status of 2xx or 3xx.
const char *match_judge(const struct match *m, struct req *r, const struct head *h, struct str body);
