// mp4: nginx's pseudo-streaming by a time in the query. Players seek by Range, which every file has here, so the
// directives are accepted, and the files are answered as they are.
#include "conf/conf.h"

static const char help[] = "Files are answered as they are: players seek by Range.";

static bool set_media(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    conf_warn(cx, node, "\"" STR_FMT "\" is accepted without effect: %s", STR_ARG(node->args[0]),
              "an argument \"start\" does not cut the file, ranges do");
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("mp4", IN_LOCATION, 0, 0, ROW_REPEAT, set_media, NULL, "", help),
    ROW_NOOP_OF("mp4_buffer_size", IN_HTTP_ALL, conf_set_size, help),
    ROW_NOOP_OF("mp4_max_buffer_size", IN_HTTP_ALL, conf_set_size, help),
    ROW_NOOP_OF("mp4_start_key_frame", IN_HTTP_ALL, conf_set_flag, help),
    ROW_NOOP("mp4_limit_rate", IN_HTTP_ALL, 1, 1, help),
    ROW_NOOP("mp4_limit_rate_after", IN_HTTP_ALL, 1, 1, help),
};

struct feature feature_mp4 = {.name = "mp4", .rows = rows, .nrows = ARRAY_LEN(rows)};
