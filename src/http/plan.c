// Plans are filled while a configuration is linked and never change afterwards.
#include "http/plan.h"

void plan_add(struct conf_cx *cx, struct scope *s, enum stage stage, int order, hook_fn *fn, const void *conf,
              const char *name) {
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
    for (; i > 0 && at[i - 1].order > order; i--)
        at[i] = at[i - 1];
    at[i] = (struct hook){.fn = fn, .conf = conf, .name = name, .order = order};
}
