// early_hints: whether a back end's 103 (Early Hints) is passed to the client (RFC 8297).
#include "feature/gateway/gateway.h"

extern struct feature feature_early_hints;

struct early_hints_conf {
    struct conf_list strings; // struct condition: all must be true
};

static void pass(struct exchange *x, const struct head *hints) {
    struct req *r = x->r;
    if (r != r->main || r->in.version < 11)
        return;
    struct head *out = arena_new(&r->arena, struct head);
    head_init(out, &r->arena);
    head_each(f, hints) {
        if ((field_flags(f->id) & FIELD_HOP) == 0 && f->id != FIELD_CONTENT_LENGTH && !gateway_hides(x->gw, f))
            head_add(out, f->id, f->name, f->value);
    }
    if (out->count != 0)
        r->codec->interim(r, 103, out);
}

void gateway_early_hints(struct req *r, struct exchange *x) {
    const struct early_hints_conf *c = req_conf(r, &feature_early_hints);
    if (c->strings.count != 0 && conditions_hold(r, c->strings))
        x->interim = pass;
}

static bool set(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct early_hints_conf *c = conf;
    return gateway_add_conditions(cx, row, &c->strings, node);
}

static const struct conf_row rows[] = {
    ROW_FNS("early_hints", IN_HTTP_ALL, 1, 0xffff, ROW_LISTED, set, NULL, "string ...",
            "Passes 103 (Early Hints) of back ends to the client if none of these is empty or \"0\"."),
};

struct feature feature_early_hints = {
    .name = "early_hints", .rows = rows, .nrows = ARRAY_LEN(rows), .conf_size = sizeof(struct early_hints_conf)};
