// What of a back end's response goes to the client: fields one by one, never framing; X-Accel-* obeyed; the body, buffered.
#include "feature/gateway/gateway.h"
#include "feature/response/limit_rate.h"
#include "feature/response/range.h"
#include "http/answer.h"
#include "http/tape.h"
#include "io/loop.h"
#include "upstream/tunnel.h"

static bool ignores(const struct exchange *x, enum ignore_header bit) { return (x->gw->ignore_headers & bit) != 0; }

// Fields that Connection names belong to the connection between the back end and us.
static struct str named_by_connection(struct req *r, const struct exchange *x) {
    if (!head_has(&x->head, FIELD_CONNECTION))
        return STR_NONE;
    struct str named = head_join(&x->head, FIELD_CONNECTION, &r->arena);
    return str_ieq(named, STR("keep-alive")) || str_ieq(named, STR("close")) ? STR_NONE : named;
}

static void copy_location(struct req *r, struct str made, const struct field *f) {
    r->location = STR_NONE; // of a redirect whose error_page led here
    // What was rewritten to a path becomes a URL of this server, as nginx does; what the back end wrote stays.
    if (made.n != 0 && made.p[0] == '/' && req_core(r)->absolute_redirect)
        r->location = made;
    else
        head_add(&r->out, FIELD_LOCATION, f->name, made.p != NULL ? made : f->value);
}

static bool names_back_end(enum field_id id) {
    return id == FIELD_LOCATION || id == FIELD_REFRESH || id == FIELD_SET_COOKIE;
}

static void copy_field(struct req *r, const struct gateway_rewrite *rw, const struct field *f) {
    struct str made = rw != NULL && names_back_end(f->id) ? rw->field(r, rw->conf, f) : STR_NONE;
    if (f->id == FIELD_CONTENT_TYPE) // that of a response whose X-Accel-Redirect led here is out of date
        head_drop(&r->out, FIELD_CONTENT_TYPE);
    if (f->id == FIELD_LOCATION)
        copy_location(r, made, f);
    else
        (made.p != NULL ? head_add(&r->out, f->id, f->name, made) : head_add_same(&r->out, f))->passed = true;
}

static void copy_head(struct req *r, const struct gateway_rewrite *rw, const struct exchange *x) {
    struct str named = named_by_connection(r, x);
    head_each(f, &x->head) {
        if (f->id == FIELD_UPGRADE && (x->head.status == 101 || x->head.status == 426)) {
            head_add(&r->out, f->id, f->name, f->value); // what was switched to, or what would be
            continue;
        }
        if (f->id == FIELD_CONTENT_LENGTH || (field_flags(f->id) & FIELD_HOP) != 0 || gateway_hides(x->gw, f))
            continue;
        if (named.n != 0 && list_has_token(named, f->name))
            continue;
        if (f->id == FIELD_ACCEPT_RANGES && x->gw->force_ranges)
            continue;
        copy_field(r, rw, f);
    }
    // Whoever passes the back end's Server passes that it has none (nginx, of proxy_pass).
    if (UNLIKELY(x->gw->passes_server) && !head_has(&x->head, FIELD_SERVER))
        head_add_known(&r->out, FIELD_SERVER, STR_NONE)->passed = true;
    r->out.reason = x->head.reason;
}

// --- X-Accel-Redirect ---------------------------------------------------------------------------------------------------------------

static bool kept_for_redirect(enum field_id id) {
    return id == FIELD_CONTENT_TYPE || id == FIELD_SET_COOKIE || id == FIELD_CONTENT_DISPOSITION || id == FIELD_CACHE_CONTROL ||
           id == FIELD_EXPIRES || id == FIELD_ACCEPT_RANGES;
}

static enum step accel_redirect(struct req *r, const struct gateway_rewrite *rw, struct exchange *x, struct str to) {
    limit_rate_note(r, x);
    exchange_done(x, false);
    head_each(f, &x->head) {
        if (kept_for_redirect(f->id) && !gateway_hides(x->gw, f))
            copy_field(r, rw, f);
    }
    struct field *type = head_find(&r->out, FIELD_CONTENT_TYPE);
    if (type != NULL)
        type->passed = false; // it is of what comes next, if that has none
    if (to.p[0] == '@')
        return answer_goto(r, to, STR_NONE);
    struct str path = to, args = STR_NONE;
    ssize_t q = str_chr(to, '?');
    if (q >= 0) {
        path = str_head(to, (size_t)q);
        args = str_from(to, (size_t)q + 1);
    }
    path = uri_unescape(path, false, &r->arena);
    if (path.n == 0 || path.p[0] != '/' || str_chr(path, '\0') >= 0 ||
        !uri_normalise(&path, req_core(r)->merge_slashes, &r->arena)) {
        log_msg(LOG_ERR, 0, "unsafe URI \"" STR_FMT "\" was detected in X-Accel-Redirect", STR_ARG(to));
        return answer_status(r, 404);
    }
    if (r->method != METHOD_HEAD) {
        r->method = METHOD_GET;
        r->method_text = STR("GET");
    }
    return answer_goto(r, path, args);
}

// --- the answer -----------------------------------------------------------------------------------------------------------------------

bool gateway_intercepts(struct req *r, const struct exchange *x) {
    if (!x->gw->intercept_errors || x->head.status < 300)
        return false;
    conf_list_each(const struct error_page, e, req_core(r)->error_pages) {
        if (e->status == x->head.status)
            return true;
    }
    return false;
}

static enum step intercept(struct req *r, struct exchange *x) {
    exchange_done(x, false);
    if (x->head.status == 401) {
        head_each(f, &x->head) {
            if (f->id == FIELD_WWW_AUTHENTICATE)
                head_add(&r->out, f->id, f->name, f->value);
        }
    }
    return answer_status(r, x->head.status);
}

bool gateway_buffers(const struct exchange *x) {
    struct str said = ignores(x, IGNORE_ACCEL_BUFFERING) ? STR_NONE : head_value(&x->head, FIELD_X_ACCEL_BUFFERING);
    if (str_ieq(said, STR("no")))
        return false;
    if (str_ieq(said, STR("yes")))
        return true;
    return x->gw->buffering;
}

// Events must not wait for more events.
static bool is_stream_of_events(const struct exchange *x) {
    struct str type = head_value(&x->head, FIELD_CONTENT_TYPE);
    return str_istarts(type, STR("text/event-stream")) || str_istarts(type, STR("application/grpc"));
}

struct body *gateway_limited(struct req *r, const struct gateway_conf *gw, struct body *b) {
    uint64_t rate;
    struct str said = req_eval(r, gw->limit_rate);
    if (LIKELY(str_eq(said, STR("0"))))
        return b;
    return said.n != 0 && conf_parse_size(said, &rate) && rate != 0 ? gateway_paced(r, b, rate) : b;
}

static struct body *make_body(struct req *r, struct exchange *x) {
    bool buffered = gateway_buffers(x);
    // Nothing to read ahead when all of it came with the head.
    bool whole = x->body_length >= 0 && x->early.bytes >= (uint64_t)x->body_length;
    struct body *b = x->protocol->body(x);
    if (b == NULL)
        return NULL;
    b->flush = !buffered || is_stream_of_events(x); // what buffers it says the same
    if (x->head.status == 200 && (x->gw->store_on || x->gw->store != NULL))
        b = gateway_store(x, b);
    struct body *limited = buffered ? gateway_limited(r, x->gw, b) : b;
    if (buffered && (!whole || limited != b)) {
        struct tape_limits lim;
        gateway_tape_limits(x->gw, r, &lim);
        return tape_buffered(limited, &lim, &r->arena);
    }
    return limited;
}

static void note_validators(struct req *r, const struct exchange *x) {
    if (head_has(&r->out, FIELD_LAST_MODIFIED))
        r->last_modified = LAST_MODIFIED_UNREAD;
    if (x->gw->force_ranges)
        range_allow_one(r);
}

enum step gateway_answer_from(struct req *r, const struct gateway_rewrite *rw, struct exchange *x, struct body *b, int64_t length) {
    copy_head(r, rw, x);
    r->conditions_judged = false;
    answer_ready(r, x->head.status, b, length);
    if (b == NULL)
        r->out_length = length;
    note_validators(r, x);
    return STEP_DONE;
}

enum step gateway_answer(struct req *r, const struct gateway_rewrite *rw, struct exchange *x) {
    if (x->upgraded) {
        copy_head(r, rw, x);
        return tunnel_answer(r, x);
    }
    if (gateway_intercepts(r, x))
        return intercept(r, x);
    struct str to = ignores(x, IGNORE_ACCEL_REDIRECT) ? STR_NONE : head_value(&x->head, FIELD_X_ACCEL_REDIRECT);
    if (to.n != 0)
        return accel_redirect(r, rw, x, to);
    copy_head(r, rw, x);
    int64_t length = x->body_length;
    struct body *b = make_body(r, x);
    r->conditions_judged = true;
    answer_ready(r, x->head.status, b, length);
    note_validators(r, x);
    if (b == NULL) // HEAD: the length of what a GET would bring
        r->out_length = r->method == METHOD_HEAD || length >= 0 ? length : status_has_no_body(x->head.status) ? -1 : 0;
    return STEP_DONE;
}

unsigned gateway_run(struct exchange *x) {
    gateway_early_hints(x->r, x);
    return exchange_run(x);
}
