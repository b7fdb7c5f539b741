// Scripts of the rewrite stage: gathered while a block is read, put in order when all is read, run for each request.
#include "feature/route/script.h"
#include "feature/route/rewrite.h"

struct script_op {
    script_fn *fn;
    void *data;
    unsigned seq; // of its directive: inner blocks are read after the directives around them
};

struct script {
    const struct scope *where; // whose script it is: inner blocks share the pointer, and do not run it
    struct script_op *ops;
    unsigned count, cap;
};

// --- making --------------------------------------------------------------------------------------------------------------

static void insert(struct script *s, struct script_op op) {
    unsigned at = s->count++;
    for (; at > 0 && s->ops[at - 1].seq > op.seq; at--)
        s->ops[at] = s->ops[at - 1];
    s->ops[at] = op;
}

void *script_add(struct conf_cx *cx, struct scope *scope, const struct conf_node *node, script_fn *fn, size_t data_size) {
    struct rewrite_conf *c = conf_own(cx, scope, &feature_rewrite);
    struct script *s = c->script;
    if (s == NULL || s->where != scope) {
        s = c->script = arena_new(cx->arena, struct script);
        s->where = scope;
    }
    if (s->count == s->cap) {
        s->cap = s->cap != 0 ? s->cap * 2 : 4;
        struct script_op *grown = arena_array(cx->arena, struct script_op, s->cap);
        if (s->count != 0)
            memcpy(grown, s->ops, s->count * sizeof(*grown));
        s->ops = grown;
    }
    void *data = arena_zalloc(cx->arena, data_size);
    insert(s, (struct script_op){fn, data, node->seq});
    return data;
}

// --- running -------------------------------------------------------------------------------------------------------------

enum script_step script_run_block(struct script_run *run, const struct scope *scope) {
    const struct rewrite_conf *c = scope_conf(scope, &feature_rewrite);
    const struct script *s = c->script;
    if (s == NULL || s->where != scope)
        return SCRIPT_NEXT;
    for (unsigned i = 0; i < s->count; i++) {
        enum script_step step = s->ops[i].fn(run, s->ops[i].data);
        if (step != SCRIPT_NEXT)
            return step;
    }
    return SCRIPT_NEXT;
}

static enum step run_script(struct req *r, const void *conf) {
    const struct rewrite_conf *c = conf;
    struct script_run run = {.r = r, .log = c->log, .quote = true};
    return script_run_block(&run, c->script->where) == SCRIPT_ANSWER ? STEP_DONE : STEP_NEXT;
}

bool script_bind(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct rewrite_conf *c = conf;
    if (c->script == NULL || c->script->where != s)
        return true;
    if (s->place == IN_SERVER)
        plan_add(cx, s, STAGE_SERVER_REWRITE, 0, run_script, c, "rewrite");
    else if (s->place == IN_LOCATION)
        plan_add(cx, s, STAGE_REWRITE, 0, run_script, c, "rewrite");
    return true;
}

bool script_match(struct script_run *run, const struct regex *re, struct str pattern, struct str subject) {
    bool matches = regex_match_req(re, subject, run->r);
    if (!matches)
        run->r->ncaptures = 0;
    if (run->log)
        log_msg(LOG_NOTICE, 0, "\"" STR_FMT "\" %s \"" STR_FMT "\"", STR_ARG(pattern), matches ? "matches" : "does not match",
                STR_ARG(subject));
    return matches;
}

// --- values --------------------------------------------------------------------------------------------------------------

struct value_part {
    const struct var *var; // NULL: text
    struct str text;
    bool capture; // $1..$9
    bool query;   // text.n == 0: the query begins here
};

struct script_value {
    struct value_part *parts;
    unsigned count;
};

static struct value_part *add_part(struct script_value *v) { return &v->parts[v->count++]; }

// *query: the first question mark is still to come.
static void add_text(struct script_value *v, struct str text, bool *query) {
    ssize_t question = *query ? str_chr(text, '?') : -1;
    if (question < 0) {
        add_part(v)->text = text;
        return;
    }
    *query = false;
    if (question > 0)
        add_part(v)->text = str_head(text, (size_t)question);
    add_part(v)->query = true;
    text = str_from(text, (size_t)question + 1);
    if (text.n != 0)
        add_part(v)->text = text;
}

static bool is_capture(const struct var *var) { return var->name.n == 1 && ascii_is_digit((unsigned char)var->name.p[0]); }

struct script_value *script_value_new(struct conf_cx *cx, struct str source, bool query, const struct conf_node *node) {
    struct tmpl *t = tmpl_compile(cx, source, node);
    if (t == NULL)
        return NULL;
    struct script_value *v = arena_new(cx->arena, struct script_value);
    v->parts = arena_array(cx->arena, struct value_part, t->count + 3);
    if (t->constant)
        add_text(v, t->text, &query);
    for (unsigned i = 0; i < t->count; i++) {
        const struct tmpl_part *p = &t->parts[i];
        if (p->var == NULL)
            add_text(v, p->text, &query);
        else
            *add_part(v) = (struct value_part){.var = p->var, .capture = is_capture(p->var)};
    }
    return v;
}

// What the client escaped was unescaped for matching; in a query or a redirect it must be escaped again.
static bool was_escaped(const struct req *r) { return r->target.plus || str_chr(r->target.raw_path, '%') >= 0; }

static bool part_text(struct script_run *run, const struct value_part *p, bool in_query, struct str *text) {
    *text = p->text;
    if (p->var == NULL)
        return true;
    if (!var_get(&run->r->eval, p->var, text))
        return false;
    if (p->capture && (in_query || run->quote) && was_escaped(run->r))
        *text = uri_escape(*text, URI_ESCAPE_ARGS, &run->r->arena);
    return true;
}

static bool too_long(const struct script_run *run) {
    log_msg(LOG_ERR, 0, "a value in rewrite directives is longer than %d bytes", TMPL_MAX);
    (void)run;
    return false;
}

bool script_value_get(struct script_run *run, const struct script_value *v, struct str *text, struct str *query) {
    struct str one;
    if (query != NULL)
        *query = STR_NONE;
    if (v->count <= 1 && (v->count == 0 || !v->parts[0].query)) {
        *text = v->count != 0 && part_text(run, &v->parts[0], false, &one) ? one : STR("");
        return text->n <= TMPL_MAX || too_long(run);
    }
    struct sbuf out;
    sbuf_init_arena(&out, &run->r->arena, 128, TMPL_MAX);
    ssize_t question = -1; // where the query begins
    for (unsigned i = 0; i < v->count; i++) {
        if (v->parts[i].query)
            question = (ssize_t)out.n;
        else if (part_text(run, &v->parts[i], question >= 0, &one))
            sbuf_str(&out, one);
    }
    if (out.overflow)
        return too_long(run);
    *text = sbuf_view(&out);
    if (question >= 0) {
        CHECK(query != NULL);
        *query = str_from(*text, (size_t)question);
        text->n = (size_t)question;
    }
    return true;
}
