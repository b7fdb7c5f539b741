// Variables and templates ("$scheme://$host"), compiled to slots when the configuration is loaded. conf/ does not know what
// a request is: getters get it as a pointer.
#pragma once
#include "base/arena.h"
#include "base/map.h"

struct conf_cx;
struct conf_node;
struct eval;
struct var;

// Gives the value in *out (any memory that lives as long as the request) and returns true, or false: not found (empty, "-"
// in logs). Must not wait.
typedef bool var_get_fn(struct eval *e, const struct var *v, struct str *out);
typedef void var_set_fn(struct eval *e, const struct var *v, struct str value);

enum {
    VAR_VOLATILE = 1,   // asked anew each time (nginx NOCACHEABLE)
    VAR_CHANGEABLE = 2, // set, map... may redefine it; of several maps the last wins, as in nginx
    VAR_CHEAP = 4,      // asking costs no more than looking it up: never kept
    VAR_LIVE = 16,      // goes on changing until the log line of its request is written: times, counts of bytes
    VAR_WEAK = 8,       // of var_make: yields to any other definition, before or after (what `set` makes)
};

// A feature's table of variables.
struct var_def {
    const char *name; // without '$'; ends with '_' for a family when `prefix` ("http_": $http_anything)
    bool prefix;
    unsigned flags;
    var_get_fn *get;
    var_set_fn *set; // NULL: cannot be set
    uintptr_t data;
    const char *help; // one sentence for the manual
};

// A variable in use in one configuration.
struct var {
    struct str name;  // whole, lower case as written in the configuration
    struct str rest;  // behind the prefix, for families: $http_user_agent -> "user_agent"
    unsigned slot, flags;
    var_get_fn *get;  // NULL until defined; at the end of loading that is an error
    var_set_fn *set;
    uintptr_t data;
    const struct conf_node *first_use;
};

struct vars {
    struct map by_name;
    struct var **at; // by slot
    unsigned count, cap;
    struct map defs;         // exact definitions known from features
    const struct var_def **prefixes;
    unsigned nprefixes;
    struct arena *arena; // of everything here
};

void vars_init(struct vars *vs, struct arena *arena, uint64_t seed);
void vars_done(struct vars *vs); // the maps; the rest is the arena's
void vars_define(struct vars *vs, const struct var_def *defs, size_t n); // of a feature, before parsing
// The slot for a name used in the configuration. Never fails: an unknown name is reported when loading ends
// (`unknown "x" variable`).
struct var *var_use(struct conf_cx *cx, struct str name, const struct conf_node *node);
// A variable made by the configuration (set, map, geo...). NULL and an error when it exists and is not VAR_CHANGEABLE
// (`the duplicate "x" variable`). A name of a family ($http_x) may be made: it is the family's
// no longer, or with VAR_WEAK where it was not set.
struct var *var_make(struct conf_cx *cx, struct str name, unsigned flags, var_get_fn *get, var_set_fn *set, uintptr_t data,
                     const struct conf_node *node);

// A variable that a directive gives values to while a request runs (auth_request_set, ssi...): one that can be set, or a new
// one, which is not found until then. NULL and an error as var_make.
struct var *var_settable(struct conf_cx *cx, struct str name, const struct conf_node *node);

// One evaluation's world: part of a request.
struct var_value {
    struct str value;
    enum { VALUE_NONE, VALUE_FOUND, VALUE_NOT_FOUND, VALUE_BUSY } state; // BUSY: being asked (cycles end as not found)
};
struct eval {
    void *req;                // what getters need
    struct arena *arena;
    const struct vars *vars;
    struct var_value *values; // [vars->count], NULL until the first value is kept
    bool revived;             // kept values stand for cheap getters too: what those read is gone
};
bool var_get(struct eval *e, const struct var *v, struct str *out);
// By a name that came while the request runs, lower case; also of variables that the configuration does not use.
bool var_get_named(struct eval *e, struct str name, struct str *out);
void var_assign(struct eval *e, const struct var *v, struct str value); // by its setter if it has one, else kept
void var_put(struct eval *e, const struct var *v, struct str value); // keeps a value (set, captures)
void var_put_absent(struct eval *e, const struct var *v); // keeps that it is not found
void var_forget(struct eval *e, const struct var *v);

// A template. Constant ones cost nothing; others are built in one pass into a bounded buffer.
struct tmpl_part {
    const struct var *var; // NULL: text
    struct str text;
};
struct tmpl {
    struct str source;     // as written
    bool constant;         // source has no variable: value is `text`
    struct str text;
    unsigned count;
    struct tmpl_part *parts;
};
enum { TMPL_MAX = 1 << 20 }; // bytes of one value
// Compiles. NULL and an error (`invalid variable name` ...) when malformed. "$1".."$9" are variables named "1".."9"; "${x}".
struct tmpl *tmpl_compile(struct conf_cx *cx, struct str source, const struct conf_node *node);
struct tmpl *tmpl_const(struct arena *arena, struct str text);
// Lives as long as the request; variables not found are empty. A value above TMPL_MAX becomes empty: half a value could
// mean something else.
struct str tmpl_eval(const struct tmpl *t, struct eval *e);
bool tmpl_has_var(struct str source); // a '$', which always begins a variable (or is an error), as in nginx
