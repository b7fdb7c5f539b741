// Lists of content types in which a filter is in force: gzip_types, ssi_types...
#pragma once
#include "http/req.h"

struct type_list {
    struct conf_list types;    // struct str, besides text/html
    bool any;                  // "*"
    const struct scope *where; // the block that said so
};

// Setter for rows whose offset is that of a struct type_list (ROW_LISTED). text/html is always in the list, as in nginx.
conf_set_fn type_list_set;
#define ROW_TYPES(n, S, f, d, h)                                                                                       \
    {n, IN_HTTP_ALL, 1, 0xffff, ROW_LISTED, 0, type_list_set, NULL, FIELD_AT(S, f, struct type_list), d, 0, 0, NULL, h, "mime-type ..."}
// Whether the answer's Content-Type, without its parameters, is in the list; "*" takes answers without one too.
bool type_list_has(const struct type_list *l, const struct req *r);
