// ancient_browser, modern_browser: $ancient_browser, $modern_browser and $msie, by the User-Agent.
#include "http/req.h"

enum { VERSION_PARTS = 4, NETSCAPE_MIN = 14 /* bytes of a User-Agent of Netscape 4 */ };

enum { OPERA, MSIE };

struct version {
    uint64_t part[VERSION_PARTS];
};

// How a browser names itself: a word, not before so many bytes, and its version behind it. In the order in which they are
// looked for, because browsers pretend to be those further down.
static const struct {
    struct str name, word;
    size_t skip, version_at; // behind the beginning of the word
} browsers[] = {
    [OPERA] = {STR_INIT("opera"), STR_INIT("Opera"), 0, 6}, // "Opera/9.8", "Opera 8"
    [MSIE] = {STR_INIT("msie"), STR_INIT("MSIE "), sizeof("Mozilla/4.0 (compatible; ") - 1, 5},
    {STR_INIT("gecko"), STR_INIT("rv:"), sizeof("Mozilla/5.0 (") - 1, 3},
    {STR_INIT("safari"), STR_INIT("Safari/"), sizeof("Mozilla/5.0 (") - 1, 7},
    {STR_INIT("konqueror"), STR_INIT("Konqueror/"), sizeof("Mozilla/5.0 (compatible; ") - 1, 10},
};

struct modern {
    unsigned browser;
    struct version version;
};

struct browser_conf {
    struct conf_list modern;  // struct modern
    struct conf_list ancient; // struct str: parts of a User-Agent
    bool unlisted, netscape4;
    struct str modern_value, ancient_value;
};

extern struct feature feature_browser;

// Digits and dots from the beginning: what stops them is in *rest.
static struct version take_version(struct str s, struct str *rest) {
    struct version v = {0};
    unsigned part = 0;
    size_t i = 0;
    for (; i < s.n && (s.p[i] == '.' || ascii_is_digit((unsigned char)s.p[i])); i++) {
        if (s.p[i] == '.')
            part++;
        else if (part < VERSION_PARTS && v.part[part] < UINT32_MAX)
            v.part[part] = v.part[part] * 10 + (uint64_t)(s.p[i] - '0');
    }
    *rest = str_from(s, i);
    return v;
}

static bool reaches(const struct version *v, const struct version *wanted) {
    for (unsigned i = 0; i < VERSION_PARTS; i++) {
        if (v->part[i] != wanted->part[i])
            return v->part[i] > wanted->part[i];
    }
    return true;
}

// Of several versions the first that was said counts, as in nginx. NULL: none was.
static const struct modern *find_listed(const struct browser_conf *c, unsigned browser) {
    conf_list_each(const struct modern, m, c->modern) {
        if (m->browser == browser)
            return m;
    }
    return NULL;
}

enum verdict { MODERN, ANCIENT, UNKNOWN };

// The first of the listed browsers that the client says it is decides.
static enum verdict by_version(const struct browser_conf *c, struct str agent) {
    for (unsigned b = 0; b < ARRAY_LEN(browsers); b++) {
        const struct modern *m = find_listed(c, b);
        if (agent.n < browsers[b].skip || m == NULL)
            continue;
        struct str behind = str_from(agent, browsers[b].skip), rest;
        ssize_t at = str_find(behind, browsers[b].word);
        if (at < 0 || (b == MSIE && str_find(agent, browsers[OPERA].word) >= 0)) // Opera says that it is MSIE too
            continue;
        behind = str_from(behind, MIN((size_t)at + browsers[b].version_at, behind.n));
        struct version v = take_version(behind, &rest);
        return reaches(&v, &m->version) ? MODERN : ANCIENT;
    }
    return UNKNOWN;
}

static bool is_netscape4(struct str agent) {
    return agent.n >= NETSCAPE_MIN && str_starts(agent, STR("Mozilla/")) && agent.p[8] >= '1' && agent.p[8] <= '4';
}

static bool is_ancient(const struct browser_conf *c, struct str agent) {
    conf_list_each(const struct str, part, c->ancient) {
        if (str_find(agent, *part) >= 0)
            return true;
    }
    return c->netscape4 && is_netscape4(agent);
}

static bool get_browser(struct eval *e, const struct var *v, struct str *out) {
    const struct req *r = e->req;
    const struct browser_conf *c = req_conf(r, &feature_browser);
    const struct field *f = head_find(&r->in, FIELD_USER_AGENT);
    enum verdict verdict = f != NULL ? by_version(c, f->value) : UNKNOWN;
    if (verdict == UNKNOWN && f != NULL && is_ancient(c, f->value))
        verdict = ANCIENT;
    if (verdict == UNKNOWN)
        verdict = c->unlisted ? MODERN : ANCIENT;
    bool wanted = verdict == (enum verdict)v->data;
    *out = !wanted ? STR("") : verdict == MODERN ? c->modern_value : c->ancient_value;
    return wanted;
}

static bool get_msie(struct eval *e, const struct var *v, struct str *out) {
    *out = STR("1");
    return req_is_msie(e->req);
}

static bool set_modern(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct browser_conf *c = conf;
    struct str name = node->args[1];
    if (node->nargs == 2 && str_eq(name, STR("unlisted"))) {
        c->unlisted = true;
        struct modern *none = conf_list_add(cx, row, &c->modern, sizeof(struct modern)); // this block has a list of its own
        none->browser = ARRAY_LEN(browsers);
        return true;
    }
    unsigned b = 0;
    while (b < ARRAY_LEN(browsers) && !str_ieq(name, browsers[b].name))
        b++;
    if (node->nargs == 2 || b == ARRAY_LEN(browsers))
        return conf_err(cx, node, "unknown browser name \"" STR_FMT "\"", STR_ARG(name));
    struct str rest;
    struct version v = take_version(node->args[2], &rest);
    if (rest.n != 0)
        return conf_err(cx, node, "invalid browser version \"" STR_FMT "\"", STR_ARG(node->args[2]));
    *(struct modern *)conf_list_add(cx, row, &c->modern, sizeof(struct modern)) = (struct modern){b, v};
    return true;
}

static bool set_ancient(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct browser_conf *c = conf;
    for (unsigned i = 1; i < node->nargs; i++) {
        if (str_eq(node->args[i], STR("netscape4")))
            c->netscape4 = true;
        else
            *(struct str *)conf_list_add(cx, row, &c->ancient, sizeof(struct str)) = node->args[i];
    }
    return true;
}

static bool set_value(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    *(struct str *)((char *)conf + row->offset) = node->args[1];
    return true;
}

#define S struct browser_conf
#define VALUE(n, f, h) {n, IN_HTTP_ALL, 1, 1, ROW_REPEAT, 0, set_value, NULL, FIELD_AT(S, f, struct str), "1", 0, 0, NULL, h}
static const struct conf_row rows[] = {
    ROW_FNS("ancient_browser", IN_HTTP_ALL, 1, 0xffff, ROW_LISTED, set_ancient, NULL, "string ... | netscape4",
            "Clients whose User-Agent holds one of these are ancient."),
    VALUE("ancient_browser_value", ancient_value, "What $ancient_browser is for them."),
    ROW_FNS("modern_browser", IN_HTTP_ALL, 1, 2, ROW_LISTED, set_modern, NULL, "msie | gecko | opera | safari | konqueror version | unlisted",
            "From which version on a browser is modern, and whether those that are not listed are."),
    VALUE("modern_browser_value", modern_value, "What $modern_browser is for them."),
};

static const struct var_def vars[] = {
    {"ancient_browser", false, 0, get_browser, NULL, ANCIENT, "ancient_browser_value for clients that are not modern."},
    {"modern_browser", false, 0, get_browser, NULL, MODERN, "modern_browser_value for clients that modern_browser names."},
    {"msie", false, 0, get_msie, NULL, 0, "\"1\" for Internet Explorer."},
};

struct feature feature_browser = {.name = "browser",
                                  .rows = rows,
                                  .nrows = ARRAY_LEN(rows),
                                  .conf_size = sizeof(S),
                                  .vars = vars,
                                  .nvars = ARRAY_LEN(vars)};
