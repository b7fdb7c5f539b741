// The TLS of a connection before its first request.
#include "http/conn.h"
#include "http/h1_server.h"
#include "http/h2_server.h"
#include "http/https.h"
#include "io/loop.h"
#include "wire/client_hello.h"

enum { HELLO_FIRST = 4080, HELLO_MOST = CLIENT_HELLO_MAX + 4096 };

// What the error log says of a connection that has no request yet.
struct stranger {
    struct log_context log;
    struct conn *c;
};

static void details(const struct log_context *log, struct sbuf *line) {
    const struct conn *c = container_of(log, struct stranger, log)->c;
    sbuf_lit(line, " while SSL handshaking, client: ");
    if (link_remote(c->link)->sa_family == AF_UNIX)
        sbuf_lit(line, "unix:");
    else
        addr_put_ip(line, link_remote(c->link));
    sbuf_lit(line, ", server: ");
    addr_put(line, &listener_addr(c->from)->sa, true);
}

struct str https_server_name(const struct conn *c) {
    return c->hello != NULL ? c->hello->server_name : link_tls_server_name(c->link);
}

// --- the ClientHello ---------------------------------------------------------------------------------------------------------

struct greeting {
    struct block *block;
    size_t n;
    struct client_hello hello;
    enum client_hello_result result;
};

static void grow(struct greeting *g, struct blocks *pool) {
    if (g->n < g->block->size)
        return;
    struct block *bigger = block_new(pool, HELLO_MOST);
    memcpy(bigger->data, g->block->data, g->n);
    block_unref(g->block);
    g->block = bigger;
}

// Receives until the ClientHello is whole, or is none. 0 or -errno.
static int read_hello(struct conn *c, struct greeting *g, char *room, uint64_t deadline) {
    struct loop *loop = link_loop(c->link);
    do {
        grow(g, loop_blocks(loop));
        uint64_t now = loop_now(loop);
        ssize_t n = link_read_into(c->link, g->block->data + g->n, g->block->size - g->n, deadline > now ? deadline - now : 0);
        if (n <= 0)
            return n == 0 ? -EPIPE : (int)n;
        g->n += (size_t)n;
        g->result = client_hello_parse(g->block->data, g->n, &g->hello, room);
    } while (g->result == CLIENT_HELLO_MORE && g->n < HELLO_MOST);
    return 0;
}

// --- the server --------------------------------------------------------------------------------------------------------------

static const struct server *choose_server(struct conn *c, const struct greeting *g, struct arena *a) {
    struct str host, port;
    if (g->result != CLIENT_HELLO_OK || g->hello.server_name.n == 0 || !uri_parse_host(g->hello.server_name, &host, &port, a))
        return c->vhosts->fallback;
    const struct server *s = vhost_find_name(c->vhosts, host);
    return s->https != NULL ? s : c->vhosts->fallback; // whoever has no certificate borrows the default server's, as in nginx
}

// The config to make the handshake with, counted; NULL: there is none, which is logged.
static struct tls_config *choose_config(struct conn *c, const struct server *s, const struct greeting *g) {
    const struct https *h = s->https;
    if (h == NULL || (h->config == NULL && h->choose == NULL) || h->reject) {
        log_msg(LOG_INFO, 0, "SSL_do_handshake() failed (the server \"" STR_FMT "\" %s)", STR_ARG(s->name),
                h != NULL && h->reject ? "refuses handshakes: ssl_reject_handshake" : "has no ssl_certificate");
        return NULL;
    }
    if (h->choose == NULL)
        return tls_config_ref(h->config);
    struct req *r = req_new(link_loop(c->link), c, c->conf, s, &h1_codec);
    c->hello = &g->hello;
    struct tls_config *config = h->choose(h, r);
    c->hello = NULL;
    req_free(r);
    return config;
}

// A fatal alert (RFC 8446 6), unrecognized_name: the client learns why.
static void refuse(struct conn *c) {
    static const char alert[] = "\x15\x03\x03\x00\x02\x02\x70";
    struct chain out;
    chain_init(&out, loop_blocks(link_loop(c->link)));
    chain_add_const(&out, alert, sizeof alert - 1);
    (void)link_try_write(c->link, &out, false);
    chain_done(&out);
}

// --- the handshake -----------------------------------------------------------------------------------------------------------

#define ALPN_HTTP1 "\x08http/1.1\x08http/1.0\x08http/0.9"

static bool handshake(struct conn *c, const struct greeting *g, uint64_t deadline) {
    struct arena names;
    arena_init(&names, loop_blocks(link_loop(c->link)));
    const struct server *s = choose_server(c, g, &names);
    arena_done(&names);
    struct tls_config *config = choose_config(c, s, g);
    if (config == NULL) {
        refuse(c);
        return false;
    }
    struct tls_accept a = {
        .config = config,
        .alpn = conn_offers_http2(c, s) ? STR("\x02h2" ALPN_HTTP1) : STR(ALPN_HTTP1),
        .server_name = g->result == CLIENT_HELLO_OK ? g->hello.server_name : STR(""),
        .hello = g->block->data,
        .hello_n = g->n,
    };
    c->tls_policy = s->https->policy;
    struct tls_failure why;
    uint64_t now = loop_now(link_loop(c->link));
    int err = link_tls_accept(c->link, &a, deadline > now ? deadline - now : 0, &why);
    tls_config_unref(config);
    if (err == 0) {
        if (s->https->inspect != NULL)
            s->https->inspect(s->https, c);
        link_tls_settle(c->link);
        if (link_tls_early(c->link))
            c->early_conf = conf_ref(c->conf);
        if (str_eq(link_tls_alpn(c->link), STR("h2")))
            c->serve = h2_serve;
        return true;
    }
    if (err == -ETIMEDOUT)
        log_msg(LOG_INFO, ETIMEDOUT, "client timed out (client_header_timeout)");
    else if (err != -ECANCELED)
        log_msg((enum log_level)why.level, why.err, "%s", why.text);
    return false;
}

bool conn_secure(struct conn *c) {
    struct loop *loop = link_loop(c->link);
    const struct scope *scope = c->vhosts->fallback->scope;
    const struct http_core *core = scope_conf(scope, &feature_http_core);
    uint64_t deadline = loop_now(loop) + core->client_header_timeout;
    struct stranger who = {{.log = scope_error_log(scope), .connection = c->number, .debug = c->debug, .details = details}, c};
    struct greeting g = {.block = block_new(loop_blocks(loop), HELLO_FIRST)};
    struct block *room = block_new(loop_blocks(loop), CLIENT_HELLO_MAX);
    log_set_context(&who.log);
    c->secured = true;
    bool ok = true;
    int err = read_hello(c, &g, room->data, deadline);
    if (err != 0) {
        ok = false;
        if (err == -ETIMEDOUT)
            log_msg(LOG_INFO, ETIMEDOUT, "client timed out (client_header_timeout %llu ms)",
                    (unsigned long long)core->client_header_timeout);
        else if (g.n != 0 && err != -ECANCELED)
            log_msg(LOG_INFO, -err, "peer closed connection in SSL handshake");
    } else if (g.result == CLIENT_HELLO_NOT_TLS) {
        struct chain plain;
        chain_init(&plain, loop_blocks(loop));
        chain_add_block(&plain, g.block, g.block->data, g.n);
        link_unread(c->link, &plain);
    } else {
        ok = handshake(c, &g, deadline);
    }
    log_set_context(NULL);
    block_unref(room);
    block_unref(g.block);
    return ok;
}
