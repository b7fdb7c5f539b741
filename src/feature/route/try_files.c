// try_files file ... uri; try_files file ... =code: the first file that exists answers.
#include "feature/content/files.h"
#include "http/plan.h"
#include "http/route.h"
#include "io/file.h"

struct candidate {
    struct tmpl *name;
    bool dir; // written with a slash at its end, which is not part of `name`
};

struct try_files_conf {
    struct candidate *files;
    unsigned count;
    struct tmpl *last; // a URI or "@name"; NULL: code
    unsigned code;
    const struct scope *where; // not for inner locations
};

static bool is_file(struct req *r, struct str root, struct str name, bool dir) {
    struct str parts[2] = {root, name};
    struct str path = arena_dup(&r->arena, arena_join(&r->arena, parts, 2));
    struct found_file found;
    return memchr(path.p, '\0', path.n) == NULL && file_look(r, path, &found) == 0 && found.info.is_dir == dir;
}

// With alias, the location's own part of the URI stands for the alias: a name made of variables may begin with it.
static bool exists(struct req *r, const struct candidate *c, struct str *uri) {
    const struct http_core *core = req_core(r);
    struct str root, name = req_eval(r, c->name), own = STR("");
    if (!req_document_root(r, &root))
        return false;
    if (core->is_alias && core->alias_skip != UINT64_MAX)
        own = str_head(r->uri, core->alias_skip);
    if (!c->name->constant && str_starts(name, own))
        name = str_from(name, own.n);
    if (!core->is_alias && root.n != 0 && root.p[root.n - 1] == '/')
        root.n--;
    if (!is_file(r, root, name, c->dir))
        return false;
    struct str parts[2] = {own, name};
    *uri = arena_join(&r->arena, parts, 2);
    return true;
}

static enum step goto_last(struct req *r, struct str uri) {
    if (uri.n == 0)
        return answer_status(r, 500);
    ssize_t q = uri.p[0] != '@' ? str_chr(uri, '?') : -1;
    if (q < 0)
        return answer_goto(r, uri, uri.p[0] == '@' ? r->args : STR(""));
    return answer_goto(r, str_head(uri, (size_t)q), str_from(uri, (size_t)q + 1));
}

static enum step try_all(struct req *r, const void *conf) {
    const struct try_files_conf *t = conf;
    for (unsigned i = 0; i < t->count; i++) {
        struct str uri;
        if (!exists(r, &t->files[i], &uri))
            continue;
        // What the client wrote still goes to a back end (nginx): only files follow the new URI.
        bool regex_alias = req_core(r)->is_alias && req_core(r)->alias_skip == UINT64_MAX;
        if (!regex_alias || !t->files[i].dir)
            r->uri = uri;
        r->uri_below_alias = regex_alias && !t->files[i].dir;
        return STEP_NEXT;
    }
    return t->last != NULL ? goto_last(r, req_eval(r, t->last)) : answer_status(r, t->code);
}

static bool set_try_files(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct try_files_conf *t = conf;
    *t = (struct try_files_conf){.where = cx->scope, .count = node->nargs - 2};
    t->files = arena_array(cx->arena, struct candidate, t->count);
    for (unsigned i = 0; i < t->count; i++) {
        struct str name = node->args[i + 1];
        t->files[i].dir = str_ends(name, STR("/"));
        t->files[i].name = tmpl_compile(cx, str_head(name, name.n - t->files[i].dir), node);
        if (t->files[i].name == NULL)
            return false;
    }
    struct str last = node->args[node->nargs - 1];
    if (last.n != 0 && last.p[0] == '=') {
        int64_t code;
        if (!conf_parse_num(str_from(last, 1), &code) || code > 999)
            return conf_err(cx, node, "invalid code \"" STR_FMT "\"", STR_ARG(last));
        t->code = (unsigned)code;
        return true;
    }
    t->last = tmpl_compile(cx, last, node);
    return t->last != NULL;
}

static bool bind_try_files(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct try_files_conf *t = conf;
    if (t->where == s)
        plan_add(cx, s, STAGE_PRECONTENT, 0, try_all, t, "try_files");
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("try_files", IN_SERVER | IN_LOCATION, 2, 0xffff, 0, set_try_files, NULL, "file ... uri | file ... =code",
            "Serves the first of these files that exists, else goes to the last argument."),
};

struct feature feature_try_files = {.name = "try_files",
                                    .rows = rows,
                                    .nrows = ARRAY_LEN(rows),
                                    .conf_size = sizeof(struct try_files_conf),
                                    .bind = bind_try_files};
