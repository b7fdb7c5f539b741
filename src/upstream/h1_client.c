// The request of an HTTP/1 exchange: made from types and from the client's fields one by one; no received bytes are passed on
// as framing.
#include "upstream/h1_client.h"
#include "wire/chunked.h"
#include "wire/http1.h"

// Never taken from the client: framing and the connection are ours.
static const uint16_t ours[] = {FIELD_HOST,   FIELD_CONNECTION, FIELD_CONTENT_LENGTH, FIELD_TRANSFER_ENCODING, FIELD_TE,
                                FIELD_EXPECT, FIELD_KEEP_ALIVE, FIELD_UPGRADE,        FIELD_PROXY_CONNECTION,  FIELD_TRAILER,
                                FIELD_HTTP2_SETTINGS};

static bool in_set(const uint64_t *set, unsigned id) { return (set[id >> 6] >> (id & 63) & 1) != 0; }
static void add_to_set(uint64_t *set, unsigned id) { set[id >> 6] |= (uint64_t)1 << (id & 63); }

void h1_request_conf_ready(struct h1_request_conf *rc) {
    rc->replaced[0] = rc->replaced[1] = 0;
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        add_to_set(rc->replaced, ours[i]);
    conf_list_each(const struct h1_set_header, h, rc->set_headers) {
        if (h->id != FIELD_UNKNOWN)
            add_to_set(rc->replaced, h->id);
    }
}

static const struct h1_set_header *find_set(const struct h1_request_conf *rc, unsigned id) {
    conf_list_each(const struct h1_set_header, h, rc->set_headers) {
        if (h->id == id)
            return h;
    }
    return NULL;
}

// A value from the configuration that would break the framing is left out; the log says so.
static void put(struct exchange *x, struct sbuf *to, struct str name, struct str value) {
    if (http1_put_field(to, name, value) != 0)
        exchange_log(x, LOG_ERR, 0, "sending request to upstream", NULL,
                     "field \"" STR_FMT "\" left out: its value holds line breaks or NUL", STR_ARG(name));
}

// --- Upgrade -----------------------------------------------------------------------------------------------------------------------

// A tunnel needs the client's whole connection: HTTP/1.1 on a link of its own, nothing else under way on it.
static bool may_upgrade(const struct exchange *x, const struct h1_request_conf *rc) {
    const struct req *r = x->r;
    bool can = (r->in.version == 11 && r->codec->upgrades) || r->tunnel_in != NULL;
    return rc->version >= 11 && r->conn != NULL && can && r == r->main &&
           r->body == NULL && r->body_tape == NULL && !x->has_body && x->gw->pass_request_headers;
}

// A client that asks for a WebSocket gets it although nobody wrote proxy_set_header Upgrade: unless the configuration says
// something about Upgrade, or about Connection other than that it be empty (which is how keep-alive is asked for).
static bool wants_websocket(struct exchange *x, const struct h1_request_conf *rc) {
    const struct head *in = &x->r->in;
    if (LIKELY(!head_has(in, FIELD_UPGRADE)) || !may_upgrade(x, rc) || x->r->method != METHOD_GET)
        return false;
    const struct h1_set_header *set = find_set(rc, FIELD_CONNECTION);
    if (find_set(rc, FIELD_UPGRADE) != NULL || (set != NULL && req_eval(x->r, set->value).n != 0))
        return false;
    return str_ieq(head_value(in, FIELD_UPGRADE), STR("websocket")) &&
           list_has_token(head_join(in, FIELD_CONNECTION, &x->r->arena), STR("upgrade"));
}

// proxy_set_header Upgrade: asked when Connection says so too, or nothing.
static bool take_upgrade(struct exchange *x, const struct h1_request_conf *rc) {
    if (!may_upgrade(x, rc))
        return false;
    const struct h1_set_header *set = find_set(rc, FIELD_CONNECTION);
    x->asks_upgrade = set == NULL || list_has_token(req_eval(x->r, set->value), STR("upgrade"));
    return true;
}

// --- fields ------------------------------------------------------------------------------------------------------------------------

static void put_connection(struct exchange *x, const struct h1_request_conf *rc, struct sbuf *to) {
    if (find_set(rc, FIELD_CONNECTION) != NULL)
        return;
    if (x->asks_upgrade) {
        sbuf_lit(to, "Connection: upgrade\r\n");
        return;
    }
    bool close = rc->version == 10 || x->group->keepalive == 0;
    if (close)
        sbuf_lit(to, "Connection: close\r\n");
    x->keepalive = !close;
}

static void put_set_fields(struct exchange *x, const struct h1_request_conf *rc, struct sbuf *to) {
    x->asks_upgrade = false;
    x->keepalive = rc->version >= 11;
    conf_list_each(const struct h1_set_header, h, rc->set_headers) {
        if (h->id == FIELD_CONTENT_LENGTH || h->id == FIELD_TRANSFER_ENCODING)
            continue;
        struct str value = req_eval(x->r, h->value);
        if (value.n != 0 && h->id == FIELD_UPGRADE && !take_upgrade(x, rc))
            continue;
        if (value.n == 0)
            continue;
        if (h->id == FIELD_CONNECTION && list_has_token(value, STR("close")))
            x->keepalive = false;
        else if (h->id == FIELD_CONNECTION && list_has_token(value, STR("keep-alive")))
            x->keepalive = true;
        put(x, to, h->name, value);
    }
    if (find_set(rc, FIELD_HOST) == NULL)
        put(x, to, STR("Host"), x->host);
    if (wants_websocket(x, rc)) {
        x->asks_upgrade = true;
        sbuf_lit(to, "Upgrade: websocket\r\n");
        if (find_set(rc, FIELD_CONNECTION) != NULL)
            sbuf_lit(to, "Connection: upgrade\r\n");
    }
    put_connection(x, rc, to);
}

static void put_framing(struct exchange *x, struct sbuf *to) {
    if (x->request_length >= 0) {
        sbuf_lit(to, "Content-Length: ");
        sbuf_u64(to, (uint64_t)x->request_length);
        sbuf_lit(to, "\r\n");
    } else if (x->has_body) {
        sbuf_lit(to, "Transfer-Encoding: chunked\r\n");
    }
}

static bool is_set_by_name(const struct h1_request_conf *rc, struct str name) {
    conf_list_each(const struct h1_set_header, h, rc->set_headers) {
        if (h->id == FIELD_UNKNOWN && h->name.n == name.n && str_ieq(h->name, name))
            return true;
    }
    return false;
}

static void put_client_fields(struct exchange *x, const struct h1_request_conf *rc, struct sbuf *to) {
    const struct head *in = exchange_fields(x);
    // Fields that Connection names belong to the client's hop (RFC 9110 7.6.1).
    struct str named = head_has(in, FIELD_CONNECTION) ? head_join(in, FIELD_CONNECTION, &x->r->arena) : STR_NONE;
    if (str_ieq(named, STR("keep-alive")) || str_ieq(named, STR("close")))
        named = STR_NONE;
    head_each(f, in) {
        if (f->id == FIELD_UNKNOWN ? is_set_by_name(rc, f->name) : in_set(rc->replaced, f->id))
            continue;
        if (named.n != 0 && list_has_token(named, f->name))
            continue;
        if (LIKELY(f->clean))
            http1_put_clean(to, f->name, f->value);
        else
            http1_put_field(to, f->name, f->value);
    }
}

static bool put_head(struct exchange *x, struct sbuf *to) {
    const struct h1_request_conf *rc = x->protocol_conf;
    if (x->uri.n == 0 || !http1_put_request_line(to, x->method, x->uri, rc->version))
        return false;
    put_set_fields(x, rc, to);
    put_framing(x, to);
    if (x->gw->pass_request_headers)
        put_client_fields(x, rc, to);
    sbuf_lit(to, "\r\n");
    return true;
}

static void frame(struct exchange *x, struct chain *bytes, bool last) {
    if (x->request_length >= 0)
        return;
    if (bytes->bytes != 0) {
        char line[CHUNKED_HEAD_MAX];
        struct chain before;
        chain_init(&before, bytes->pool);
        chain_add_copy(&before, str_n(line, chunked_put_head(line, bytes->bytes)));
        chain_prepend(bytes, &before);
        chain_add_const(bytes, "\r\n", 2);
    }
    if (last)
        chain_add_const(bytes, CHUNKED_LAST, sizeof(CHUNKED_LAST) - 1);
}

const struct protocol h1_client = {"http", put_head, frame, h1_read_head, h1_response_body};
