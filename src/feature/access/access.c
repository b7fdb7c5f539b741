// allow, deny: by the client's address. The first rule that fits decides.
#include "http/answer.h"
#include "http/plan.h"

struct rule {
    bool deny, all, is_unix;
    struct cidr net;
};

struct access_conf {
    struct conf_list rules; // struct rule
};

static bool fits(const struct rule *rule, const struct sockaddr *sa) {
    if (rule->all)
        return true;
    if (rule->is_unix || sa->sa_family == AF_UNIX)
        return rule->is_unix && sa->sa_family == AF_UNIX;
    return cidr_has(&rule->net, sa);
}

static enum step check_access(struct req *r, const void *conf) {
    const struct access_conf *a = conf;
    conf_list_each(const struct rule, rule, a->rules) {
        if (!fits(rule, &r->client_addr.sa))
            continue;
        if (!rule->deny)
            return STEP_ALLOW;
        if (req_core(r)->satisfy == SATISFY_ALL) // else whoever combines the rules says so
            log_msg(LOG_ERR, 0, "access forbidden by rule");
        return answer_status(r, 403);
    }
    return STEP_NEXT;
}

static bool set_rule(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct access_conf *a = conf;
    struct str text = node->args[1];
    struct rule rule = {.deny = str_eq(node->args[0], STR("deny"))};
    bool truncated = false;
    if (str_eq(text, STR("all")))
        rule.all = true;
    else if (str_eq(text, STR("unix:")))
        rule.is_unix = true;
    else if (!cidr_parse(&rule.net, text, &truncated))
        return conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(text));
    if (truncated)
        conf_warn(cx, node, "low address bits of " STR_FMT " are meaningless", STR_ARG(text));
    *(struct rule *)conf_list_add(cx, row, &a->rules, sizeof rule) = rule;
    return true;
}

static bool bind_access(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct access_conf *a = conf;
    if (a->rules.count != 0)
        plan_add(cx, s, STAGE_ACCESS, 0, check_access, a, "access");
    return true;
}

enum { PLACES = IN_HTTP_ALL | IN_LIMIT_EXCEPT };
static const struct conf_row rows[] = {
    ROW_FNS("allow", PLACES, 1, 1, ROW_LISTED, set_rule, NULL, "address | CIDR | unix: | all",
            "Clients with these addresses are let in, unless a rule before it decided."),
    ROW_FNS("deny", PLACES, 1, 1, ROW_LISTED, set_rule, NULL, "address | CIDR | unix: | all",
            "Clients with these addresses get 403, unless a rule before it decided."),
};

struct feature feature_access = {.name = "access",
                                 .rows = rows,
                                 .nrows = ARRAY_LEN(rows),
                                 .conf_size = sizeof(struct access_conf),
                                 .bind = bind_access};
