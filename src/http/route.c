// The locations of one level: a compressed tree of prefixes, a list of regular expressions, a table of names. The cost of a
// search grows with the length of the URI, not with the number of locations.
//
//   "" ─ "/" ┬─ "images/" (prefix) ─ "big/" (prefix)
//            └─ "im" (exact)
#include "http/route.h"
#include "http/regex.h"

struct route_node {
    struct str edge; // from the parent
    struct location *exact, *prefix;
    struct route_node **inner;
    unsigned ninner, cap;
    uint16_t *by_byte; // 1 + index into inner, when there are many; NULL: look through them
};

enum { FEW = 4 };

struct routes {
    struct arena *arena;
    struct route_node root;
    struct location **regexes;
    unsigned nregexes, regex_cap;
    struct map named;
    bool has_named, has_static;
};

static void free_named(void *arg) { map_done(&((struct routes *)arg)->named); }

struct routes *routes_new(struct arena *a) {
    struct routes *rs = arena_new(a, struct routes);
    rs->arena = a;
    map_init(&rs->named, false, 0);
    arena_cleanup(a, free_named, rs);
    return rs;
}

// --- building ------------------------------------------------------------------------------------------------------------

static void index_inner(struct routes *rs, struct route_node *n) {
    if (n->ninner <= FEW)
        return;
    if (n->by_byte == NULL)
        n->by_byte = arena_array(rs->arena, uint16_t, 256);
    for (unsigned i = 0; i < n->ninner; i++)
        n->by_byte[(unsigned char)n->inner[i]->edge.p[0]] = (uint16_t)(i + 1);
}

static void add_inner(struct routes *rs, struct route_node *n, struct route_node *c) {
    if (n->ninner == n->cap) {
        unsigned cap = n->cap ? n->cap * 2 : 2;
        struct route_node **grown = arena_array(rs->arena, struct route_node *, cap);
        if (n->ninner != 0)
            memcpy(grown, n->inner, n->ninner * sizeof(*grown));
        n->inner = grown;
        n->cap = cap;
    }
    n->inner[n->ninner++] = c;
    index_inner(rs, n);
}

static struct route_node *inner_at(const struct route_node *n, char byte) {
    if (n->by_byte != NULL) {
        unsigned i = n->by_byte[(unsigned char)byte];
        return i != 0 ? n->inner[i - 1] : NULL;
    }
    for (unsigned i = 0; i < n->ninner; i++) {
        if (n->inner[i]->edge.p[0] == byte)
            return n->inner[i];
    }
    return NULL;
}

static size_t common(struct str a, struct str b) {
    size_t n = 0;
    while (n < a.n && n < b.n && a.p[n] == b.p[n])
        n++;
    return n;
}

// Cuts the node's edge after `at` bytes: the node keeps the first part, what it held goes to a new node below it.
static void cut_edge(struct routes *rs, struct route_node *n, size_t at) {
    struct route_node *lower = arena_new(rs->arena, struct route_node);
    *lower = *n;
    lower->edge = str_from(n->edge, at);
    *n = (struct route_node){.edge = str_head(n->edge, at)};
    add_inner(rs, n, lower);
}

// The node for that text, made if need be.
static struct route_node *node_for(struct routes *rs, struct str text) {
    struct route_node *n = &rs->root;
    while (text.n != 0) {
        struct route_node *c = inner_at(n, text.p[0]);
        if (c == NULL) {
            c = arena_new(rs->arena, struct route_node);
            c->edge = text;
            add_inner(rs, n, c);
            return c;
        }
        size_t same = common(c->edge, text);
        if (same < c->edge.n)
            cut_edge(rs, c, same);
        text = str_from(text, same);
        n = c;
    }
    return n;
}

static bool duplicate(struct conf_cx *cx, const struct location *l, const struct conf_node *node) {
    return conf_err(cx, node, "duplicate location \"" STR_FMT "\"", STR_ARG(l->text));
}

bool route_add(struct conf_cx *cx, struct routes *rs, struct location *l, const struct conf_node *node) {
    if (l->kind == LOCATION_NAMED) {
        rs->has_named = true;
        if (map_get(&rs->named, l->text) == NULL) // nginx takes the first and says nothing
            map_put(&rs->named, l->text, l);
        return true;
    }
    if (l->kind == LOCATION_REGEX || l->kind == LOCATION_REGEX_NOCASE) {
        if (rs->nregexes == rs->regex_cap) {
            rs->regex_cap = rs->regex_cap ? rs->regex_cap * 2 : 4;
            struct location **grown = arena_array(rs->arena, struct location *, rs->regex_cap);
            if (rs->nregexes != 0)
                memcpy(grown, rs->regexes, rs->nregexes * sizeof(*grown));
            rs->regexes = grown;
        }
        rs->regexes[rs->nregexes++] = l;
        return true;
    }
    rs->has_static = true;
    struct route_node *n = node_for(rs, l->text);
    struct location **place = l->kind == LOCATION_EXACT ? &n->exact : &n->prefix;
    if (*place != NULL)
        return duplicate(cx, l, node);
    *place = l;
    return true;
}

// The structures are built as locations come; nothing is left to do.
bool routes_build(struct conf_cx *cx, struct routes *rs) { return true; }

// --- searching -----------------------------------------------------------------------------------------------------------

struct found {
    struct location *exact, *prefix; // the URI itself; the longest prefix
    struct location *slash;          // "URI/", of a gateway
};

static void note_slash(const struct route_node *n, struct found *f) {
    if (n->exact != NULL && n->exact->auto_redirect)
        f->slash = n->exact;
    else if (n->prefix != NULL && n->prefix->auto_redirect)
        f->slash = n->prefix;
}

static void find_static(const struct routes *rs, struct str uri, struct found *f) {
    const struct route_node *n = &rs->root;
    for (;;) {
        if (n->prefix != NULL)
            f->prefix = n->prefix;
        if (uri.n == 0)
            break;
        const struct route_node *c = inner_at(n, uri.p[0]);
        if (c == NULL)
            return;
        if (!str_starts(uri, c->edge)) {
            // The URI ends inside the edge, one slash before its end.
            if (uri.n + 1 == c->edge.n && c->edge.p[uri.n] == '/' && str_starts(c->edge, uri))
                note_slash(c, f);
            return;
        }
        uri = str_from(uri, c->edge.n);
        n = c;
    }
    f->exact = n->exact;
    if (n->exact != NULL || n->prefix != NULL)
        return;
    const struct route_node *c = inner_at(n, '/');
    if (c != NULL && c->edge.n == 1)
        note_slash(c, f);
}

// Whether the search is over (an exact location, a redirect, a regular expression), or only a prefix was found so far.
enum end { GO_ON, END, END_SLASH };

static enum end search(const struct routes *rs, struct req *r, struct scope **scope) {
    struct found f = {0};
    if (rs->has_static)
        find_static(rs, r->uri, &f);
    if (f.exact != NULL) {
        *scope = f.exact->scope;
        return END;
    }
    if (f.slash != NULL) {
        *scope = f.slash->scope;
        return END_SLASH;
    }
    if (f.prefix != NULL) {
        *scope = f.prefix->scope;
        enum end end = f.prefix->inner != NULL ? search(f.prefix->inner, r, scope) : GO_ON;
        if (end != GO_ON)
            return end;
        if (f.prefix->kind == LOCATION_PREFIX_FINAL)
            return GO_ON;
    }
    for (unsigned i = 0; i < rs->nregexes; i++) {
        struct location *l = rs->regexes[i];
        if (!regex_match_req(l->regex, r->uri, r))
            continue;
        *scope = l->scope;
        if (l->inner != NULL)
            search(l->inner, r, scope);
        return END;
    }
    return GO_ON;
}

enum route_result route_find(const struct routes *rs, struct req *r, struct scope **scope) {
    struct scope *before = *scope;
    if (search(rs, r, scope) == END_SLASH)
        return ROUTE_REDIRECT_SLASH;
    return *scope != before ? ROUTE_FOUND : ROUTE_NONE;
}

struct scope *route_named(const struct routes *rs, struct str name) {
    struct location *l = rs->has_named ? map_get(&rs->named, name) : NULL;
    return l != NULL ? l->scope : NULL;
}

const struct location *scope_location(const struct scope *s) {
    while (s != NULL && s->place != IN_LOCATION)
        s = s->place == IN_SERVER ? NULL : s->outer;
    return s != NULL ? s->data : NULL;
}
