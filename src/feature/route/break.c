// break: the block's script ends here, and a URI that it changed is not routed again.
#include "feature/route/script.h"

static enum script_step run_break(struct script_run *run, const void *data) {
    run->r->uri_changed = false;
    return SCRIPT_EXIT;
}

static bool set_break(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    script_add(cx, cx->scope, node, run_break, 0);
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("break", IN_SERVER | IN_SERVER_IF | IN_LOCATION | IN_IF, 0, 0, ROW_REPEAT, set_break, NULL, "",
            "Ends the rewrite directives of this block; the location stays."),
};

struct feature feature_break = {.name = "break", .rows = rows, .nrows = ARRAY_LEN(rows)};
