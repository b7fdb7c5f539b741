// proxy_cookie_domain, proxy_cookie_path, proxy_cookie_flags: Set-Cookie of back ends made to fit.
#include "feature/gateway/proxy.h"
#include "http/regex.h"

enum { ATTRIBUTES_MAX = 32 }; // of one cookie; one with more stays as it is, and so does one without '='

struct attribute {
    struct str name, value; // value.p NULL: no '='; name.p NULL: removed
};

struct cookie {
    struct attribute at[ATTRIBUTES_MAX + 3]; // [0]: the cookie's own name and value
    unsigned n;
    bool changed;
};

static bool parse(struct cookie *c, struct str text) {
    struct str part;
    while (str_split(&text, ';', &part)) {
        if (c->n == ATTRIBUTES_MAX)
            return false;
        ssize_t eq = str_chr(part, '=');
        struct attribute a = {str_trim(eq < 0 ? part : str_head(part, (size_t)eq)), STR_NONE};
        if (eq >= 0)
            a.value = str_trim(str_from(part, (size_t)eq + 1));
        c->at[c->n++] = a;
    }
    return c->at[0].value.p != NULL;
}

static struct attribute *find(struct cookie *c, struct str name) {
    for (unsigned i = 1; i < c->n; i++) {
        if (c->at[i].name.p != NULL && str_ieq(c->at[i].name, name))
            return &c->at[i];
    }
    return NULL;
}

// --- domain and path -----------------------------------------------------------------------------------------------------------

static struct str join(struct req *r, struct str a, struct str b) {
    struct str parts[2] = {a, b};
    return arena_join(&r->arena, parts, 2);
}

static struct str apply(struct req *r, const struct proxy_cookie *rule, struct str value, bool domain) {
    if (rule->regex != NULL)
        return regex_match_req(rule->regex, value, r) ? arena_dup(&r->arena, req_eval(r, rule->to)) : STR_NONE;
    struct str from = req_eval(r, rule->from);
    if (!domain)
        return str_starts(value, from) ? join(r, req_eval(r, rule->to), str_from(value, from.n)) : STR_NONE;
    // A leading dot of either domain does not count, and the cookie keeps its own (nginx).
    struct str dot = value.n != 0 && value.p[0] == '.' ? STR(".") : STR("");
    if (from.n != 0 && from.p[0] == '.')
        from = str_from(from, 1);
    return str_ieq(str_from(value, dot.n), from) ? join(r, dot, req_eval(r, rule->to)) : STR_NONE;
}

static void rewrite(struct req *r, struct cookie *c, struct conf_list rules, struct str name) {
    for (unsigned i = 1; rules.count != 0 && i < c->n; i++) {
        struct attribute *a = &c->at[i];
        if (a->value.p == NULL || !str_ieq(a->name, name))
            continue;
        conf_list_each(const struct proxy_cookie, rule, rules) {
            struct str made = apply(r, rule, a->value, str_eq(name, STR("domain")));
            if (made.p == NULL)
                continue;
            a->value = made;
            c->changed = true;
            break;
        }
    }
}

// --- flags -------------------------------------------------------------------------------------------------------------------------

static const struct {
    struct str word;
    unsigned bit;
} flag_words[] = {
    {STR_INIT("secure"), COOKIE_SECURE},          {STR_INIT("nosecure"), COOKIE_NOSECURE},
    {STR_INIT("httponly"), COOKIE_HTTPONLY},      {STR_INIT("nohttponly"), COOKIE_NOHTTPONLY},
    {STR_INIT("samesite=strict"), COOKIE_STRICT}, {STR_INIT("samesite=lax"), COOKIE_LAX},
    {STR_INIT("samesite=none"), COOKIE_NONE},     {STR_INIT("nosamesite"), COOKIE_NOSAMESITE},
};

unsigned proxy_cookie_flag_of(struct str word) {
    for (size_t i = 0; i < ARRAY_LEN(flag_words); i++) {
        if (str_ieq(word, flag_words[i].word))
            return flag_words[i].bit;
    }
    return 0;
}

static bool names(struct req *r, const struct proxy_cookie_flag *rule, struct str cookie) {
    return rule->regex != NULL ? regex_match_req(rule->regex, cookie, r) : str_ieq(cookie, req_eval(r, rule->name));
}

static unsigned flags_for(struct req *r, const struct proxy_conf *pc, struct str cookie) {
    conf_list_each(const struct proxy_cookie_flag, rule, pc->cookie_flags) {
        if (!names(r, rule, cookie))
            continue;
        unsigned flags = rule->flags;
        conf_list_each(const struct condition, t, rule->texts) {
            struct str word = req_eval(r, t->value);
            unsigned bit = word.n != 0 ? proxy_cookie_flag_of(word) : 0;
            if (word.n != 0 && bit == 0)
                log_msg(LOG_ERR, 0, "invalid proxy_cookie_flags flag \"" STR_FMT "\"", STR_ARG(word));
            flags |= bit;
        }
        return flags;
    }
    return 0;
}

static void set_attribute(struct cookie *c, struct str name, struct str value, bool add, bool drop) {
    struct attribute *a = find(c, name);
    if (drop && a != NULL) {
        a->name = STR_NONE;
        c->changed = true;
    } else if (add && a == NULL) {
        c->at[c->n++] = (struct attribute){name, value};
        c->changed = true;
    } else if (add && value.p != NULL) {
        a->value = value;
        c->changed = true;
    }
}

static void edit_flags(struct cookie *c, unsigned flags) {
    set_attribute(c, STR("Secure"), STR_NONE, flags & COOKIE_SECURE, flags & COOKIE_NOSECURE);
    set_attribute(c, STR("HttpOnly"), STR_NONE, flags & COOKIE_HTTPONLY, flags & COOKIE_NOHTTPONLY);
    struct str same = flags & COOKIE_STRICT ? STR("Strict") : flags & COOKIE_LAX ? STR("Lax") : STR("None");
    set_attribute(c, STR("SameSite"), same, flags & (COOKIE_STRICT | COOKIE_LAX | COOKIE_NONE), flags & COOKIE_NOSAMESITE);
}

// -----------------------------------------------------------------------------------------------------------------------------------

static struct str written(struct req *r, const struct cookie *c, size_t hint) {
    struct sbuf b;
    sbuf_init_arena(&b, &r->arena, hint + 64, TMPL_MAX);
    for (unsigned i = 0; i < c->n; i++) {
        if (c->at[i].name.p == NULL)
            continue;
        if (b.n != 0)
            sbuf_lit(&b, "; ");
        sbuf_str(&b, c->at[i].name);
        if (c->at[i].value.p != NULL) {
            sbuf_chr(&b, '=');
            sbuf_str(&b, c->at[i].value);
        }
    }
    return b.overflow ? STR_NONE : sbuf_view(&b);
}

struct str proxy_rewrite_cookie(struct req *r, const struct proxy_conf *pc, struct str value) {
    if (pc->cookie_domains.count == 0 && pc->cookie_paths.count == 0 && pc->cookie_flags.count == 0)
        return STR_NONE;
    struct cookie *c = arena_new(&r->arena, struct cookie);
    if (!parse(c, value))
        return STR_NONE;
    rewrite(r, c, pc->cookie_domains, STR("domain"));
    rewrite(r, c, pc->cookie_paths, STR("path"));
    if (pc->cookie_flags.count != 0)
        edit_flags(c, flags_for(r, pc, c->at[0].name));
    return c->changed ? written(r, c, value.n) : STR_NONE;
}
