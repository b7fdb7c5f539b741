// disable_symlinks off | on | if_not_owner [from=part]: which symbolic links on the way to a file are followed.
#include "feature/content/files.h"

struct links_conf {
    enum links mode;
    struct tmpl *from; // NULL: the whole path is looked at
};

enum links links_wanted(struct req *r, struct str path, size_t *trusted) {
    const struct links_conf *c = req_conf(r, &feature_disable_symlinks);
    *trusted = 0;
    if (LIKELY(c->mode == LINKS_FOLLOWED) || c->from == NULL)
        return c->mode;
    struct str from = req_eval(r, c->from);
    while (from.n > 1 && from.p[from.n - 1] == '/')
        from.n--;
    // It must be a beginning of the path that ends with a whole name.
    if (from.n != 0 && path.n > from.n && str_starts(path, from) && (path.p[from.n] == '/' || from.p[from.n - 1] == '/'))
        *trusted = from.n;
    return c->mode;
}

static bool take_mode(struct str word, enum links *mode) {
    static const char *const words[] = {[LINKS_FOLLOWED] = "off", [LINKS_REFUSED] = "on", [LINKS_OWN] = "if_not_owner"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_eq(word, str_c(words[i]))) {
            *mode = (enum links)i;
            return true;
        }
    }
    return false;
}

static bool set_links(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct links_conf *c = conf;
    bool named = false, from = false;
    *c = (struct links_conf){0};
    for (unsigned i = 1; i < node->nargs; i++) {
        struct str word = node->args[i];
        bool is_from = str_starts(word, STR("from="));
        if (is_from ? from : named && take_mode(word, &c->mode))
            return conf_err(cx, node, "duplicate parameters \"" STR_FMT " " STR_FMT "\"", STR_ARG(node->args[1]), STR_ARG(word));
        if (is_from) {
            from = true;
            c->from = word.n > 5 ? tmpl_compile(cx, str_from(word, 5), node) : NULL;
            if (word.n > 5 && c->from == NULL)
                return false;
        } else if (take_mode(word, &c->mode)) {
            named = true;
        } else {
            return conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(word));
        }
    }
    if (!named)
        return conf_err(cx, node, "\"disable_symlinks\" must have \"off\", \"on\" or \"if_not_owner\" parameter");
    if (from && c->mode == LINKS_FOLLOWED)
        return conf_err(cx, node, "\"from=\" cannot be used with \"off\" parameter");
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("disable_symlinks", IN_HTTP_ALL, 1, 2, 0, set_links, "off", "off | on | if_not_owner [from=part]",
            "Which symbolic links are refused on the way to a file: none, all, or those of somebody else; from= names a "
            "beginning of the path that is not looked at."),
};

struct feature feature_disable_symlinks = {
    .name = "disable_symlinks", .rows = rows, .nrows = ARRAY_LEN(rows), .conf_size = sizeof(struct links_conf)};
