// Variables and templates.
#include "conf/build.h"
#include "conf/fake.h"

static unsigned asked; // how often a getter ran; each test is a process of its own

static bool get_count(struct eval *e, const struct var *v, struct str *out) {
    *out = arena_printf(e->arena, "%u", ++asked);
    return true;
}
static bool get_none(struct eval *e, const struct var *v, struct str *out) {
    asked++;
    return false;
}
static bool get_rest(struct eval *e, const struct var *v, struct str *out) {
    *out = v->rest;
    return true;
}
static bool get_big(struct eval *e, const struct var *v, struct str *out) {
    size_t n = TMPL_MAX - 2;
    *out = str_n(memset(arena_bytes(e->arena, n), 'x', n), n);
    return true;
}
static bool get_tmpl(struct eval *e, const struct var *v, struct str *out) { // a value made of others, as map's is
    *out = tmpl_eval(*(struct tmpl **)v->data, e);
    return true;
}
static struct tmpl *loop;
static bool get_mine(struct eval *e, const struct var *v, struct str *out) {
    *out = STR("mine");
    return true;
}

static struct var_def defs[] = {
    {"kept", false, 0, get_count, NULL, 0, ""},
    {"fresh", false, VAR_VOLATILE, get_count, NULL, 0, ""},
    {"cheap", false, VAR_CHEAP, get_count, NULL, 0, ""},
    {"none", false, 0, get_none, NULL, 0, ""},
    {"big", false, 0, get_big, NULL, 0, ""},
    {"loop", false, 0, get_tmpl, NULL, 0, ""},
    {"fixed_x", false, 0, get_mine, NULL, 0, ""},
    {"http_", true, 0, get_rest, NULL, 0, ""},
    {"http_x_", true, 0, get_rest, NULL, 0, ""},
    {"free", false, VAR_CHANGEABLE, get_count, NULL, 0, ""},
};

struct world {
    struct conf conf;
    struct conf_build build;
    struct conf_cx cx;
    struct conf_node node;
    struct eval eval;
    struct arena request;
};

static void world_init(struct world *w) {
    *w = (struct world){0};
    arena_init(&w->conf.arena, NULL);
    conf_errors_init(&w->conf.errors, &w->conf.arena);
    vars_init(&w->conf.vars, &w->conf.arena, 5);
    defs[5].data = (uintptr_t)&loop;
    vars_define(&w->conf.vars, defs, ARRAY_LEN(defs));
    w->cx = (struct conf_cx){.conf = &w->conf, .arena = &w->conf.arena, .build = &w->build, .node = &w->node};
    arena_init(&w->request, NULL);
    w->eval = (struct eval){.arena = &w->request, .vars = &w->conf.vars};
}

static void world_done(struct world *w) {
    arena_done(&w->request);
    vars_done(&w->conf.vars);
    arena_done(&w->conf.arena);
}

static struct str eval(struct world *w, const char *source) {
    struct tmpl *t = tmpl_compile(&w->cx, str_c(source), NULL);
    EXPECT(t != NULL);
    w->eval.values = NULL; // the slots have grown
    return tmpl_eval(t, &w->eval);
}

TEST(tmpl_parts) {
    struct world w;
    world_init(&w);
    EXPECT_STR(eval(&w, "plain"), STR("plain"));
    EXPECT_STR(eval(&w, ""), STR(""));
    EXPECT_STR(eval(&w, "$http_a"), STR("a"));
    EXPECT_STR(eval(&w, "${http_a}"), STR("a"));
    EXPECT_STR(eval(&w, "<$http_a-${http_b}c$HTTP_D>"), STR("<a-bcd>"));
    EXPECT_STR(eval(&w, "$http_x_y$none."), STR("y.")); // the longest prefix
    EXPECT_STR(eval(&w, "$fixed_x"), STR("mine"));
    EXPECT(w.eval.values != NULL);
    EXPECT_INT(w.conf.errors.errors, 0);
    struct tmpl *t = tmpl_compile(&w.cx, STR("$12${x}"), NULL);
    EXPECT_INT(t->count, 3);
    EXPECT_STR(t->parts[0].var->name, STR("1"));
    EXPECT_STR(t->parts[1].text, STR("2"));
    EXPECT(t->parts[2].var->get == NULL); // nobody defines $x
    EXPECT(tmpl_has_var(STR("a$b")) && tmpl_has_var(STR("a$")) && !tmpl_has_var(STR("ab")));
    EXPECT(tmpl_const(&w.request, STR("$x"))->constant);
    EXPECT_STR(tmpl_eval(tmpl_const(&w.request, STR("$x")), &w.eval), STR("$x"));
    world_done(&w);
}

TEST(tmpl_is_bounded) {
    struct world w;
    world_init(&w);
    EXPECT_INT(eval(&w, "${big}ab").n, TMPL_MAX);
    EXPECT_INT(eval(&w, "${big}abc").n, 0);
    EXPECT_INT(eval(&w, "${big}${big}").n, 0);
    world_done(&w);
}

TEST(var_kept_and_fresh) {
    struct world w;
    world_init(&w);
    EXPECT_STR(eval(&w, "$kept$kept$kept"), STR("111"));
    EXPECT_STR(eval(&w, "$fresh$fresh"), STR("23"));
    EXPECT_STR(eval(&w, "$cheap$cheap"), STR("45"));
    asked = 0;
    EXPECT_STR(eval(&w, "[$none$none]"), STR("[]"));
    EXPECT_INT(asked, 1); // that it is not there is kept too
    // A constant and a cheap variable need no table.
    struct eval bare = {.arena = &w.request, .vars = &w.conf.vars};
    tmpl_eval(tmpl_compile(&w.cx, STR("$cheap"), NULL), &bare);
    EXPECT(bare.values == NULL);
    world_done(&w);
}

TEST(var_put_and_forget) {
    struct world w;
    world_init(&w);
    struct var *kept = var_use(&w.cx, STR("kept"), NULL), *fresh = var_use(&w.cx, STR("Fresh"), NULL);
    struct str out;
    var_forget(&w.eval, kept);
    var_put(&w.eval, kept, STR("p"));
    var_put(&w.eval, fresh, STR("q"));
    EXPECT(var_get(&w.eval, kept, &out));
    EXPECT_STR(out, STR("p"));
    EXPECT(var_get(&w.eval, fresh, &out));
    EXPECT_STR(out, STR("q"));
    EXPECT_INT(asked, 0);
    var_forget(&w.eval, kept);
    EXPECT(var_get(&w.eval, kept, &out));
    EXPECT_STR(out, STR("1"));
    EXPECT(var_use(&w.cx, STR("KEPT"), NULL) == kept); // case does not count
    world_done(&w);
}

TEST(var_cycle_ends) {
    struct world w;
    world_init(&w);
    loop = tmpl_compile(&w.cx, STR("<$loop>"), NULL);
    EXPECT_STR(eval(&w, "$loop"), STR("<>"));
    world_done(&w);
}

TEST(var_make_rules) {
    struct world w;
    world_init(&w);
    struct var *v = var_make(&w.cx, STR("A"), VAR_CHANGEABLE | VAR_WEAK, get_none, NULL, 1, NULL);
    EXPECT(v != NULL && v->get == get_none);
    EXPECT(var_make(&w.cx, STR("a"), VAR_CHANGEABLE, get_mine, NULL, 2, NULL) == v); // a weak one yields
    EXPECT(v->get == get_mine && v->data == 2);
    EXPECT(var_make(&w.cx, STR("a"), VAR_CHANGEABLE, get_count, NULL, 3, NULL) == v); // the last wins
    EXPECT(v->get == get_count && v->data == 3);
    EXPECT(var_make(&w.cx, STR("a"), VAR_CHANGEABLE | VAR_WEAK, get_none, NULL, 4, NULL) == v);
    EXPECT(v->get == get_count);
    v = var_make(&w.cx, STR("free"), VAR_CHANGEABLE | VAR_WEAK, get_none, NULL, 0,
                 NULL); // `set` keeps the feature's getter
    EXPECT(v != NULL && v->get == get_count);
    EXPECT(var_make(&w.cx, STR("free"), VAR_CHANGEABLE, get_mine, NULL, 0, NULL) == v && v->get == get_mine);
    EXPECT_INT(w.conf.errors.errors, 0);
    EXPECT(var_make(&w.cx, STR("kept"), VAR_CHANGEABLE, get_mine, NULL, 0, NULL) == NULL);
    EXPECT_STR(w.conf.errors.head->text, STR("the duplicate \"kept\" variable"));
    // Used before it is made: one slot.
    struct var *early = var_use(&w.cx, STR("late"), NULL);
    EXPECT(early->get == NULL && var_make(&w.cx, STR("late"), 0, get_mine, NULL, 0, NULL) == early);
    EXPECT(early->get == get_mine);
    world_done(&w);
}

TEST(var_slots) {
    struct world w;
    world_init(&w);
    for (unsigned i = 0; i < 300; i++) {
        struct var *v = var_use(&w.cx, arena_printf(&w.request, "http_%u", i), NULL);
        EXPECT_INT(v->slot, i);
    }
    EXPECT_INT(w.conf.vars.count, 300);
    for (unsigned i = 0; i < 300; i++)
        EXPECT_INT(w.conf.vars.at[i]->slot, i);
    world_done(&w);
}
