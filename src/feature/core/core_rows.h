// Setters of the HTTP core's rows that have a file of their own.
#pragma once
#include "http/core.h"

conf_set_fn set_types, set_error_page, set_root, set_alias, set_server_tokens, set_keepalive_timeout, set_temp_path,
    set_internal;
bool bind_root(struct conf_cx *cx, struct scope *s, void *conf); // says where files are read
// "path [level1 [level2 [level3]]]" of a *_temp_path directive: the path absolute, and a directory that must be there. Levels of
// more digits than a number has are cut. False: reported.
bool take_temp_path(struct conf_cx *cx, const struct conf_node *node, struct str *path, unsigned char levels[TEMP_LEVELS]);
#define TYPES_DEFAULT "{ text/html html; image/gif gif; image/jpeg jpg; }"
// The row of that name among those of the HTTP core.
const struct conf_row *core_row(const char *name);
