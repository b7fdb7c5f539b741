// return code [text]; return code URL; return URL: an answer at once.
#include "http/answer.h"
#include "http/plan.h"

struct return_conf {
    unsigned code;
    struct tmpl *text; // NULL: none
    const struct scope *where; // does not hold in inner blocks
    unsigned seq;      // its place in the text
};

static bool is_redirect(unsigned code) { return (code >= 301 && code <= 303) || code == 307 || code == 308; }

static enum step run_return(struct req *r, const void *conf) {
    const struct return_conf *c = conf;
    if (c->code == 444)
        return answer_close(r, 444);
    r->out.status = c->code; // $status in the text
    struct str text = c->text != NULL ? req_eval(r, c->text) : STR("");
    if (c->text == NULL && c->code >= 400)
        return answer_status(r, c->code);
    if (is_redirect(c->code))
        return answer_redirect(r, c->code, text);
    if (c->code == 204)
        return answer_ready(r, 204, NULL, -1);
    return answer_text(r, c->code, STR_NONE, text);
}

static bool is_url(struct str s) {
    return str_istarts(s, STR("http://")) || str_istarts(s, STR("https://")) || str_starts(s, STR("$scheme"));
}

static bool set_return(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct return_conf *c = conf;
    if (c->where == cx->scope)
        return true; // the first one ends the request
    *c = (struct return_conf){.where = cx->scope, .seq = node->seq};
    struct str first = node->args[1], text = STR_NONE;
    int64_t code;
    if (node->nargs == 2 && is_url(first)) {
        code = 302;
        text = first;
    } else if (!conf_parse_num(first, &code) || code > 999) {
        return conf_err(cx, node, "invalid return code \"" STR_FMT "\"", STR_ARG(first));
    } else if (node->nargs == 3) {
        text = node->args[2];
    }
    c->code = (unsigned)code;
    if (text.p != NULL)
        c->text = tmpl_compile(cx, text, node);
    return text.p == NULL || c->text != NULL;
}

static bool bind_return(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct return_conf *c = conf;
    if (c->where != s)
        return true;
    bool server = s->place == IN_SERVER || s->place == IN_SERVER_IF;
    plan_add(cx, s, server ? STAGE_SERVER_REWRITE : STAGE_REWRITE, (int)c->seq, run_return, c, "return");
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("return", IN_SERVER | IN_LOCATION | IN_SERVER_IF | IN_IF, 1, 2, ROW_REPEAT, set_return, NULL,
            "code [text] | code URL | URL", "Ends the request with this status, text or redirect."),
};

struct feature feature_return = {.name = "return",
                                 .rows = rows,
                                 .nrows = ARRAY_LEN(rows),
                                 .conf_size = sizeof(struct return_conf),
                                 .bind = bind_return};
