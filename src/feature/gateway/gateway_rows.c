// The settings that all gateways share, as rows of a family: proxy_read_timeout, fastcgi_read_timeout...
#include "feature/core/core_rows.h"
#include "feature/gateway/gateway.h"
#include "http/conn.h"
#include "http/tape.h"

static const struct conf_word next_words[] = {
    {"error", NEXT_ERROR},       {"timeout", NEXT_TIMEOUT},
    {"invalid_header", NEXT_INVALID_HEADER}, {"denied", NEXT_DENIED},
    {"non_idempotent", NEXT_NON_IDEMPOTENT}, {"http_500", NEXT_500},
    {"http_502", NEXT_502},      {"http_503", NEXT_503},
    {"http_504", NEXT_504},      {"http_403", NEXT_403},
    {"http_404", NEXT_404},      {"http_429", NEXT_429},
    {"updating", NEXT_UPDATING}, {"off", NEXT_OFF},
    {NULL, 0},
};

static const struct conf_word memcached_next_words[] = {
    {"error", NEXT_ERROR},
    {"timeout", NEXT_TIMEOUT},
    {"denied", NEXT_DENIED},
    {"invalid_response", NEXT_INVALID_HEADER},
    {"not_found", NEXT_404},
    {"off", NEXT_OFF},
    {NULL, 0},
};

static const struct conf_word ignore_words[] = {
    {"X-Accel-Redirect", IGNORE_ACCEL_REDIRECT},
    {"X-Accel-Expires", IGNORE_ACCEL_EXPIRES},
    {"X-Accel-Limit-Rate", IGNORE_ACCEL_LIMIT_RATE},
    {"X-Accel-Buffering", IGNORE_ACCEL_BUFFERING},
    {"X-Accel-Charset", IGNORE_ACCEL_CHARSET},
    {"Expires", IGNORE_EXPIRES},
    {"Cache-Control", IGNORE_CACHE_CONTROL},
    {"Set-Cookie", IGNORE_SET_COOKIE},
    {"Vary", IGNORE_VARY},
    {NULL, 0},
};

static const uint16_t hidden_always[] = {FIELD_X_ACCEL_EXPIRES, FIELD_X_ACCEL_REDIRECT, FIELD_X_ACCEL_LIMIT_RATE,
                                         FIELD_X_ACCEL_BUFFERING, FIELD_X_ACCEL_CHARSET};
static const uint16_t hidden_of_http[] = {FIELD_DATE, FIELD_SERVER}; // of proxy_pass and grpc_pass

// --- setters -----------------------------------------------------------------------------------------------------------------

static bool set_hide(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct gateway_conf *gw = conf;
    *(struct str *)conf_list_add(cx, row, &gw->hide_headers, sizeof(struct str)) = node->args[1];
    return true;
}

static bool set_pass(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct gateway_conf *gw = conf;
    *(struct str *)conf_list_add(cx, row, &gw->pass_headers, sizeof(struct str)) = node->args[1];
    return true;
}

static bool set_bind(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct gateway_conf *gw = conf;
    struct addr_full a;
    const char *why;
    gw->bind_transparent = node->nargs == 3;
    if (node->nargs == 3 && !str_eq(node->args[2], STR("transparent")))
        return conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(node->args[2]));
    if (str_eq(node->args[1], STR("off"))) {
        gw->bind = NULL;
        return true;
    }
    if (!tmpl_has_var(node->args[1]) && !addr_parse(&a, node->args[1], 0, false, &why))
        return conf_err(cx, node, "invalid address \"" STR_FMT "\"", STR_ARG(node->args[1]));
    if (gw->bind_transparent)
        cx->conf->privileges |= CONF_NET_RAW;
    gw->bind = tmpl_compile(cx, node->args[1], node);
    return gw->bind != NULL;
}

// A size, or a template that gives one for each request.
static bool set_limit_rate(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct gateway_conf *gw = conf;
    uint64_t n;
    if (!tmpl_has_var(node->args[1]) && !conf_parse_size(node->args[1], &n))
        return conf_err(cx, node, "\"" STR_FMT "\" directive invalid value", STR_ARG(node->args[0]));
    gw->limit_rate = tmpl_compile(cx, node->args[1], node);
    return gw->limit_rate != NULL;
}

static bool set_store(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct gateway_conf *gw = conf;
    gw->store = NULL;
    gw->store_on = str_eq(node->args[1], STR("on"));
    gw->store_set = str_eq(node->args[1], STR("off")) ? NULL : cx->scope;
    if (gw->store_set != NULL && cache_is_set(cx))
        return conf_err(cx, node, "\"%s_store\" directive is incompatible with \"%s_cache\"", cx->feature->family, cx->feature->family);
    if (gw->store_on || gw->store_set == NULL)
        return true;
    gw->store = tmpl_compile(cx, node->args[1], node);
    if (gw->store != NULL)
        conf_reach_tmpl(cx, gw->store, cx->conf->prefix, true, false);
    return gw->store != NULL;
}

// "user:rw group:r all:r": mode bits. The owner can always read and write.
static bool set_store_access(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct gateway_conf *gw = conf;
    static const struct {
        struct str who;
        unsigned shift;
    } sides[] = {{STR_INIT("user:"), 6}, {STR_INIT("group:"), 3}, {STR_INIT("all:"), 0}};
    unsigned mode = 0600;
    for (unsigned i = 1; i < node->nargs; i++) {
        struct str word = node->args[i], how = STR_NONE;
        unsigned shift = 0;
        for (size_t k = 0; k < ARRAY_LEN(sides); k++) {
            if (str_starts(word, sides[k].who)) {
                how = str_from(word, sides[k].who.n);
                shift = sides[k].shift;
            }
        }
        bool rw = str_eq(how, STR("rw"));
        if (!rw && !str_eq(how, STR("r")))
            return conf_err(cx, node, "invalid value \"" STR_FMT "\"", STR_ARG(word));
        mode |= (rw ? 06u : 04u) << shift;
    }
    gw->store_access = mode;
    return true;
}

bool gateway_add_conditions(struct conf_cx *cx, const struct conf_row *row, struct conf_list *list, const struct conf_node *node) {
    for (unsigned i = 1; i < node->nargs; i++) {
        struct tmpl *t = tmpl_compile(cx, node->args[i], node);
        if (t == NULL)
            return false;
        ((struct condition *)conf_list_add(cx, row, list, sizeof(struct condition)))->value = t;
    }
    return true;
}

static bool set_allow_upstream(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return gateway_add_conditions(cx, row, &((struct gateway_conf *)conf)->allow_upstream, node);
}

static bool set_gateway_temp_path(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    unsigned char levels[TEMP_LEVELS]; // of no use: these files have no names
    return take_temp_path(cx, node, &((struct gateway_conf *)conf)->temp_path, levels);
}

// --- what follows from several ------------------------------------------------------------------------------------------------

static void hide(struct gateway_conf *gw, struct conf_cx *cx, struct str name) {
    enum field_id id = field_id_of(name);
    if (id != FIELD_UNKNOWN) {
        gw->hidden_ids[id >> 6] |= (uint64_t)1 << (id & 63);
        return;
    }
    if (gw->hidden == NULL) {
        gw->hidden = arena_new(cx->arena, struct map);
        map_init(gw->hidden, true, cx->conf->seed);
        arena_cleanup(cx->arena, (void (*)(void *))map_done, gw->hidden);
    }
    map_put(gw->hidden, name, gw);
}

static void compile_hidden(struct conf_cx *cx, struct scope *s, struct gateway_conf *gw) {
    const struct gateway_conf *outer = s->outer != NULL ? scope_conf(s->outer, cx->feature) : NULL;
    if (outer != NULL && outer->hide_headers.at == gw->hide_headers.at && outer->hide_headers.count == gw->hide_headers.count &&
        outer->pass_headers.at == gw->pass_headers.at && outer->pass_headers.count == gw->pass_headers.count)
        return; // copied with the struct
    gw->hidden = NULL;
    gw->hidden_ids[0] = gw->hidden_ids[1] = 0;
    for (size_t i = 0; i < ARRAY_LEN(hidden_always); i++)
        gw->hidden_ids[hidden_always[i] >> 6] |= (uint64_t)1 << (hidden_always[i] & 63);
    bool proxy = cx->feature == &feature_gateway_proxy, http = proxy || cx->feature == &feature_gateway_grpc;
    for (size_t i = 0; http && i < ARRAY_LEN(hidden_of_http); i++)
        gw->hidden_ids[hidden_of_http[i] >> 6] |= (uint64_t)1 << (hidden_of_http[i] & 63);
    if (proxy)
        hide(gw, cx, STR("X-Pad"));
    if (cx->feature == &feature_gateway_fastcgi || cx->feature == &feature_gateway_scgi)
        hide(gw, cx, STR("Status"));
    conf_list_each(const struct str, name, gw->hide_headers) { hide(gw, cx, *name); }
    conf_list_each(const struct str, shown, gw->pass_headers) {
        enum field_id id = field_id_of(*shown);
        if (id != FIELD_UNKNOWN)
            gw->hidden_ids[id >> 6] &= ~((uint64_t)1 << (id & 63));
        else if (gw->hidden != NULL)
            map_del(gw->hidden, *shown);
    }
    gw->passes_server = proxy && (gw->hidden_ids[FIELD_SERVER >> 6] >> (FIELD_SERVER & 63) & 1) == 0;
}

// nginx's checks and words.
static bool check_sizes(struct conf_cx *cx, const struct gateway_conf *gw) {
    const char *f = cx->feature->family;
    uint64_t largest = MAX(gw->buffer_size, gw->buffers.size), all = gw->buffers.count * gw->buffers.size;
    if (gw->buffers.count < 2)
        return conf_err(cx, NULL, "there must be at least 2 \"%s_buffers\"", f);
    uint64_t busy = gw->busy_buffers_size != 0 ? gw->busy_buffers_size : 2 * largest;
    if (busy < largest)
        return conf_err(cx, NULL,
                        "\"%s_busy_buffers_size\" must be equal to or greater than the maximum of the value of "
                        "\"%s_buffer_size\" and one of the \"%s_buffers\"",
                        f, f, f);
    if (busy > all - gw->buffers.size)
        return conf_err(cx, NULL,
                        "\"%s_busy_buffers_size\" must be less than the size of all \"%s_buffers\" minus one buffer", f, f);
    if (gw->temp_file_write_size != 0 && gw->temp_file_write_size < largest)
        return conf_err(cx, NULL,
                        "\"%s_temp_file_write_size\" must be equal to or greater than the maximum of the value of "
                        "\"%s_buffer_size\" and one of the \"%s_buffers\"",
                        f, f, f);
    if (gw->max_temp_file_size != 0 && gw->max_temp_file_size < largest)
        return conf_err(cx, NULL,
                        "\"%s_max_temp_file_size\" must be equal to zero to disable temporary files usage or must be equal "
                        "to or greater than the maximum of the value of \"%s_buffer_size\" and one of the \"%s_buffers\"",
                        f, f, f);
    return true;
}

static bool finish(struct conf_cx *cx, struct scope *s, void *conf) {
    struct gateway_conf *gw = conf;
    if (gw->temp_path.n == 0)
        gw->temp_path = STR("/var/tmp"); // unnamed files: they need no directory of their own
    compile_hidden(cx, s, gw);
    return check_sizes(cx, gw);
}

bool gateway_hides(const struct gateway_conf *gw, const struct field *f) {
    if (f->id != FIELD_UNKNOWN)
        return (gw->hidden_ids[f->id >> 6] >> (f->id & 63) & 1) != 0;
    return gw->hidden != NULL && map_get(gw->hidden, f->name) != NULL;
}

void gateway_tape_limits(const struct gateway_conf *gw, struct req *r, struct tape_limits *lim) {
    uint64_t largest = MAX(gw->buffer_size, gw->buffers.size);
    *lim = (struct tape_limits){
        .mem = gw->buffers.count * gw->buffers.size,
        .extra = BODY_MEMORY_EACH,
        .budget = r->conn != NULL ? http_service_budget(conn_service(r->conn)) : NULL,
        .file = gw->max_temp_file_size,
        .write_size = (size_t)MAX(gw->temp_file_write_size != 0 ? gw->temp_file_write_size : 2 * largest, 256 << 10),
        .dir = gw->temp_path.p,
    };
    if (lim->budget == NULL)
        lim->extra = 0;
}

// --- rows ------------------------------------------------------------------------------------------------------------------------

#define G struct gateway_conf
#define NEXT_ROW(words)                                                                                                                  \
    ROW_BITS("*_next_upstream", IN_HTTP_ALL, G, next_upstream, "error timeout", words, "When a request is passed to the next server.")
// First what memcached alone has, then what it shares with the others, what gRPC has too, last what SCGI and uwsgi have not.
static const struct conf_row rows[] = {
    NEXT_ROW(memcached_next_words),

    ROW_MSEC("*_connect_timeout", IN_HTTP_ALL, G, connect_timeout, "60s", 0, 0,
             "How long making a connection to a server may take."),
    ROW_MSEC("*_send_timeout", IN_HTTP_ALL, G, send_timeout, "60s", 0, 0,
             "How long the server may take nothing of a request between two successful writes."),
    ROW_MSEC("*_read_timeout", IN_HTTP_ALL, G, read_timeout, "60s", 0, 0,
             "How long the server may send nothing between two reads of its response."),
    ROW_SIZE("*_buffer_size", IN_HTTP_ALL, G, buffer_size, "4k", 0, 0,
             "Memory for the head of a response at first; it grows up to all buffers, where there are any."),
    ROW_NUM("*_next_upstream_tries", IN_HTTP_ALL, G, next_upstream_tries, "0", 0, 0,
            "How many servers may be tried; 0: all."),
    ROW_MSEC("*_next_upstream_timeout", IN_HTTP_ALL, G, next_upstream_timeout, "0", 0, 0,
             "For how long a request may be passed to next servers; 0: no limit."),
    ROW_FLAG("*_socket_keepalive", IN_HTTP_ALL, G, socket_keepalive, "off", "Sets SO_KEEPALIVE on connections to servers."),
    ROW_FNS("*_allow_upstream", IN_HTTP_ALL, 1, 0xffff, ROW_LISTED, set_allow_upstream, NULL, "string ...",
            "A server is asked only if none of these is empty or \"0\"; else it is 502, or the next one (denied)."),
    ROW_NOOP_OF("*_bind_dynamic", IN_HTTP_ALL, conf_set_flag, "*_bind is evaluated for each connection."),
    ROW_FN("*_bind", IN_HTTP_ALL, 1, 2, 0, set_bind, NULL, "Local address of connections to servers; off: the system chooses."),

    NEXT_ROW(next_words),
    ROW_FLAG("*_intercept_errors", IN_HTTP_ALL, G, intercept_errors, "off",
             "Answers statuses of 300 and above by error_page where there is one for them."),
    ROW_FN("*_hide_header", IN_HTTP_ALL, 1, 1, ROW_LISTED, set_hide, NULL, "A field of responses that clients do not get."),
    ROW_FN("*_pass_header", IN_HTTP_ALL, 1, 1, ROW_LISTED, set_pass, NULL, "A field that is otherwise hidden and shall be passed."),
    ROW_BITS("*_ignore_headers", IN_HTTP_ALL, G, ignore_headers, NULL, ignore_words,
             "Fields of responses that weir does not act on."),
    ROW_NOOP_OF("*_request_dynamic", IN_HTTP_ALL, conf_set_flag, "The request is made anew for each server that is tried."),

    ROW_FLAG("*_buffering", IN_HTTP_ALL, G, buffering, "on",
             "Reads the response as fast as the server gives it, even when the client is slower."),
    ROW_FLAG("*_request_buffering", IN_HTTP_ALL, G, request_buffering, "on",
             "Reads the whole request body before asking a server; off passes it on as it comes."),
    ROW_BUFS("*_buffers", IN_HTTP_ALL, G, buffers, "8 4k",
             "Memory for a buffered response before it goes to a temporary file; their sum also bounds the head."),
    ROW_SIZE("*_busy_buffers_size", IN_HTTP_ALL, G, busy_buffers_size, NULL, 0, 0,
             "Accepted and checked; weir sends from all buffers."),
    ROW_SIZE("*_max_temp_file_size", IN_HTTP_ALL, G, max_temp_file_size, "1024m", 0, 0,
             "Largest temporary file of a buffered response; 0 uses none."),
    ROW_SIZE("*_temp_file_write_size", IN_HTTP_ALL, G, temp_file_write_size, NULL, 0, 0,
             "Bytes written to the temporary file at once; at least 256k."),
    ROW_FN("*_temp_path", IN_HTTP_ALL, 1, 4, 0, set_gateway_temp_path, NULL, "Directory of temporary files of responses."),
    ROW_FLAG("*_pass_request_headers", IN_HTTP_ALL, G, pass_request_headers, "on",
             "Whether fields of the client's request are passed on."),
    ROW_FLAG("*_pass_request_body", IN_HTTP_ALL, G, pass_request_body, "on", "Whether the request body is passed on."),
    ROW_FLAG("*_ignore_client_abort", IN_HTTP_ALL, G, ignore_client_abort, "off",
             "Lets the server finish when the client has gone away."),
    ROW_FNS("*_limit_rate", IN_HTTP_ALL, 1, 1, 0, set_limit_rate, "0", "rate",
            "Bytes a second that are read of a response, where it is buffered; 0: no limit."),
    ROW_FLAG("*_force_ranges", IN_HTTP_ALL, G, force_ranges, "off",
             "Answers Range for responses of servers too, whatever their Accept-Ranges says."),
    ROW_FNS("*_store", IN_HTTP_ALL, 1, 1, 0, set_store, NULL, "on | off | path",
            "Saves responses with status 200 as files: where root or alias puts the URI, or at a path."),
    ROW_FNS("*_store_access", IN_HTTP_ALL, 1, 3, 0, set_store_access, "user:rw", "user:permissions ...",
            "Permissions of files that *_store makes."),

    ROW_NOOP_OF("*_send_lowat", IN_HTTP_ALL, conf_set_size, "Nothing to tune on Linux."),
};
#undef G
#undef NEXT_ROW
enum { OWN_ROWS = 1, MEMCACHED_ROWS = OWN_ROWS + 10, GRPC_ROWS = MEMCACHED_ROWS + 6, CGI_ROWS = ARRAY_LEN(rows) - 1 };

// gRPC streams in both directions: nothing of it waits for more, and there are no rows for buffers.
static bool finish_streaming(struct conf_cx *cx, struct scope *s, void *conf) {
    struct gateway_conf *gw = conf;
    gw->pass_request_headers = gw->pass_request_body = true;
    compile_hidden(cx, s, gw);
    return true;
}

// A value has no fields, and whoever asks for it sends no body. It goes to the client as it comes, in parts if the client likes.
static bool finish_memcached(struct conf_cx *cx, struct scope *s, void *conf) {
    struct gateway_conf *gw = conf;
    gw->force_ranges = true;
    return true;
}

// *_store on puts files where root or alias says.
static bool bind_store(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct gateway_conf *gw = conf;
    const struct http_core *core = scope_conf(s, &feature_http_core);
    if (gw->store_set != NULL && gw->store_on && core->root != NULL)
        conf_reach_tmpl(cx, core->root, cx->conf->prefix, true, core->is_alias);
    return true;
}

#define FAMILY(word, from, to, finish_fn)                                                                                                \
    struct feature feature_gateway_##word = {                                                                          \
        .name = #word " connections",                                                                                  \
        .family = #word,                                                                                               \
        .rows = rows + (from),                                                                                         \
        .nrows = (to) - (from),                                                                                        \
        .conf_size = sizeof(struct gateway_conf),                                                                      \
        .finish = finish_fn,                                                                                           \
        .bind = bind_store,                                                                                            \
    }
FAMILY(proxy, OWN_ROWS, ARRAY_LEN(rows), finish);
FAMILY(fastcgi, OWN_ROWS, ARRAY_LEN(rows), finish);
FAMILY(uwsgi, OWN_ROWS, CGI_ROWS, finish);
FAMILY(scgi, OWN_ROWS, CGI_ROWS, finish);
FAMILY(grpc, OWN_ROWS, GRPC_ROWS, finish_streaming);
FAMILY(memcached, 0, MEMCACHED_ROWS, finish_memcached);
