// A context of OpenSSL's from what a configuration says, with nginx's choices where it says nothing.
#include "io/tls_config.h"
#include <openssl/err.h>

static bool say(struct sbuf *why, const char *fmt, ...) PRINTF_LIKE(2, 3);
static bool say(struct sbuf *why, const char *fmt, ...) {
    if (why == NULL)
        return false;
    va_list ap;
    va_start(ap, fmt);
    sbuf_vprintf(why, fmt, ap);
    va_end(ap);
    tls_errors(why);
    return false;
}

static void set_protocols(SSL_CTX *ctx, unsigned allowed) {
    static const struct {
        unsigned bit;
        uint64_t option;
    } each[] = {
        {TLS_1_0, SSL_OP_NO_TLSv1}, {TLS_1_1, SSL_OP_NO_TLSv1_1}, {TLS_1_2, SSL_OP_NO_TLSv1_2}, {TLS_1_3, SSL_OP_NO_TLSv1_3},
    };
    if (allowed == 0)
        return;
    for (size_t i = 0; i < ARRAY_LEN(each); i++) {
        if ((allowed & each[i].bit) == 0)
            SSL_CTX_set_options(ctx, each[i].option);
    }
    // What the system's openssl.cnf says of versions gives way to what the configuration says.
    SSL_CTX_set_min_proto_version(ctx, 0);
    SSL_CTX_set_max_proto_version(ctx, 0);
}

static bool set_algorithms(SSL_CTX *ctx, const struct tls_settings *s, struct sbuf *why) {
    if (s->ciphers.n != 0 && SSL_CTX_set_cipher_list(ctx, s->ciphers.p) != 1)
        return say(why, "SSL_CTX_set_cipher_list(\"%s\") failed", s->ciphers.p);
    if (s->prefer_server_ciphers) {
        // With TLS 1.3 all ciphers are strong: the cheapest comes first, and for clients without AES in hardware ChaCha20.
        SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
    }
    if (s->curves.n != 0 && !str_eq(s->curves, STR("auto")) && SSL_CTX_set1_curves_list(ctx, s->curves.p) != 1)
        return say(why, "SSL_CTX_set1_curves_list(\"%s\") failed", s->curves.p);
    return true;
}

// The judgement over a client's certificate is passed when a request comes: then there is a page that says why.
static int accept_for_now(int ok, X509_STORE_CTX *store) { return 1; }

static bool set_trust(SSL_CTX *ctx, const struct tls_settings *s, const struct tls_material *m, OSSL_LIB_CTX *lib, struct sbuf *why) {
    if (m->client_ca.p != NULL && !tls_trust(ctx, &m->client_ca, true, lib, why))
        return false;
    if (m->trusted_ca.p != NULL && !tls_trust(ctx, &m->trusted_ca, false, lib, why))
        return false;
    if (m->crl.p != NULL && !tls_revoke(ctx, &m->crl, lib, why))
        return false;
    SSL_CTX_set_verify_depth(ctx, (int)s->depth);
    if (s->server && s->verify != TLS_VERIFY_OFF)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_for_now);
    return true;
}

static bool set_commands(SSL_CTX *ctx, const struct tls_settings *s, struct sbuf *why) {
    if (s->ncommands == 0)
        return true;
    SSL_CONF_CTX *conf = SSL_CONF_CTX_new();
    if (conf == NULL)
        return say(why, "SSL_CONF_CTX_new() failed");
    SSL_CONF_CTX_set_flags(conf, SSL_CONF_FLAG_FILE | SSL_CONF_FLAG_SERVER | SSL_CONF_FLAG_CLIENT | SSL_CONF_FLAG_CERTIFICATE |
                                     SSL_CONF_FLAG_SHOW_ERRORS);
    SSL_CONF_CTX_set_ssl_ctx(conf, ctx);
    bool ok = true;
    for (size_t i = 0; ok && i < s->ncommands; i++) {
        if (SSL_CONF_cmd(conf, s->commands[i].name.p, s->commands[i].value.p) <= 0)
            ok = say(why, "SSL_CONF_cmd(\"%s\", \"%s\") failed", s->commands[i].name.p, s->commands[i].value.p);
    }
    if (ok && SSL_CONF_CTX_finish(conf) != 1)
        ok = say(why, "SSL_CONF_finish() failed");
    SSL_CONF_CTX_free(conf);
    return ok;
}

// --- keys for who captures ---------------------------------------------------------------------------------------------------

static void log_keys(const SSL *ssl, const char *line) {
    const struct tls_settings *s = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct sbuf b;
    char text[512];
    sbuf_init_fixed(&b, text, sizeof text);
    sbuf_str(&b, str_c(line));
    sbuf_chr(&b, '\n');
    if (!b.overflow)
        log_file_write(s->key_log, sbuf_view(&b), 0, 0);
    OPENSSL_cleanse(text, sizeof text);
}

// --- sessions ----------------------------------------------------------------------------------------------------------------

static void set_server_sessions(SSL_CTX *ctx, const struct tls_settings *s) {
    long mode = SSL_SESS_CACHE_SERVER;
    bool cached = s->cache != NULL || s->builtin;
    SSL_CTX_set_timeout(ctx, (long)s->timeout_s);
    if (s->session_off) {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    } else if (!cached) {
        // Clients are told that sessions can be resumed, and find that they cannot (nginx "none").
        SSL_CTX_set_session_cache_mode(ctx, mode | SSL_SESS_CACHE_NO_AUTO_CLEAR | SSL_SESS_CACHE_NO_INTERNAL_STORE);
        SSL_CTX_sess_set_cache_size(ctx, 1);
    } else {
        if (s->cache != NULL && !s->builtin)
            mode |= SSL_SESS_CACHE_NO_INTERNAL;
        SSL_CTX_set_session_cache_mode(ctx, mode);
        if (s->builtin && s->builtin_size > 0)
            SSL_CTX_sess_set_cache_size(ctx, (long)s->builtin_size);
        if (s->cache != NULL)
            tls_cache_attach(ctx, s->cache);
    }
    if (!s->tickets)
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    // One ticket for each full handshake: a second one costs as much again, and clients that open several connections at once
    // use a ticket more than once. None where nothing could be resumed.
    SSL_CTX_set_num_tickets(ctx, s->tickets || cached ? 1 : 0);
}

static bool set_server(SSL_CTX *ctx, const struct tls_settings *s, const struct tls_material *m, OSSL_LIB_CTX *lib,
                       struct sbuf *why) {
    if (m->dhparam.p != NULL && !tls_use_dhparam(ctx, &m->dhparam, lib, why))
        return false;
    set_server_sessions(ctx, s);
    if (s->tickets && !tls_tickets_attach(ctx))
        return say(why, "SSL_CTX_set_tlsext_ticket_key_evp_cb() failed");
    if (s->early_data)
        SSL_CTX_set_max_early_data(ctx, TLS_EARLY_MAX);
    if (s->stapling && s->npairs != 0)
        tls_staple_attach(ctx, s);
    tls_alpn_attach(ctx);
    return true;
}

SSL_CTX *tls_build(const struct tls_settings *s, const struct tls_material *m, OSSL_LIB_CTX *lib, struct sbuf *why) {
    SSL_CTX *ctx = SSL_CTX_new_ex(lib, NULL, s->server ? TLS_server_method() : TLS_client_method());
    if (ctx == NULL) {
        say(why, "SSL_CTX_new() failed");
        return NULL;
    }
    SSL_CTX_set_app_data(ctx, (void *)(uintptr_t)s);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_ANTI_REPLAY);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    if (s->key_log != NULL)
        SSL_CTX_set_keylog_callback(ctx, log_keys);
    set_protocols(ctx, s->protocols);
    bool ok = set_algorithms(ctx, s, why) && set_trust(ctx, s, m, lib, why);
    for (size_t i = 0; ok && i < m->npairs; i++)
        ok = tls_use_pair(ctx, &m->certs[i], &m->keys[i], lib, why);
    if (ok && s->server)
        ok = set_server(ctx, s, m, lib, why);
    else if (ok)
        tls_client_attach(ctx);
    ok = ok && set_commands(ctx, s, why);
    if (ok)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}
