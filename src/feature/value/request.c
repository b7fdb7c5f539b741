// Variables of what the client asked: $uri, $args, $host, $http_*, $cookie_*, $arg_*, $request_body...
#include "base/base64.h"
#include "http/answer.h"
#include "http/conn.h"
#include "http/tape.h"
#include "http/vhost.h"
#include "io/loop.h"
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

struct feature feature_request_variables;

static struct req *req_of(struct eval *e) { return e->req; }

static bool found(struct str *out, struct str value) {
    *out = value;
    return value.p != NULL;
}

// A field of the struct by its offset.
static bool get_str_at(struct eval *e, const struct var *v, struct str *out) {
    return found(out, *(struct str *)((char *)e->req + v->data));
}

static bool get_args(struct eval *e, const struct var *v, struct str *out) {
    return found(out, req_of(e)->args);
}
static void set_args(struct eval *e, const struct var *v, struct str value) {
    struct req *r = req_of(e);
    r->args = value;
    r->valid_unparsed_uri = false;
}

static bool get_is_args(struct eval *e, const struct var *v, struct str *out) {
    return found(out, req_of(e)->args.n != 0 ? STR("?") : STR(""));
}

static bool get_arg(struct eval *e, const struct var *v, struct str *out) { return uri_arg(req_of(e)->args, v->rest, out); }

// All lines of that name; several are joined by ", " (Cookie by "; ").
static bool get_fields(struct req *r, const struct head *h, struct str name, struct str *out) {
    struct str one = STR_NONE;
    struct sbuf all;
    bool many = false;
    head_each(f, h) {
        if (!field_is_variable(f->name, name))
            continue;
        if (one.p == NULL) {
            one = f->value;
            continue;
        }
        if (!many) {
            sbuf_init_arena(&all, &r->arena, 256, TMPL_MAX);
            sbuf_str(&all, one);
            many = true;
        }
        sbuf_str(&all, f->id == FIELD_COOKIE ? STR("; ") : STR(", "));
        sbuf_str(&all, f->value);
    }
    return found(out, many ? sbuf_view(&all) : one);
}

static bool get_http(struct eval *e, const struct var *v, struct str *out) {
    return get_fields(req_of(e), &req_of(e)->in, v->rest, out);
}

static bool get_cookie(struct eval *e, const struct var *v, struct str *out) {
    head_each(f, &req_of(e)->in) {
        if (f->id == FIELD_COOKIE && cookie_find(f->value, v->rest, out))
            return true;
    }
    return false;
}

static bool get_content_length(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e);
    if (head_has(&r->in, FIELD_CONTENT_LENGTH))
        return found(out, head_value(&r->in, FIELD_CONTENT_LENGTH));
    if (r->chunked_in && r->body_tape != NULL)
        return found(out, arena_printf(&r->arena, "%llu", (unsigned long long)tape_length(r->body_tape)));
    return false;
}
static bool get_content_type(struct eval *e, const struct var *v, struct str *out) {
    return found(out, head_value(&req_of(e)->in, FIELD_CONTENT_TYPE));
}

static bool get_host(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e);
    return found(out, r->host.n != 0 ? r->host : r->server->name);
}

static bool get_request_port(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e);
    return found(out, r->port.n != 0 ? r->port : STR(""));
}
static bool get_is_request_port(struct eval *e, const struct var *v, struct str *out) {
    return found(out, req_of(e)->port.n != 0 ? STR(":") : STR(""));
}

static bool get_request_method(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e);
    return found(out, r->main->method_text); // GET of an error page, as in nginx
}

static bool get_request_length(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e)->main;
    return found(out, arena_printf(e->arena, "%llu", (unsigned long long)(r->head_bytes + r->body_bytes_in)));
}

static bool get_request_time(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e)->main;
    uint64_t ms = loop_now(r->loop) - r->start_ms;
    return found(out, arena_printf(e->arena, "%llu.%03u", (unsigned long long)(ms / 1000), (unsigned)(ms % 1000)));
}

static bool get_request_body(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e)->main;
    return r->body_tape != NULL && tape_length(r->body_tape) <= req_core(r)->client_body_buffer_size &&
           tape_text(r->body_tape, &r->arena, out);
}

static bool get_request_body_file(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e)->main;
    if (r->body_file.n != 0)
        return found(out, r->body_file);
    struct file_ref *f = r->body_tape != NULL ? tape_file(r->body_tape) : NULL;
    if (f == NULL)
        return false;
    return found(out, arena_printf(&r->arena, "/proc/%d/fd/%d", (int)getpid(), f->fd));
}

static bool get_request_id(struct eval *e, const struct var *v, struct str *out) {
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK) != sizeof bytes)
        return false;
    char *hex = arena_bytes(&req_of(e)->arena, 32);
    for (size_t i = 0; i < sizeof bytes; i++) {
        hex[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    return found(out, str_n(hex, 32));
}

// The user of Basic credentials, whether or not anybody checked them (nginx).
static bool get_remote_user(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e);
    struct str auth = head_value(&r->in, FIELD_AUTHORIZATION);
    if (!str_istarts(auth, STR("Basic ")))
        return false;
    struct sbuf plain;
    sbuf_init_arena(&plain, &r->arena, auth.n, 8192);
    if (!base64_decode(&plain, str_trim(str_from(auth, 6))))
        return false;
    ssize_t colon = str_chr(sbuf_view(&plain), ':');
    if (colon <= 0)
        return false;
    return found(out, str_head(sbuf_view(&plain), (size_t)colon));
}

static bool get_document_root(struct eval *e, const struct var *v, struct str *out) {
    return req_document_root(req_of(e), out);
}
static bool get_realpath_root(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e);
    struct str root;
    if (!req_document_root(r, &root))
        return false;
    char *real = realpath(root.n != 0 ? arena_dup(&r->arena, root).p : "/", NULL);
    if (real == NULL) {
        log_msg(LOG_CRIT, errno, "realpath() \"" STR_FMT "\" failed", STR_ARG(root));
        return false;
    }
    *out = arena_dup(&r->arena, str_c(real));
    free(real);
    return true;
}
static bool get_request_filename(struct eval *e, const struct var *v, struct str *out) {
    return req_map_path(req_of(e), out);
}

static bool get_capture(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e);
    return v->data < r->ncaptures && found(out, r->captures[v->data]);
}

#define AT(name, field, text) {name, false, VAR_VOLATILE | VAR_CHEAP, get_str_at, NULL, offsetof(struct req, field), text}
#define CAPTURE(name, i)      {name, false, VAR_VOLATILE | VAR_CHEAP, get_capture, NULL, i, "A part of the last regular expression's match."}

static const struct var_def variables[] = {
    {"arg_", true, VAR_VOLATILE | VAR_CHEAP, get_arg, NULL, 0, "An argument of the query by name."},
    {"args", false, VAR_VOLATILE | VAR_CHEAP | VAR_CHANGEABLE, get_args, set_args, 0, "The query of the request."},
    {"query_string", false, VAR_VOLATILE | VAR_CHEAP, get_args, NULL, 0, "The same as $args."},
    {"is_args", false, VAR_VOLATILE | VAR_CHEAP, get_is_args, NULL, 0, "\"?\" when there is a query, else empty."},
    AT("uri", uri, "The normalised path, as it is now."),
    AT("document_uri", uri, "The same as $uri."),
    AT("request_uri", unparsed_uri, "The path with the query, as the client wrote it."),
    AT("request", request_line, "The request line, as the client wrote it."),
    {"request_method", false, VAR_CHEAP, get_request_method, NULL, 0, "GET, POST and so on."},
    {"http_", true, 0, get_http, NULL, 0, "A field of the request: lower case, dashes as underscores."},
    {"cookie_", true, 0, get_cookie, NULL, 0, "A cookie by name."},
    {"content_length", false, VAR_VOLATILE, get_content_length, NULL, 0, "Content-Length of the request."},
    {"content_type", false, VAR_CHEAP, get_content_type, NULL, 0, "Content-Type of the request."},
    {"host", false, VAR_CHEAP, get_host, NULL, 0, "The host asked for, lower case, without port; else the server's name."},
    {"request_port", false, VAR_CHEAP, get_request_port, NULL, 0, "The port of the host asked for."},
    {"is_request_port", false, VAR_CHEAP, get_is_request_port, NULL, 0, "\":\" when $request_port is not empty."},
    {"request_length", false, VAR_VOLATILE, get_request_length, NULL, 0, "Bytes of the request: line, fields and body."},
    {"request_time", false, VAR_VOLATILE | VAR_LIVE, get_request_time, NULL, 0, "Seconds since the first byte of the request, in milliseconds."},
    {"request_body", false, VAR_VOLATILE, get_request_body, NULL, 0, "The body, when it was read and fits client_body_buffer_size."},
    {"request_body_file", false, VAR_VOLATILE, get_request_body_file, NULL, 0, "The temp file of the body, when it has one."},
    {"request_id", false, 0, get_request_id, NULL, 0, "A random name of the request, 16 bytes in hex."},
    {"remote_user", false, 0, get_remote_user, NULL, 0, "The user of Basic authentication."},
    {"document_root", false, VAR_VOLATILE, get_document_root, NULL, 0, "The value of root or alias."},
    {"realpath_root", false, VAR_VOLATILE, get_realpath_root, NULL, 0, "The same with all symbolic links resolved."},
    {"request_filename", false, VAR_VOLATILE, get_request_filename, NULL, 0, "The path of the file that the URI means."},
    CAPTURE("1", 1), CAPTURE("2", 2), CAPTURE("3", 3), CAPTURE("4", 4), CAPTURE("5", 5),
    CAPTURE("6", 6), CAPTURE("7", 7), CAPTURE("8", 8), CAPTURE("9", 9),
};

struct feature feature_request_variables = {
    .name = "request variables",
    .vars = variables,
    .nvars = ARRAY_LEN(variables),
};
