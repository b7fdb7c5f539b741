// if (condition) { }: rewrite directives under a condition; in a location also settings, because the block is a location of
// its own, which takes the place of the outer one when the condition holds. Of several that hold, the last one's settings are
// in force.
#include "feature/route/script.h"
#include "feature/content/files.h"
#include <unistd.h>

enum test { TEST_TRUE, TEST_EQUAL, TEST_REGEX, TEST_FILE, TEST_DIR, TEST_ANY, TEST_EXECUTABLE };

struct condition {
    enum test test;
    bool negated;
    const struct var *var;       // TRUE, EQUAL, REGEX
    struct script_value *value;  // EQUAL, and the path of the others
    struct regex *regex;
    struct str pattern;
    struct scope *inner;
};

// --- running ---------------------------------------------------------------------------------------------------------------

static bool test_path(struct script_run *run, const struct condition *c, struct str path) {
    struct found_file found;
    const struct file_info *info = &found.info;
    struct str z = arena_dup(&run->r->arena, path);
    if (memchr(z.p, '\0', z.n) != NULL)
        return false;
    int err = file_look(run->r, z, &found);
    if (err != 0) {
        if (err != -ENOENT && err != -ENOTDIR && err != -ENAMETOOLONG)
            log_msg(LOG_CRIT, -err, "%s \"" STR_FMT "\" failed", found.call, STR_ARG(path));
        return false;
    }
    switch (c->test) {
    case TEST_FILE:
        return info->is_file;
    case TEST_DIR:
        return info->is_dir;
    case TEST_EXECUTABLE:
        return info->is_exec;
    default:
        return true;
    }
}

static bool holds(struct script_run *run, const struct condition *c) {
    struct eval *e = &run->r->eval;
    struct str have, want;
    if (c->var != NULL && !var_get(e, c->var, &have))
        have = STR("");
    switch (c->test) {
    case TEST_TRUE:
        return have.n != 0 && !str_eq(have, STR("0"));
    case TEST_EQUAL:
        return (script_value_get(run, c->value, &want, NULL) && str_eq(have, want)) != c->negated;
    case TEST_REGEX:
        return script_match(run, c->regex, c->pattern, have) != c->negated;
    default:
        return (script_value_get(run, c->value, &want, NULL) && test_path(run, c, want)) != c->negated;
    }
}

static enum script_step run_if(struct script_run *run, const void *data) {
    const struct condition *c = data;
    if (!holds(run, c))
        return SCRIPT_NEXT;
    if (c->inner->place == IN_IF)
        run->r->scope = c->inner;
    return script_run_block(run, c->inner);
}

// --- reading ---------------------------------------------------------------------------------------------------------------

static bool invalid(struct conf_cx *cx, const struct conf_node *node, struct str word) {
    return conf_err(cx, node, "invalid condition \"" STR_FMT "\"", STR_ARG(word));
}

// The words between the parentheses, which may stand alone or at the words. At most three; more are counted.
static bool take_words(struct conf_cx *cx, const struct conf_node *node, struct str words[3], unsigned *n) {
    unsigned end = node->nargs - 1;
    struct str first = node->args[1];
    if (first.n == 0 || first.p[0] != '(')
        return invalid(cx, node, first);
    if (end > 1 || first.n > 1)
        first = str_from(first, 1);
    struct str last = end == 1 ? first : node->args[end];
    if (last.n == 0 || last.p[last.n - 1] != ')')
        return invalid(cx, node, last);
    last = str_head(last, last.n - 1);
    *n = 0;
    for (unsigned i = 1; i <= end; i++) {
        struct str word = i == end ? last : i == 1 ? first : node->args[i];
        bool parenthesis = word.n == 0 && (i == end || i == 1);
        if (parenthesis)
            continue;
        if (*n < 3)
            words[*n] = word;
        ++*n;
    }
    return *n != 0 || invalid(cx, node, STR(")"));
}

static bool take_operator(struct conf_cx *cx, const struct conf_node *node, struct condition *c, struct str op, struct str arg) {
    c->negated = op.n > 1 && op.p[0] == '!';
    struct str bare = str_from(op, c->negated);
    if (str_eq(bare, STR("=")) && op.n <= 2) {
        c->test = TEST_EQUAL;
        c->value = script_value_new(cx, arg, false, node);
        return c->value != NULL;
    }
    if (!str_eq(bare, STR("~")) && !str_eq(bare, STR("~*")))
        return conf_err(cx, node, "unexpected \"" STR_FMT "\" in condition", STR_ARG(op));
    c->test = TEST_REGEX;
    c->pattern = arg;
    c->regex = regex_compile(cx, arg, bare.n == 2, node);
    return c->regex != NULL;
}

static bool take_path_test(struct conf_cx *cx, const struct conf_node *node, struct condition *c, struct str op, struct str arg) {
    c->negated = op.p[0] == '!';
    switch (op.p[op.n - 1]) {
    case 'f':
        c->test = TEST_FILE;
        break;
    case 'd':
        c->test = TEST_DIR;
        break;
    case 'e':
        c->test = TEST_ANY;
        break;
    case 'x':
        c->test = TEST_EXECUTABLE;
        break;
    default:
        return invalid(cx, node, op);
    }
    c->value = script_value_new(cx, arg, false, node);
    return c->value != NULL;
}

static bool take_condition(struct conf_cx *cx, const struct conf_node *node, struct condition *c) {
    struct str words[3] = {STR_NONE, STR_NONE, STR_NONE};
    unsigned n;
    if (!take_words(cx, node, words, &n))
        return false;
    struct str first = words[0];
    if (first.n > 1 && first.p[0] == '$') {
        if (n != 1 && n != 3)
            return invalid(cx, node, first);
        c->var = var_use(cx, str_from(first, 1), node);
        return n == 1 || take_operator(cx, node, c, words[1], words[2]);
    }
    bool path = (first.n == 2 && first.p[0] == '-') || (first.n == 3 && first.p[0] == '!' && first.p[1] == '-');
    return path && n == 2 ? take_path_test(cx, node, c, first, words[1]) : invalid(cx, node, first);
}

static bool open_if(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node,
                    struct scope *inner) {
    struct condition *c = script_add(cx, cx->scope, node, run_if, sizeof(*c));
    c->inner = inner;
    return take_condition(cx, node, c);
}

static const char help[] = "Rewrite directives, and in a location settings too, for requests of which the condition holds: a "
                           "variable that is not empty or \"0\", that equals (=, !=) or matches (~, ~*, !~, !~*) something, "
                           "or a path that is a file (-f), a directory (-d), either (-e), or executable (-x).";
static const struct conf_row rows[] = {
    ROW_BLOCK("if", IN_SERVER, 1, 0xffff, IN_SERVER_IF, open_if, help),
    ROW_BLOCK("if", IN_LOCATION, 1, 0xffff, IN_IF, open_if, help),
};

struct feature feature_if = {.name = "if", .rows = rows, .nrows = ARRAY_LEN(rows)};
