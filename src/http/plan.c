// Plans are filled while a configuration is linked and never change afterwards.
#include "http/plan.h"

static void add(struct conf_cx *cx, struct scope *s, enum stage stage, const struct hook *h) {
    if (s->plan == NULL)
        s->plan = arena_new(cx->arena, struct plan);
    struct plan *p = s->plan;
    if (p->stage[stage].count == p->stage[stage].cap) {
        unsigned cap = p->stage[stage].cap ? p->stage[stage].cap * 2 : 4;
        struct hook *grown = arena_array(cx->arena, struct hook, cap);
        if (p->stage[stage].count)
            memcpy(grown, p->stage[stage].at, sizeof(*grown) * p->stage[stage].count);
        p->stage[stage].at = grown;
        p->stage[stage].cap = cap;
    }
    struct hook *at = p->stage[stage].at;
    unsigned i = p->stage[stage].count++;
    for (; i > 0 && at[i - 1].order > h->order; i--)
        at[i] = at[i - 1];
    at[i] = *h;
}

void plan_add(struct conf_cx *cx, struct scope *s, enum stage stage, int order, hook_fn *fn, const void *conf,
              const char *name) {
    add(cx, s, stage, &(struct hook){.fn = fn, .conf = conf, .name = name, .order = order});
}

// Blocks are nested, and what they say stands in the order of the text.
static bool is_behind(const struct scope *s, const struct hook *a, const struct hook *b) {
    if (a->where == b->where)
        return a->answers->seq > b->answers->seq;
    for (; s != a->where; s = s->outer) {
        if (s == b->where)
            return false;
    }
    return true;
}

void plan_answer(struct conf_cx *cx, struct scope *s, hook_fn *fn, const void *conf, const char *name, const struct scope *where,
                 const struct conf_node *node) {
    struct hook h = {.fn = fn, .conf = conf, .name = name, .where = where, .answers = node};
    struct plan *p = s->plan;
    for (unsigned i = 0; p != NULL && i < p->stage[STAGE_CONTENT].count; i++) {
        struct hook *other = &p->stage[STAGE_CONTENT].at[i];
        if (other->answers == NULL)
            continue;
        if (is_behind(s, &h, other))
            *other = h;
        return;
    }
    add(cx, s, STAGE_CONTENT, &h);
}

bool plan_answers_in(const struct scope *s, const struct scope *where) {
    while (s != where && (s->place & (IN_IF | IN_LIMIT_EXCEPT)) != 0)
        s = s->outer;
    return s == where;
}

void plan_add_log(struct conf_cx *cx, struct scope *s, hook_fn *fn, const void *conf, const char *name,
                  const struct var *const *asks, unsigned nasks) {
    add(cx, s, STAGE_LOG,
        &(struct hook){.fn = fn, .conf = conf, .name = name, .says_what = true, .asks = asks, .nasks = nasks});
}
