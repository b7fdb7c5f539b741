// HTTP/2 towards clients: its settings. What speaks it is http/h2_server.c.
#include "http/h2_server.h"

// Directives of older versions of nginx: what the user should write instead.
static bool set_obsolete(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    const char *instead = row->extra;
    if (instead == NULL)
        conf_warn(cx, node, "the \"%s\" directive is obsolete, ignored", row->name);
    else
        conf_warn(cx, node, "the \"%s\" directive is obsolete, use the \"%s\" directive instead", row->name, instead);
    return true;
}

#define OBSOLETE(n, in, lo, hi, instead) \
    {n, in, lo, hi, ROW_IGNORED | ROW_REPEAT, 0, set_obsolete, NULL, 0, NULL, 0, 0, instead, "Obsolete; accepted with a warning.", NULL}

#define S struct http2_conf
enum { SERVER_LEVEL = IN_HTTP | IN_SERVER };
static const struct conf_row rows[] = {
    ROW_FLAG("http2", SERVER_LEVEL, S, on, "off",
             "Speaks HTTP/2 where the client wants it: by ALPN over TLS, by prior knowledge on plain ports, beside HTTP/1."),
    ROW_NUM("http2_max_concurrent_streams", SERVER_LEVEL, S, max_concurrent_streams, "128", 1, 65535,
            "How many requests of one connection are served at a time; more are refused so that the client repeats them."),
    ROW_SIZE("http2_body_preread_size", SERVER_LEVEL, S, body_preread_size, "64k", 0, 0x7fffffff,
             "How much of a request body the client may send before anybody reads it."),
    ROW_SIZE("http2_chunk_size", IN_HTTP_ALL, S, chunk_size, "8k", 1, 0xffffff,
             "How much of an incremental response is sent before it is another's turn; other responses go in one piece."),
    ROW_NOOP_OF("http2_recv_buffer_size", IN_HTTP, conf_set_size, "Buffers for reading are shared and grow as needed."),
    ROW_NOOP_OF("http2_pool_size", SERVER_LEVEL, conf_set_size, "Connections hold no pool in weir."),
    ROW_NOOP_OF("http2_streams_index_size", SERVER_LEVEL, conf_set_num, "There is nothing to tune."),
    OBSOLETE("http2_idle_timeout", SERVER_LEVEL, 1, 1, "keepalive_timeout"),
    OBSOLETE("http2_recv_timeout", SERVER_LEVEL, 1, 1, "client_header_timeout"),
    OBSOLETE("http2_max_requests", SERVER_LEVEL, 1, 1, "keepalive_requests"),
    OBSOLETE("http2_max_field_size", SERVER_LEVEL, 1, 1, "large_client_header_buffers"),
    OBSOLETE("http2_max_header_size", SERVER_LEVEL, 1, 1, "large_client_header_buffers"),
    OBSOLETE("http2_max_concurrent_pushes", SERVER_LEVEL, 1, 1, NULL),
    OBSOLETE("http2_push", IN_HTTP_ALL, 1, 1, NULL),
    OBSOLETE("http2_push_preload", IN_HTTP_ALL, 1, 1, NULL),
};
#undef S

static bool get_http2(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = e->req;
    bool h2 = r->main->in.version == 20;
    *out = !h2 ? STR("") : r->conn != NULL && link_is_tls(r->conn->link) ? STR("h2") : STR("h2c");
    return true;
}

static const struct var_def vars[] = {
    {"http2", false, VAR_CHEAP, get_http2, NULL, 0, "\"h2\" over TLS, \"h2c\" without, empty for other protocols."},
};

struct feature feature_http2 = {.name = "http2",
                                .rows = rows,
                                .nrows = ARRAY_LEN(rows),
                                .conf_size = sizeof(struct http2_conf),
                                .vars = vars,
                                .nvars = ARRAY_LEN(vars)};
