// A plan: what is really in force in one block, in the order of one enum. Features put hooks into plans when they bind; a
// request runs the lists and asks nothing else.
#pragma once
#include "conf/conf.h"

struct req;

// What a hook tells. A hook that ends the request says with which answer first (see answer.h).
enum step {
    STEP_NEXT,  // go on with the next hook
    STEP_DONE,  // an answer (or an internal redirect) is set
    STEP_ALLOW, // access stage only: this hook lets it pass (satisfy any: enough)
};

enum stage {
    STAGE_POST_READ,      // realip. Server's plan
    STAGE_SERVER_REWRITE, // set, rewrite, return, if in server
    STAGE_REWRITE,        // the same in location; a changed URI goes back to routing
    STAGE_PREACCESS,      // limit_conn, limit_req
    STAGE_ACCESS,         // allow/deny, auth_basic, auth_request; combined by satisfy
    STAGE_PRECONTENT,     // try_files, mirror
    STAGE_CONTENT,        // one that answers (plan_answer); else the first that does not say NEXT
    STAGE_RESPONSE,       // edits of the head, wraps of the body; ordered by enum response_order
    STAGE_POST_ACTION,    // after the answer was sent, or given up: what may still wait
    STAGE_LOG,            // after the answer was sent, or given up
    STAGE_COUNT
};

// Order of response hooks: the numbers are their order. (nginx's filter order, from the answer outwards.)
enum response_order {
    RESPONSE_SLICE = 10,
    RESPONSE_NOT_MODIFIED = 20,
    RESPONSE_HEADERS = 40, // add_header, expires
    RESPONSE_USERID = 45,
    RESPONSE_GUNZIP = 50,
    RESPONSE_SUB = 52,
    RESPONSE_CHARSET = 54,
    RESPONSE_SSI = 56,
    RESPONSE_ADDITION = 58, // what subrequests yield passes only what comes behind
    RESPONSE_ZSTD = 64,     // of several codings the first that the client accepts
    RESPONSE_BROTLI = 66,
    RESPONSE_GZIP = 68,
    RESPONSE_RANGE = 70,
    RESPONSE_TRAILERS = 80, // add_trailer: what has trailers has no length, and a range needs one
    RESPONSE_RATE = 90,
};

// Must return STEP_NEXT in STAGE_RESPONSE and STAGE_LOG. May wait except in STAGE_LOG.
typedef enum step hook_fn(struct req *r, const void *conf);

struct hook {
    hook_fn *fn;
    const void *conf; // the feature's struct of this scope
    const char *name; // of the feature, for logs and explain
    int order;        // within the stage: smaller first; equal: as added
    const struct conf_node *answers; // of plan_answer: the directive; else NULL
    const struct scope *where;       // and its block
    // Of the log stage, when plan_add_log said so: the variables that fn asks for, so that they can be kept for it.
    bool says_what;
    unsigned nasks;
    const struct var *const *asks;
};

struct plan {
    struct {
        struct hook *at;
        unsigned count, cap;
    } stage[STAGE_COUNT];
};

// In bind(): adds a hook to the scope's plan. Order 0 keeps the order of adding, which is the order of features.
void plan_add(struct conf_cx *cx, struct scope *s, enum stage stage, int order, hook_fn *fn, const void *conf, const char *name);
// The same for a directive that says who answers (proxy_pass, stub_status...), `node` in block `where`: s, or one around it. Of
// several one holds, the last of the innermost block (nginx).
void plan_answer(struct conf_cx *cx, struct scope *s, hook_fn *fn, const void *conf, const char *name, const struct scope *where,
                 const struct conf_node *node);
// The same for a hook of the log stage that says which variables it will ask for, and asks nothing else of the request but
// status, counts of bytes and times. Requests of tunnels are kept small only where all log hooks say so.
void plan_add_log(struct conf_cx *cx, struct scope *s, hook_fn *fn, const void *conf, const char *name,
                  const struct var *const *asks, unsigned nasks);
// Whether a directive that answers and stands in `where` (NULL: nowhere) answers in `s`: there, and in `if` and limit_except of that
// block, but not in its inner locations (nginx).
bool plan_answers_in(const struct scope *s, const struct scope *where);
