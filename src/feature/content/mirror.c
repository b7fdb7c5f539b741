// mirror uri: the request goes to other URIs too, in the background; what they answer is dropped.
#include "http/answer.h"
#include "http/plan.h"
#include "http/subrequest.h"

struct mirror_conf {
    struct conf_list uris; // struct str
    bool off;
    bool request_body;
    const struct scope *where; // the block that said so
};

static enum step run_mirrors(struct req *r, const void *conf) {
    const struct mirror_conf *c = conf;
    if (r != r->main)
        return STEP_NEXT;
    if (c->request_body) {
        unsigned status = req_buffer_body(r);
        if (status != 0)
            return answer_status(r, status);
    }
    conf_list_each(const struct str, uri, c->uris) {
        struct subrequest_opts o = {
            .uri = *uri, .args = r->args, .method = r->method, .method_text = r->method_text, .body = c->request_body};
        struct req *sr = subrequest_new(r, &o);
        if (sr == NULL)
            return answer_status(r, 500);
        subrequest_background(sr);
    }
    return STEP_NEXT;
}

static bool set_mirror(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct mirror_conf *c = conf;
    bool first = c->where != cx->scope, off = str_eq(node->args[1], STR("off"));
    if (!first && (off || c->off))
        return conf_err(cx, node, "\"mirror\" directive is duplicate");
    if (first) // of this block: nothing is inherited
        c->uris = (struct conf_list){0};
    c->where = cx->scope;
    c->off = off;
    if (!off)
        *(struct str *)conf_list_add(cx, row, &c->uris, sizeof(struct str)) = node->args[1];
    return true;
}

static bool bind_mirror(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct mirror_conf *c = conf;
    if (c->uris.count != 0)
        plan_add(cx, s, STAGE_PRECONTENT, 0, run_mirrors, c, "mirror");
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("mirror", IN_HTTP_ALL, 1, 1, ROW_LISTED, set_mirror, "off", "uri | off",
            "Requests go to this URI too; its answers are dropped. Several may be given."),
    ROW_FLAG("mirror_request_body", IN_HTTP_ALL, struct mirror_conf, request_body, "on",
             "The body of the request is read before, and goes to the mirrors too."),
};

struct feature feature_mirror = {.name = "mirror",
                                 .rows = rows,
                                 .nrows = ARRAY_LEN(rows),
                                 .conf_size = sizeof(struct mirror_conf),
                                 .bind = bind_mirror};
