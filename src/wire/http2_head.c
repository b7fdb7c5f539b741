// Header blocks of HTTP/2 as heads. What is malformed is refused whatever nginx would do with it (RFC 9113 8.1.1); what is merely
// unusual follows ignore_invalid_headers and underscores_in_headers as in HTTP/1.
#include "wire/http2_head.h"
#include "wire/scan.h"

enum { BOMB = 64 << 10 };

enum kind { REQUEST, RESPONSE, TRAILERS };

struct reading {
    struct head *h;
    struct h2_head *out;
    const struct h2_head_limits *lim;
    enum kind kind;
    enum h2_head_result result;
    bool fields_begun;
    unsigned cookies;
    size_t cookie_bytes;
};

bool h2_is_connection_field(unsigned id, struct str value) {
    switch (id) {
    case FIELD_CONNECTION:
    case FIELD_PROXY_CONNECTION:
    case FIELD_KEEP_ALIVE:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_UPGRADE:
        return true;
    case FIELD_TE:
        return !str_ieq(value, STR("trailers"));
    default:
        return false;
    }
}

static void refuse(struct reading *r, enum h2_head_result result, const char *why, const struct hpack_field *f) {
    if (r->result != H2_HEAD_OK)
        return;
    r->result = result;
    r->out->why = why;
    if (f != NULL) {
        r->out->name = f->name;
        r->out->value = f->value;
    }
}

static bool has(const struct reading *r, unsigned pseudo) { return (r->out->seen >> (pseudo - PSEUDO_AUTHORITY) & 1) != 0; }

static void take_pseudo(struct reading *r, const struct hpack_field *f) {
    struct h2_head *o = r->out;
    bool response = f->id == PSEUDO_STATUS;
    if (f->id == PSEUDO_UNKNOWN || r->kind == TRAILERS || response != (r->kind == RESPONSE)) {
        refuse(r, H2_HEAD_MALFORMED, "unknown pseudo-header", f);
        return;
    }
    if (r->fields_begun) {
        refuse(r, H2_HEAD_MALFORMED, "pseudo-header after a regular one", f);
        return;
    }
    if (has(r, f->id)) {
        refuse(r, H2_HEAD_MALFORMED, "duplicate pseudo-header", f);
        return;
    }
    o->seen |= 1u << (f->id - PSEUDO_AUTHORITY);
    if (f->bad_value) {
        refuse(r, H2_HEAD_MALFORMED, "invalid pseudo-header", f);
        return;
    }
    switch (f->id) {
    case PSEUDO_AUTHORITY:
        if (str_chr(f->value, '@') >= 0)
            refuse(r, H2_HEAD_MALFORMED, "userinfo in :authority", f); // RFC 9113 8.3.1
        o->authority = f->value;
        break;
    case PSEUDO_METHOD:
        o->method = f->value;
        break;
    case PSEUDO_PATH:
        o->path = f->value;
        break;
    case PSEUDO_SCHEME:
        o->scheme = f->value;
        break;
    case PSEUDO_PROTOCOL:
        o->protocol = f->value;
        break;
    default: {
        uint64_t status;
        if (f->value.n != 3 || !str_u64(f->value, 999, &status) || status < 100)
            refuse(r, H2_HEAD_MALFORMED, "invalid :status", f);
        else
            o->status = (unsigned)status;
    }
    }
}

// Names of nginx's: letters, digits, hyphens and, where allowed, underscores.
static bool is_usual(const struct reading *r, struct str name) {
    size_t at = 0;
    while ((at += scan_name(name.p + at, name.n - at)) < name.n) {
        if (name.p[at] != '_' || !r->lim->underscores)
            return false;
        at++;
    }
    return true;
}

// Scheme-based normalization (RFC 3986 6.2.3): the port of the scheme, and an empty one, may be left out.
static struct str without_usual_port(struct str host, struct str scheme) {
    struct str port = str_ieq(scheme, STR("https")) ? STR(":443") : str_ieq(scheme, STR("http")) ? STR(":80") : STR(":");
    if (host.n > port.n && str_eq(str_from(host, host.n - port.n), port))
        return str_head(host, host.n - port.n);
    return host.n > 1 && host.p[host.n - 1] == ':' ? str_head(host, host.n - 1) : host;
}

// RFC 9113 8.3.1
static bool is_same_host(const struct h2_head *o, struct str host) {
    return str_ieq(without_usual_port(host, o->scheme), without_usual_port(o->authority, o->scheme));
}

// RFC 3986 3.1
static bool is_scheme(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.')))
            return false;
    }
    return s.n != 0;
}

static void add_host(struct reading *r) {
    r->fields_begun = true;
    if (r->kind == REQUEST && r->out->authority.n != 0)
        head_add(r->h, FIELD_HOST, STR("host"), r->out->authority);
}

static void take_field(struct reading *r, const struct hpack_field *f) {
    if (!r->fields_begun)
        add_host(r);
    if (f->bad_name || f->bad_value) {
        refuse(r, H2_HEAD_MALFORMED, "invalid header", f);
        return;
    }
    if (h2_is_connection_field(f->id, f->value) || (r->kind != REQUEST && f->id == FIELD_TE)) {
        refuse(r, H2_HEAD_MALFORMED, "connection-specific header", f);
        return;
    }
    if (f->id == FIELD_HOST && r->kind == REQUEST && has(r, PSEUDO_AUTHORITY)) {
        if (!is_same_host(r->out, f->value))
            refuse(r, H2_HEAD_MALFORMED, "\"host\" header that differs from :authority", f);
        return;
    }
    bool unusual = f->id == FIELD_UNKNOWN && (r->lim->ignore_invalid || r->lim->keep_invalid) && !is_usual(r, f->name);
    if (unusual && !r->lim->keep_invalid)
        return;
    if (r->h->count >= r->lim->max_fields) {
        refuse(r, H2_HEAD_TOO_MANY, "too many header lines", f);
        return;
    }
    struct field *at = head_add(r->h, f->id, f->id != FIELD_UNKNOWN && r->kind == RESPONSE ? field_name(f->id) : f->name, f->value);
    at->sensitive = f->sensitive;
    at->unusual = unusual;
    r->h->unusual |= unusual;
    if (f->id == FIELD_COOKIE) {
        r->cookies++;
        r->cookie_bytes += f->value.n + 2;
    }
}

// RFC 9113 8.2.3: to the rest of the world there is one Cookie field. It becomes the last one, as in nginx.
static void join_cookies(struct reading *r) {
    struct sbuf all;
    bool sensitive = false;
    sbuf_init_arena(&all, r->h->arena, r->cookie_bytes, r->cookie_bytes);
    head_each(f, r->h) {
        if (f->id != FIELD_COOKIE)
            continue;
        if (all.n != 0)
            sbuf_lit(&all, "; ");
        sbuf_str(&all, f->value);
        sensitive |= f->sensitive;
    }
    head_drop(r->h, FIELD_COOKIE);
    head_add(r->h, FIELD_COOKIE, STR("cookie"), sbuf_view(&all))->sensitive = sensitive;
}

static void read_block(struct h2_session *s, struct reading *r) {
    struct arena scratch; // of a block that is refused, and only read on for the sake of the table
    arena_init(&scratch, NULL);
    struct hpack_field f;
    for (;;) {
        bool dropped = r->result != H2_HEAD_OK;
        enum hpack_result res = h2_next_field(s, dropped ? &scratch : r->h->arena, &f);
        if (res == HPACK_ERROR)
            r->result = H2_HEAD_BROKEN;
        if (res != HPACK_FIELD)
            break;
        size_t n = f.name.n + f.value.n;
        r->out->bytes += n;
        // A byte may stand for 4 KiB: what is read on for the table's sake is bounded too.
        if (r->out->bytes > 4 * r->lim->max_head + BOMB) {
            r->result = H2_HEAD_BOMB;
            r->out->bound = 4 * r->lim->max_head + BOMB;
            break;
        }
        if (dropped) {
            arena_done(&scratch);
            continue;
        }
        if (n > r->lim->max_field)
            refuse(r, H2_HEAD_FIELD_TOO_LONG, "too long header line", &f);
        else if (r->out->bytes > r->lim->max_head)
            refuse(r, H2_HEAD_TOO_LONG, "too large header", &f);
        else if (f.id >= FIELD_COUNT)
            take_pseudo(r, &f);
        else
            take_field(r, &f);
    }
    arena_done(&scratch);
}

static void check_request(struct reading *r) {
    struct h2_head *o = r->out;
    bool connect = str_eq(o->method, STR("CONNECT"));
    if (!has(r, PSEUDO_METHOD) || !is_token(o->method)) {
        refuse(r, H2_HEAD_MALFORMED, has(r, PSEUDO_METHOD) ? "invalid method" : "no :method header", NULL);
    } else if (connect && !has(r, PSEUDO_PROTOCOL)) { // RFC 9113 8.5
        if (has(r, PSEUDO_PATH) || has(r, PSEUDO_SCHEME) || o->authority.n == 0)
            refuse(r, H2_HEAD_MALFORMED, "invalid CONNECT request", NULL);
    } else if (has(r, PSEUDO_PROTOCOL) && !connect) { // RFC 8441 4
        refuse(r, H2_HEAD_MALFORMED, "invalid :protocol header", NULL);
    } else if (!has(r, PSEUDO_SCHEME) || !is_scheme(o->scheme)) {
        refuse(r, H2_HEAD_MALFORMED, has(r, PSEUDO_SCHEME) ? "invalid :scheme header" : "no :scheme header", NULL);
    } else if (!has(r, PSEUDO_PATH) || o->path.n == 0) {
        refuse(r, H2_HEAD_MALFORMED, "no :path header", NULL);
    } else if (o->path.p[0] != '/' && !(str_eq(o->path, STR("*")) && str_eq(o->method, STR("OPTIONS")))) {
        refuse(r, H2_HEAD_MALFORMED, "invalid :path header", NULL);
    }
}

static enum h2_head_result read_head(struct h2_session *s, struct head *h, struct h2_head *out,
                                     const struct h2_head_limits *lim, enum kind kind) {
    *out = (struct h2_head){0};
    struct reading r = {.h = h, .out = out, .lim = lim, .kind = kind};
    read_block(s, &r);
    if (!r.fields_begun)
        add_host(&r);
    if (r.cookies > 1 && kind == REQUEST)
        join_cookies(&r);
    h->version = 20;
    if (kind == REQUEST) {
        h->method_text = out->method;
        h->method = method_from(out->method);
        h->target = out->path;
        if (r.result == H2_HEAD_OK)
            check_request(&r);
    } else if (kind == RESPONSE && r.result == H2_HEAD_OK) {
        if (!has(&r, PSEUDO_STATUS))
            refuse(&r, H2_HEAD_MALFORMED, "no :status header", NULL);
        h->status = out->status;
        h->reason = status_reason(out->status);
    }
    return r.result;
}

enum h2_head_result h2_read_request(struct h2_session *s, struct head *h, struct h2_head *out, const struct h2_head_limits *lim) {
    return read_head(s, h, out, lim, REQUEST);
}
enum h2_head_result h2_read_response(struct h2_session *s, struct head *h, struct h2_head *out, const struct h2_head_limits *lim) {
    return read_head(s, h, out, lim, RESPONSE);
}
enum h2_head_result h2_read_trailers(struct h2_session *s, struct head *h, struct h2_head *out, const struct h2_head_limits *lim) {
    return read_head(s, h, out, lim, TRAILERS);
}
