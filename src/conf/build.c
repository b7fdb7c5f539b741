// The tree of directives to the tree of scopes. Each block: share the outer values, apply this block's rows in order,
// finish, then its inner blocks in order. A feature's struct is copied when the first of its rows is used in the block.
#include "conf/build.h"
#include <stdlib.h>

static void apply_block(struct conf_cx *cx, struct scope *s, struct conf_node *first, bool dry);

static bool owns(const struct scope *s, unsigned index) {
    return s->owned != NULL && (s->owned[index / 64] >> (index % 64) & 1);
}

void *conf_own(struct conf_cx *cx, struct scope *s, const struct feature *f) {
    if (f->conf_size == 0)
        return NULL;
    if (owns(s, f->index))
        return s->conf[f->index];
    size_t n = cx->conf->nfeatures;
    if (s->owned == NULL) {
        void **array = arena_alloc(cx->arena, n * sizeof(void *));
        memcpy(array, s->conf, n * sizeof(void *));
        s->conf = array;
        s->owned = arena_zalloc(cx->arena, (n + 63) / 64 * sizeof(uint64_t));
        cx->build->arrays++;
    }
    void *copy = arena_alloc(cx->arena, f->conf_size);
    memcpy(copy, s->conf[f->index], f->conf_size);
    s->conf[f->index] = copy;
    s->owned[f->index / 64] |= (uint64_t)1 << (f->index % 64);
    cx->build->structs++;
    return copy;
}

static struct set_mark *find_mark(struct conf_build *b, const struct feature *f, const struct conf_row *row,
                                  const struct conf_list *list) {
    for (size_t i = b->base; i < b->nmarks; i++)
        if (b->marks[i].feature == f && b->marks[i].row == row && b->marks[i].list == list)
            return &b->marks[i];
    return NULL;
}

static void add_mark(struct conf_build *b, const struct feature *f, const struct conf_row *row,
                     const struct conf_list *list) {
    if (b->nmarks == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 64;
        b->marks = xrealloc(b->marks, b->cap * sizeof(*b->marks));
    }
    b->marks[b->nmarks++] = (struct set_mark){f, row, list};
}

bool conf_was_set(struct conf_cx *cx, const struct conf_row *row) {
    return find_mark(cx->build, cx->feature, row, NULL) != NULL;
}

void *conf_list_add(struct conf_cx *cx, const struct conf_row *row, struct conf_list *list, size_t size) {
    if (find_mark(cx->build, NULL, NULL, list) == NULL) {
        add_mark(cx->build, NULL, NULL, list);
        *list = (struct conf_list){0};
    }
    // Room is 4, 8, 16...: full when the count is one of these.
    size_t n = list->count;
    if (n == 0 || (n >= 4 && (n & (n - 1)) == 0)) {
        char *at = arena_alloc(cx->arena, MAX(n * 2, 4) * size);
        if (n > 0)
            memcpy(at, list->at, n * size);
        list->at = at;
    }
    void *element = (char *)list->at + n * size;
    memset(element, 0, size);
    list->count++;
    return element;
}

static void note_failed(struct conf_cx *cx, const struct conf_node *node) {
    struct conf_build *b = cx->build;
    if (b->nfailed == b->failed_cap) {
        b->failed_cap = b->failed_cap ? b->failed_cap * 2 : 16;
        b->failed = xrealloc(b->failed, b->failed_cap * sizeof(*b->failed));
    }
    b->failed[b->nfailed++] = node;
}

static struct named_row *pick(struct named_row *r, uint32_t place) {
    while (r != NULL && (r->row->places & place) == 0)
        r = r->next;
    return r;
}

static bool report_unknown(struct conf_cx *cx, const struct conf_node *node, uint32_t place) {
    struct str name = node->args[0], hint = STR_NONE;
    const char *module = known_module(name);
    if (name.n == 0 || str_chr(name, '\r') >= 0)
        hint = STR("the file may have DOS line ends, or a quoted \"\" stands where a directive is expected");
    else if (str_starts(name, STR("\xef\xbb\xbf")))
        hint = STR("the file begins with a byte order mark: save it as UTF-8 without one");
    else if (known_instead(name) != NULL)
        hint = arena_printf(cx->arena, "weir does not have nginx's %s: %s", module, known_instead(name));
    else if (module != NULL)
        hint = arena_printf(cx->arena, "weir does not have it yet (nginx: %s): see weir help " STR_FMT, module,
                            STR_ARG(name));
    else {
        struct str near = names_near(&cx->build->names, name, place, cx->arena);
        if (near.n > 0)
            hint = arena_printf(cx->arena, "did you mean " STR_FMT "?", STR_ARG(near));
    }
    return conf_err_hint(cx, node, hint, "unknown directive \"" STR_FMT "\"", STR_ARG(name));
}

static bool report_misplaced(struct conf_cx *cx, const struct conf_node *node, const struct named_row *r,
                             uint32_t place) {
    if (place == IN_MAIN && node->parent == NULL && cx->conf->tree.extra_close) {
        // One '}' too many ended a block early: whatever follows is misplaced, and one complaint is enough.
        if (cx->build->complained_place)
            return false;
        cx->build->complained_place = true;
        return conf_err_hint(cx, node, STR("one \"}\" too many before this line may have ended the block too early"),
                             "\"" STR_FMT "\" directive is not allowed here", STR_ARG(node->args[0]));
    }
    uint32_t places = 0;
    for (; r != NULL; r = r->next)
        places |= r->row->places;
    struct str list = names_of_places(places, cx->arena);
    return conf_err_hint(cx, node, arena_printf(cx->arena, "it may stand in: " STR_FMT, STR_ARG(list)),
                         "\"" STR_FMT "\" directive is not allowed here", STR_ARG(node->args[0]));
}

static bool right_count(const struct conf_row *row, unsigned nargs) {
    unsigned n = nargs - 1;
    return n >= row->min_args && (row->max_args == 0xffff || n <= row->max_args);
}

// The row for this node, or NULL and an error.
static struct named_row *check_node(struct conf_cx *cx, const struct conf_node *node, uint32_t place) {
    struct str name = node->args[0];
    if (str_eq(name, STR("include"))) { // the good ones were expanded by the parser
        if (node->block)
            conf_err(cx, node, "directive \"include\" is not terminated by \";\"");
        else
            conf_err(cx, node, "invalid number of arguments in \"include\" directive");
        return NULL;
    }
    struct named_row *first = names_find(&cx->build->names, name), *r = pick(first, place);
    if (first == NULL)
        report_unknown(cx, node, place);
    else if (r == NULL)
        report_misplaced(cx, node, first, place);
    else if (r->row->block == 0 && node->block)
        conf_err(cx, node, "directive \"" STR_FMT "\" is not terminated by \";\"", STR_ARG(name));
    else if (r->row->block != 0 && !node->block)
        conf_err(cx, node, "directive \"" STR_FMT "\" has no opening \"{\"", STR_ARG(name));
    else if (!right_count(r->row, node->nargs))
        conf_err(cx, node, "invalid number of arguments in \"" STR_FMT "\" directive", STR_ARG(name));
    else
        return r;
    return NULL;
}

// A forgotten ';' makes the next line's directive an argument. When what failed looks like that, says so in the error
// that was just reported and gives the rest back as a directive of its own, so that it causes no further errors.
static void split_at_forgotten_semicolon(struct conf_cx *cx, struct conf_node *node, uint32_t place,
                                         struct conf_error *err) {
    for (unsigned i = 1; node->arg_lines != NULL && i < node->nargs; i++) {
        if (node->arg_lines[i] == node->arg_lines[i - 1])
            continue;
        struct named_row *r = pick(names_find(&cx->build->names, node->args[i]), place);
        if (r == NULL || (r->row->block != 0) != node->block || !right_count(r->row, node->nargs - i))
            continue;
        if (err != NULL)
            err->hint = arena_printf(cx->arena, "a ; may be missing at the end of line %u", node->arg_lines[i - 1]);
        struct conf_node *rest = arena_new(cx->arena, struct conf_node);
        *rest = *node;
        rest->args += i;
        rest->arg_lines += i;
        rest->nargs -= i;
        for (struct conf_node *c = rest->children; c != NULL; c = c->next)
            c->parent = rest;
        node->next = rest;
        node->nargs = i;
        node->block = false;
        node->children = NULL;
        return;
    }
}

static bool apply_row(struct conf_cx *cx, struct scope *s, const struct named_row *r, const struct conf_node *node) {
    struct conf_build *b = cx->build;
    const struct conf_row *row = r->row;
    bool seen = find_mark(b, r->feature, row, NULL) != NULL;
    if (seen && !(row->flags & (ROW_LISTED | ROW_REPEAT)))
        return conf_err(cx, node, "\"" STR_FMT "\" directive is duplicate", STR_ARG(node->args[0]));
    if (!seen)
        add_mark(b, r->feature, row, NULL);
    if (row->set == conf_set_nothing)
        return true;
    cx->feature = r->feature;
    cx->again = seen;
    unsigned before = cx->conf->errors.errors;
    char nowhere[64] __attribute__((aligned(16)));
    void *conf = row->flags & ROW_IGNORED ? nowhere : conf_own(cx, s, r->feature);
    bool ok = row->set(cx, row, conf, node);
    CHECK(ok == (cx->conf->errors.errors == before) || cx->conf->errors.errors == CONF_MAX_ERRORS);
    return ok;
}

static void apply_nodes(struct conf_cx *cx, struct scope *s, struct conf_node *first, bool dry) {
    struct conf_errors *errors = &cx->conf->errors;
    for (struct conf_node *node = first; node != NULL && errors->errors < CONF_MAX_ERRORS; node = node->next) {
        struct conf_error **tail = errors->tail;
        cx->node = node;
        struct named_row *r = check_node(cx, node, s->place);
        bool scope = r != NULL && r->row->block != 0 && r->row->block != 0xffff;
        if (r != NULL && (dry || scope || apply_row(cx, s, r, node)))
            continue;
        note_failed(cx, node);
        split_at_forgotten_semicolon(cx, node, s->place, *tail);
    }
}

static void finish_scope(struct conf_cx *cx, struct scope *s) {
    for (size_t i = 0; i < cx->conf->nfeatures; i++) {
        const struct feature *f = cx->conf->features[i];
        if (f->finish == NULL || (s->outer != NULL && !owns(s, f->index)))
            continue;
        cx->feature = f;
        cx->node = s->node;
        f->finish(cx, s, s->conf[f->index]);
    }
}

static void open_block(struct conf_cx *cx, struct scope *s, const struct named_row *r, struct conf_node *node,
                       bool dry) {
    struct scope *inner = arena_new(cx->arena, struct scope);
    *inner = (struct scope){.magic = SCOPE_MAGIC, .place = r->row->block, .outer = s, .node = node, .conf = s->conf};
    cx->build->scopes++;
    cx->feature = r->feature;
    cx->node = node;
    if (!dry && r->row->open != NULL && !r->row->open(cx, r->row, conf_own(cx, inner, r->feature), node, inner)) {
        note_failed(cx, node);
        dry = true; // what is inside can only be checked for its names
    }
    if (!dry) {
        if (s->last_child != NULL)
            s->last_child->next = inner;
        else
            s->children = inner;
        s->last_child = inner;
    }
    apply_block(cx, inner, node->children, dry);
    cx->scope = s;
}

// dry: check names, places and counts only.
static void apply_block(struct conf_cx *cx, struct scope *s, struct conf_node *first, bool dry) {
    struct conf_build *b = cx->build;
    size_t outer_base = b->base;
    b->base = b->nmarks;
    cx->scope = s;
    unsigned before = cx->conf->errors.errors;
    apply_nodes(cx, s, first, dry);
    // The outermost block is finished in any case: what is inside relies on what features make there.
    if (!dry && (cx->conf->errors.errors == before || s->outer == NULL))
        finish_scope(cx, s);
    for (struct conf_node *node = first; node != NULL; node = node->next) {
        if (cx->conf->errors.errors >= CONF_MAX_ERRORS)
            break;
        struct named_row *r = node->block ? pick(names_find(&b->names, node->args[0]), s->place) : NULL;
        if (r == NULL || r->row->block == 0 || r->row->block == 0xffff || !right_count(r->row, node->nargs))
            continue;
        open_block(cx, s, r, node, dry);
    }
    b->nmarks = b->base;
    b->base = outer_base;
}

static int no_read(void *arg, struct str path, struct arena *arena, struct str *text) {
    *text = *(struct str *)arg;
    return 0;
}

static int no_glob(void *arg, struct str pattern, struct arena *arena, struct str **paths, size_t *count) {
    *count = 0;
    return 0;
}

// A default is our own text: that it does not parse is our bug.
static void apply_default(struct conf_cx *cx, struct scope *root, const struct named_row *r) {
    const struct conf_row *row = r->row;
    struct str text = arena_printf(cx->arena, STR_FMT " %s%s", STR_ARG(r->name), row->dflt, row->block ? "" : ";");
    struct conf_source source = {.read = no_read, .glob = no_glob, .arg = &text};
    struct conf_tree tree;
    struct conf_errors *errors = &cx->conf->errors;
    if (conf_parse(&tree, STR("default"), STR_NONE, &source, cx->arena, errors) && tree.children != NULL) {
        cx->node = tree.children;
        cx->feature = r->feature;
        if (right_count(row, cx->node->nargs))
            row->set(cx, row, root->conf[r->feature->index], cx->node);
    }
    if (errors->errors > 0)
        check_failed(arena_printf(cx->arena, "default of \"" STR_FMT "\": " STR_FMT, STR_ARG(r->name),
                                  STR_ARG(errors->head->text))
                         .p,
                     __FILE__, __LINE__, __func__);
}

static struct scope *make_root(struct conf_cx *cx) {
    struct conf *c = cx->conf;
    struct scope *root = arena_new(cx->arena, struct scope);
    root->magic = SCOPE_MAGIC;
    root->place = IN_MAIN;
    root->conf = arena_array(cx->arena, void *, c->nfeatures + 1);
    root->owned = arena_array(cx->arena, uint64_t, c->nfeatures / 64 + 1);
    for (size_t i = 0; i < c->nfeatures; i++) {
        CHECK(c->features[i]->index == i);
        if (c->features[i]->conf_size > 0)
            root->conf[i] = arena_zalloc(cx->arena, c->features[i]->conf_size);
        root->owned[i / 64] |= (uint64_t)1 << (i % 64);
    }
    cx->scope = root;
    for (size_t i = 0; i < c->nfeatures; i++)
        for (size_t k = 0; k < c->features[i]->nrows; k++) {
            const struct conf_row *row = &c->features[i]->rows[k];
            if (row->dflt == NULL || row->set == NULL || (row->flags & ROW_IGNORED))
                continue;
            struct str name = row->name[0] == '*'
                                  ? arena_printf(cx->arena, "%s%s", c->features[i]->family, row->name + 1)
                                  : str_c(row->name);
            apply_default(cx, root, &(struct named_row){name, c->features[i], row, NULL});
        }
    cx->build->nmarks = 0; // a default was not set by the user
    c->root = root;
    return root;
}

static bool mentions(const struct conf_node *n, struct str name) {
    for (unsigned i = 1; i < n->nargs; i++)
        if (n->args[i].n == name.n + 1 && n->args[i].p[0] == '$' && str_ieq(str_from(n->args[i], 1), name))
            return true;
    for (const struct conf_node *c = n->children; c != NULL; c = c->next)
        if (mentions(c, name))
            return true;
    return false;
}

// A variable that something unreadable would have made is not reported as unknown.
static void check_vars(struct conf_cx *cx) {
    struct vars *vs = &cx->conf->vars;
    for (unsigned i = 0; i < vs->count && !cx->conf->tree.broken; i++) {
        struct var *v = vs->at[i];
        if (v->get != NULL)
            continue;
        bool excused = false;
        for (size_t k = 0; k < cx->build->nfailed && !excused; k++)
            excused = mentions(cx->build->failed[k], v->name);
        cx->node = NULL;
        if (!excused)
            conf_err(cx, v->first_use, "unknown \"" STR_FMT "\" variable", STR_ARG(v->name));
    }
}

static void bind_scope(struct conf_cx *cx, struct scope *s) {
    for (size_t i = 0; i < cx->conf->nfeatures; i++) {
        const struct feature *f = cx->conf->features[i];
        if (f->bind == NULL)
            continue;
        cx->feature = f;
        cx->scope = s;
        cx->node = s->node;
        f->bind(cx, s, s->conf[i]);
    }
    for (struct scope *inner = s->children; inner != NULL; inner = inner->next)
        bind_scope(cx, inner);
}

bool conf_build(struct conf_cx *cx) {
    struct conf *c = cx->conf;
    struct conf_errors parsed = c->errors; // of the text; defaults are checked against a list of their own
    conf_errors_init(&c->errors, cx->arena);
    struct scope *root = make_root(cx);
    if (parsed.head != NULL) {
        c->errors = parsed;
    }
    apply_block(cx, root, c->tree.children, false);
    check_vars(cx);
    cx->scope = root;
    for (size_t i = 0; i < c->nfeatures && c->errors.errors == 0; i++)
        if (c->features[i]->link != NULL) {
            cx->feature = c->features[i];
            cx->node = NULL;
            c->features[i]->link(cx, root);
        }
    if (c->errors.errors == 0)
        bind_scope(cx, root);
    conf_errors_sort(&c->errors);
    return c->errors.errors == 0;
}
