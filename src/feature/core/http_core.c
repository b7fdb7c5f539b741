// The rows that fill struct http_core, with nginx's defaults and places. Setters of some size are in files named after them.
#include "feature/core/core_rows.h"
#include "http/route.h"

enum { SERVER_LEVEL = IN_HTTP | IN_SERVER, ALL = IN_HTTP_ALL, ALL_IF = IN_HTTP_ALL | IN_IF };

static const struct conf_word on_off_always[] = {{"off", CORE_OFF}, {"on", CORE_ON}, {"always", CORE_ALWAYS}, {NULL}};
static const struct conf_word if_modified_words[] = {
    {"off", CORE_OFF}, {"exact", CORE_EXACT}, {"before", CORE_BEFORE}, {NULL}};
static const struct conf_word satisfy_words[] = {{"all", SATISFY_ALL}, {"any", SATISFY_ANY}, {NULL}};
static const struct conf_word in_file_words[] = {{"off", CORE_OFF}, {"clean", BODY_FILE_CLEAN}, {"on", BODY_FILE_ON}, {NULL}};
static const struct conf_word disable_words[] = {
    {"none", 0}, {"msie6", KEEPALIVE_NO_MSIE6}, {"safari", KEEPALIVE_NO_SAFARI}, {NULL}};

// "75s", "75s 20s": the second is for the Keep-Alive field.
bool set_keepalive_timeout(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct http_core *core = conf;
    uint64_t ms;
    int64_t header = 0;
    if (!conf_parse_msec(node->args[1], &ms) || (node->nargs == 3 && !conf_parse_sec(node->args[2], &header)))
        return conf_err(cx, node, "\"" STR_FMT "\" directive invalid value", STR_ARG(node->args[0]));
    core->keepalive_timeout = ms;
    core->keepalive_header_s = header;
    return true;
}

bool take_temp_path(struct conf_cx *cx, const struct conf_node *node, struct str *path, unsigned char levels[TEMP_LEVELS]) {
    memset(levels, 0, TEMP_LEVELS);
    int64_t left = TEMP_DIGITS;
    for (unsigned i = 2; i < node->nargs; i++) {
        int64_t level;
        if (!conf_parse_num(node->args[i], &level) || level == 0)
            return conf_err(cx, node, "\"" STR_FMT "\" directive invalid value", STR_ARG(node->args[0]));
        level = MIN(level, left);
        left -= level;
        levels[i - 2] = (unsigned char)level;
    }
    *path = conf_full_path(cx, node->args[1], false);
    conf_needs_directory(cx, *path);
    return true;
}

bool set_temp_path(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct http_core *core = conf;
    return take_temp_path(cx, node, &core->client_body_temp_path, core->client_body_temp_levels);
}

// aio and directio are accepted; what nginx refuses is refused here too.
static bool set_aio(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct str v = node->args[1];
    bool good = str_eq(v, STR("on")) || str_eq(v, STR("off")) || str_eq(v, STR("threads")) || str_starts(v, STR("threads="));
    return good || conf_err(cx, node, "\"aio\" directive invalid value");
}

static bool set_offset(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    uint64_t n;
    bool off = str_eq(node->args[0], STR("directio")) && str_eq(node->args[1], STR("off"));
    return off || conf_parse_offset(node->args[1], &n) ||
           conf_err(cx, node, "\"" STR_FMT "\" directive invalid value", STR_ARG(node->args[0]));
}

bool set_server_tokens(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct http_core *core = conf;
    static const char *const words[] = {"off", "on", "build"};
    core->server_tokens_text = NULL;
    for (int i = CORE_OFF; i <= CORE_BUILD; i++) {
        if (str_ieq(node->args[1], str_c(words[i]))) {
            core->server_tokens = i;
            return true;
        }
    }
    core->server_tokens_text = tmpl_compile(cx, node->args[1], node);
    return core->server_tokens_text != NULL;
}

bool set_internal(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    ((struct http_core *)conf)->internal = true;
    return true;
}

#define S struct http_core
static const struct conf_row rows[] = {
    // The client's request.
    ROW_MSEC("client_header_timeout", SERVER_LEVEL, S, client_header_timeout, "60s", 0, 0,
             "How long a client may take to send the head of a request."),
    ROW_SIZE("client_header_buffer_size", SERVER_LEVEL, S, client_header_buffer_size, "1k", 0, 0,
             "Memory for the head of a request before large_client_header_buffers are used."),
    ROW_BUFS("large_client_header_buffers", SERVER_LEVEL, S, large_client_header_buffers, "4 8k",
             "How many buffers of which size the head of a request may take; a line must fit into one."),
    ROW_NUM("max_headers", SERVER_LEVEL, S, max_headers, "1000", 1, 100000,
            "How many header lines a request may have."),
    ROW_FLAG("ignore_invalid_headers", SERVER_LEVEL, S, ignore_invalid_headers, "on",
             "Header fields whose names hold anything but letters, digits and hyphens are ignored."),
    ROW_FLAG("underscores_in_headers", SERVER_LEVEL, S, underscores_in_headers, "off",
             "Header fields with underscores in their names are valid."),
    ROW_FLAG("merge_slashes", SERVER_LEVEL, S, merge_slashes, "on", "Adjacent slashes in a URI count as one."),
    ROW_MSEC("client_body_timeout", ALL, S, client_body_timeout, "60s", 0, 0,
             "How long a client may be silent while it sends the body of a request."),
    ROW_SIZE("client_max_body_size", ALL, S, client_max_body_size, "1m", 0, 0,
             "How large the body of a request may be; 0 switches the limit off."),
    ROW_SIZE("client_body_buffer_size", ALL, S, client_body_buffer_size, "16k", 0, 0,
             "Memory for a request body that is buffered, before the shared budget and then a temporary file are used."),
    ROW_ENUM("client_body_in_file_only", ALL, S, client_body_in_file_only, "off", in_file_words,
             "Buffered request bodies always go to a file."),
    ROW_FLAG("client_body_in_single_buffer", ALL, S, client_body_in_single_buffer, "off",
             "A buffered request body is kept in one piece of memory."),
    {"client_body_temp_path", ALL, 1, 4, 0, 0, set_temp_path, NULL, FIELD_AT(S, client_body_temp_path, struct str), "/var/tmp", 0,
     0, NULL, "The directory of temporary files for request bodies; levels of directories below it take files that have names.", "path [level1 [level2 [level3]]]"},
    // Keeping and ending connections.
    ROW_FNS("keepalive_timeout", ALL, 1, 2, 0, set_keepalive_timeout, "75s", "timeout [header_timeout]",
            "How long an idle client connection stays open, and what the Keep-Alive field says; 0 switches keep-alive off."),
    ROW_NUM("keepalive_requests", ALL, S, keepalive_requests, "1000", 0, 0,
            "How many requests a client connection may carry."),
    ROW_MSEC("keepalive_time", ALL, S, keepalive_time, "1h", 0, 0, "How old a client connection may grow."),
    ROW_MSEC("keepalive_min_timeout", ALL, S, keepalive_min_timeout, "0", 0, 0,
             "How long an idle client connection is kept at least while a graceful stop is under way."),
    {"keepalive_disable", ALL, 1, 2, ROW_REPEAT, 0, conf_set_bits, NULL, FIELD_AT(S, keepalive_disable, unsigned), "msie6", 0, 0, disable_words,
     "Browsers whose connections are not kept open."},
    ROW_ENUM("lingering_close", ALL, S, lingering_close, "on", on_off_always,
             "Whether what a client still sends is read before its connection is closed."),
    ROW_MSEC("lingering_time", ALL, S, lingering_time, "30s", 0, 0, "How long that reading goes on at most."),
    ROW_MSEC("lingering_timeout", ALL, S, lingering_timeout, "5s", 0, 0, "How long it waits for more."),
    ROW_FLAG("reset_timedout_connection", ALL, S, reset_timedout_connection, "off",
             "A connection whose client timed out is reset, which frees its memory at once."),
    // Sending.
    ROW_MSEC("send_timeout", ALL, S, send_timeout, "60s", 0, 0, "How long a client may take nothing of an answer."),
    ROW_FLAG("chunked_transfer_encoding", ALL, S, chunked_transfer_encoding, "on",
             "Answers of unknown length are sent in chunks to HTTP/1.1 clients."),
    ROW_FLAG("tcp_nodelay", ALL, S, tcp_nodelay, "on", "TCP sends at once; always so in weir."),
    ROW_FLAG("tcp_nopush", ALL, S, tcp_nopush, "off", "TCP fills its packets; weir writes head and body together anyway."),
    ROW_FLAG("sendfile", ALL_IF, S, sendfile, "off", "Files go from the page cache to the socket; weir does so by itself."),
    ROW_SIZE("sendfile_max_chunk", ALL, S, sendfile_max_chunk, "2m", 0, 0, "The largest piece that one sendfile call sends."),
    ROW_SIZE("postpone_output", ALL, S, postpone_output, "1460", 0, 0,
             "nginx gathers that many bytes before it sends; weir sends what is there."),
    // Answers.
    ROW_FNS("server_tokens", ALL, 1, 1, 0, set_server_tokens, "on", "on | off | build | string",
            "What the Server field and the pages of errors say."),
    ROW_FLAG("absolute_redirect", ALL, S, absolute_redirect, "on", "Redirects name the scheme and the host."),
    ROW_FLAG("port_in_redirect", ALL, S, port_in_redirect, "on", "Absolute redirects name the port that was listened on."),
    ROW_FLAG("server_name_in_redirect", ALL, S, server_name_in_redirect, "off",
             "Absolute redirects name the first server_name instead of the Host that was asked."),
    ROW_FLAG("etag", ALL, S, etag, "on", "Files are answered with an ETag."),
    ROW_ENUM("if_modified_since", ALL, S, if_modified_since, "exact", if_modified_words,
             "How the time of If-Modified-Since is compared with that of the answer."),
    ROW_FLAG("msie_padding", ALL, S, msie_padding, "on", "Pages of errors are made longer than 512 bytes for browsers that replace short ones."),
    ROW_FLAG("msie_refresh", ALL, S, msie_refresh, "off", "Redirects are pages that refresh, for an old browser."),
    ROW_STR("default_type", ALL, S, default_type, "text/plain", "The content type of what `types` does not know."),
    {"types", ALL, 0, 0, ROW_REPEAT, 0xffff, set_types, NULL, 0, TYPES_DEFAULT, 0, 0, NULL,
     "Content types by the extension of the URI.", NULL},
    // Errors.
    ROW_FNS("error_page", ALL_IF, 2, 0xffff, ROW_LISTED, set_error_page, NULL, "code ... [=[response]] uri",
            "What answers when a request ended with one of these statuses: a URI, a named location or another site."),
    ROW_FLAG("recursive_error_pages", ALL, S, recursive_error_pages, "off", "The answer of an error_page may have an error_page."),
    ROW_FLAG("log_not_found", ALL, S, log_not_found, "on", "Files that are not there go to the error log."),
    ROW_FLAG("log_subrequest", ALL, S, log_subrequest, "off", "Subrequests go to the access log."),
    // Files.
    ROW_FNS("root", ALL_IF, 1, 1, 0, set_root, "html", "path", "The directory that the URI is looked up in."),
    ROW_FNS("alias", IN_LOCATION, 1, 1, 0, set_alias, NULL, "path",
            "What stands for the location's own part of the URI in the name of a file."),
    ROW_FNS("internal", IN_LOCATION, 0, 0, 0, set_internal, NULL, "",
            "The location answers internal redirects only; clients get 404."),
    ROW_ENUM("satisfy", ALL, S, satisfy, "all", satisfy_words,
             "Whether all access rules must let a request pass, or any one of them."),
    ROW_MSEC("auth_delay", ALL, S, auth_delay, "0", 0, 0,
             "How long requests that are refused with 401 wait for that, so that trying passwords is slow."),
    // Accepted.
    ROW_NOOP_OF("connection_pool_size", SERVER_LEVEL, conf_set_size, "Connections hold no pool in weir."),
    ROW_NOOP_OF("request_pool_size", SERVER_LEVEL, conf_set_size, "The memory of a request grows as needed."),
    ROW_NOOP_OF("send_lowat", ALL, conf_set_size, "Of no use on Linux."),
    ROW_NOOP_OF("aio", ALL, set_aio, "Reading from a disk never stalls a loop."),
    ROW_NOOP_OF("aio_write", ALL, conf_set_flag, "Writing to a disk never stalls a loop."),
    ROW_NOOP_OF("directio", ALL, set_offset, "Files are read through the page cache."),
    ROW_NOOP_OF("directio_alignment", ALL, set_offset, "Files are read through the page cache."),
    ROW_NOOP_OF("read_ahead", ALL, conf_set_size, "The kernel reads ahead by itself."),
    {"output_buffers", ALL, 2, 2, ROW_IGNORED, 0, conf_set_bufs, NULL, 0, NULL, 0, 0, NULL, "Files are sent without buffers."},
    ROW_NOOP_OF("subrequest_output_buffer_size", ALL, conf_set_size, "Subrequests need no buffer of a fixed size."),
};

const struct conf_row *core_row(const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    }
    CHECK(!"a row of that name");
    return NULL;
}

struct feature feature_http_core = {
    .name = "http_core", .rows = rows, .nrows = ARRAY_LEN(rows), .conf_size = sizeof(struct http_core), .bind = bind_root};
