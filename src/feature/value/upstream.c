// Variables of what was asked of back ends: $upstream_addr, $upstream_status, $upstream_*_time, $upstream_http_*... Several
// tries are joined by ", ", the tries before an internal redirect and those after it by " : " (nginx).
#include "upstream/exchange.h"
#include "wire/fields.h"

static struct exchange *exchange_at(struct eval *e) { return exchange_of(e->req); }

typedef void put_fn(struct sbuf *b, const struct attempt *a, uintptr_t data);

// Older exchanges first.
static void put_all(struct sbuf *b, const struct exchange *x, put_fn *put, uintptr_t data) {
    if (x->prev != NULL) {
        put_all(b, x->prev, put, data);
        if (x->nattempts != 0) // else a cache answered
            sbuf_lit(b, " : ");
    }
    for (unsigned i = 0; i < x->nattempts; i++) {
        if (i != 0)
            sbuf_lit(b, ", ");
        put(b, &x->attempts[i], data);
    }
}

static bool join(struct eval *e, struct str *out, put_fn *put, uintptr_t data) {
    const struct exchange *x = exchange_at(e);
    if (x == NULL || (x->nattempts == 0 && x->prev == NULL))
        return false;
    struct sbuf b;
    sbuf_init_arena(&b, e->arena, 32, TMPL_MAX);
    put_all(&b, x, put, data);
    *out = sbuf_view(&b);
    return true;
}

static void put_addr(struct sbuf *b, const struct attempt *a, uintptr_t data) { sbuf_str(b, a->addr); }

static void put_status(struct sbuf *b, const struct attempt *a, uintptr_t data) {
    if (a->status != 0)
        sbuf_u64(b, a->status);
    else
        sbuf_chr(b, '-');
}

static void put_time(struct sbuf *b, const struct attempt *a, uintptr_t data) {
    uint64_t ms = *(const uint64_t *)((const char *)a + data);
    if (ms == UINT64_MAX)
        sbuf_chr(b, '-');
    else
        sbuf_printf(b, "%llu.%03llu", (unsigned long long)(ms / 1000), (unsigned long long)(ms % 1000));
}

static void put_count(struct sbuf *b, const struct attempt *a, uintptr_t data) {
    sbuf_u64(b, *(const uint64_t *)((const char *)a + data));
}

static bool get_addr(struct eval *e, const struct var *v, struct str *out) { return join(e, out, put_addr, 0); }
static bool get_status(struct eval *e, const struct var *v, struct str *out) { return join(e, out, put_status, 0); }
static bool get_time(struct eval *e, const struct var *v, struct str *out) { return join(e, out, put_time, v->data); }
static bool get_count(struct eval *e, const struct var *v, struct str *out) { return join(e, out, put_count, v->data); }

static bool get_last_addr(struct eval *e, const struct var *v, struct str *out) {
    const struct exchange *x = exchange_at(e);
    if (x == NULL || x->nattempts == 0)
        return false;
    *out = x->attempts[x->nattempts - 1].addr;
    return true;
}

static bool get_last_name(struct eval *e, const struct var *v, struct str *out) {
    const struct exchange *x = exchange_at(e);
    if (x == NULL || x->peer == NULL)
        return false;
    *out = x->peer->server;
    return true;
}

// Whether a field's name is `var` with '-' written as '_' and capitals as small letters.
static bool is_named(struct str name, struct str var) {
    if (name.n != var.n)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = name.p[i] == '-' ? '_' : ascii_lower((unsigned char)name.p[i]);
        if (c != (unsigned char)var.p[i])
            return false;
    }
    return true;
}

// All lines of that name, joined by ", ".
static bool get_field(struct eval *e, const struct head *h, struct str name, struct str *out) {
    struct str all = STR_NONE;
    head_each(f, h) {
        if (!is_named(f->name, name))
            continue;
        struct str parts[3] = {all, STR(", "), f->value};
        all = all.p == NULL ? f->value : arena_join(e->arena, parts, 3);
    }
    *out = all;
    return all.p != NULL;
}

static bool get_http(struct eval *e, const struct var *v, struct str *out) {
    const struct exchange *x = exchange_at(e);
    return x != NULL && (x->head_block != NULL || x->from_store) && get_field(e, &x->head, v->rest, out);
}

static bool get_trailer(struct eval *e, const struct var *v, struct str *out) {
    const struct exchange *x = exchange_at(e);
    return x != NULL && x->trailers != NULL && get_field(e, x->trailers, v->rest, out);
}

static bool get_cookie(struct eval *e, const struct var *v, struct str *out) {
    const struct exchange *x = exchange_at(e);
    if (x == NULL || (x->head_block == NULL && !x->from_store))
        return false;
    head_each(f, &x->head) {
        if (f->id != FIELD_SET_COOKIE)
            continue;
        struct str pair = f->value;
        ssize_t end = str_chr(pair, ';');
        if (end >= 0)
            pair.n = (size_t)end;
        ssize_t eq = str_chr(pair, '=');
        if (eq >= 0 && str_ieq(str_trim(str_head(pair, (size_t)eq)), v->rest)) {
            *out = str_trim(str_from(pair, (size_t)eq + 1));
            return true;
        }
    }
    return false;
}

#define A(f) offsetof(struct attempt, f)
static const struct var_def vars[] = {
    {"upstream_addr", false, VAR_VOLATILE | VAR_LIVE, get_addr, NULL, 0, "Addresses of the servers that were asked."},
    {"upstream_status", false, VAR_VOLATILE | VAR_LIVE, get_status, NULL, 0, "Statuses that they answered with."},
    {"upstream_response_time", false, VAR_VOLATILE | VAR_LIVE, get_time, NULL, A(response_ms), "Seconds until the response had ended."},
    {"upstream_queue_time", false, VAR_VOLATILE | VAR_LIVE, get_time, NULL, A(queue_ms), "Seconds in the queue of the upstream."},
    {"upstream_last_addr", false, VAR_VOLATILE | VAR_LIVE, get_last_addr, NULL, 0, "Address of the server that was chosen last."},
    {"upstream_last_server_name", false, VAR_VOLATILE, get_last_name, NULL, 0,
     "The server that was chosen last, as the configuration names it."},
    {"upstream_connect_time", false, VAR_VOLATILE | VAR_LIVE, get_time, NULL, A(connect_ms), "Seconds until there was a connection."},
    {"upstream_header_time", false, VAR_VOLATILE | VAR_LIVE, get_time, NULL, A(header_ms), "Seconds until the head of the response was there."},
    {"upstream_response_length", false, VAR_VOLATILE | VAR_LIVE, get_count, NULL, A(response_length), "Bytes of the response's body."},
    {"upstream_bytes_received", false, VAR_VOLATILE | VAR_LIVE, get_count, NULL, A(bytes_received), "Bytes received from the server."},
    {"upstream_bytes_sent", false, VAR_VOLATILE | VAR_LIVE, get_count, NULL, A(bytes_sent), "Bytes sent to the server."},
    {"upstream_http_", true, VAR_VOLATILE, get_http, NULL, 0, "A field of the response, also one that clients do not get."},
    {"upstream_trailer_", true, VAR_VOLATILE, get_trailer, NULL, 0, "A field of the response's trailer section."},
    {"upstream_cookie_", true, VAR_VOLATILE, get_cookie, NULL, 0, "A cookie that the response sets."},
};
#undef A

struct feature feature_upstream_variables = {.name = "upstream variables", .vars = vars, .nvars = ARRAY_LEN(vars)};
