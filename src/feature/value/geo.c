// geo [$address] $variable { network value; ... }: a value by the client's address, or by one in a variable.
#include "http/req.h"
#include "wire/addr_map.h"
#include "wire/forwarded.h"
#include <stdlib.h>

struct geo {
    const struct var *address; // NULL: of the client
    struct addr_map map;       // -> struct str
    struct str dflt;           // of ranges; networks have 0.0.0.0/0
    struct conf_list proxies;  // struct cidr
    bool recursive;
};

// --- asking ----------------------------------------------------------------------------------------------------------------

static bool get_geo(struct eval *e, const struct var *v, struct str *out) {
    const struct geo *g = (const struct geo *)v->data;
    struct req *r = e->req;
    struct addr a = r->client_addr;
    struct str text;
    if (g->address != NULL && (!var_get(e, g->address, &text) || str_starts(text, STR("[")) || !addr_parse_ip(&a, text)))
        a.sa.sa_family = AF_UNSPEC; // 255.255.255.255
    if (g->proxies.count != 0) {
        struct trusted t = {g->proxies.at, g->proxies.count};
        (void)forwarded_by_field(&a, &r->in, STR("X-Forwarded-For"), &t, g->recursive);
    }
    const struct str *value = addr_map_find(&g->map, &a.sa);
    *out = value != NULL ? *value : g->dflt;
    return true;
}

// --- reading ---------------------------------------------------------------------------------------------------------------

// The ranges that begin with the same 16 bits: none reaches beyond. Only while a block is read.
struct bucket {
    struct addr_range *at; // ascending, apart
    unsigned n, cap;
};
enum { BUCKETS = 1 << 16 };

struct reading {
    struct conf_cx *cx;
    struct geo *geo;
    const struct conf_node *node;
    struct map seen;               // networks by their bytes -> struct addr_network
    struct bucket *buckets;        // with `ranges`
    bool begun;                    // an entry was read: too late for `ranges`
    bool is_volatile;
    bool has_default;
};

static struct str *value_of(struct reading *rd, struct str text) {
    struct str *v = arena_new(rd->cx->arena, struct str);
    *v = text;
    return v;
}

static bool parse_network(struct reading *rd, struct str text, struct cidr *net) {
    bool truncated = false;
    if (!cidr_parse(net, text, &truncated))
        return conf_err(rd->cx, rd->node, "invalid network \"" STR_FMT "\"", STR_ARG(text));
    if (truncated)
        conf_warn(rd->cx, rd->node, "low address bits of " STR_FMT " are meaningless", STR_ARG(text));
    return true;
}

static void duplicate(struct reading *rd, struct str net, struct str value, struct str old) {
    conf_warn(rd->cx, rd->node, "duplicate network \"" STR_FMT "\", value: \"" STR_FMT "\", old value: \"" STR_FMT "\"", STR_ARG(net),
              STR_ARG(value), STR_ARG(old));
}

static struct str key_of(const struct cidr *net) { return str_n((const char *)net, sizeof(*net)); }

static void put_network(struct reading *rd, const struct cidr *net, struct str text, struct str value) {
    struct addr_network *n = map_get(&rd->seen, key_of(net));
    if (n != NULL && n->value != NULL)
        duplicate(rd, text, value, *(struct str *)n->value);
    if (n == NULL) {
        n = arena_new(rd->cx->arena, struct addr_network);
        n->net = *net;
        map_put(&rd->seen, key_of(&n->net), n);
    }
    n->value = value_of(rd, value);
}

static void delete_network(struct reading *rd, const struct cidr *net, struct str text) {
    struct addr_network *n = map_get(&rd->seen, key_of(net));
    if (n == NULL || n->value == NULL)
        conf_warn(rd->cx, rd->node, "no network \"" STR_FMT "\" to delete", STR_ARG(text));
    else
        n->value = NULL;
}

static bool add_network(struct reading *rd, struct str key, struct str value) {
    struct cidr net;
    if (str_eq(key, STR("default"))) {
        put_network(rd, &(struct cidr){.family = AF_INET}, key, value);
        put_network(rd, &(struct cidr){.family = AF_INET6}, key, value);
        return true;
    }
    bool delete = str_eq(key, STR("delete"));
    if (!parse_network(rd, delete ? value : key, &net))
        return false;
    if (delete)
        delete_network(rd, &net, value);
    else
        put_network(rd, &net, key, value);
    return true;
}

// --- ranges ----------------------------------------------------------------------------------------------------------------

static bool parse_range(struct str text, uint32_t *first, uint32_t *last) {
    ssize_t dash = str_chr(text, '-');
    struct addr a, b;
    if (dash < 0 || !addr_parse_ip(&a, str_head(text, (size_t)dash)) || !addr_parse_ip(&b, str_from(text, (size_t)dash + 1)) ||
        a.sa.sa_family != AF_INET || b.sa.sa_family != AF_INET)
        return false;
    *first = ntohl(a.in4.sin_addr.s_addr);
    *last = ntohl(b.in4.sin_addr.s_addr);
    return *first <= *last;
}

static struct addr_range *make_room(struct bucket *b, unsigned at, unsigned count) {
    if (b->n + count > b->cap) {
        b->cap = MAX(b->cap * 2, 4u);
        b->at = xrealloc(b->at, b->cap * sizeof(*b->at));
    }
    if (at < b->n)
        memmove(b->at + at + count, b->at + at, (b->n - at) * sizeof(*b->at));
    b->n += count;
    return b->at + at;
}

static bool overlaps(struct reading *rd, struct str text, const struct addr_range *o) {
    struct sockaddr_in first = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(o->first)}, last = first;
    last.sin_addr.s_addr = htonl(o->last);
    struct sbuf b;
    sbuf_init_arena(&b, rd->cx->arena, 40, 80);
    addr_put_ip(&b, (struct sockaddr *)&first);
    sbuf_chr(&b, '-');
    addr_put_ip(&b, (struct sockaddr *)&last);
    return conf_err(rd->cx, rd->node, "range \"" STR_FMT "\" overlaps \"" STR_FMT "\"", STR_ARG(text), STR_ARG(sbuf_view(&b)));
}

// A range may lie within an older one, which is cut; it may equal it, with a warning; else they must be apart.
static bool put_range(struct reading *rd, struct bucket *b, struct addr_range r, struct str text) {
    unsigned i = b->n;
    while (i > 0 && b->at[i - 1].first > r.last)
        i--;
    if (i == 0 || b->at[i - 1].last < r.first) {
        *make_room(b, i, 1) = r;
        return true;
    }
    struct addr_range old = b->at[--i];
    if (r.first < old.first || r.last > old.last)
        return overlaps(rd, text, &old);
    bool before = r.first > old.first, behind = r.last < old.last;
    if (!before && !behind)
        conf_warn(rd->cx, rd->node, "duplicate range \"" STR_FMT "\", value: \"" STR_FMT "\", old value: \"" STR_FMT "\"", STR_ARG(text),
                  STR_ARG(*(struct str *)r.value), STR_ARG(*(struct str *)old.value));
    if (before || behind)
        make_room(b, i + 1, before + behind);
    if (before)
        b->at[i++] = (struct addr_range){old.first, r.first - 1, old.value};
    b->at[i++] = r;
    if (behind)
        b->at[i] = (struct addr_range){r.last + 1, old.last, old.value};
    return true;
}

static bool delete_piece(struct bucket *b, struct addr_range r) {
    for (unsigned i = 0; i < b->n; i++) {
        if (b->at[i].first != r.first || b->at[i].last != r.last)
            continue;
        memmove(b->at + i, b->at + i + 1, (b->n - i - 1) * sizeof(*b->at));
        b->n--;
        return true;
    }
    return false;
}

static bool add_range(struct reading *rd, struct str key, struct str value) {
    if (str_eq(key, STR("default"))) {
        if (rd->has_default)
            conf_warn(rd->cx, rd->node, "duplicate default geo range value: \"" STR_FMT "\", old value: \"" STR_FMT "\"",
                      STR_ARG(value), STR_ARG(rd->geo->dflt));
        rd->has_default = true;
        rd->geo->dflt = value;
        return true;
    }
    bool delete = str_eq(key, STR("delete")), complained = false;
    struct str text = delete ? value : key;
    uint32_t first, last;
    if (!parse_range(text, &first, &last))
        return conf_err(rd->cx, rd->node, "invalid range \"" STR_FMT "\"", STR_ARG(text));
    struct str *v = delete ? NULL : value_of(rd, value);
    for (uint32_t at = first >> 16; at <= last >> 16; at++) {
        struct addr_range piece = {MAX(first, at << 16), MIN(last, at << 16 | 0xffff), v};
        if (!delete && !put_range(rd, &rd->buckets[at], piece, text))
            return false;
        if (delete && !delete_piece(&rd->buckets[at], piece) && !complained) {
            complained = true;
            conf_warn(rd->cx, rd->node, "no address range \"" STR_FMT "\" to delete", STR_ARG(text));
        }
    }
    return true;
}

// --- the block -------------------------------------------------------------------------------------------------------------

static bool add_entry(struct reading *rd, const struct conf_node *n) {
    struct str key = n->args[0];
    rd->node = n;
    if (n->block)
        return conf_err(rd->cx, n, "unexpected \"{\"");
    if (n->nargs == 1 && str_eq(key, STR("ranges"))) {
        if (rd->begun)
            return conf_err(rd->cx, n, "the \"ranges\" directive must be the first directive inside \"geo\" block");
        if (rd->buckets == NULL)
            rd->buckets = xcalloc(BUCKETS, sizeof(*rd->buckets));
        return true;
    }
    if (n->nargs == 1 && str_eq(key, STR("proxy_recursive"))) {
        rd->geo->recursive = true;
        return true;
    }
    if (n->nargs == 1 && str_eq(key, STR("volatile"))) { // since nginx 1.29.3
        rd->is_volatile = true;
        return true;
    }
    if (n->nargs != 2)
        return conf_err(rd->cx, n, "invalid number of the geo parameters");
    struct str value = n->args[1];
    if (str_eq(key, STR("proxy"))) {
        struct cidr net;
        if (!parse_network(rd, value, &net))
            return false;
        *(struct cidr *)conf_list_add(rd->cx, NULL, &rd->geo->proxies, sizeof(net)) = net;
        return true;
    }
    rd->begun = true;
    return rd->buckets != NULL ? add_range(rd, key, value) : add_network(rd, key, value);
}

static void build_networks(struct reading *rd) {
    struct addr_network *all = xcalloc(rd->seen.count + 1, sizeof(*all)), *to = all;
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(&rd->seen, &at, &key, &value)) {
        if (((struct addr_network *)value)->value != NULL) // not deleted
            *to++ = *(struct addr_network *)value;
    }
    addr_map_of_networks(&rd->geo->map, all, (size_t)(to - all), rd->cx->arena);
    free(all);
}

static void build_ranges(struct reading *rd) {
    size_t n = 0;
    for (size_t i = 0; i < BUCKETS; i++)
        n += rd->buckets[i].n;
    struct addr_range *all = xcalloc(n + 1, sizeof(*all)), *to = all;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (unsigned k = 0; k < rd->buckets[i].n; k++)
            *to++ = rd->buckets[i].at[k];
    }
    addr_map_of_ranges(&rd->geo->map, all, n, rd->cx->arena);
    free(all);
}

static bool read_block(struct conf_cx *cx, struct geo *g, const struct conf_node *node, unsigned *flags) {
    struct reading rd = {.cx = cx, .geo = g};
    map_init(&rd.seen, false, cx->conf->seed);
    bool ok = true;
    for (const struct conf_node *n = node->children; n != NULL; n = n->next)
        ok &= add_entry(&rd, n);
    if (ok && rd.buckets != NULL)
        build_ranges(&rd);
    else if (ok)
        build_networks(&rd);
    for (size_t i = 0; rd.buckets != NULL && i < BUCKETS; i++)
        free(rd.buckets[i].at);
    free(rd.buckets);
    map_done(&rd.seen);
    *flags |= rd.is_volatile ? VAR_VOLATILE : 0;
    return ok;
}

static bool set_geo(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct geo *g = arena_new(cx->arena, struct geo);
    g->dflt = STR("");
    for (unsigned i = 1; i < node->nargs; i++) {
        if (node->args[i].n < 2 || node->args[i].p[0] != '$')
            return conf_err(cx, node, "invalid variable name \"" STR_FMT "\"", STR_ARG(node->args[i]));
    }
    if (node->nargs == 3)
        g->address = var_use(cx, str_from(node->args[1], 1), node);
    struct str name = str_from(node->args[node->nargs - 1], 1);
    unsigned flags = VAR_CHANGEABLE;
    bool ok = read_block(cx, g, node, &flags);
    return var_make(cx, name, flags, get_geo, NULL, (uintptr_t)g, node) != NULL && ok;
}

static const struct conf_row rows[] = {
    ROW_DATA("geo", IN_HTTP, 1, 2, ROW_REPEAT, set_geo,
             "Makes a variable whose value is looked up by the client's address, or by an address in another variable."),
};

struct feature feature_geo = {.name = "geo", .rows = rows, .nrows = ARRAY_LEN(rows)};
