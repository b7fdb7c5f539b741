// What a block says of rewriting: private to the scripts of feature/route.
#pragma once
#include "conf/conf.h"

struct script;

struct rewrite_conf {
    struct script *script; // of the block script->where, which may be an outer one
    bool log;              // rewrite_log
    bool warn;             // uninitialized_variable_warn
};

bool script_bind(struct conf_cx *cx, struct scope *s, void *conf); // puts the block's script into its plan
