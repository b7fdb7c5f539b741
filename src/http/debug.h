// Lines of level debug about a request, near to nginx's words: for `error_log ... debug` and `debug_connection`. Called only
// when r->debugging, and from tasks whose log context is the request's.
#pragma once
#include "http/plan.h"
#include "wire/head.h"

struct req;
void debug_request(const struct req *r);  // what came
void debug_location(const struct req *r); // where it is
void debug_hook(const struct req *r, enum stage stage, const struct hook *h); // what is asked next
void debug_redirect(const struct req *r); // r->goto_uri
void debug_answer(const struct req *r);   // what will be sent
void debug_end(const struct req *r);
void debug_fields(const struct head *h, const char *what); // "http WHAT: "name: value"", for each; the status, if it has one
