// Variables of what is answered: $status, $bytes_sent, $sent_http_*...
#include "http/answer.h"
#include "http/conn.h"
#include "io/loop.h"

static struct req *req_of(struct eval *e) { return e->req; }

static bool found(struct str *out, struct str value) {
    *out = value;
    return value.p != NULL;
}

static bool get_status(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e);
    unsigned status = r->error_status != 0            ? r->error_status
                      : r->outcome == OUTCOME_STATUS ? r->outcome_status
                                                     : r->out.status;
    // Before an answer is known nginx says 000; HTTP/0.9 has none and is logged as 009.
    if (r->in.version == 9 && status == 200)
        status = 9;
    *out = arena_printf(e->arena, "%03u", status);
    return true;
}

static bool number(struct eval *e, uint64_t n, struct str *out) {
    *out = arena_printf(e->arena, "%llu", (unsigned long long)n);
    return true;
}

static bool get_bytes_sent(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e);
    return number(e, r->head_bytes_out + r->body_bytes_out, out);
}
static bool get_body_bytes_sent(struct eval *e, const struct var *v, struct str *out) {
    return number(e, req_of(e)->body_bytes_out, out);
}

// Fields that the codec writes from other facts.
static bool special_field(struct req *r, struct str name, struct str *out) {
    if (str_eq(name, STR("content_length"))) {
        if (r->out_length >= 0)
            *out = arena_printf(&r->arena, "%lld", (long long)r->out_length);
        return true;
    }
    if (str_eq(name, STR("location")) && r->location.n != 0) {
        *out = answer_absolute(r, r->location);
        return true;
    }
    if (str_eq(name, STR("connection"))) {
        *out = r->out.status == 101 ? STR("upgrade") : r->keepalive ? STR("keep-alive") : STR("close");
        return true;
    }
    if (str_eq(name, STR("keep_alive"))) {
        int64_t s = req_core(r)->keepalive_header_s;
        if (r->keepalive && s > 0)
            *out = arena_printf(&r->arena, "timeout=%lld", (long long)s);
        return true;
    }
    if (str_eq(name, STR("transfer_encoding"))) {
        if (r->chunked_out)
            *out = STR("chunked");
        return true;
    }
    return false;
}

static bool get_sent(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e);
    *out = STR_NONE;
    if (special_field(r, v->rest, out))
        return out->p != NULL;
    head_each(f, &r->out) {
        if (!field_is_variable(f->name, v->rest) || (f->id == FIELD_CONTENT_TYPE && f->value.n == 0))
            continue;
        if (out->p == NULL)
            *out = f->value;
        else
            *out = arena_printf(&r->arena, STR_FMT ", " STR_FMT, STR_ARG(*out), STR_ARG(f->value));
    }
    return out->p != NULL;
}

static bool get_sent_trailer(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e);
    if (r->out_trailers == NULL)
        return false;
    head_each(f, r->out_trailers) {
        if (field_is_variable(f->name, v->rest))
            return found(out, f->value);
    }
    return false;
}

static bool get_completion(struct eval *e, const struct var *v, struct str *out) {
    return found(out, req_of(e)->main->completed ? STR("OK") : STR(""));
}

static bool get_termination(struct eval *e, const struct var *v, struct str *out) {
    const struct req *r = req_of(e)->main;
    *out = r->ended_by == 0 ? STR("--") : arena_printf(e->arena, "%c%c", r->ended_by, r->ended_in);
    return true;
}

static const struct var_def variables[] = {
    {"status", false, VAR_VOLATILE | VAR_LIVE, get_status, NULL, 0, "Status of the answer."},
    {"bytes_sent", false, VAR_VOLATILE | VAR_LIVE, get_bytes_sent, NULL, 0, "Bytes sent to the client."},
    {"body_bytes_sent", false, VAR_VOLATILE | VAR_LIVE, get_body_bytes_sent, NULL, 0, "Bytes sent to the client, without the head."},
    {"sent_http_", true, VAR_VOLATILE, get_sent, NULL, 0, "A field of the answer."},
    {"sent_trailer_", true, VAR_VOLATILE, get_sent_trailer, NULL, 0, "A trailer field of the answer."},
    {"termination", false, VAR_VOLATILE | VAR_LIVE, get_termination, NULL, 0,
     "Two letters: who ended the request before its time, and in which phase; \"--\" when nobody did."},
    {"request_completion", false, VAR_VOLATILE | VAR_LIVE, get_completion, NULL, 0, "\"OK\" when the request was completed, else empty."},
};

struct feature feature_response_variables = {
    .name = "response variables",
    .vars = variables,
    .nvars = ARRAY_LEN(variables),
};
