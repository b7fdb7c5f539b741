// The client's side: handshakes with back ends, whose names are verified, and the sessions for the next connection, which
// each loop keeps for itself.
#include "io/tls_config.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

enum { PEERS_MAX = 1024 };

// The last session under one key.
struct tls_peer {
    struct list node; // in tls_loop.peers; unlinked: only links still know it
    unsigned refs;
    SSL_SESSION *session;
    size_t n;
    char key[];
};

void tls_peer_unref(struct tls_peer *p) {
    if (p == NULL || --p->refs != 0)
        return;
    SSL_SESSION_free(p->session);
    free(p);
}

static void forget_peer(struct tls_loop *t, struct tls_peer *p) {
    map_del(&t->peers_by_key, str_n(p->key, p->n));
    list_remove(&p->node);
    tls_peer_unref(p);
}

void tls_peers_free(struct tls_loop *t) {
    while (!list_empty(&t->peers))
        forget_peer(t, list_first(&t->peers, struct tls_peer, node));
    map_done(&t->peers_by_key);
}

// Counted; NULL: no memory.
static struct tls_peer *peer_of(struct tls_loop *t, struct str key) {
    struct tls_peer *p = map_get(&t->peers_by_key, key);
    if (p == NULL) {
        p = calloc(1, sizeof *p + key.n);
        if (p == NULL)
            return NULL;
        p->refs = 1;
        p->n = key.n;
        memcpy(p->key, key.p, key.n);
        map_put(&t->peers_by_key, str_n(p->key, p->n), p);
        if (t->peers_by_key.count > PEERS_MAX)
            forget_peer(t, list_first(&t->peers, struct tls_peer, node));
    } else {
        list_remove(&p->node);
    }
    list_push_back(&t->peers, &p->node);
    p->refs++;
    return p;
}

static int on_new(SSL *ssl, SSL_SESSION *session) {
    struct link *l = tls_loop()->current;
    struct tls_peer *p = l != NULL && l->tls != NULL && l->tls->ssl == ssl ? l->tls->peer : NULL;
    if (p == NULL)
        return 0;
    SSL_SESSION_free(p->session);
    p->session = session;
    return 1;
}

void tls_client_attach(SSL_CTX *ctx) {
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_new);
}

// nginx's judgement and words.
static int verify(const struct tls *t, struct str name, struct tls_failure *why) {
    long result = SSL_get_verify_result(t->ssl);
    X509 *cert = SSL_get0_peer_certificate(t->ssl);
    struct sbuf b;
    sbuf_init_fixed(&b, why->text, sizeof why->text);
    why->level = LOG_ERR;
    why->err = 0;
    if (result != X509_V_OK) {
        sbuf_printf(&b, "upstream SSL certificate verify error: (%ld:%s)", result, X509_verify_cert_error_string(result));
    } else if (cert == NULL || (X509_check_host(cert, name.p, name.n, 0, NULL) != 1 && X509_check_ip_asc(cert, name.p, 0) != 1)) {
        ERR_clear_error();
        sbuf_printf(&b, "upstream SSL certificate does not match \"" STR_FMT "\"", STR_ARG(name));
    } else {
        return 0;
    }
    sbuf_cstr(&b);
    return -EPROTO;
}

static bool is_ip(struct str name) {
    struct addr a;
    return addr_parse_ip(&a, name) || (name.n != 0 && name.p[0] == '[');
}

// RFC 6066 3: no literal addresses.
static bool prepare(SSL *ssl, const struct tls_connect *c) {
    if (c->server_name.n != 0 && !is_ip(c->server_name) && SSL_set_tlsext_host_name(ssl, c->server_name.p) != 1)
        return false;
    return c->alpn.n == 0 || SSL_set_alpn_protos(ssl, (const unsigned char *)c->alpn.p, (unsigned)c->alpn.n) == 0;
}

int link_tls_connect(struct link *l, const struct tls_connect *c, uint64_t timeout_ms, struct tls_failure *why) {
    ERR_clear_error();
    struct tls_loop *loop = tls_loop();
    SSL_CTX *ctx = tls_context_of(c->config);
    SSL *ssl = ctx != NULL ? SSL_new(ctx) : NULL;
    if (ssl == NULL || !prepare(ssl, c)) {
        tls_fail(why, LOG_CRIT, 0, "SSL_new() failed");
        SSL_free(ssl);
        return -ENOMEM;
    }
    BIO_up_ref(loop->bio);
    SSL_set_bio(ssl, loop->bio, loop->bio);
    SSL_set_connect_state(ssl);
    struct tls *t = tls_start(l, ssl, c->server_name, tls_config_settings(c->config)->record);
    if (t == NULL) {
        tls_fail(why, LOG_CRIT, ENOMEM, "no memory for TLS");
        SSL_free(ssl);
        return -ENOMEM;
    }
    if (c->session_key.n != 0)
        t->peer = peer_of(loop, c->session_key);
    if (t->peer != NULL && t->peer->session != NULL)
        SSL_set_session(ssl, t->peer->session);
    int err = tls_shake(l, timeout_ms, why);
    if (err == 0 && c->verify_name.n != 0)
        err = verify(t, c->verify_name, why);
    if (err != 0 && t->peer != NULL) { // a session must not be a way around what failed
        SSL_SESSION_free(t->peer->session);
        t->peer->session = NULL;
    }
    return err;
}
