// What the debug log says of a request.
#include "http/debug.h"
#include "http/answer.h"
#include "http/vhost.h"
#include "http/route.h"

static const char *stage_name(enum stage stage) {
    static const char *const names[STAGE_COUNT] = {
        [STAGE_POST_READ] = "post read",   [STAGE_SERVER_REWRITE] = "server rewrite", [STAGE_REWRITE] = "rewrite",
        [STAGE_PREACCESS] = "preaccess",   [STAGE_ACCESS] = "access",                 [STAGE_PRECONTENT] = "precontent",
        [STAGE_CONTENT] = "content",       [STAGE_RESPONSE] = "response",             [STAGE_POST_ACTION] = "post action",
        [STAGE_LOG] = "log",
    };
    return names[stage];
}

void debug_fields(const struct head *h, const char *what) {
    if (h->status != 0)
        log_msg(LOG_DEBUG, 0, "http %s: %u", what, h->status);
    head_each(f, h) log_msg(LOG_DEBUG, 0, "http %s: \"" STR_FMT ": " STR_FMT "\"", what, STR_ARG(f->name), STR_ARG(f->value));
}

void debug_request(const struct req *r) {
    log_msg(LOG_DEBUG, 0, "http request line: \"" STR_FMT "\"", STR_ARG(r->request_line));
    log_msg(LOG_DEBUG, 0, "http uri: \"" STR_FMT "\"", STR_ARG(r->uri));
    log_msg(LOG_DEBUG, 0, "http args: \"" STR_FMT "\"", STR_ARG(r->args));
    debug_fields(&r->in, "header");
    log_msg(LOG_DEBUG, 0, "http header done, server: \"" STR_FMT "\"", STR_ARG(r->server->name));
}

void debug_location(const struct req *r) {
    log_msg(LOG_DEBUG, 0, "using configuration \"" STR_FMT "\" for \"" STR_FMT "\"", STR_ARG(location_name(r)), STR_ARG(r->uri));
}

void debug_hook(const struct req *r, enum stage stage, const struct hook *h) {
    log_msg(LOG_DEBUG, 0, "%s: %s", stage_name(stage), h->name);
}

void debug_redirect(const struct req *r) {
    if (r->goto_uri.p[0] == '@')
        log_msg(LOG_DEBUG, 0, "using location: " STR_FMT " \"" STR_FMT "?" STR_FMT "\"", STR_ARG(r->goto_uri), STR_ARG(r->uri), STR_ARG(r->args));
    else
        log_msg(LOG_DEBUG, 0, "internal redirect: \"" STR_FMT "?" STR_FMT "\"", STR_ARG(r->goto_uri), STR_ARG(r->goto_args));
}

void debug_answer(const struct req *r) {
    if (r->outcome != OUTCOME_ANSWER) {
        log_msg(LOG_DEBUG, 0, "http answer: none, %u", r->out.status);
        return;
    }
    log_msg(LOG_DEBUG, 0, "http answer: length %lld, %s", (long long)r->out_length,
            r->keepalive ? "keepalive" : "close");
    debug_fields(&r->out, "answer header");
}

void debug_end(const struct req *r) {
    log_msg(LOG_DEBUG, 0, "http request done: %u, sent: %llu + %llu%s", r->out.status, (unsigned long long)r->head_bytes_out,
            (unsigned long long)r->body_bytes_out, r->completed ? "" : ", not to its end");
}
