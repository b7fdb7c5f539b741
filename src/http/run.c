// Runs a request through its plans. Internal redirects and changed URIs come back to the top of one loop; nothing recurses.
#include "http/run.h"
#include "http/answer.h"
#include "http/conn.h"
#include "http/debug.h"
#include "http/route.h"
#include "http/vhost.h"
#include "io/loop.h"

// The first hook that does not say NEXT ends the list.
static enum step run_stage(struct req *r, struct scope *s, enum stage stage) {
    const struct plan *p = s->plan;
    if (p == NULL)
        return STEP_NEXT;
    for (unsigned i = 0; i < p->stage[stage].count; i++) {
        const struct hook *h = &p->stage[stage].at[i];
        if (UNLIKELY(r->debugging))
            debug_hook(r, stage, h);
        enum step step = h->fn(r, h->conf);
        if (step != STEP_NEXT)
            return step;
    }
    return STEP_NEXT;
}

// nginx satisfy: all hooks must let pass, or any of them.
static enum step ask_access(struct req *r, const struct plan *p) {
    bool any = req_core(r)->satisfy == SATISFY_ANY;
    unsigned refused = 0;
    for (unsigned i = 0; i < p->stage[STAGE_ACCESS].count; i++) {
        const struct hook *h = &p->stage[STAGE_ACCESS].at[i];
        if (UNLIKELY(r->debugging))
            debug_hook(r, STAGE_ACCESS, h);
        enum step step = h->fn(r, h->conf);
        if (step == STEP_ALLOW && any) {
            head_drop(&r->out, FIELD_WWW_AUTHENTICATE); // of one that refused
            return STEP_NEXT;
        }
        if (step != STEP_DONE)
            continue;
        bool denied = r->outcome == OUTCOME_STATUS && (r->outcome_status == 401 || r->outcome_status == 403);
        if (!any || !denied)
            return STEP_DONE;
        if (refused != 401) // a 401 asks for credentials that may still help
            refused = r->outcome_status;
        r->outcome = OUTCOME_NONE;
    }
    if (refused == 0)
        return STEP_NEXT;
    if (refused == 403)
        log_msg(LOG_ERR, 0, "access forbidden by rule");
    return answer_status(r, refused);
}

static enum step run_access(struct req *r) {
    const struct plan *p = r->scope->plan;
    if (p == NULL || r != r->main || p->stage[STAGE_ACCESS].count == 0)
        return STEP_NEXT;
    enum step step = ask_access(r, p);
    uint64_t delay = req_core(r)->auth_delay;
    if (step != STEP_DONE || delay == 0 || r->outcome != OUTCOME_STATUS || r->outcome_status != 401)
        return step;
    log_msg(LOG_INFO, 0, "delaying unauthorized request");
    bool watching = req_watch_client(r);
    if (task_sleep_ms(delay) != 0)
        answer_status(r, 499);
    if (watching)
        req_unwatch_client(r);
    return step;
}

// keepalive_timeout, _requests and _time hold as the location says.
static void limit_keepalive(struct req *r, const struct http_core *core) {
    if (core->keepalive_timeout == 0)
        r->keepalive = false;
    else if (r->conn != NULL && ((int64_t)r->conn->requests >= core->keepalive_requests ||
                                 loop_now(r->loop) - r->conn->start_ms > core->keepalive_time))
        r->keepalive = false;
}

// limit_except takes the location's place; its log is the one to write to.
static void settle_scope(struct req *r) {
    const struct location *l = r->scope->place == IN_LOCATION ? r->scope->data : NULL;
    if (l != NULL && l->limited != NULL && (l->unlimited_methods >> r->method & 1) == 0)
        r->scope = l->limited;
    req_set_log(r);
    if (UNLIKELY(r->debugging))
        debug_location(r);
}

// The location's own conditions, once it is known.
static enum step enter_location(struct req *r) {
    const struct http_core *core = req_core(r);
    limit_keepalive(r, core);
    if (core->internal && !r->internal)
        return answer_status(r, 404);
    settle_scope(r);
    if (r == r->main && core->client_max_body_size != 0 && r->content_length > 0 && r->body != NULL &&
        (uint64_t)r->content_length > core->client_max_body_size) {
        req_ended(r, 'P', 'R');
        r->hint = "a larger client_max_body_size in this location, its server or http allows it";
        log_msg(LOG_ERR, 0,
                "client intended to send too large body: %lld bytes (limit: client_max_body_size %llu in location \"" STR_FMT
                "\")",
                (long long)r->content_length, (unsigned long long)core->client_max_body_size, STR_ARG(location_name(r)));
        r->hint = NULL;
        return answer_status(r, 413);
    }
    return STEP_NEXT;
}

static enum step redirect_to_slash(struct req *r) {
    struct str uri = uri_escape(r->uri, URI_ESCAPE_PATH, &r->arena);
    struct str to = r->args.n != 0 ? arena_printf(&r->arena, STR_FMT "/?" STR_FMT, STR_ARG(uri), STR_ARG(r->args))
                                   : arena_printf(&r->arena, STR_FMT "/", STR_ARG(uri));
    return answer_redirect(r, 301, to);
}

static enum step find_location(struct req *r) {
    struct scope *found = r->server_scope;
    enum route_result res = r->server->routes ? route_find(r->server->routes, r, &found) : ROUTE_NONE;
    r->scope = found;
    enum step step = enter_location(r);
    if (step == STEP_NEXT && res == ROUTE_REDIRECT_SLASH)
        return redirect_to_slash(r);
    return step;
}

// Counts a change of the URI. False when it was one too many: the answer is set then, and no error_page applies to it.
static bool may_change(struct req *r, const char *what, struct str uri) {
    if (++r->uri_changes <= REQ_URI_CHANGES_MAX)
        return true;
    log_msg(LOG_ERR, 0, "rewrite or internal redirection cycle while %s \"" STR_FMT "\"", what, STR_ARG(uri));
    r->error_status = 0;
    answer_status(r, 500);
    return false;
}

// From routing on: find, rewrite (which may send back to find), limits, access, content.
static enum step run_location(struct req *r, bool route) {
    for (;;) {
        if (route && find_location(r) == STEP_DONE)
            return STEP_DONE;
        r->uri_changed = false;
        if (run_stage(r, r->scope, STAGE_REWRITE) == STEP_DONE)
            return STEP_DONE;
        if (!r->uri_changed)
            break;
        route = true;
        if (!may_change(r, "processing", r->uri))
            return STEP_DONE;
    }
    if (run_stage(r, r->scope, STAGE_PREACCESS) == STEP_DONE || run_access(r) == STEP_DONE ||
        run_stage(r, r->scope, STAGE_PRECONTENT) == STEP_DONE || run_stage(r, r->scope, STAGE_CONTENT) == STEP_DONE)
        return STEP_DONE;
    return answer_status(r, 404);
}

// One way through the plans, until something is to be answered.
static void run_once(struct req *r, bool first) {
    bool named = r->goto_uri.n != 0 && r->goto_uri.p[0] == '@';
    struct str target = r->goto_uri;
    r->goto_uri = STR_NONE;
    r->outcome = OUTCOME_NONE;
    if (r->content_only) {
        if (run_stage(r, r->scope, STAGE_CONTENT) != STEP_DONE)
            answer_status(r, 404);
        return;
    }
    if (named) {
        struct scope *s = r->server->routes ? route_named(r->server->routes, target) : NULL;
        if (s == NULL) {
            log_msg(LOG_ERR, 0, "could not find named location \"" STR_FMT "\"", STR_ARG(target));
            answer_status(r, 500);
            return;
        }
        r->scope = s;
        limit_keepalive(r, req_core(r));
        settle_scope(r);
        run_location(r, false);
        return;
    }
    r->scope = r->server_scope;
    if (first && run_stage(r, r->server_scope, STAGE_POST_READ) == STEP_DONE)
        return;
    if (run_stage(r, r->server_scope, STAGE_SERVER_REWRITE) == STEP_DONE) {
        r->keepalive &= req_core(r)->keepalive_timeout != 0;
        return;
    }
    r->uri_changed = false;
    run_location(r, true);
}

// An internal redirect begins: what belongs to the old URI goes. A named location has the URI as the client wrote it (nginx).
static void follow(struct req *r) {
    if (UNLIKELY(r->debugging))
        debug_redirect(r);
    r->internal = true;
    if (r->goto_uri.p[0] == '@')
        return;
    r->valid_unparsed_uri = false;
    req_set_uri(r, r->goto_uri, r->goto_args);
    r->uri_goes_whole = false;
}

static void run_response_hooks(struct req *r) {
    const struct plan *p = r->scope->plan;
    if (p == NULL)
        return;
    for (unsigned i = 0; i < p->stage[STAGE_RESPONSE].count && r->outcome == OUTCOME_ANSWER; i++)
        p->stage[STAGE_RESPONSE].at[i].fn(r, p->stage[STAGE_RESPONSE].at[i].conf);
}

void run_request(struct req *r) {
    bool first = r == r->main; // a subrequest begins behind the reading of a request
    // A status that was set before (a refused head) is answered by the server's own pages.
    if (r->outcome != OUTCOME_NONE)
        goto outcome;
    for (;;) {
        run_once(r, first);
        first = false;
    outcome:
        if (r->outcome == OUTCOME_STATUS)
            answer_resolve_status(r);
        if (r->outcome != OUTCOME_GOTO)
            break;
        first = r->content_only = false;
        bool named = r->goto_uri.p[0] == '@';
        if (!may_change(r, named ? "redirect to named location" : "internally redirecting to", r->goto_uri))
            goto outcome;
        follow(r);
    }
    if (r->outcome != OUTCOME_ANSWER)
        return;
    if (!r->content_only)
        run_response_hooks(r);
    if (r->outcome != OUTCOME_ANSWER) // a hook refused: 412, 416
        goto outcome;
    answer_finish(r);
}

// The body failed before anything of the answer was sent: the client gets an error instead.
static bool failed_early(struct req *r, int err) {
    if (err >= 0 || err == -ECANCELED || !r->body_failed || r->head_sent)
        return false;
    head_clear(&r->out);
    r->location = STR_NONE;
    r->body_failed = false;
    // By whom the bytes were to come is not known here: what a connection says is a gateway's failure.
    answer_status(r, err == -ETIMEDOUT ? 504 : err == -ECONNRESET || err == -EPROTO || err == -EPIPE ? 502 : 500);
    return true;
}

int run_and_send(struct req *r) {
    if (UNLIKELY(r->debugging))
        debug_request(r);
    run_request(r);
    int err = 0;
    if (UNLIKELY(r->debugging))
        debug_answer(r);
    if (r->outcome == OUTCOME_ANSWER)
        err = r->codec->send(r);
    if (UNLIKELY(failed_early(r, err))) {
        run_request(r);
        err = r->outcome == OUTCOME_ANSWER ? r->codec->send(r) : 0;
    }
    if (!run_taken_over(r, err)) {
        run_stage(r, r->scope, STAGE_POST_ACTION);
        run_log(r);
    }
    return err;
}

void run_log(struct req *r) {
    // What nobody reads any more is given up before: then all is known of whoever it came from.
    body_free(r->out_body);
    r->out_body = NULL;
    if (UNLIKELY(r->debugging))
        debug_end(r);
    r->phase = "logging request";
    run_stage(r, r->scope, STAGE_LOG);
}
