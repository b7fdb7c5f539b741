// http { }: the block that holds all that HTTP is told.
#include "feature/core/blocks.h"

static bool open_http(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node,
                      struct scope *inner) {
    if (cx->conf->world != NULL)
        return conf_err(cx, node, "\"http\" directive is duplicate");
    cx->conf->world = arena_new(cx->arena, struct http_world);
    return true;
}

static const struct conf_row rows[] = {
    ROW_BLOCK("http", IN_MAIN, 0, 0, IN_HTTP, open_http, "Holds the servers and what they share."),
    ROW_NOOP_OF("variables_hash_max_size", IN_HTTP, conf_set_num, "Tables of variables grow by themselves."),
    ROW_NOOP_OF("variables_hash_bucket_size", IN_HTTP, conf_set_num, "Tables of variables grow by themselves."),
    ROW_NOOP_OF("server_names_hash_max_size", IN_HTTP, conf_set_num, "Tables of server names grow by themselves."),
    ROW_NOOP_OF("server_names_hash_bucket_size", IN_HTTP, conf_set_num, "Tables of server names grow by themselves."),
    ROW_NOOP_OF("types_hash_max_size", IN_HTTP_ALL, conf_set_num, "Tables of content types grow by themselves."),
    ROW_NOOP_OF("types_hash_bucket_size", IN_HTTP_ALL, conf_set_num, "Tables of content types grow by themselves."),
};

struct feature feature_http = {.name = "http", .rows = rows, .nrows = ARRAY_LEN(rows)};
