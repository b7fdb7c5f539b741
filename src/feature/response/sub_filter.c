// sub_filter: texts of answers replaced by others, as they stream by.
//
//   held   [ passed over ............ | undecided ....... ]     bytes are moved, never copied
//                                     ^ where the search is
#include "feature/response/matcher.h"
#include "feature/response/type_list.h"
#include "http/filter.h"
#include "http/plan.h"
#include "io/loop.h"

enum { IN_ROOM = 64 << 10, WINDOW = 512 };

struct pair {
    struct tmpl *text, *by;
};

struct sub_filter_conf {
    struct conf_list pairs; // struct pair
    struct type_list types;
    bool once, last_modified;
    struct matcher *matcher; // NULL: some texts have variables
};

struct sub_body {
    struct filter filter;
    struct req *r;
    const struct sub_filter_conf *conf;
    const struct matcher *m;
    struct str *by;    // evaluated replacements
    bool *done, *made; // replaced once; evaluated
    unsigned left;     // texts that may still be replaced
    struct chain held, ready;
    size_t passed;     // bytes of held that are no beginning of anything
    bool ended;
};

// --- searching -------------------------------------------------------------------------------------------------------------

// The piece that holds byte `at` of the chain, and the place in it.
static const struct piece *piece_at(const struct chain *c, size_t at, size_t *off) {
    const struct piece *p = c->head;
    while (p != NULL && at >= p->n) {
        at -= p->n;
        p = p->next;
    }
    *off = at;
    return p;
}

// Up to n bytes from there, in one piece of memory: in place, or copied to `to`.
static const char *window(const struct piece *p, size_t off, size_t *n, char *to) {
    if (p->n - off >= *n)
        return p->p + off;
    size_t got = 0;
    for (; p != NULL && got < *n; p = p->next, off = 0) {
        size_t m = MIN(p->n - off, *n - got);
        memcpy(to + got, p->p + off, m);
        got += m;
    }
    *n = got;
    return to;
}

static struct str replacement(struct sub_body *s, int i) {
    if (!s->made[i]) {
        s->by[i] = req_eval(s->r, ((const struct pair *)s->conf->pairs.at)[i].by);
        s->made[i] = true;
    }
    return s->by[i];
}

static void replace(struct sub_body *s, int i) {
    chain_move(&s->ready, &s->held, s->passed);
    chain_drop(&s->held, s->m->texts[i].n);
    s->passed = 0;
    struct str by = replacement(s, i);
    chain_add_const(&s->ready, by.p, by.n);
    if (s->conf->once && !s->done[i]) {
        s->done[i] = true;
        s->left--;
    }
}

// Looks at the place after the passed bytes. False: more bytes are needed to tell.
static bool decide(struct sub_body *s, const struct piece *p, size_t off) {
    char small[WINDOW];
    size_t n = s->m->longest;
    char *to = n <= sizeof(small) ? small : arena_bytes(&s->r->arena, n);
    const char *at = window(p, off, &n, to);
    int found = matcher_at(s->m, at, n, s->ended, s->done);
    if (found == MATCH_MORE)
        return false;
    if (found >= 0)
        replace(s, found);
    else
        s->passed++;
    return true;
}

// Goes on until nothing is left, or what is left may be the beginning of a text.
static void search(struct sub_body *s) {
    size_t off;
    const struct piece *p = piece_at(&s->held, s->passed, &off);
    while (p != NULL && s->left != 0) {
        size_t at = matcher_scan(s->m, p->p, p->n, off), edge = p->n >= s->m->shortest ? p->n - s->m->shortest + 1 : 0;
        if (at == p->n) // none that ends in this piece: the last bytes may begin one that goes on
            for (at = MAX(off, edge); at < p->n && !s->m->first[(unsigned char)p->p[at]];)
                at++;
        s->passed += at - off;
        if (at == p->n) {
            p = p->next;
            off = 0;
            continue;
        }
        if (!decide(s, p, at))
            break;
        p = piece_at(&s->held, s->passed, &off);
    }
    if (s->left == 0)
        s->passed = s->held.bytes;
    chain_move(&s->ready, &s->held, s->passed);
    s->passed = 0;
}

// --- the body --------------------------------------------------------------------------------------------------------------

static ssize_t read_sub(struct body *b, struct chain *to, size_t room, enum body_wait wait) {
    struct sub_body *s = container_of(b, struct sub_body, filter.body);
    while (chain_empty(&s->ready) && !s->ended) {
        ssize_t n = filter_pull(&s->filter, &s->held, IN_ROOM, wait);
        if (n < 0)
            return n;
        s->ended = n == 0;
        search(s);
        if (s->ended)
            chain_append(&s->ready, &s->held);
    }
    return (ssize_t)chain_move(to, &s->ready, room);
}

static void free_sub(struct body *b) {
    struct sub_body *s = container_of(b, struct sub_body, filter.body);
    chain_done(&s->held);
    chain_done(&s->ready);
    filter_done(&s->filter);
}

static const struct body_ops sub_ops = {"sub_filter", read_sub, filter_ahead, free_sub};

static const struct matcher *matcher_for(struct req *r, const struct sub_filter_conf *c) {
    if (c->matcher != NULL)
        return c->matcher;
    unsigned n = (unsigned)c->pairs.count;
    struct str *texts = arena_array(&r->arena, struct str, n);
    for (unsigned i = 0; i < n; i++)
        texts[i] = req_eval(r, ((const struct pair *)c->pairs.at)[i].text);
    struct matcher *m = arena_new(&r->arena, struct matcher);
    matcher_init(m, texts, n, &r->arena);
    return m;
}

static enum step run_sub(struct req *r, const void *conf) {
    const struct sub_filter_conf *c = conf;
    if (!filter_prepare(r) || r->out_length == 0 || !type_list_has(&c->types, r))
        return STEP_NEXT;
    const struct matcher *m = matcher_for(r, c);
    if (m->shortest == 0)
        return STEP_NEXT;
    filter_forget_length(r);
    if (c->last_modified) {
        filter_weaken_etag(r);
    } else {
        head_drop(&r->out, FIELD_LAST_MODIFIED);
        head_drop(&r->out, FIELD_ETAG);
        r->last_modified = -1;
    }
    if (r->out_body == NULL)
        return STEP_NEXT;
    struct sub_body *s = arena_new(&r->arena, struct sub_body);
    filter_wrap(r, &s->filter, &sub_ops);
    s->r = r;
    s->conf = c;
    s->m = m;
    s->by = arena_array(&r->arena, struct str, m->count);
    s->done = arena_array(&r->arena, bool, m->count);
    s->made = arena_array(&r->arena, bool, m->count);
    for (unsigned i = 0; i < m->count; i++)
        s->left += m->texts[i].n != 0;
    chain_init(&s->held, loop_blocks(r->loop));
    chain_init(&s->ready, loop_blocks(r->loop));
    return STEP_NEXT;
}

// --- configuration ---------------------------------------------------------------------------------------------------------

static bool set_sub(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct sub_filter_conf *c = conf;
    if (node->args[1].n == 0)
        return conf_err(cx, node, "empty search pattern");
    struct pair p = {tmpl_compile(cx, node->args[1], node), tmpl_compile(cx, node->args[2], node)};
    if (p.text == NULL || p.by == NULL)
        return false;
    *(struct pair *)conf_list_add(cx, row, &c->pairs, sizeof p) = p;
    return true;
}

static bool finish_sub(struct conf_cx *cx, struct scope *s, void *conf) {
    struct sub_filter_conf *c = conf;
    c->matcher = NULL;
    struct str *texts = arena_array(cx->arena, struct str, c->pairs.count + 1);
    size_t n = 0;
    conf_list_each(const struct pair, p, c->pairs) {
        if (!p->text->constant)
            return true;
        texts[n++] = p->text->text;
    }
    c->matcher = arena_new(cx->arena, struct matcher);
    matcher_init(c->matcher, texts, (unsigned)n, cx->arena);
    return true;
}

static bool bind_sub(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct sub_filter_conf *c = conf;
    if (c->pairs.count != 0)
        plan_add(cx, s, STAGE_RESPONSE, RESPONSE_SUB, run_sub, c, "sub_filter");
    return true;
}

#define C struct sub_filter_conf
static const struct conf_row rows[] = {
    ROW_FNS("sub_filter", IN_HTTP_ALL, 2, 2, ROW_LISTED, set_sub, NULL, "string replacement",
            "Replaces a text in answers, whatever its case, by another."),
    ROW_TYPES("sub_filter_types", C, types, "text/html", "Content types of answers, besides text/html, that are searched."),
    ROW_FLAG("sub_filter_once", IN_HTTP_ALL, C, once, "on", "Replaces each text once, or wherever it stands."),
    ROW_FLAG("sub_filter_last_modified", IN_HTTP_ALL, C, last_modified, "off",
             "Keeps Last-Modified of answers that were searched, and ETag as a weak one."),
};

struct feature feature_sub_filter = {.name = "sub_filter",
                                     .rows = rows,
                                     .nrows = ARRAY_LEN(rows),
                                     .conf_size = sizeof(C),
                                     .finish = finish_sub,
                                     .bind = bind_sub};
