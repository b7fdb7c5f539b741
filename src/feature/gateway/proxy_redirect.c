// Values of responses that name the back end's own address: Location, Refresh, and Domain and Path of cookies.
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

// --- cookies --------------------------------------------------------------------------------------------------------------------------

static struct str cookie_rule(struct req *r, const struct proxy_cookie *rule, struct str value, bool domain) {
    if (rule->regex != NULL)
        return regex_match_req(rule->regex, value, r) ? arena_dup(&r->arena, req_eval(r, rule->to)) : STR_NONE;
    struct str from = req_eval(r, rule->from);
    if (!domain)
        return str_starts(value, from) ? join3(r, req_eval(r, rule->to), str_from(value, from.n), STR("")) : STR_NONE;
    // A leading dot of either domain does not count, and the cookie keeps its own (nginx).
    struct str dot = value.n != 0 && value.p[0] == '.' ? STR(".") : STR("");
    if (from.n != 0 && from.p[0] == '.')
        from = str_from(from, 1);
    return str_ieq(str_from(value, dot.n), from) ? join3(r, dot, req_eval(r, rule->to), STR("")) : STR_NONE;
}

static struct str cookie_rules(struct req *r, struct conf_list rules, struct str value, bool domain) {
    conf_list_each(const struct proxy_cookie, rule, rules) {
        struct str made = cookie_rule(r, rule, value, domain);
        if (made.p != NULL)
            return made;
    }
    return STR_NONE;
}

static struct str rewrite_cookie(struct req *r, const struct proxy_conf *pc, struct str value) {
    if (pc->cookie_domains.count == 0 && pc->cookie_paths.count == 0)
        return STR_NONE;
    struct sbuf b;
    sbuf_init_arena(&b, &r->arena, value.n + 64, TMPL_MAX);
    struct str rest = value, part;
    bool first = true, changed = false;
    while (str_split(&rest, ';', &part)) {
        if (!first) {
            sbuf_lit(&b, "; ");
            part = str_trim(part);
        }
        ssize_t eq = str_chr(part, '=');
        struct str name = str_trim(eq < 0 ? part : str_head(part, (size_t)eq)), made = STR_NONE;
        if (!first && eq >= 0) {
            struct str old = str_trim(str_from(part, (size_t)eq + 1));
            if (str_ieq(name, STR("domain")))
                made = cookie_rules(r, pc->cookie_domains, old, true);
            else if (str_ieq(name, STR("path")))
                made = cookie_rules(r, pc->cookie_paths, old, false);
        }
        if (made.p != NULL) {
            sbuf_str(&b, str_head(part, (size_t)eq + 1));
            sbuf_str(&b, made);
            changed = true;
        } else {
            sbuf_str(&b, part);
        }
        first = false;
    }
    return changed && !b.overflow ? sbuf_view(&b) : STR_NONE;
}

struct str proxy_rewrite_field(struct req *r, const void *conf, const struct field *f) {
    switch (f->id) {
    case FIELD_LOCATION:
        return rewrite_url(r, conf, f->value);
    case FIELD_REFRESH:
        return rewrite_refresh(r, conf, f->value);
    default:
        return rewrite_cookie(r, conf, f->value);
    }
}
