// add_before_body, add_after_body: what other URIs answer stands around the answer.
#include "feature/response/type_list.h"
#include "http/filter.h"
#include "http/plan.h"
#include "http/subrequest.h"

struct addition_conf {
    struct str before, after; // empty: none
    struct type_list types;
};

enum part { PART_BEFORE, PART_OWN, PART_AFTER, PART_END };

struct addition {
    struct filter filter;
    struct req *r;
    const struct addition_conf *conf;
    enum part part;
    struct body *other; // the answer of `before` or `after`
};

static struct body *ask(struct addition *a, struct str uri) {
    struct req *sr = subrequest_new(a->r, &(struct subrequest_opts){.uri = uri});
    return sr != NULL ? subrequest_start(sr) : NULL;
}

// -EIO when the request for the part cannot be made.
static ssize_t begin(struct addition *a, enum part part) {
    struct str uri = part == PART_AFTER ? a->conf->after : STR("");
    a->part = part;
    if (uri.n == 0) {
        a->part = part == PART_AFTER ? PART_END : part;
        return 0;
    }
    a->other = ask(a, uri);
    return a->other != NULL ? 0 : -EIO;
}

static ssize_t read_addition(struct body *b, struct chain *to, size_t room, enum body_wait wait) {
    struct addition *a = container_of(b, struct addition, filter.body);
    while (a->part != PART_END) {
        struct body *from = a->part == PART_OWN ? a->filter.inner : a->other;
        ssize_t n = from == NULL ? -EIO : body_read(from, to, room, wait);
        b->soon = from != NULL && from->soon;
        if (n != 0) {
            b->flush = from != NULL && from->flush;
            return n;
        }
        if (a->part == PART_OWN)
            b->trailers = from->trailers;
        body_free(a->other);
        a->other = NULL;
        n = begin(a, a->part + 1);
        if (n < 0)
            return n;
    }
    return 0;
}

static void free_addition(struct body *b) {
    struct addition *a = container_of(b, struct addition, filter.body);
    body_free(a->other);
    filter_done(&a->filter);
}

static const struct body_ops addition_ops = {"addition", read_addition, filter_ahead, free_addition};

static enum step add(struct req *r, const void *conf) {
    const struct addition_conf *c = conf;
    if (r != r->main || r->out.status != 200 || !filter_prepare(r) || !type_list_has(&c->types, r))
        return STEP_NEXT;
    filter_forget_length(r);
    filter_weaken_etag(r);
    if (r->out_body == NULL || r->method == METHOD_HEAD) // a HEAD with Range has one
        return STEP_NEXT;
    struct addition *a = arena_new(&r->arena, struct addition);
    filter_wrap(r, &a->filter, &addition_ops);
    a->r = r;
    a->conf = c;
    a->part = PART_OWN;
    if (c->before.n != 0) {
        a->part = PART_BEFORE;
        a->other = ask(a, c->before);
    }
    return STEP_NEXT;
}

static bool bind_addition(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct addition_conf *c = conf;
    if (c->before.n != 0 || c->after.n != 0)
        plan_add(cx, s, STAGE_RESPONSE, RESPONSE_ADDITION, add, c, "addition");
    return true;
}

#define A struct addition_conf
static const struct conf_row rows[] = {
    ROW_STR("add_before_body", IN_HTTP_ALL, A, before, NULL, "A URI whose answer is put in front of answers; \"\" for none."),
    ROW_STR("add_after_body", IN_HTTP_ALL, A, after, NULL, "A URI whose answer is put behind answers; \"\" for none."),
    ROW_TYPES("addition_types", A, types, "text/html", "Content types of answers, besides text/html, that get additions."),
};

struct feature feature_addition = {.name = "addition",
                                   .rows = rows,
                                   .nrows = ARRAY_LEN(rows),
                                   .conf_size = sizeof(struct addition_conf),
                                   .bind = bind_addition};
