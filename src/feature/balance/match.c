// match: tests of a response to a health check; all must hold.
#include "feature/balance/match.h"
#include "feature/balance/balance.h"
#include "http/regex.h"
#include "http/req.h"

struct range {
    unsigned first, last;
};

enum how { IS, IS_NOT, LIKE, NOT_LIKE, THERE, NOT_THERE };

struct header_test {
    struct str name, value;
    enum how how;
    struct regex *regex;
};

struct match {
    struct str name;
    struct range *status; // [nstatus]
    unsigned nstatus;
    bool not_status;
    struct header_test *headers;
    unsigned nheaders, headers_cap;
    struct regex *body;
    bool not_body;
    struct tmpl **require;
    unsigned nrequire;
};

struct match_conf {
    struct map *by_name; // of the http block
};

// --- judging -----------------------------------------------------------------------------------------------------------------------

static bool status_holds(const struct match *m, unsigned status) {
    bool among = false;
    for (unsigned i = 0; i < m->nstatus; i++)
        among |= status >= m->status[i].first && status <= m->status[i].last;
    return m->nstatus == 0 || among != m->not_status;
}

static bool header_holds(const struct header_test *t, struct req *r, const struct head *h) {
    struct str value = STR_NONE;
    head_each(f, h) {
        if (str_ieq(f->name, t->name)) {
            struct str parts[3] = {value, STR(", "), f->value};
            value = value.p == NULL ? f->value : arena_join(&r->arena, parts, 3);
        }
    }
    size_t ov[2 * REGEX_CAPTURES_MAX];
    unsigned pairs;
    switch (t->how) {
    case IS:
        return value.p != NULL && str_eq(value, t->value);
    case IS_NOT:
        return value.p == NULL || !str_eq(value, t->value);
    case LIKE:
        return value.p != NULL && regex_match(t->regex, value, ov, &pairs);
    case NOT_LIKE:
        return value.p == NULL || !regex_match(t->regex, value, ov, &pairs);
    case THERE:
        return value.p != NULL;
    case NOT_THERE:
        return value.p == NULL;
    }
    return false;
}

const char *match_judge(const struct match *m, struct req *r, const struct head *h, struct str body) {
    size_t ov[2 * REGEX_CAPTURES_MAX];
    unsigned pairs;
    if (m == NULL)
        return h->status >= 200 && h->status < 400 ? NULL : "checking status code";
    if (!status_holds(m, h->status))
        return "checking status code";
    for (unsigned i = 0; i < m->nheaders; i++)
        if (!header_holds(&m->headers[i], r, h))
            return "checking header";
    if (m->body != NULL && regex_match(m->body, body, ov, &pairs) == m->not_body)
        return "checking body";
    for (unsigned i = 0; i < m->nrequire; i++) {
        struct str value = req_eval(r, m->require[i]);
        if (value.n == 0 || str_eq(value, STR("0")))
            return "checking required variables";
    }
    return NULL;
}

bool match_wants_body(const struct match *m) { return m != NULL && m->body != NULL; }

const struct match *match_find(const struct conf *c, struct str name) {
    for (const struct scope *s = c->root->children; s != NULL; s = s->next) {
        const struct match_conf *mc = s->place == IN_HTTP ? scope_conf(s, &feature_match) : NULL;
        if (mc != NULL && mc->by_name != NULL)
            return map_get(mc->by_name, name);
    }
    return NULL;
}

// --- the block ---------------------------------------------------------------------------------------------------------------------

static bool bad(struct conf_cx *cx, const struct conf_node *node) {
    return conf_err(cx, node, "invalid \"" STR_FMT "\" test in \"match\"", STR_ARG(node->args[0]));
}

// status 200; status ! 500; status 200-399 404;
static bool read_status(struct conf_cx *cx, const struct conf_node *node, struct match *m) {
    unsigned i = 1;
    if (node->nargs > 1 && str_eq(node->args[1], STR("!"))) {
        m->not_status = true;
        i++;
    }
    if (m->nstatus != 0)
        return conf_err(cx, node, "\"status\" test is duplicate");
    m->status = arena_array(cx->arena, struct range, node->nargs);
    for (; i < node->nargs; i++) {
        struct str rest = node->args[i], low, high;
        uint64_t first, last;
        str_split(&rest, '-', &low);
        high = rest.p != NULL ? rest : low;
        if (!str_u64(low, 999, &first) || !str_u64(high, 999, &last) || first > last)
            return bad(cx, node);
        m->status[m->nstatus++] = (struct range){(unsigned)first, (unsigned)last};
    }
    return m->nstatus != 0 || bad(cx, node);
}

static bool operator_of(struct str word, enum how *how) {
    static const struct {
        const char *word;
        enum how how;
    } all[] = {{"=", IS}, {"!=", IS_NOT}, {"~", LIKE}, {"!~", NOT_LIKE}};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (str_eq(word, str_c(all[i].word))) {
            *how = all[i].how;
            return true;
        }
    }
    return false;
}

// header Name; header ! Name; header Name = value; != ~ !~
static bool read_header(struct conf_cx *cx, const struct conf_node *node, struct match *m) {
    struct header_test t = {.how = THERE};
    if (node->nargs == 2) {
        t.name = node->args[1];
    } else if (node->nargs == 3 && str_eq(node->args[1], STR("!"))) {
        t.name = node->args[2];
        t.how = NOT_THERE;
    } else if (node->nargs == 4 && operator_of(node->args[2], &t.how)) {
        t.name = node->args[1];
        t.value = node->args[3];
        if ((t.how == LIKE || t.how == NOT_LIKE) && (t.regex = regex_compile(cx, t.value, false, node)) == NULL)
            return false;
    } else {
        return bad(cx, node);
    }
    if (m->nheaders == m->headers_cap) {
        m->headers_cap = MAX(8, m->headers_cap * 2);
        struct header_test *more = arena_array(cx->arena, struct header_test, m->headers_cap);
        if (m->nheaders != 0)
            memcpy(more, m->headers, m->nheaders * sizeof(*more));
        m->headers = more;
    }
    m->headers[m->nheaders++] = t;
    return true;
}

static bool read_body(struct conf_cx *cx, const struct conf_node *node, struct match *m) {
    enum how how;
    if (node->nargs != 3 || !operator_of(node->args[1], &how) || (how != LIKE && how != NOT_LIKE))
        return bad(cx, node);
    if (m->body != NULL)
        return conf_err(cx, node, "\"body\" test is duplicate");
    m->not_body = how == NOT_LIKE;
    m->body = regex_compile(cx, node->args[2], false, node);
    return m->body != NULL;
}

static bool read_require(struct conf_cx *cx, const struct conf_node *node, struct match *m) {
    if (node->nargs < 2)
        return bad(cx, node);
    m->require = arena_array(cx->arena, struct tmpl *, node->nargs);
    m->nrequire = 0;
    for (unsigned i = 1; i < node->nargs; i++) {
        if (!tmpl_has_var(node->args[i]))
            return conf_err(cx, node, "invalid variable name \"" STR_FMT "\"", STR_ARG(node->args[i]));
        m->require[m->nrequire] = tmpl_compile(cx, node->args[i], node);
        if (m->require[m->nrequire++] == NULL)
            return false;
    }
    return true;
}

static bool read_test(struct conf_cx *cx, const struct conf_node *node, struct match *m) {
    if (!node->block && str_eq(node->args[0], STR("status")))
        return read_status(cx, node, m);
    if (!node->block && str_eq(node->args[0], STR("header")))
        return read_header(cx, node, m);
    if (!node->block && str_eq(node->args[0], STR("body")))
        return read_body(cx, node, m);
    if (!node->block && str_eq(node->args[0], STR("require")))
        return read_require(cx, node, m);
    return conf_err(cx, node, "unknown directive \"" STR_FMT "\"", STR_ARG(node->args[0]));
}

static bool set(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct match_conf *mc = conf;
    if (mc->by_name == NULL) {
        mc->by_name = arena_new(cx->arena, struct map);
        map_init(mc->by_name, false, cx->conf->seed);
        arena_cleanup(cx->arena, (void (*)(void *))map_done, mc->by_name);
    }
    struct match *m = arena_new(cx->arena, struct match);
    m->name = node->args[1];
    if (map_put(mc->by_name, m->name, m) != NULL)
        return conf_err(cx, node, "duplicate match \"" STR_FMT "\"", STR_ARG(m->name));
    bool ok = true;
    for (const struct conf_node *n = node->children; n != NULL; n = n->next)
        ok = read_test(cx, n, m) && ok;
    return ok;
}

static const struct conf_row rows[] = {
    ROW_DATA("match", IN_HTTP, 1, 1, ROW_REPEAT, set,
             "Tests of responses to health checks: status, header, body, require; all must hold."),
};

struct feature feature_match = {.name = "match", .rows = rows, .nrows = ARRAY_LEN(rows), .conf_size = sizeof(struct match_conf)};
