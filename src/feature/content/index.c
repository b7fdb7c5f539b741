// index file ...: what answers for a URI that ends with a slash.
#include "feature/content/files.h"

struct index_conf {
    struct conf_list files; // struct tmpl *
};

static bool is_get(const struct req *r) {
    return r->method == METHOD_GET || r->method == METHOD_HEAD || r->method == METHOD_POST;
}

// The directory itself is not there: no use to ask for the other files. file_err says why the file is not.
static enum step no_directory(struct req *r, struct str path, int file_err) {
    struct str dir = arena_dup(&r->arena, str_head(path, (size_t)MAX(str_rchr(path, '/'), (ssize_t)0)));
    struct found_file found;
    int err = file_err == -ENOTDIR ? file_err : file_look(r, dir.n != 0 ? dir : STR("/"), &found);
    if (err == 0)
        return STEP_NEXT;
    if (err == -ENOENT || err == -ENOTDIR) {
        if (req_core(r)->log_not_found)
            log_msg(LOG_ERR, -err, "\"" STR_FMT "\" is not found", STR_ARG(path));
        return answer_status(r, 404);
    }
    if (err == -EACCES || err == -ELOOP) {
        log_msg(LOG_ERR, -err, "\"" STR_FMT "\" is forbidden", STR_ARG(path));
        return answer_status(r, 403);
    }
    log_msg(LOG_CRIT, -err, "stat() \"" STR_FMT "\" failed", STR_ARG(dir));
    return answer_status(r, 500);
}

static enum step find_index(struct req *r, const void *conf) {
    const struct index_conf *c = conf;
    if (r->uri.n == 0 || r->uri.p[r->uri.n - 1] != '/' || !is_get(r))
        return STEP_NEXT;
    bool dir_checked = false;
    struct tmpl *const *files = c->files.at;
    for (size_t i = 0; i < c->files.count; i++) {
        struct str name = req_eval(r, files[i]);
        if (name.n == 0)
            continue;
        if (name.p[0] == '/')
            return answer_goto(r, name, r->args);
        struct str base, path;
        if (!req_map_path(r, &base))
            return answer_status(r, req_unmapped_status(r));
        struct str file[2] = {base, name}, uri[2] = {r->uri, name};
        path = arena_dup(&r->arena, arena_join(&r->arena, file, 2));
        struct found_file found = {.call = "stat()"};
        int err = memchr(path.p, '\0', path.n) != NULL ? -ENOENT : file_look(r, path, &found);
        if (err == 0 && (found.info.is_file || found.info.is_dir))
            return answer_goto(r, arena_join(&r->arena, uri, 2), r->args);
        if (err == -EACCES || err == -ELOOP)
            return answer_status(r, file_refused(r, path, err, found.call));
        if (err != 0 && err != -ENOENT && err != -ENOTDIR && err != -ENAMETOOLONG)
            return answer_status(r, file_refused(r, path, err, found.call));
        if (!dir_checked && no_directory(r, path, err) == STEP_DONE)
            return STEP_DONE;
        dir_checked = true;
    }
    return STEP_NEXT;
}

static bool set_index(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct index_conf *c = conf;
    for (unsigned i = 1; i < node->nargs; i++) {
        struct str name = node->args[i];
        if (name.n == 0)
            return conf_err(cx, node, "index \"" STR_FMT "\" in \"index\" directive is invalid", STR_ARG(node->args[1]));
        if (name.p[0] == '/' && i + 1 != node->nargs)
            conf_warn(cx, node, "only the last index in \"index\" directive should be absolute");
        struct tmpl **t = conf_list_add(cx, row, &c->files, sizeof *t);
        *t = tmpl_compile(cx, name, node);
        if (*t == NULL)
            return false;
    }
    return true;
}

static bool bind_index(struct conf_cx *cx, struct scope *s, void *conf) {
    if (s->place & (IN_SERVER | IN_LOCATION | IN_IF | IN_LIMIT_EXCEPT))
        plan_add(cx, s, STAGE_CONTENT, ORDER_INDEX, find_index, conf, "index");
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("index", IN_HTTP_ALL, 1, 0xffff, ROW_LISTED, set_index, "index.html", "file ...",
            "The files that answer for a URI that ends with a slash; the last may be a URI."),
};

struct feature feature_index = {.name = "index",
                                .rows = rows,
                                .nrows = ARRAY_LEN(rows),
                                .conf_size = sizeof(struct index_conf),
                                .bind = bind_index};
