// types { type extension ...; }: content types by extension.
#include "base/map.h"
#include "feature/core/core_rows.h"

struct types {
    struct map by_exten; // -> struct str
};

struct str types_find(const struct types *t, struct str exten) {
    const struct str *type = map_get(&t->by_exten, exten);
    return type != NULL ? *type : STR_NONE;
}

static void free_types(void *arg) { map_done(&((struct types *)arg)->by_exten); }

static struct types *make_types(struct conf_cx *cx) {
    struct types *t = arena_new(cx->arena, struct types);
    map_init(&t->by_exten, true, cx->conf->seed);
    arena_cleanup(cx->arena, free_types, t);
    return t;
}

bool set_types(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct http_core *core = conf;
    const void **mine = conf_list_add(cx, row, &core->types_blocks, sizeof *mine);
    *mine = node;
    if (core->types_blocks.count == 1) // the first block here replaces what was inherited
        core->types = make_types(cx);
    bool ok = true;
    for (const struct conf_node *n = node->children; n != NULL; n = n->next) {
        if (n->block) {
            ok = conf_err(cx, n, "unexpected \"{\"");
            continue;
        }
        struct str *type = arena_new(cx->arena, struct str);
        *type = n->args[0];
        for (unsigned i = 1; i < n->nargs; i++) {
            struct str exten = arena_lower(cx->arena, n->args[i]);
            const struct str *before = map_put(&core->types->by_exten, exten, type);
            if (before != NULL)
                conf_warn(cx, n, "duplicate extension \"" STR_FMT "\", content type: \"" STR_FMT
                                 "\", previous content type: \"" STR_FMT "\"",
                          STR_ARG(exten), STR_ARG(*type), STR_ARG(*before));
        }
    }
    return ok;
}
