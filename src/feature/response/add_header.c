// add_header and add_trailer: fields that the configuration adds to answers.
#include "feature/response/statuses.h"
#include "http/answer.h"
#include "http/plan.h"
#include "io/loop.h"

struct feature feature_add_header;

struct added {
    struct str name;
    enum field_id id;
    struct tmpl *value;
    bool always;
};

enum inherit { INHERIT_OFF, INHERIT_ON, INHERIT_MERGE };

struct add_header_conf {
    struct conf_list headers, trailers; // struct added
    int inherit, inherit_trailers;
};

bool status_is_decorated(unsigned status) {
    switch (status) {
    case 200:
    case 201:
    case 204:
    case 206:
    case 301:
    case 302:
    case 303:
    case 304:
    case 307:
    case 308:
        return true;
    default:
        return false;
    }
}

static void add(struct req *r, const struct added *a, struct str value) {
    switch (a->id) {
    case FIELD_CONTENT_LENGTH:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_CONNECTION:
    case FIELD_KEEP_ALIVE:
        return; // the codec says how the answer is framed
    case FIELD_LAST_MODIFIED: {
        head_drop(&r->out, FIELD_LAST_MODIFIED);
        if (value.n != 0)
            head_add_known(&r->out, FIELD_LAST_MODIFIED, value);
        r->last_modified = value.n != 0 ? LAST_MODIFIED_UNREAD : -1;
        return;
    }
    case FIELD_ETAG:
        head_drop(&r->out, FIELD_ETAG);
        break;
    default:
        break;
    }
    if (value.n == 0 || a->name.n == 0)
        return;
    // Of these the codec writes one line of its own; a second one is as the user wants it.
    bool again = a->id == FIELD_CONTENT_TYPE || a->id == FIELD_SERVER || a->id == FIELD_DATE;
    head_add(&r->out, again ? FIELD_UNKNOWN : a->id, a->name, value);
}

// --- trailers: a body that ends with them --------------------------------------------------------------------------------

struct trailer_body {
    struct body body;
    struct body *inner;
    struct req *r;
    const struct conf_list *trailers;
};

// Their values are those of the end of the body.
static struct head *make_trailers(struct trailer_body *b) {
    struct head *h = arena_new(&b->r->arena, struct head);
    head_init(h, &b->r->arena);
    if (b->inner->trailers != NULL) {
        head_each(f, b->inner->trailers) head_add(h, f->id, f->name, f->value);
    }
    conf_list_each(const struct added, a, *b->trailers) {
        if (!a->always && !status_is_decorated(b->r->out.status))
            continue;
        struct str value = req_eval(b->r, a->value);
        if (value.n != 0)
            head_add(h, a->id, a->name, value);
    }
    return h->count != 0 ? h : NULL;
}

static ssize_t read_trailer_body(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct trailer_body *b = container_of(body, struct trailer_body, body);
    ssize_t n = body_read(b->inner, to, room, wait);
    body->length = b->inner->length;
    body->flush = b->inner->flush;
    if (n == 0 && body->trailers == NULL)
        body->trailers = make_trailers(b);
    return n;
}

static void trailer_ahead(struct body *body) { body_ahead(container_of(body, struct trailer_body, body)->inner); }
static void free_trailer_body(struct body *body) { body_free(container_of(body, struct trailer_body, body)->inner); }

static const struct body_ops trailer_ops = {"trailers", read_trailer_body, trailer_ahead, free_trailer_body};

static void promise(struct req *r, const void *conf) {
    const struct conf_list *trailers = &((const struct add_header_conf *)conf)->trailers;
    bool carries = r->in.version > 11 || (r->in.version == 11 && req_core(r)->chunked_transfer_encoding);
    if (r != r->main || r->out_body == NULL || !carries || r->method == METHOD_HEAD)
        return;
    bool any = false;
    conf_list_each(const struct added, a, *trailers) any |= a->always || status_is_decorated(r->out.status);
    if (!any)
        return;
    struct trailer_body *b = arena_new(&r->arena, struct trailer_body);
    body_init(&b->body, &trailer_ops, r->out_body->length);
    b->inner = r->out_body;
    b->r = r;
    b->trailers = trailers;
    r->out_body = &b->body;
    r->out_length = -1; // chunks carry trailers
    head_drop(&r->out, FIELD_CONTENT_LENGTH);
}

static bool is_grpc(const struct req *r) {
    return str_istarts(head_value(&r->out, FIELD_CONTENT_TYPE), STR("application/grpc"));
}

// gRPC-Web puts them into the body: they must be there before.
static enum step promise_to_grpc(struct req *r, const void *conf) {
    if (is_grpc(r))
        promise(r, conf);
    return STEP_NEXT;
}

static enum step promise_trailers(struct req *r, const void *conf) {
    if (!is_grpc(r))
        promise(r, conf);
    return STEP_NEXT;
}

static enum step add_all(struct req *r, const void *conf) {
    const struct add_header_conf *c = conf;
    if (r != r->main)
        return STEP_NEXT;
    bool decorated = status_is_decorated(r->out.status);
    conf_list_each(const struct added, a, c->headers) {
        if (decorated || a->always)
            add(r, a, req_eval(r, a->value));
    }
    return STEP_NEXT;
}

static bool set_added(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct add_header_conf *c = conf;
    bool trailer = str_eq(node->args[0], STR("add_trailer"));
    if (node->nargs == 4 && !str_eq(node->args[3], STR("always")))
        return conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(node->args[3]));
    struct added *a = conf_list_add(cx, row, trailer ? &c->trailers : &c->headers, sizeof *a);
    a->name = node->args[1];
    a->id = field_id_of(a->name);
    a->always = node->nargs == 4;
    a->value = tmpl_compile(cx, node->args[2], node);
    return a->value != NULL;
}

// --- inheritance ---------------------------------------------------------------------------------------------------------

static const struct conf_list *list_of(const struct add_header_conf *c, bool trailers) {
    return trailers ? &c->trailers : &c->headers;
}
static int rule_of(const struct add_header_conf *c, bool trailers) { return trailers ? c->inherit_trailers : c->inherit; }

// What holds in a block: nothing, where it says nothing of its own and "off" is in force.
static struct conf_list in_force(const struct scope *s, bool trailers) {
    const struct add_header_conf *c = scope_conf(s, &feature_add_header);
    bool shared = s->outer != NULL && scope_conf(s->outer, &feature_add_header) == c;
    return shared && rule_of(c, trailers) == INHERIT_OFF ? (struct conf_list){0} : *list_of(c, trailers);
}

static void inherit(struct conf_cx *cx, struct scope *s, struct add_header_conf *c, bool trailers) {
    struct conf_list *list = trailers ? &c->trailers : &c->headers;
    struct conf_list before = in_force(s->outer, trailers);
    bool own = list->at != list_of(scope_conf(s->outer, &feature_add_header), trailers)->at;
    int rule = rule_of(c, trailers);
    if (!own)
        *list = rule == INHERIT_OFF ? (struct conf_list){0} : before;
    else if (rule == INHERIT_MERGE && before.count != 0) {
        struct added *all = arena_array(cx->arena, struct added, list->count + before.count);
        memcpy(all, list->at, list->count * sizeof *all);
        memcpy(all + list->count, before.at, before.count * sizeof *all);
        *list = (struct conf_list){all, list->count + before.count};
    }
}

static bool finish_added(struct conf_cx *cx, struct scope *s, void *conf) {
    if (s->outer != NULL) {
        inherit(cx, s, conf, false);
        inherit(cx, s, conf, true);
    }
    return true;
}

static bool bind_added(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct add_header_conf *c = conf;
    struct conf_list headers = in_force(s, false), trailers = in_force(s, true);
    if (headers.count != c->headers.count || trailers.count != c->trailers.count) { // "off", inherited
        struct add_header_conf *less = arena_new(cx->arena, struct add_header_conf);
        *less = (struct add_header_conf){.headers = headers, .trailers = trailers};
        c = less;
    }
    if (c->headers.count != 0)
        plan_add(cx, s, STAGE_RESPONSE, RESPONSE_HEADERS, add_all, c, "add_header");
    if (c->trailers.count != 0) {
        plan_add(cx, s, STAGE_RESPONSE, RESPONSE_HEADERS, promise_to_grpc, c, "add_trailer");
        plan_add(cx, s, STAGE_RESPONSE, RESPONSE_TRAILERS, promise_trailers, c, "add_trailer");
    }
    return true;
}

static const struct conf_word inherit_words[] = {
    {"off", INHERIT_OFF}, {"on", INHERIT_ON}, {"merge", INHERIT_MERGE}, {NULL}};

static const struct conf_row rows[] = {
    ROW_FNS("add_header", IN_HTTP_ALL | IN_IF, 2, 3, ROW_LISTED, set_added, NULL, "name value [always]",
            "Adds a header field to answers with a status of 200, 201, 204, 206, 301, 302, 303, 304, 307 or 308, or to all."),
    ROW_FNS("add_trailer", IN_HTTP_ALL | IN_IF, 2, 3, ROW_LISTED, set_added, NULL, "name value [always]",
            "Adds a field behind the body of answers with such a status, or of all."),
    ROW_ENUM("add_header_inherit", IN_HTTP_ALL | IN_IF, struct add_header_conf, inherit, "on", inherit_words,
             "Whether add_header of outer blocks holds where a block has none of its own (on), never (off), or together with "
             "its own (merge)."),
    ROW_ENUM("add_trailer_inherit", IN_HTTP_ALL | IN_IF, struct add_header_conf, inherit_trailers, "on", inherit_words,
             "The same for add_trailer."),
};

struct feature feature_add_header = {.name = "add_header",
                                     .rows = rows,
                                     .nrows = ARRAY_LEN(rows),
                                     .conf_size = sizeof(struct add_header_conf),
                                     .finish = finish_added,
                                     .bind = bind_added};
