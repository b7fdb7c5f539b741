// SCGI and uwsgi towards applications.
#include "upstream/cgi_client.h"
#include "upstream/cgi_response.h"
#include "upstream/h1_client.h"

enum { PARAMS_MAX = 1 << 20, UWSGI_MAX = UINT16_MAX };

// --- requests ------------------------------------------------------------------------------------------------------------------

// A name or value with a NUL in it would be two of them.
static void put_scgi(struct sbuf *to, struct str name, struct str value) {
    if (memchr(value.p != NULL ? value.p : "", '\0', value.n) != NULL) {
        to->overflow = true;
        return;
    }
    sbuf_str(to, name);
    sbuf_chr(to, '\0');
    sbuf_str(to, value);
    sbuf_chr(to, '\0');
}

// SCGI: a netstring of names and values; CONTENT_LENGTH comes first.
static bool scgi_head(struct exchange *x, struct sbuf *to) {
    const struct cgi_request *c = x->protocol_conf;
    struct sbuf params;
    sbuf_init_arena(&params, &x->r->arena, 1024, PARAMS_MAX);
    uint64_t length = x->has_body && x->request_length > 0 ? (uint64_t)x->request_length : 0;
    put_scgi(&params, STR("CONTENT_LENGTH"), arena_printf(&x->r->arena, "%llu", (unsigned long long)length));
    c->put_params(x, &params, put_scgi);
    sbuf_printf(to, "%zu:", params.n);
    sbuf_str(to, sbuf_view(&params));
    sbuf_chr(to, ',');
    x->keepalive = false;
    return !params.overflow;
}

static void put_16(struct sbuf *to, size_t n) {
    sbuf_chr(to, (char)(n & 0xff));
    sbuf_chr(to, (char)(n >> 8));
}

static void put_uwsgi(struct sbuf *to, struct str name, struct str value) {
    if (name.n > UWSGI_MAX || value.n > UWSGI_MAX) {
        to->overflow = true;
        return;
    }
    put_16(to, name.n);
    sbuf_str(to, name);
    put_16(to, value.n);
    sbuf_str(to, value);
}

// uwsgi: two modifiers around the size of the names and values, all little endian.
static bool uwsgi_head(struct exchange *x, struct sbuf *to) {
    const struct cgi_request *c = x->protocol_conf;
    struct sbuf params;
    sbuf_init_arena(&params, &x->r->arena, 1024, UWSGI_MAX);
    c->put_params(x, &params, put_uwsgi);
    if (c->string != NULL)
        sbuf_str(&params, req_eval(x->r, c->string));
    sbuf_chr(to, (char)c->modifier1);
    put_16(to, params.n);
    sbuf_chr(to, (char)c->modifier2);
    sbuf_str(to, sbuf_view(&params));
    x->keepalive = false;
    return !params.overflow;
}

// --- responses -----------------------------------------------------------------------------------------------------------------

static int take_head(struct exchange *x, struct incoming *in, size_t end) {
    if (x->head.status < 200)
        return response_refuse(x, "upstream sent an interim response");
    int err = cgi_find_length(x);
    if (err != 0)
        return err;
    x->keepalive = false;
    size_t n = in->n - end;
    if (method_from(x->method) == METHOD_HEAD || status_has_no_body(x->head.status))
        return 0;
    if (x->body_length >= 0 && n > (uint64_t)x->body_length) {
        exchange_log(x, LOG_WARN, 0, "reading response header from upstream", NULL,
                     "upstream sent more data than specified in \"Content-Length\" header");
        n = (size_t)x->body_length;
    }
    chain_add_block(&x->early, in->block, in->block->data + end, n);
    return 0;
}

static int read_head(struct exchange *x) {
    struct incoming in;
    struct http1_parse ps = {0};
    incoming_begin(&in, x);
    for (;;) {
        int err = incoming_more(&in);
        if (err < 0)
            return err;
        size_t end = 0;
        int more = cgi_parse_head(&in, &ps, true, &end);
        if (more != 1)
            return more != 0 ? more : take_head(x, &in, end);
    }
}

const struct protocol scgi_client = {"scgi", scgi_head, NULL, read_head, h1_response_body};
const struct protocol uwsgi_client = {"uwsgi", uwsgi_head, NULL, read_head, h1_response_body};
