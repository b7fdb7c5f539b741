// error_page code ... [=[response]] uri: what answers instead of an error.
#include "feature/core/core_rows.h"

static bool invalid(struct conf_cx *cx, const struct conf_node *node, struct str word) {
    return conf_err(cx, node, "invalid value \"" STR_FMT "\"", STR_ARG(word));
}

bool set_error_page(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct http_core *core = conf;
    unsigned last = node->nargs - 1, codes = last; // args [1, codes) are statuses
    int32_t answer = -1;
    struct str word = node->args[last - 1];
    if (last >= 2 && word.n != 0 && word.p[0] == '=') {
        int64_t code = 0;
        if (word.n > 1 && !conf_parse_num(str_from(word, 1), &code))
            return invalid(cx, node, word);
        answer = (int32_t)MIN(code, (int64_t)INT32_MAX); // what is no status is judged when it is answered
        codes--;
    }
    struct tmpl *uri = tmpl_compile(cx, node->args[last], node);
    if (uri == NULL)
        return false;
    for (unsigned i = 1; i < codes; i++) {
        int64_t status;
        if (!conf_parse_num(node->args[i], &status) || status == 499)
            return invalid(cx, node, node->args[i]);
        if (status < 300 || status > 599)
            return conf_err(cx, node, "value \"" STR_FMT "\" must be between 300 and 599", STR_ARG(node->args[i]));
        struct error_page *e = conf_list_add(cx, row, &core->error_pages, sizeof *e);
        *e = (struct error_page){.status = (uint16_t)status, .answer = answer, .uri = uri};
    }
    return true;
}
