// server { }: a virtual server. When all are read, the tables of addresses and names are made.
#include "feature/core/blocks.h"
#include <unistd.h>

static bool open_server(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node,
                        struct scope *inner) {
    struct http_world *w = http_world(cx->conf);
    CHECK(w != NULL);
    if ((w->nservers & (w->nservers - 1)) == 0) { // full at powers of two
        struct server **grown = arena_array(cx->arena, struct server *, w->nservers ? w->nservers * 2 : 1);
        if (w->nservers != 0)
            memcpy(grown, w->servers, w->nservers * sizeof(*grown));
        w->servers = grown;
    }
    struct server *s = arena_new(cx->arena, struct server);
    s->scope = inner;
    s->node = node;
    s->routes = routes_new(cx->arena);
    s->name = STR("");
    inner->data = s;
    w->servers[w->nservers++] = s;
    return true;
}

// What a server has that says neither listen nor server_name: port 80 of all addresses (8000 without privileges), no name.
static void complete(struct conf_cx *cx, struct server *s) {
    if (s->listens.count == 0) {
        struct listen_conf *l = arena_new(cx->arena, struct listen_conf);
        l->text = geteuid() == 0 ? STR("*:80") : STR("*:8000");
        l->addr.len = sizeof(l->addr.in4);
        l->addr.in4.sin_family = AF_INET;
        addr_set_port(&l->addr.sa, geteuid() == 0 ? 80 : 8000);
        l->opts = (struct listen_opts){.backlog = 511, .ipv6only = true, .keepalive = -1};
        l->node = s->node;
        s->listens = (struct conf_list){l, 1};
    }
    if (s->names.count == 0) {
        struct server_name *n = arena_new(cx->arena, struct server_name);
        n->text = STR("");
        s->names = (struct conf_list){n, 1};
    }
}

static bool link_servers(struct conf_cx *cx, struct scope *root) {
    struct http_world *w = http_world(cx->conf);
    if (w == NULL)
        return true;
    for (unsigned i = 0; i < w->nservers; i++) {
        complete(cx, w->servers[i]);
        if (!routes_build(cx, w->servers[i]->routes))
            return false;
    }
    return vhosts_build(cx, w);
}

static const struct conf_row rows[] = {
    ROW_BLOCK("server", IN_HTTP, 0, 0, IN_SERVER, open_server, "A virtual server: addresses, names, and what it answers."),
};

struct feature feature_server = {
    .name = "server", .rows = rows, .nrows = ARRAY_LEN(rows), .link = link_servers};
