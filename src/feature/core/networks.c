// A network of a directive: set_real_ip_from, debug_connection.
#include "feature/core/networks.h"
#include "io/names.h"

static void add(struct conf_cx *cx, const struct conf_row *row, struct conf_list *list, const struct cidr *net) {
    *(struct cidr *)conf_list_add(cx, row, list, sizeof(*net)) = *net;
}

bool take_network(struct conf_cx *cx, const struct conf_row *row, struct conf_list *list, const struct conf_node *node) {
    struct str text = node->args[1];
    struct cidr net;
    bool truncated = false;
    if (str_eq(text, STR("unix:"))) {
        add(cx, row, list, &(struct cidr){.family = AF_UNIX});
        return true;
    }
    if (cidr_parse(&net, text, &truncated)) {
        if (truncated)
            conf_warn(cx, node, "low address bits of " STR_FMT " are meaningless", STR_ARG(text));
        add(cx, row, list, &net);
        return true;
    }
    struct names names;
    const char *why = NULL;
    if (text.n == 0 || str_chr(text, '[') >= 0 || str_chr(text, '/') >= 0 || !names_resolve(cx->arena, text, 0, &names, &why))
        return conf_err(cx, node, "host not found in " STR_FMT " \"" STR_FMT "\"", STR_ARG(node->args[0]), STR_ARG(text));
    for (size_t i = 0; i < names.count; i++) {
        struct str bytes = addr_bytes(&names.at[i].sa);
        net = (struct cidr){.family = (uint8_t)names.at[i].sa.sa_family, .bits = (uint8_t)(bytes.n * 8)};
        memcpy(net.bytes, bytes.p, bytes.n);
        add(cx, row, list, &net);
    }
    return true;
}
