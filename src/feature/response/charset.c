// charset, source_charset, override_charset, charset_types, charset_map: which charset answers say that they are in, and the
// conversion between two of them: single bytes to single bytes, to UTF-8, and back.
#include "feature/response/range.h"
#include "feature/response/type_list.h"
#include "http/filter.h"
#include "http/plan.h"
#include "io/loop.h"
#include "upstream/exchange.h"

enum { IN_ROOM = 32 << 10, UTF8_MAX = 3, ENTITY_MAX = 10 /* "&#1114111;" */ };

// What a byte becomes: n bytes.
struct made {
    uint8_t n;
    char bytes[UTF8_MAX];
};

// From one charset to another. Exactly one of `by_byte` (from single bytes) and `pages` (from UTF-8) is there.
struct recode {
    struct str from, to;
    struct made *by_byte;  // [256]
    bool same_length;      // a byte becomes a byte
    uint8_t **pages;       // [256] -> [256]: code points below 0x10000 to bytes; 0: none
    struct recode *next;
};

struct charset_name {
    struct str name;
    struct charset_name *next;
};

// Of the whole configuration.
struct charset_all {
    struct charset_name *names;
    struct recode *recodes;
};

struct charset_conf {
    struct tmpl *charset, *source; // NULL: off
    bool override;
    struct type_list types;
    struct charset_all *all;
};

struct charset_body {
    struct filter filter;
    const struct recode *recode;
    struct chain in, ready;
    char part[4]; // a UTF-8 sequence of which the end is not there yet
    size_t npart;
    bool ended;
};

struct feature feature_charset;

// --- converting ------------------------------------------------------------------------------------------------------------

// A place to write to: blocks of the loop.
struct sink {
    struct chain *to;
    struct block *block;
    size_t n;
};

static char *sink_room(struct sink *s, size_t n) {
    if (s->block != NULL && s->block->size - s->n < n) {
        chain_give_block(s->to, s->block, s->block->data, s->n);
        s->block = NULL;
    }
    if (s->block == NULL) {
        s->block = block_new(s->to->pool, 16 << 10);
        s->n = 0;
    }
    return s->block->data + s->n;
}

static void sink_done(struct sink *s) {
    if (s->block != NULL && s->n != 0)
        chain_give_block(s->to, s->block, s->block->data, s->n);
    else
        block_unref(s->block);
    s->block = NULL;
}

static void from_bytes(const struct recode *rc, const char *p, size_t n, struct sink *out) {
    for (size_t i = 0; i < n; i++) {
        const struct made *m = &rc->by_byte[(unsigned char)p[i]];
        char *to = sink_room(out, UTF8_MAX);
        for (unsigned k = 0; k < m->n; k++)
            to[k] = m->bytes[k];
        out->n += m->n;
    }
}

// Bytes of the sequence that begins with c; 0: none begins with it.
static size_t utf8_len(unsigned char c) {
    return c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
}

// A code point in the other charset, or as an entity.
static void put_code(const struct recode *rc, uint32_t code, struct sink *out) {
    char *to = sink_room(out, ENTITY_MAX);
    const uint8_t *page = code < 0x10000 ? rc->pages[code >> 8] : NULL;
    uint8_t byte = page != NULL ? page[code & 0xff] : 0;
    if (byte != 0 || code == 0) {
        *to = (char)byte;
        out->n++;
        return;
    }
    struct sbuf b;
    sbuf_init_fixed(&b, to, ENTITY_MAX);
    sbuf_lit(&b, "&#");
    sbuf_u64(&b, code);
    sbuf_chr(&b, ';');
    out->n += b.n;
}

// One byte of UTF-8 more; what is no UTF-8 becomes '?'.
static void from_utf8(struct charset_body *c, unsigned char byte, struct sink *out) {
    if (c->npart == 0) {
        size_t len = utf8_len(byte);
        if (len == 1)
            put_code(c->recode, byte, out);
        else if (len == 0) {
            *sink_room(out, 1) = '?';
            out->n++;
        } else
            c->part[c->npart++] = (char)byte;
        return;
    }
    if ((byte & 0xc0) != 0x80) { // the sequence is broken: this byte begins anew
        *sink_room(out, 1) = '?';
        out->n++;
        c->npart = 0;
        from_utf8(c, byte, out);
        return;
    }
    c->part[c->npart++] = (char)byte;
    size_t len = utf8_len((unsigned char)c->part[0]);
    if (c->npart < len)
        return;
    static const unsigned char masks[] = {0, 0, 0x1f, 0x0f, 0x07};
    uint32_t code = (unsigned char)c->part[0] & masks[len];
    for (size_t i = 1; i < len; i++)
        code = code << 6 | ((unsigned char)c->part[i] & 0x3f);
    c->npart = 0;
    put_code(c->recode, code, out);
}

static void convert(struct charset_body *c, struct chain *to) {
    struct sink out = {.to = to};
    for (const struct piece *p = c->in.head; p != NULL; p = p->next) {
        if (c->recode->by_byte != NULL) {
            from_bytes(c->recode, p->p, p->n, &out);
            continue;
        }
        for (size_t i = 0; i < p->n; i++)
            from_utf8(c, (unsigned char)p->p[i], &out);
    }
    if (c->ended && c->npart != 0) {
        *sink_room(&out, 1) = '?';
        out.n++;
        c->npart = 0;
    }
    sink_done(&out);
    chain_done(&c->in);
}

static ssize_t read_charset(struct body *b, struct chain *to, size_t room, enum body_wait wait) {
    struct charset_body *c = container_of(b, struct charset_body, filter.body);
    while (chain_empty(&c->ready) && !c->ended) {
        ssize_t n = filter_pull(&c->filter, &c->in, IN_ROOM, wait);
        if (n < 0)
            return n;
        c->ended = n == 0;
        convert(c, &c->ready);
    }
    return (ssize_t)chain_move(to, &c->ready, room);
}

static void free_charset(struct body *b) {
    struct charset_body *c = container_of(b, struct charset_body, filter.body);
    chain_done(&c->in);
    chain_done(&c->ready);
    filter_done(&c->filter);
}

static const struct body_ops charset_ops = {"charset", read_charset, filter_ahead, free_charset};

// --- the answer ------------------------------------------------------------------------------------------------------------

static bool known(const struct charset_all *all, struct str name) {
    const struct charset_name *n = all->names;
    while (n != NULL && !str_ieq(n->name, name))
        n = n->next;
    return n != NULL;
}

static const struct recode *find_recode(const struct charset_all *all, struct str from, struct str to) {
    const struct recode *rc = all->recodes;
    while (rc != NULL && !(str_ieq(rc->from, from) && str_ieq(rc->to, to)))
        rc = rc->next;
    return rc;
}

// The charset that a Content-Type names; empty: none.
static struct str charset_of(struct str type) {
    struct str part;
    str_split(&type, ';', &part);
    while (str_split(&type, ';', &part)) {
        part = str_trim(part);
        if (!str_istarts(part, STR("charset=")))
            continue;
        part = str_from(part, 8);
        if (part.n >= 2 && part.p[0] == '"' && part.p[part.n - 1] == '"')
            part = str_n(part.p + 1, part.n - 2);
        return part;
    }
    return STR("");
}

// What X-Accel-Charset says; STR_NONE: nothing.
static struct str accel_charset(struct req *r) {
    const struct exchange *x = exchange_of(r);
    if (x == NULL || x->head_block == NULL || (x->gw->ignore_headers & IGNORE_ACCEL_CHARSET))
        return STR_NONE;
    return head_value(&x->head, FIELD_X_ACCEL_CHARSET);
}

// The charset that the answer shall be in; STR_NONE: nothing is to be done.
static struct str destination(struct req *r, const struct charset_conf *c, struct str said) {
    if (r != r->main)
        return charset_of(head_value(&r->main->out, FIELD_CONTENT_TYPE));
    struct str accel = accel_charset(r);
    if (accel.n != 0) {
        if (known(c->all, accel))
            return accel;
        log_msg(LOG_ERR, 0, "unknown charset \"" STR_FMT "\" to override", STR_ARG(accel));
        return STR_NONE;
    }
    if (c->charset == NULL || (said.n != 0 ? !c->override : !type_list_has(&c->types, r)))
        return STR_NONE;
    struct str name = req_eval(r, c->charset);
    return name.n != 0 ? name : STR_NONE;
}

// Redirects and subrequests say nothing of it. `anew`: parameters that the type has go.
static void say(struct req *r, struct str type, struct str name, bool anew) {
    ssize_t end = str_chr(type, ';');
    if (r != r->main || r->out.status == 301 || r->out.status == 302)
        name = STR("");
    if (end >= 0 && !anew)
        return;
    if (end >= 0)
        type = str_trim(str_head(type, (size_t)end));
    head_set(&r->out, FIELD_CONTENT_TYPE,
             name.n != 0 ? arena_printf(&r->arena, STR_FMT "; charset=" STR_FMT, STR_ARG(type), STR_ARG(name)) : type);
}

static void recode_body(struct req *r, const struct recode *rc) {
    if (rc->same_length)
        range_in_order(r); // a byte is a byte
    else
        filter_forget_length(r);
    if (r->out_body == NULL)
        return;
    struct charset_body *b = arena_new(&r->arena, struct charset_body);
    filter_wrap(r, &b->filter, &charset_ops);
    b->recode = rc;
    chain_init(&b->in, loop_blocks(r->loop));
    chain_init(&b->ready, loop_blocks(r->loop));
}

static enum step run_charset(struct req *r, const void *conf) {
    const struct charset_conf *c = conf;
    struct str type = head_value(&r->out, FIELD_CONTENT_TYPE);
    if (type.n == 0)
        return STEP_NEXT;
    struct str from = charset_of(type), to = destination(r, c, from);
    if (to.n == 0)
        return STEP_NEXT;
    if (from.n == 0)
        from = c->source != NULL ? req_eval(r, c->source) : STR("");
    if (from.n == 0 || str_ieq(from, to)) {
        say(r, type, to, from.n != 0 && known(c->all, to));
        return STEP_NEXT;
    }
    if (head_value(&r->out, FIELD_CONTENT_ENCODING).n != 0)
        return STEP_NEXT;
    const struct recode *rc = find_recode(c->all, from, to);
    if (rc == NULL) {
        log_msg(LOG_ERR, 0, "no \"charset_map\" between the charsets \"" STR_FMT "\" and \"" STR_FMT "\"", STR_ARG(from),
                STR_ARG(to));
        return STEP_NEXT;
    }
    say(r, type, to, true);
    recode_body(r, rc);
    return STEP_NEXT;
}

// --- charset_map -----------------------------------------------------------------------------------------------------------

static struct recode *add_recode(struct conf_cx *cx, struct charset_all *all, struct str from, struct str to) {
    struct recode *rc = arena_new(cx->arena, struct recode);
    *rc = (struct recode){.from = from, .to = to, .next = all->recodes};
    all->recodes = rc;
    return rc;
}

// Both begin with ASCII as it is, and '?' for all else.
static void init_bytes(struct conf_cx *cx, struct recode *rc) {
    rc->by_byte = arena_array(cx->arena, struct made, 256);
    for (unsigned i = 0; i < 256; i++)
        rc->by_byte[i] = (struct made){1, {(char)(i < 128 ? i : '?')}};
}

static void set_code(struct conf_cx *cx, struct recode *rc, uint32_t code, uint8_t byte) {
    uint8_t **page = &rc->pages[code >> 8];
    if (*page == NULL)
        *page = arena_array(cx->arena, uint8_t, 256);
    (*page)[code & 0xff] = byte;
}

// "E282AC" to bytes. Their number, 0 when malformed.
static size_t hex_bytes(struct str text, unsigned char *to, size_t max) {
    if (text.n == 0 || text.n % 2 != 0 || text.n / 2 > max)
        return 0;
    for (size_t i = 0; i < text.n / 2; i++) {
        uint64_t v;
        if (!str_hex_u64(str_n(text.p + 2 * i, 2), 255, &v))
            return 0;
        to[i] = (unsigned char)v;
    }
    return text.n / 2;
}

static bool one_byte(struct conf_cx *cx, const struct conf_node *n, struct str text, unsigned char *byte) {
    uint64_t v;
    if (!str_hex_u64(text, 255, &v))
        return conf_err(cx, n, "invalid value \"" STR_FMT "\"", STR_ARG(text));
    *byte = (unsigned char)v;
    return true;
}

static bool map_line(struct conf_cx *cx, const struct conf_node *n, struct recode *there, struct recode *back) {
    unsigned char from = 0, to[UTF8_MAX] = {0};
    if (n->block || n->nargs != 2)
        return conf_err(cx, n, "invalid parameters number");
    if (!one_byte(cx, n, n->args[0], &from))
        return false;
    if (back->pages == NULL) {
        if (!one_byte(cx, n, n->args[1], &to[0]))
            return false;
        there->by_byte[from] = (struct made){1, {(char)to[0]}};
        back->by_byte[to[0]] = (struct made){1, {(char)from}};
        return true;
    }
    size_t len = hex_bytes(n->args[1], to, UTF8_MAX);
    if (len == 0 || utf8_len(to[0]) != len)
        return conf_err(cx, n, "invalid value \"" STR_FMT "\"", STR_ARG(n->args[1]));
    struct made m = {.n = (uint8_t)len};
    uint32_t code = len == 1 ? to[0] : len == 2 ? to[0] & 0x1f : to[0] & 0x0f;
    for (size_t i = 0; i < len; i++) {
        m.bytes[i] = (char)to[i];
        if (i != 0)
            code = code << 6 | (to[i] & 0x3f);
    }
    there->by_byte[from] = m;
    set_code(cx, back, code, from);
    return true;
}

static void add_name(struct conf_cx *cx, struct charset_all *all, struct str name) {
    if (known(all, name))
        return;
    struct charset_name *n = arena_new(cx->arena, struct charset_name);
    *n = (struct charset_name){name, all->names};
    all->names = n;
}

static bool set_map(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct charset_all *all = ((struct charset_conf *)conf)->all;
    struct str a = node->args[1], b = node->args[2];
    if (str_ieq(a, b))
        return conf_err(cx, node, "\"charset_map\" between the same charsets \"" STR_FMT "\" and \"" STR_FMT "\"", STR_ARG(a),
                        STR_ARG(b));
    if (find_recode(all, a, b) != NULL)
        return conf_err(cx, node, "duplicate \"charset_map\" between \"" STR_FMT "\" and \"" STR_FMT "\"", STR_ARG(a), STR_ARG(b));
    add_name(cx, all, a);
    add_name(cx, all, b);
    struct recode *there = add_recode(cx, all, a, b), *back = add_recode(cx, all, b, a);
    init_bytes(cx, there);
    if (str_ieq(b, STR("utf-8"))) {
        back->pages = arena_array(cx->arena, uint8_t *, 256);
        for (unsigned i = 0; i < 128; i++)
            set_code(cx, back, i, (uint8_t)i);
    } else {
        init_bytes(cx, back);
        there->same_length = back->same_length = true;
    }
    bool ok = true;
    for (const struct conf_node *n = node->children; n != NULL; n = n->next)
        ok &= map_line(cx, n, there, back);
    return ok;
}

// --- configuration ---------------------------------------------------------------------------------------------------------

static bool set_charset(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct charset_conf *c = conf;
    struct tmpl **at = (struct tmpl **)((char *)conf + row->offset);
    *at = NULL;
    if (str_eq(node->args[1], STR("off")))
        return true;
    *at = tmpl_compile(cx, node->args[1], node);
    if (*at != NULL && (*at)->constant)
        add_name(cx, c->all, (*at)->text);
    return *at != NULL;
}

static bool finish_charset(struct conf_cx *cx, struct scope *s, void *conf) {
    struct charset_conf *c = conf;
    if (s->outer == NULL)
        c->all = arena_new(cx->arena, struct charset_all);
    return true;
}

static bool bind_charset(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct charset_conf *c = conf;
    bool own = s->outer != NULL && scope_conf(s->outer, &feature_charset) != conf;
    if (own && c->charset != NULL && c->source != NULL && c->charset->constant && c->source->constant &&
        !str_ieq(c->charset->text, c->source->text) && find_recode(c->all, c->source->text, c->charset->text) == NULL)
        return conf_err(cx, NULL, "no \"charset_map\" between the charsets \"" STR_FMT "\" and \"" STR_FMT "\"",
                        STR_ARG(c->source->text), STR_ARG(c->charset->text));
    // X-Accel-Charset names a charset of the configuration; without any there is nothing to do.
    if (c->charset != NULL || c->all->names != NULL)
        plan_add(cx, s, STAGE_RESPONSE, RESPONSE_CHARSET, run_charset, c, "charset");
    return true;
}

#define C struct charset_conf
static const struct conf_row rows[] = {
    {"charset", IN_HTTP_ALL | IN_IF, 1, 1, 0, 0, set_charset, NULL, FIELD_AT(C, charset, struct tmpl *), NULL, 0, 0, NULL,
     "The charset that Content-Type of answers names; if source_charset is another one, answers are converted.", "charset | off"},
    {"source_charset", IN_HTTP_ALL | IN_IF, 1, 1, 0, 0, set_charset, NULL, FIELD_AT(C, source, struct tmpl *), NULL, 0, 0, NULL,
     "The charset that answers are in.", "charset | off"},
    ROW_FLAG("override_charset", IN_HTTP_ALL | IN_IF, C, override, "off",
             "Converts answers of back ends too that name a charset."),
    ROW_TYPES("charset_types", C, types, "text/html text/xml text/plain text/vnd.wap.wml application/javascript application/rss+xml",
              "Content types of answers, besides text/html, that get a charset."),
    ROW_DATA("charset_map", IN_HTTP, 2, 2, ROW_REPEAT, set_map, "A table of what bytes of one charset are in another."),
};

struct feature feature_charset = {.name = "charset",
                                  .rows = rows,
                                  .nrows = ARRAY_LEN(rows),
                                  .conf_size = sizeof(C),
                                  .finish = finish_charset,
                                  .bind = bind_charset};
