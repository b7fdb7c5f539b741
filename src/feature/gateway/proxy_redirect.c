// Values of responses that name the back end's own address: Location and Refresh. Cookies: proxy_cookie.c.
#include "feature/gateway/proxy.h"
#include "http/regex.h"

static struct str join3(struct req *r, struct str a, struct str b, struct str c) {
    struct str parts[3] = {a, b, c};
    return arena_join(&r->arena, parts, 3);
}

// One rule of proxy_redirect: a prefix is replaced and the rest kept; a regular expression replaces the whole.
static struct str apply(struct req *r, const struct proxy_redirect *rule, struct str url) {
    if (rule->regex != NULL)
        return regex_match_req(rule->regex, url, r) ? arena_dup(&r->arena, req_eval(r, rule->to)) : STR_NONE;
    struct str from = req_eval(r, rule->from);
    if (!str_starts(url, from))
        return STR_NONE;
    return join3(r, req_eval(r, rule->to), str_from(url, from.n), STR(""));
}

static struct str rewrite_url(struct req *r, const struct proxy_conf *pc, struct str url) {
    if (pc->redirect_off)
        return STR_NONE;
    if (pc->redirects.count == 0)
        return pc->has_dflt ? apply(r, &pc->dflt, url) : STR_NONE;
    conf_list_each(const struct proxy_redirect, rule, pc->redirects) {
        if (rule->dflt && !pc->has_dflt)
            continue;
        struct str made = apply(r, rule->dflt ? &pc->dflt : rule, url);
        if (made.p != NULL)
            return made;
    }
    return STR_NONE;
}

static struct str rewrite_refresh(struct req *r, const struct proxy_conf *pc, struct str value) {
    ssize_t at = str_ifind(value, STR("url="));
    if (at < 0)
        return STR_NONE;
    struct str before = str_head(value, (size_t)at + 4);
    struct str made = rewrite_url(r, pc, str_from(value, (size_t)at + 4));
    return made.p == NULL ? STR_NONE : join3(r, before, made, STR(""));
}

struct str proxy_rewrite_field(struct req *r, const void *conf, const struct field *f) {
    switch (f->id) {
    case FIELD_LOCATION:
        return rewrite_url(r, conf, f->value);
    case FIELD_REFRESH:
        return rewrite_refresh(r, conf, f->value);
    default:
        return proxy_rewrite_cookie(r, conf, f->value);
    }
}
