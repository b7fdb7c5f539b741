// Which server answers. One table per listening address: names as written, wildcards in front and behind, expressions.
#include "http/vhost.h"
#include "base/host_map.h"
#include "http/regex.h"

struct regex_name {
    const struct regex *regex;
    struct server *server;
};

struct vhost_tables {
    struct host_map names;
    struct regex_name *regexes;
    unsigned nregexes, cap;
};

struct http_world *http_world(const struct conf *c) { return c->world; }

// --- building ------------------------------------------------------------------------------------------------------------

static void free_tables(void *arg) { host_map_done(&((struct vhost_tables *)arg)->names); }

static bool is_wildcard(const struct sockaddr *sa) {
    if (sa->sa_family == AF_INET)
        return ((const struct sockaddr_in *)sa)->sin_addr.s_addr == INADDR_ANY;
    return sa->sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)sa)->sin6_addr);
}

enum { KEY = 3 + 16 };

// Family, port and address of an IP address; STR_NONE for others.
static struct str key_of(const struct sockaddr *sa, char room[KEY]) {
    if (sa->sa_family != AF_INET && sa->sa_family != AF_INET6)
        return STR_NONE;
    struct str bytes = addr_bytes(sa);
    unsigned port = addr_port(sa);
    room[0] = (char)sa->sa_family;
    room[1] = (char)(port >> 8);
    room[2] = (char)port;
    memcpy(room + 3, bytes.p, bytes.n);
    return str_n(room, 3 + bytes.n);
}

// The key of the wildcard address of the same family and port.
static struct str wildcard_key(const struct sockaddr *sa, char room[KEY]) {
    struct str key = key_of(sa, room);
    if (key.n != 0)
        memset(room + 3, 0, key.n - 3);
    return key;
}

static struct vhosts *vhosts_of(const struct http_world *w, const struct sockaddr *sa) {
    char room[KEY];
    struct str key = key_of(sa, room);
    if (key.n != 0)
        return map_get(&w->by_addr, key);
    for (unsigned i = 0; i < w->count; i++) {
        if (addr_eq(&w->at[i]->addr.sa, sa))
            return w->at[i];
    }
    return NULL;
}

static void free_world(void *arg) {
    struct http_world *w = arg;
    map_done(&w->by_addr);
    map_done(&w->shared);
}

static void put_key(struct conf_cx *cx, struct map *m, struct str key, void *value) {
    if (key.n != 0 && map_get(m, key) == NULL)
        map_put(m, arena_dup(cx->arena, key), value);
}

static struct vhosts *add_vhosts(struct conf_cx *cx, struct http_world *w, const struct listen_conf *l) {
    if ((w->count & (w->count - 1)) == 0) { // full at powers of two
        struct vhosts **grown = arena_array(cx->arena, struct vhosts *, w->count ? w->count * 2 : 1);
        if (w->count != 0)
            memcpy(grown, w->at, w->count * sizeof(*grown));
        w->at = grown;
    }
    struct vhosts *v = arena_new(cx->arena, struct vhosts);
    v->addr = l->addr;
    v->opts = l->opts;
    v->tables = arena_new(cx->arena, struct vhost_tables);
    host_map_init(&v->tables->names, false, cx->conf->seed);
    arena_cleanup(cx->arena, free_tables, v->tables);
    w->at[w->count++] = v;
    char room[KEY];
    put_key(cx, &w->by_addr, key_of(&v->addr.sa, room), v);
    return v;
}

static struct str addr_text(struct conf_cx *cx, const struct addr_full *a) {
    struct sbuf b;
    sbuf_init_arena(&b, cx->arena, 32, ADDR_TEXT_MAX);
    addr_put(&b, &a->sa, true);
    return sbuf_view(&b);
}

static bool listens_before(const struct server *s, const struct listen_conf *l) {
    conf_list_each(const struct listen_conf, o, s->listens) {
        if (o >= l)
            return false;
        if (addr_eq(&o->addr.sa, &l->addr.sa))
            return true;
    }
    return false;
}

// One listen of one server.
static bool add_listen(struct conf_cx *cx, struct http_world *w, struct server *s, const struct listen_conf *l) {
    struct vhosts *v = vhosts_of(w, &l->addr.sa);
    if (listens_before(s, l))
        return conf_err(cx, l->node, "a duplicate listen " STR_FMT, STR_ARG(addr_text(cx, &l->addr)));
    bool fresh = v == NULL;
    if (fresh)
        v = add_vhosts(cx, w, l);
    if (l->has_opts) {
        if (v->has_opts)
            return conf_err(cx, l->node, "duplicate listen options for " STR_FMT, STR_ARG(addr_text(cx, &l->addr)));
        v->has_opts = true;
        v->opts = l->opts;
    }
    v->nservers++;
    v->ssl |= l->ssl;
    v->http2 |= l->http2;
    v->proxy_protocol |= l->proxy_protocol;
    if (l->default_server) {
        if (v->has_default)
            return conf_err(cx, l->node, "a duplicate default server for " STR_FMT, STR_ARG(addr_text(cx, &l->addr)));
        v->has_default = true;
        v->fallback = s;
    } else if (fresh) {
        v->fallback = s;
    }
    return true;
}

static void add_regex(struct conf_cx *cx, struct vhost_tables *t, struct regex *re, struct server *s) {
    if (t->nregexes == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 4;
        struct regex_name *grown = arena_array(cx->arena, struct regex_name, t->cap);
        if (t->nregexes != 0)
            memcpy(grown, t->regexes, t->nregexes * sizeof(*grown));
        t->regexes = grown;
    }
    t->regexes[t->nregexes++] = (struct regex_name){re, s};
}

// The first server with a name keeps it.
static bool add_name(struct conf_cx *cx, struct vhosts *v, const struct server_name *name, struct server *s) {
    struct vhost_tables *t = v->tables;
    struct str n = name->text;
    if (name->regex != NULL) {
        add_regex(cx, t, name->regex, s);
        return true;
    }
    // nginx looks at the names of an address only when there is something to choose.
    if (v->nservers > 1 && !host_map_valid(n))
        return conf_err(cx, NULL, "invalid server name or wildcard \"" STR_FMT "\" on " STR_FMT, STR_ARG(n),
                        STR_ARG(addr_text(cx, &v->addr)));
    if (!host_map_add(&t->names, n, s) && v->nservers > 1)
        conf_warn(cx, NULL, "conflicting server name \"" STR_FMT "\" on " STR_FMT ", ignored", STR_ARG(n),
                  STR_ARG(addr_text(cx, &v->addr)));
    return true;
}

static bool add_names(struct conf_cx *cx, struct http_world *w, struct server *s) {
    bool ok = true;
    conf_list_each(const struct listen_conf, l, s->listens) {
        struct vhosts *v = vhosts_of(w, &l->addr.sa);
        conf_list_each(const struct server_name, n, s->names) ok &= add_name(cx, v, n, s);
    }
    return ok;
}

bool vhosts_build(struct conf_cx *cx, struct http_world *w) {
    bool ok = true;
    map_init(&w->by_addr, false, cx->conf->seed);
    map_init(&w->shared, false, cx->conf->seed);
    arena_cleanup(cx->arena, free_world, w);
    for (unsigned i = 0; i < w->nservers; i++) {
        conf_list_each(const struct listen_conf, l, w->servers[i]->listens) ok &= add_listen(cx, w, w->servers[i], l);
    }
    for (unsigned i = 0; ok && i < w->nservers; i++)
        ok &= add_names(cx, w, w->servers[i]);
    for (unsigned i = 0; i < w->count; i++) {
        char room[KEY];
        if (!w->at[i]->opts.bind && !is_wildcard(&w->at[i]->addr.sa))
            put_key(cx, &w->shared, wildcard_key(&w->at[i]->addr.sa, room), w);
    }
    return ok;
}

// --- searching -----------------------------------------------------------------------------------------------------------

static bool matches(const struct regex *re, struct str host, struct req *r) {
    size_t ov[2 * REGEX_CAPTURES_MAX];
    unsigned pairs;
    return r != NULL ? regex_match_req(re, host, r) : regex_match(re, host, ov, &pairs);
}

struct server *vhost_find(const struct vhosts *v, struct str host, struct req *r) {
    const struct vhost_tables *t = v->tables;
    struct server *s = host_map_find(&t->names, host);
    for (unsigned i = 0; s == NULL && host.n != 0 && i < t->nregexes; i++) {
        if (matches(t->regexes[i].regex, host, r))
            s = t->regexes[i].server;
    }
    return s != NULL ? s : v->fallback;
}

struct server *vhost_find_name(const struct vhosts *v, struct str host) { return vhost_find(v, host, NULL); }

// --- addresses -----------------------------------------------------------------------------------------------------------

bool vhosts_own_socket(const struct http_world *w, const struct vhosts *v) {
    char room[KEY];
    if (v->opts.bind || is_wildcard(&v->addr.sa))
        return true;
    struct str key = wildcard_key(&v->addr.sa, room);
    return key.n == 0 || map_get(&w->by_addr, key) == NULL;
}

bool vhosts_need_local(const struct http_world *w, const struct sockaddr *bound) {
    char room[KEY];
    return is_wildcard(bound) && map_get(&w->shared, key_of(bound, room)) != NULL;
}

struct vhosts *vhosts_at(const struct http_world *w, const struct sockaddr *bound, const struct sockaddr *local) {
    struct vhosts *v = local != NULL ? vhosts_of(w, local) : NULL;
    if (v == NULL)
        v = vhosts_of(w, bound);
    return v;
}
