// Setters of the HTTP core's rows that have a file of their own.
#pragma once
#include "http/core.h"

conf_set_fn set_types, set_error_page, set_root, set_alias, set_server_tokens, set_keepalive_timeout, set_temp_path,
    set_internal;
#define TYPES_DEFAULT "{ text/html html; image/gif gif; image/jpeg jpg; }"
// The row of that name among those of the HTTP core.
const struct conf_row *core_row(const char *name);
