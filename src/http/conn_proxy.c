// The PROXY header of a connection to an address with `listen ... proxy_protocol`: read before anything else.
#include "http/conn.h"
#include "io/loop.h"
#include <stdlib.h>

// What the error log says of a connection that has no request yet.
struct stranger {
    struct log_context log;
    const struct conn *c;
};

static void details(const struct log_context *log, struct sbuf *line) {
    const struct conn *c = container_of(log, struct stranger, log)->c;
    sbuf_lit(line, " while reading PROXY protocol, client: ");
    addr_put_ip(line, link_remote(c->link));
    sbuf_lit(line, ", server: ");
    addr_put(line, &listener_addr(c->from)->sa, true);
}

static struct proxy_info *keep(const struct proxy_header *h) {
    struct proxy_info *p = xcalloc(1, sizeof(*p) + h->tlvs.n);
    p->source = h->source;
    p->destination = h->destination;
    p->has_addrs = h->has_addrs;
    p->ntlvs = (uint16_t)h->tlvs.n;
    if (h->tlvs.n != 0)
        memcpy(p->tlvs, h->tlvs.p, h->tlvs.n);
    return p;
}

// Bytes until the header is whole or wrong; more may come with it. Waits.
static enum proxy_result receive(struct conn *c, struct block *b, size_t *n, struct proxy_header *h, int *err) {
    const struct http_core *core = scope_conf(c->vhosts->fallback->scope, &feature_http_core);
    uint64_t deadline = c->start_ms + core->client_header_timeout;
    for (;;) {
        uint64_t now = loop_now(link_loop(c->link));
        ssize_t got = link_read_into(c->link, b->data + *n, b->size - *n, deadline > now ? deadline - now : 0);
        if (got <= 0) {
            *err = got == 0 ? -EPIPE : (int)got;
            return PROXY_MORE;
        }
        *n += (size_t)got;
        enum proxy_result result = proxy_protocol_parse(h, str_n(b->data, *n));
        if (result != PROXY_MORE)
            return result;
    }
}

static void complain(const struct block *b, size_t n, enum proxy_result result, int err) {
    struct str seen = str_n(b->data, MIN(n, (size_t)PROXY_V1_MAX));
    if (result == PROXY_BAD)
        log_msg(LOG_ERR, 0, "broken header: \"" STR_FMT "\"", STR_ARG(seen));
    else if (err == -ETIMEDOUT)
        log_msg(LOG_INFO, ETIMEDOUT, "client timed out");
    else if (n != 0)
        log_msg(LOG_INFO, 0, "client closed connection");
}

bool conn_read_proxy(struct conn *c) {
    struct stranger s = {{scope_error_log(c->vhosts->fallback->scope), c->number, c->debug, details}, c};
    log_set_context(&s.log);
    struct blocks *pool = loop_blocks(link_loop(c->link));
    struct block *b = block_new(pool, PROXY_V2_MAX + 1); // the parser wants no more than one byte less
    struct proxy_header h;
    size_t n = 0;
    int err = 0;
    enum proxy_result result = receive(c, b, &n, &h, &err);
    if (result == PROXY_OK) {
        c->proxied = keep(&h);
        if (n > h.n) {
            struct chain rest;
            chain_init(&rest, pool);
            chain_add_block(&rest, b, b->data + h.n, n - h.n);
            link_unread(c->link, &rest);
        }
    } else {
        complain(b, n, result, err);
    }
    block_unref(b);
    log_set_context(NULL);
    return result == PROXY_OK;
}
