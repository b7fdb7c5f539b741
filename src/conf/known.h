// Directives that nginx documents, in byte order, each with its module. Only for the hint that weir lacks one.
#pragma once
#include "base/base.h"

static const char *const known_modules[] = {"ngx_http_dav_module"};
static const struct {
    const char *name;
    unsigned module;
} known_directives[] = {{"dav_access", 0}, {"dav_methods", 0}};
