// return code [text]; return code URL; return URL: an answer at once.
#include "feature/route/script.h"

struct returned {
    unsigned code;
    struct tmpl *text; // NULL: none
};

static bool is_redirect(unsigned code) { return (code >= 301 && code <= 303) || code == 307 || code == 308; }

static enum step answer(struct req *r, const struct returned *c) {
    if (c->code == 444)
        return answer_close(r, 444);
    r->out.status = c->code; // $status in the text
    struct str text = c->text != NULL ? req_eval(r, c->text) : STR("");
    bool none = c->text == NULL || (c->text->constant && text.n == 0);
    if (none && c->code >= 400)
        return answer_status(r, c->code);
    if (is_redirect(c->code))
        return answer_redirect(r, c->code, text);
    if (c->code == 204)
        return answer_ready(r, 204, NULL, -1);
    return answer_text(r, c->code, STR_NONE, text);
}

static enum script_step run_return(struct script_run *run, const void *data) {
    answer(run->r, data);
    return SCRIPT_ANSWER;
}

static bool is_url(struct str s) {
    return str_istarts(s, STR("http://")) || str_istarts(s, STR("https://")) || str_starts(s, STR("$scheme"));
}

static bool set_return(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct returned *c = script_add(cx, cx->scope, node, run_return, sizeof(*c));
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

static const struct conf_row rows[] = {
    ROW_FNS("return", IN_SERVER | IN_LOCATION | IN_SERVER_IF | IN_IF, 1, 2, ROW_REPEAT, set_return, NULL,
            "code [text] | code URL | URL", "Ends the request with this status, text or redirect."),
};

struct feature feature_return = {.name = "return", .rows = rows, .nrows = ARRAY_LEN(rows)};
