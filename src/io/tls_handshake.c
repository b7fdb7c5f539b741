// Handshakes: the server's side, and the waiting that both sides share.
#include "io/tls_private.h"
#include <openssl/err.h>
#include <stdlib.h>

// --- waiting ---------------------------------------------------------------------------------------------------------------

static int flush_all(struct link *l, uint64_t deadline) {
    int err;
    while ((err = tls_flush(l, false)) == -EAGAIN) {
        uint64_t now = l->loop->now;
        err = link_wait(l, LINK_WAIT_WRITE, deadline > now ? deadline - now : 0);
        if (err < 0)
            return err;
    }
    return err;
}

static int wait_readable(struct link *l, uint64_t deadline) {
    uint64_t now = l->loop->now;
    int r = link_wait(l, LINK_WAIT_READ, deadline > now ? deadline - now : 0);
    return r < 0 ? r : 0;
}

// The wait or the link failed, not TLS.
static int link_failed(struct tls_failure *why, int err) {
    if (err == -ETIMEDOUT)
        tls_fail(why, LOG_INFO, ETIMEDOUT, "timed out");
    else if (err == -ECANCELED)
        tls_fail(why, LOG_INFO, 0, "cancelled");
    else
        tls_fail(why, LOG_INFO, -err, "peer closed connection in SSL handshake");
    return err;
}

// Early data goes to the link as bytes that were received: 1 when the request can be looked at, 0 when there are none.
static int take_early(struct link *l) {
    struct tls *t = tls_of(l);
    struct block *b = block_new(l->loop->blocks, TLS_EARLY_MAX);
    size_t n = 0;
    int r = SSL_read_early_data(t->ssl, b->data, TLS_EARLY_MAX, &n);
    if (r == SSL_READ_EARLY_DATA_SUCCESS) {
        struct chain c;
        chain_init(&c, l->loop->blocks);
        chain_add_block(&c, b, b->data, n);
        t->early = t->early_write = true;
        link_unread(l, &c);
    }
    block_unref(b);
    return r == SSL_READ_EARLY_DATA_SUCCESS ? 1 : r == SSL_READ_EARLY_DATA_FINISH ? 0 : -1;
}

// One step: 0 when the handshake is over (or what came with it can be read), -EAGAIN, or -errno.
static int step(struct link *l, bool *early, struct tls_failure *why) {
    struct tls *t = tls_of(l);
    tls_enter(l);
    if (*early) {
        int r = take_early(l);
        if (r == 1)
            return 0;
        if (r < 0)
            return tls_result(l, r, "SSL_read_early_data", why);
        *early = false;
        tls_enter(l);
    }
    int r = SSL_do_handshake(t->ssl);
    return r == 1 ? 0 : tls_result(l, r, "SSL_do_handshake", why);
}

// What is left to send can go out with what comes next: our Finished with the request, a ticket with the answer to a request
// that is here already. Not with one that is still to come: a client whose TCP waits for our acknowledgement (Nagle) would
// wait for that.
static bool may_hold(const struct link *l) {
    const SSL *ssl = l->tls->ssl;
    if (SSL_version(ssl) != TLS1_3_VERSION || !SSL_is_init_finished(ssl))
        return false;
    return !SSL_is_server(ssl) || link_ready_to_read(l);
}

int tls_shake(struct link *l, uint64_t timeout_ms, struct tls_failure *why) {
    struct tls *t = tls_of(l);
    uint64_t deadline = timeout_ms < UINT64_MAX - l->loop->now ? l->loop->now + timeout_ms : UINT64_MAX;
    bool early = SSL_is_server(t->ssl) && SSL_get_max_early_data(t->ssl) != 0;
    for (;;) {
        int err = step(l, &early, why);
        if (err == 0 && may_hold(l)) {
            tls_hold(l);
            break;
        }
        int sent = flush_all(l, deadline);
        if (err != 0 && err != -EAGAIN)
            return err; // what was sent is the alert
        if (sent != 0)
            return link_failed(why, sent);
        if (err == 0)
            break;
        err = wait_readable(l, deadline);
        if (err != 0)
            return link_failed(why, err);
    }
    t->shaking = false;
    return 0;
}

// --- the server's side -------------------------------------------------------------------------------------------------------

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in, unsigned in_n, void *arg) {
    const struct tls *t = tls_of(tls_loop()->current);
    struct str known = t->accept != NULL ? t->accept->alpn : STR("");
    if (known.n == 0)
        return SSL_TLSEXT_ERR_NOACK;
    static const struct str http2 = STR_INIT("\x02h2");
    if (SSL_version(ssl) < TLS1_2_VERSION && str_starts(known, http2))
        known = str_from(known, http2.n); // RFC 9113 9.2
    unsigned char *found;
    if (SSL_select_next_proto(&found, out_n, (const unsigned char *)known.p, (unsigned)known.n, in, in_n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = found;
    return SSL_TLSEXT_ERR_OK;
}

void tls_alpn_attach(SSL_CTX *ctx) { SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL); }

// What sessions of this connection belong to: the settings' id and the name that was asked for.
static bool bind_sessions(SSL *ssl, const struct tls_settings *s, struct str name) {
    struct tls_loop *loop = tls_loop();
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool ok = c != NULL && EVP_DigestInit_ex2(c, loop->kdf.sha256.md, NULL) == 1 && EVP_DigestUpdate(c, s->id.p, s->id.n) == 1 &&
              EVP_DigestUpdate(c, "", 1) == 1 && EVP_DigestUpdate(c, name.p, name.n) == 1 && EVP_DigestFinal_ex(c, digest, &n) == 1 &&
              SSL_set_session_id_context(ssl, digest, MIN(n, (unsigned)SSL_MAX_SID_CTX_LENGTH)) == 1;
    EVP_MD_CTX_free(c);
    return ok;
}

// The name by which the config was chosen must be the one that OpenSSL read.
static bool same_name(const struct tls *t) {
    const char *name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
    return name == NULL || str_eq(str_c(name), t->server_name);
}

int link_tls_accept(struct link *l, const struct tls_accept *a, uint64_t timeout_ms, struct tls_failure *why) {
    ERR_clear_error();
    SSL_CTX *ctx = tls_context_of(a->config);
    const struct tls_settings *s = tls_config_settings(a->config);
    SSL *ssl = ctx != NULL ? SSL_new(ctx) : NULL;
    if (ssl == NULL || !bind_sessions(ssl, s, a->server_name)) {
        tls_fail(why, LOG_CRIT, 0, "SSL_new() failed");
        SSL_free(ssl);
        return -ENOMEM;
    }
    BIO *bio = tls_loop()->bio;
    BIO_up_ref(bio);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_accept_state(ssl);
    tls_records_watch(ssl);
    struct tls *t = tls_start(l, ssl, a->server_name, s->record);
    if (t == NULL) {
        tls_fail(why, LOG_CRIT, ENOMEM, "no memory for TLS");
        SSL_free(ssl);
        return -ENOMEM;
    }
    for (size_t i = 0; i < s->ncommands; i++)
        t->keep_ssl |= str_ieq(s->commands[i].name, STR("RecordPadding"));
    tls_feed(l, a->hello, a->hello_n);
    t->accept = a;
    int err = tls_shake(l, timeout_ms, why);
    t->accept = NULL;
    if (err == 0 && !same_name(t)) {
        tls_fail(why, LOG_ERR, 0, "the server name of the handshake was read in two ways");
        t->failed = true;
        err = -EPROTO;
    }
    return err;
}

// --- facts for everybody -------------------------------------------------------------------------------------------------------

struct str link_tls_alpn(const struct link *l) {
    const struct tls_saved *s = tls_saved_of(l);
    return s != NULL ? str_n(s->alpn, s->alpn_n) : STR("");
}

struct str link_tls_server_name(const struct link *l) { return l->tls != NULL ? l->tls->server_name : STR(""); }
bool link_tls_early(const struct link *l) { return l->tls != NULL && l->tls->ssl != NULL && !SSL_is_init_finished(l->tls->ssl); }
