// rewrite regex replacement [last | break | redirect | permanent]; rewrite_log.
#include "feature/route/rewrite.h"
#include "feature/route/script.h"

struct rewrite {
    struct regex *regex;
    struct str pattern;
    struct script_value *to;
    unsigned redirect; // status of a redirect; 0: the request goes on with another URI
    bool last;         // ends the script
    bool stays;        // "break": no new search for a location
    bool add_args;     // the old query is added: the replacement does not end with '?'
    bool has_question;
};

// --- running ---------------------------------------------------------------------------------------------------------------

static struct str with_args(struct req *r, struct str text, bool has_args) {
    struct str parts[3] = {text, has_args ? STR("&") : STR("?"), r->args};
    return arena_join(&r->arena, parts, 3);
}

// In the path of a redirect nginx resolves escapes of printable bytes above '%', and drops what is no escape.
static struct str unescape_redirect(struct req *r, struct str s) {
    size_t n = 0, i = 0;
    if (memchr(s.p, '%', s.n) == NULL)
        return s;
    char *to = arena_bytes(&r->arena, s.n);
    while (i < s.n && s.p[i] != '?') {
        uint64_t byte;
        if (s.p[i] != '%') {
            to[n++] = s.p[i++];
            continue;
        }
        if (s.n - i < 2 || !str_hex_u64(str_n(s.p + i + 1, 1), 15, &byte)) {
            i++;
            continue;
        }
        if (s.n - i > 2 && str_hex_u64(str_n(s.p + i + 1, 2), 255, &byte)) {
            bool printable = byte > '%' && byte < 0x7f;
            if (printable)
                to[n] = (char)byte;
            else
                memcpy(to + n, s.p + i, 3);
            n += printable ? 1 : 3;
            if (byte == '?') {
                i += 3;
                break;
            }
        }
        i += MIN(3, s.n - i);
    }
    memcpy(to + n, s.p + i, s.n - i);
    return str_n(to, n + s.n - i);
}

static enum script_step redirect(struct script_run *run, const struct rewrite *w, struct str to) {
    struct req *r = run->r;
    to = unescape_redirect(r, to);
    if (w->add_args && r->args.n != 0)
        to = with_args(r, to, w->has_question);
    if (run->log)
        log_msg(LOG_NOTICE, 0, "rewritten redirect: \"" STR_FMT "\"", STR_ARG(to));
    answer_redirect(r, w->redirect, to);
    return SCRIPT_ANSWER;
}

static enum script_step run_rewrite(struct script_run *run, const void *data) {
    const struct rewrite *w = data;
    struct req *r = run->r;
    if (!script_match(run, w->regex, w->pattern, r->uri))
        return SCRIPT_NEXT;
    struct str uri, args;
    run->quote = w->redirect != 0;
    bool fits = script_value_get(run, w->to, &uri, &args);
    run->quote = false;
    if (!fits) {
        answer_status(r, 500);
        return SCRIPT_ANSWER;
    }
    r->internal = true;
    r->uri_changed = !w->stays;
    r->uri_goes_whole |= w->stays;
    if (w->redirect != 0)
        return redirect(run, w, uri);
    if (args.p == NULL)
        args = w->add_args || r->args.p == NULL ? r->args : STR("");
    else if (w->add_args && r->args.n != 0)
        args = with_args(r, args, true);
    if (run->log)
        log_msg(LOG_NOTICE, 0, "rewritten data: \"" STR_FMT "\", args: \"" STR_FMT "\"", STR_ARG(uri), STR_ARG(args));
    if (uri.n == 0) {
        log_msg(LOG_ERR, 0, "the rewritten URI has a zero length");
        answer_status(r, 500);
        return SCRIPT_ANSWER;
    }
    req_set_uri(r, uri, args);
    return w->last ? SCRIPT_EXIT : SCRIPT_NEXT;
}

// --- reading ---------------------------------------------------------------------------------------------------------------

static bool is_url(struct str s) {
    return str_starts(s, STR("http://")) || str_starts(s, STR("https://")) || str_starts(s, STR("$scheme"));
}

static bool take_flag(struct conf_cx *cx, const struct conf_node *node, struct rewrite *w) {
    struct str flag = node->args[3];
    w->last = true;
    if (str_eq(flag, STR("break")))
        w->stays = true;
    else if (str_eq(flag, STR("redirect")))
        w->redirect = 302;
    else if (str_eq(flag, STR("permanent")))
        w->redirect = 301;
    else if (!str_eq(flag, STR("last")))
        return conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(flag));
    return true;
}

static bool set_rewrite(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct rewrite *w = script_add(cx, cx->scope, node, run_rewrite, sizeof(*w));
    struct str to = node->args[2];
    w->pattern = node->args[1];
    if (to.n == 0)
        return conf_err(cx, node, "empty replacement");
    w->regex = regex_compile(cx, w->pattern, false, node);
    if (w->regex == NULL)
        return false;
    if (is_url(to))
        w->redirect = 302;
    w->last = w->redirect != 0;
    if (node->nargs == 4 && !take_flag(cx, node, w))
        return false;
    w->add_args = to.p[to.n - 1] != '?';
    if (!w->add_args)
        to.n--;
    w->has_question = str_chr(to, '?') >= 0;
    w->to = script_value_new(cx, to, w->redirect == 0, node);
    return w->to != NULL;
}

enum { PLACES = IN_SERVER | IN_SERVER_IF | IN_LOCATION | IN_IF };
static const struct conf_row rows[] = {
    ROW_FNS("rewrite", PLACES, 2, 3, ROW_REPEAT, set_rewrite, NULL, "regex replacement [last | break | redirect | permanent]",
            "Changes a URI that matches, or redirects to another one."),
    ROW_FLAG("rewrite_log", IN_HTTP | PLACES, struct rewrite_conf, log, "off",
             "What rewrite directives did goes to the error log, at level notice."),
    ROW_FLAG("uninitialized_variable_warn", IN_HTTP | PLACES, struct rewrite_conf, warn, "on",
             "Variables that were asked for before any `set` are warned of."),
};

struct feature feature_rewrite = {.name = "rewrite",
                                  .rows = rows,
                                  .nrows = ARRAY_LEN(rows),
                                  .conf_size = sizeof(struct rewrite_conf),
                                  .bind = script_bind};
