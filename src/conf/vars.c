// Variables of one configuration: names to slots while loading, slots to values while a request runs.
#include "conf/vars.h"
#include "conf/conf.h"

void vars_init(struct vars *vs, struct arena *arena, uint64_t seed) {
    *vs = (struct vars){.arena = arena};
    map_init(&vs->by_name, false, seed);
    map_init(&vs->defs, false, seed);
}

void vars_done(struct vars *vs) {
    map_done(&vs->by_name);
    map_done(&vs->defs);
}

void vars_define(struct vars *vs, const struct var_def *defs, size_t n) {
    size_t families = 0;
    for (size_t i = 0; i < n; i++) {
        if (defs[i].prefix)
            families++;
        else
            CHECK(map_put(&vs->defs, str_c(defs[i].name), (void *)(uintptr_t)&defs[i]) == NULL); // names are unique
    }
    if (families == 0)
        return;
    const struct var_def **all = arena_alloc(vs->arena, (vs->nprefixes + families) * sizeof(*all));
    if (vs->nprefixes > 0)
        memcpy(all, vs->prefixes, vs->nprefixes * sizeof(*all));
    for (size_t i = 0; i < n; i++)
        if (defs[i].prefix)
            all[vs->nprefixes++] = &defs[i];
    vs->prefixes = all;
}

// The exact name, or the family with the longest prefix; "http_" alone names no variable.
static const struct var_def *find_def(const struct vars *vs, struct str name) {
    const struct var_def *best = map_get(&vs->defs, name);
    if (best != NULL)
        return best;
    for (unsigned i = 0; i < vs->nprefixes; i++) {
        struct str prefix = str_c(vs->prefixes[i]->name);
        if (name.n > prefix.n && str_starts(name, prefix) && (best == NULL || prefix.n > strlen(best->name)))
            best = vs->prefixes[i];
    }
    return best;
}

static struct var *find_or_add(struct vars *vs, struct str name, const struct conf_node *node) {
    struct str lower = arena_lower(vs->arena, name);
    struct var *v = map_get(&vs->by_name, lower);
    if (v != NULL)
        return v;
    v = arena_new(vs->arena, struct var);
    v->name = lower;
    v->first_use = node;
    v->slot = vs->count;
    const struct var_def *def = find_def(vs, lower);
    if (def != NULL) {
        v->flags = def->flags;
        v->get = def->get;
        v->set = def->set;
        v->data = def->data;
        if (def->prefix)
            v->rest = str_from(lower, strlen(def->name));
    }
    if (vs->count == vs->cap) {
        unsigned cap = vs->cap ? vs->cap * 2 : 64;
        struct var **at = arena_alloc(vs->arena, cap * sizeof(*at));
        if (vs->count > 0)
            memcpy(at, vs->at, vs->count * sizeof(*at));
        vs->at = at;
        vs->cap = cap;
    }
    vs->at[vs->count++] = v;
    map_put(&vs->by_name, v->name, v);
    return v;
}

struct var *var_use(struct conf_cx *cx, struct str name, const struct conf_node *node) {
    return find_or_add(&cx->conf->vars, name, node ? node : cx->node);
}

struct var *var_make(struct conf_cx *cx, struct str name, unsigned flags, var_get_fn *get, var_set_fn *set,
                     uintptr_t data, const struct conf_node *node) {
    CHECK(get != NULL);
    struct var *v = find_or_add(&cx->conf->vars, name, node ? node : cx->node);
    if (v->rest.n != 0 && (flags & VAR_WEAK)) { // of a family: $http_x is the field where `set` did not change it, as in nginx
        v->flags |= VAR_CHANGEABLE;
        return v;
    }
    if (v->rest.n != 0)
        v->rest = STR_NONE, v->get = NULL;
    if (v->get != NULL && !(v->flags & VAR_CHANGEABLE)) {
        conf_err(cx, node, "the duplicate \"" STR_FMT "\" variable", STR_ARG(v->name));
        return NULL;
    }
    if (v->get != NULL && (flags & VAR_WEAK))
        return v;
    v->flags = flags;
    v->get = get;
    v->set = set;
    v->data = data;
    return v;
}

static bool get_nothing(struct eval *e, const struct var *v, struct str *out) { return false; }

struct var *var_settable(struct conf_cx *cx, struct str name, const struct conf_node *node) {
    return var_make(cx, name, VAR_CHANGEABLE | VAR_WEAK, get_nothing, NULL, 0, node);
}

// The place of the kept value; the table is made with the first one.
static struct var_value *value_of(struct eval *e, const struct var *v) {
    if (e->values == NULL)
        e->values = arena_array(e->arena, struct var_value, e->vars->count);
    return &e->values[v->slot];
}

bool var_get(struct eval *e, const struct var *v, struct str *out) {
    *out = STR_NONE;
    if ((v->flags & (VAR_CHEAP | VAR_CHANGEABLE)) == VAR_CHEAP && LIKELY(!e->revived))
        return v->get(e, v, out);
    struct var_value *kept = value_of(e, v);
    switch (kept->state) {
    case VALUE_FOUND:
        *out = kept->value;
        return true;
    case VALUE_NOT_FOUND:
    case VALUE_BUSY:
        return false;
    case VALUE_NONE:
        break;
    }
    kept->state = VALUE_BUSY;
    struct str value = STR_NONE;
    bool found = v->get(e, v, &value);
    if (kept->state != VALUE_BUSY) // the getter itself put it
        return var_get(e, v, out);
    bool keep = !(v->flags & (VAR_VOLATILE | VAR_CHEAP));
    kept->state = !keep ? VALUE_NONE : found ? VALUE_FOUND : VALUE_NOT_FOUND;
    if (!found)
        return false;
    if (keep)
        kept->value = value;
    *out = value;
    return true;
}

bool var_get_named(struct eval *e, struct str name, struct str *out) {
    const struct var *used = map_get(&e->vars->by_name, name);
    if (used != NULL)
        return var_get(e, used, out);
    *out = STR_NONE;
    const struct var_def *def = find_def(e->vars, name);
    if (def == NULL)
        return false;
    struct var v = {.name = name, .flags = def->flags, .get = def->get, .data = def->data};
    if (def->prefix)
        v.rest = str_from(name, strlen(def->name));
    return v.get(e, &v, out);
}

void var_assign(struct eval *e, const struct var *v, struct str value) {
    if (v->set != NULL)
        v->set(e, v, value);
    else
        var_put(e, v, value);
}

void var_put(struct eval *e, const struct var *v, struct str value) {
    *value_of(e, v) = (struct var_value){value, VALUE_FOUND};
}

void var_put_absent(struct eval *e, const struct var *v) {
    *value_of(e, v) = (struct var_value){STR_NONE, VALUE_NOT_FOUND};
}

void var_forget(struct eval *e, const struct var *v) {
    if (e->values != NULL)
        e->values[v->slot] = (struct var_value){STR_NONE, VALUE_NONE};
}
