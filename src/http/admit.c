// Every refusal of a malformed or ambiguous request, in one place, for all protocols. RFC 9112 sections 3, 6, 7;
// RFC 9110 section 7.2; the wording is nginx's.
#include "http/admit.h"
#include "http/answer.h"
#include "wire/http1.h"
#include <limits.h>

static unsigned refuse_duplicates(struct req *r) {
    head_each(f, &r->in) {
        if (f->id == FIELD_UNKNOWN || !(field_flags(f->id) & FIELD_ONE))
            continue;
        struct field *again = head_find_next(&r->in, f);
        if (again == NULL)
            continue;
        log_msg(LOG_INFO, 0, "client sent duplicate %s: \"" STR_FMT ": " STR_FMT "\", previous value: \"" STR_FMT ": " STR_FMT "\"",
                f->id == FIELD_HOST ? "host header" : "header line", STR_ARG(again->name), STR_ARG(again->value),
                STR_ARG(f->name), STR_ARG(f->value));
        return 400;
    }
    return 0;
}

static bool read_target(struct req *r) {
    bool connect = r->in.method == METHOD_CONNECT;
    r->unparsed_uri = r->in.target;
    enum uri_error err =
        uri_parse_target(&r->target, r->in.target, connect, req_core(r)->merge_slashes, &r->arena);
    // nginx knows neither "*" nor an authority as a target.
    if (err != URI_OK || r->target.form == URI_ASTERISK || r->target.form == URI_AUTHORITY) {
        r->uri = STR(""); // there is one, for the log
        return false;
    }
    if (r->target.form == URI_ABSOLUTE)
        r->unparsed_uri = r->target.raw_path.n == 0 && !r->target.has_args
                              ? STR("/")
                              : str_from(r->in.target, (size_t)(r->target.raw_path.p - r->in.target.p));
    r->uri = r->target.path;
    r->args = r->target.args.n != 0 ? r->target.args : STR_NONE; // "/x?" has none (nginx)
    r->valid_unparsed_uri = r->target.form == URI_ORIGIN || r->target.raw_path.n != 0;
    return true;
}

static unsigned take_target(struct req *r) {
    if (read_target(r))
        return 0;
    const char *phase = r->phase;
    r->phase = "reading client request line";
    log_msg(LOG_INFO, 0, "client sent invalid request");
    r->phase = phase;
    return 400;
}

// The host of an absolute target beats the Host field (RFC 9112 3.2.2).
static unsigned take_host(struct req *r) {
    struct field *f = head_find(&r->in, FIELD_HOST);
    if (f == NULL && r->in.version >= 11) {
        log_msg(LOG_INFO, 0, "client sent HTTP/1.1 request without \"Host\" header");
        return 400;
    }
    struct str host = STR_NONE, port = STR_NONE;
    if (f != NULL && !uri_parse_host(f->value, &host, &port, &r->arena)) {
        log_msg(LOG_INFO, 0, "client sent invalid host header");
        return 400;
    }
    if (r->target.form == URI_ABSOLUTE) {
        struct str authority = r->target.port.n == 0
                                   ? r->target.host
                                   : arena_printf(&r->arena, STR_FMT ":" STR_FMT, STR_ARG(r->target.host), STR_ARG(r->target.port));
        if (!uri_parse_host(authority, &host, &port, &r->arena)) {
            log_msg(LOG_INFO, 0, "client sent invalid host in request line");
            return 400;
        }
    }
    r->host = host;
    r->port = port;
    return 0;
}

// How long the body is (RFC 9112 6.3). Anything that two parsers could read in two ways is refused.
static unsigned take_body_length(struct req *r) {
    struct field *cl = head_find(&r->in, FIELD_CONTENT_LENGTH);
    bool te = head_has(&r->in, FIELD_TRANSFER_ENCODING);
    if (cl != NULL) {
        r->content_length = http1_content_length(cl->value, false);
        if (r->content_length < 0) {
            log_msg(LOG_INFO, 0, "client sent invalid \"Content-Length\" header");
            return 400;
        }
    }
    if (!te)
        return 0;
    if (r->in.version < 11) {
        log_msg(LOG_INFO, 0, "client sent HTTP/1.0 request with \"Transfer-Encoding\" header");
        return 400;
    }
    if (r->in.version >= 20) {
        log_msg(LOG_INFO, 0, "client sent \"Transfer-Encoding\" header in HTTP/2 or later");
        return 400;
    }
    if (http1_transfer_coding(&r->in) != HTTP1_CODING_CHUNKED) {
        struct str value = head_value(&r->in, FIELD_TRANSFER_ENCODING);
        log_msg(LOG_INFO, 0, "client sent unknown \"Transfer-Encoding\": \"" STR_FMT "\"", STR_ARG(value));
        return 501;
    }
    if (cl != NULL) {
        log_msg(LOG_INFO, 0, "client sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time");
        return 400;
    }
    r->chunked_in = true;
    return 0;
}

unsigned admit_request(struct req *r) {
    r->method = r->in.method;
    r->method_text = r->in.method_text;
    unsigned status = take_target(r);
    if (status == 0 && r->in.version > 9)
        status = refuse_duplicates(r);
    if (status == 0)
        status = take_host(r);
    if (status == 0)
        status = take_body_length(r);
    if (status == 0 && (r->method == METHOD_TRACE || r->method == METHOD_CONNECT)) {
        log_msg(LOG_INFO, 0, "client sent %s method", r->method == METHOD_TRACE ? "TRACE" : "CONNECT");
        status = 405;
    }
    return status;
}

static bool wants_name(const struct http_core *core, struct str name) {
    for (size_t i = 0; (i += scan_name(name.p + i, name.n - i)) < name.n; i++) {
        if (name.p[i] != '_' || !core->underscores_in_headers)
            return false;
    }
    return true;
}

unsigned admit_names(struct req *r) {
    const struct http_core *core = req_core(r);
    unsigned status = 0;
    head_each(f, &r->in) {
        if (!f->unusual || wants_name(core, f->name))
            continue;
        if (!core->ignore_invalid_headers && is_token(f->name))
            continue;
        log_msg(LOG_INFO, 0, "client sent invalid header line: \"" STR_FMT ": " STR_FMT "\"", STR_ARG(str_head(f->name, 200)),
                STR_ARG(str_head(f->value, 200)));
        if (core->ignore_invalid_headers)
            head_drop_field(&r->in, f);
        else
            status = 400;
    }
    return status;
}

void admit_partial(struct req *r, struct str lines) {
    static const struct http1_limits none = {.max_line = SIZE_MAX / 2, .max_head = SIZE_MAX / 2, .max_fields = UINT_MAX, .ignore_invalid = true};
    struct http1_parse parse = {0};
    struct str parts[2] = {lines, STR("\r\n")}, host, port;
    struct str head = arena_join(&r->arena, parts, 2);
    head_init(&r->in, &r->arena);
    if (http1_parse_request(&parse, &r->in, head.p, head.n, &none) != HTTP1_OK)
        return;
    r->request_line = parse.line;
    r->method = r->in.method;
    r->method_text = r->in.method_text;
    if (!read_target(r))
        return;
    bool absolute = r->target.form == URI_ABSOLUTE;
    if (uri_parse_host(absolute ? r->target.host : head_value(&r->in, FIELD_HOST), &host, &port, &r->arena))
        r->host = host;
}
