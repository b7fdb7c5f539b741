// Parameters of a request to an application (CGI's variables): those of the configuration, and the client's fields as HTTP_*.
#include "feature/gateway/gateway.h"

bool gateway_add_param(struct conf_cx *cx, const struct conf_row *row, struct conf_list *list, const struct conf_node *node) {
    bool if_not_empty = node->nargs == 4;
    if (if_not_empty && !str_eq(node->args[3], STR("if_not_empty")))
        return conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(node->args[3]));
    struct tmpl *value = tmpl_compile(cx, node->args[2], node);
    if (value == NULL)
        return false;
    struct gateway_param *p = conf_list_add(cx, row, list, sizeof(*p));
    *p = (struct gateway_param){node->args[1], value, if_not_empty};
    return true;
}

// "X-Real-IP" as HTTP_X_REAL_IP.
static struct str cgi_name(struct arena *a, struct str field) {
    char *name = arena_bytes(a, field.n + 5);
    memcpy(name, "HTTP_", 5);
    for (size_t i = 0; i < field.n; i++) {
        unsigned char c = (unsigned char)field.p[i];
        name[5 + i] = c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : (char)c;
    }
    return str_n(name, field.n + 5);
}

static bool has_param(struct conf_list params, struct str name) {
    conf_list_each(const struct gateway_param, p, params) {
        if (str_eq(p->name, name))
            return true;
    }
    return false;
}

// Whether a line of that name came before: they are one parameter, joined where the first one stands.
static bool came_before(const struct head *h, const struct field *f) {
    head_each(o, h) {
        if (o == f)
            return false;
        if (o->id == f->id && (f->id != FIELD_UNKNOWN || str_ieq(o->name, f->name)))
            return true;
    }
    return false;
}

static struct str joined(struct req *r, const struct head *h, const struct field *f) {
    struct str all = f->value;
    for (const struct field *o = head_find_next(h, f); o != NULL; o = head_find_next(h, o)) {
        struct str parts[3] = {all, f->id == FIELD_COOKIE ? STR("; ") : STR(", "), o->value};
        all = arena_join(&r->arena, parts, 3);
    }
    return all;
}

void gateway_put_params(struct exchange *x, struct conf_list params, struct sbuf *to,
                        void (*put)(struct sbuf *to, struct str name, struct str value)) {
    struct req *r = x->r;
    // A subrequest sees the fields of the client's request, but not its body: an application must not wait for it.
    bool bodiless = r != r->main && !x->has_body;
    conf_list_each(const struct gateway_param, p, params) {
        struct str value = bodiless && str_eq(p->name, STR("CONTENT_LENGTH")) ? STR("") : req_eval(r, p->value);
        // nginx: an HTTP_X that is set to nothing only hides the client's field.
        bool hides = p->value->constant && str_starts(p->name, STR("HTTP_"));
        if (value.n != 0 || (!p->if_not_empty && !hides))
            put(to, p->name, value);
    }
    if (!x->gw->pass_request_headers)
        return;
    const struct head *h = exchange_fields(x);
    head_each(f, h) {
        if (bodiless && f->id == FIELD_CONTENT_LENGTH)
            continue;
        struct str name = cgi_name(&r->arena, f->name);
        if (!has_param(params, name) && !came_before(h, f))
            put(to, name, joined(r, h, f));
    }
}
