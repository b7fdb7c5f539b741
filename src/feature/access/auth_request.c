// auth_request uri: a subrequest says whether the request may pass. auth_request_set keeps what it answered in variables.
#include "http/answer.h"
#include "http/plan.h"
#include "http/subrequest.h"

struct auth_set {
    const struct var *var;
    struct tmpl *value;
};

struct auth_request_conf {
    struct str uri; // empty: off
    struct conf_list sets; // struct auth_set
};

// Evaluated as of the subrequest, kept for the request that it was made for.
static void set_variables(struct req *r, struct req *sr, const struct auth_request_conf *c) {
    conf_list_each(const struct auth_set, s, c->sets) {
        var_assign(&r->eval, s->var, arena_dup(&r->main->arena, req_eval(sr, s->value)));
    }
}

static void copy_challenges(struct req *r, const struct req *sr) {
    head_each(f, &sr->out) {
        if (f->id == FIELD_WWW_AUTHENTICATE)
            head_add_known(&r->out, FIELD_WWW_AUTHENTICATE, arena_dup(&r->arena, f->value));
    }
}

static enum step judge(struct req *r, struct req *sr, const struct auth_request_conf *c) {
    unsigned status = sr->out.status;
    if (sr->outcome != OUTCOME_ANSWER)
        return status == 499 || status == 444 ? answer_close(r, status) : answer_status(r, 500);
    set_variables(r, sr, c);
    if (status >= 200 && status < 300)
        return STEP_ALLOW;
    if (status == 401)
        copy_challenges(r, sr);
    if (status == 401 || status == 403)
        return answer_status(r, status);
    log_msg(LOG_ERR, 0, "auth request unexpected status: %u", status);
    return answer_status(r, 500);
}

static enum step ask(struct req *r, const void *conf) {
    const struct auth_request_conf *c = conf;
    struct req *sr = subrequest_new(r, &(struct subrequest_opts){.uri = c->uri});
    if (sr == NULL)
        return answer_status(r, 500);
    subrequest_run(sr);
    enum step step = judge(r, sr, c);
    subrequest_free(sr);
    return step;
}

static bool set_uri(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct auth_request_conf *c = conf;
    c->uri = str_eq(node->args[1], STR("off")) ? STR("") : node->args[1];
    return true;
}

static bool set_set(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct auth_request_conf *c = conf;
    struct str name = node->args[1];
    if (name.n < 2 || name.p[0] != '$')
        return conf_err(cx, node, "invalid variable name \"" STR_FMT "\"", STR_ARG(name));
    struct auth_set s = {.value = tmpl_compile(cx, node->args[2], node)};
    if (s.value == NULL)
        return false;
    s.var = var_settable(cx, str_from(name, 1), node);
    if (s.var == NULL)
        return false;
    *(struct auth_set *)conf_list_add(cx, row, &c->sets, sizeof s) = s;
    return true;
}

static bool bind_auth_request(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct auth_request_conf *c = conf;
    if (c->uri.n != 0)
        plan_add(cx, s, STAGE_ACCESS, 0, ask, c, "auth_request");
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("auth_request", IN_HTTP_ALL, 1, 1, 0, set_uri, "off", "uri | off",
            "A request passes if this URI answers with a 2xx status; 401 and 403 are given to the client."),
    ROW_FNS("auth_request_set", IN_HTTP_ALL, 2, 2, ROW_LISTED, set_set, NULL, "$variable value",
            "Sets a variable once the authorization request has been answered; the value is of that request."),
};

struct feature feature_auth_request = {.name = "auth_request",
                                       .rows = rows,
                                       .nrows = ARRAY_LEN(rows),
                                       .conf_size = sizeof(struct auth_request_conf),
                                       .bind = bind_auth_request};
