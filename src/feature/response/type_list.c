// Lists of content types.
#include "feature/response/type_list.h"

static const struct str html = STR_INIT("text/html");

static bool knows(const struct type_list *l, struct str type) {
    if (str_ieq(type, html))
        return true;
    conf_list_each(const struct str, t, l->types) {
        if (str_ieq(*t, type))
            return true;
    }
    return false;
}

bool type_list_set(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct type_list *l = (struct type_list *)((char *)conf + row->offset);
    if (l->where != cx->scope) // the first of this block: nothing is inherited
        *l = (struct type_list){.where = cx->scope};
    for (unsigned i = 1; i < node->nargs; i++) {
        if (str_eq(node->args[i], STR("*")))
            l->any = true;
        else if (!knows(l, node->args[i]))
            *(struct str *)conf_list_add(cx, row, &l->types, sizeof(struct str)) = node->args[i];
        else if (cx->scope->outer != NULL) // not the default
            conf_warn(cx, node, "duplicate MIME type \"" STR_FMT "\"", STR_ARG(node->args[i]));
    }
    return true;
}

bool type_list_has(const struct type_list *l, const struct req *r) {
    if (l->any) // answers without a type too
        return true;
    struct str type = head_value(&r->out, FIELD_CONTENT_TYPE);
    if (type.n == 0)
        return false;
    ssize_t end = str_chr(type, ';');
    return knows(l, end >= 0 ? str_trim(str_head(type, (size_t)end)) : type);
}
