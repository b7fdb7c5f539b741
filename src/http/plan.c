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
