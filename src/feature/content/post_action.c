// post_action uri: a request that is made when one has ended, whatever became of it. Its answer is dropped.
#include "http/plan.h"
#include "http/subrequest.h"

struct post_action_conf {
    struct str uri; // empty: off
};

static enum step run_action(struct req *r, const void *conf) {
    const struct post_action_conf *c = conf;
    if (r != r->main || r->outcome != OUTCOME_ANSWER)
        return STEP_NEXT;
    struct req *sr = subrequest_new(r, &(struct subrequest_opts){.uri = c->uri, .args = r->args, .body = true});
    if (sr == NULL)
        return STEP_NEXT;
    // What its variables say of bytes is what the client got.
    sr->head_bytes_out = r->head_bytes_out;
    sr->body_bytes_out = r->body_bytes_out;
    subrequest_background(sr);
    return STEP_NEXT;
}

static bool set_action(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct post_action_conf *c = conf;
    c->uri = str_eq(node->args[1], STR("off")) ? STR("") : node->args[1];
    return true;
}

static bool bind_action(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct post_action_conf *c = conf;
    if (c->uri.n != 0)
        plan_add(cx, s, STAGE_POST_ACTION, 0, run_action, c, "post_action");
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("post_action", IN_HTTP_ALL | IN_IF, 1, 1, 0, set_action, "off", "uri | @name | off",
            "A URI that is asked when a request has been answered; its answer is dropped."),
};

struct feature feature_post_action = {.name = "post_action",
                                      .rows = rows,
                                      .nrows = ARRAY_LEN(rows),
                                      .conf_size = sizeof(struct post_action_conf),
                                      .bind = bind_action};
