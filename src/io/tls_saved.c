// What is known of a connection beyond its records: taken from its SSL once, so that the SSL need not stay for it.
#include "io/tls_private.h"
#include <stdlib.h>

static size_t count_groups(SSL *ssl) {
    long n = SSL_get1_groups(ssl, NULL);
    return n > 0 && n <= TLS_GROUPS_MAX ? (size_t)n : 0;
}

static struct tls_saved *saved_new(SSL *ssl) {
    const unsigned char *raw = NULL;
    size_t nraw = SSL_get0_raw_cipherlist(ssl, &raw), ngroups = count_groups(ssl);
    struct tls_saved *s = calloc(1, sizeof *s + ngroups * sizeof s->groups[0] + nraw);
    if (s == NULL)
        return NULL;
    s->ngroups = (uint16_t)ngroups;
    if (ngroups != 0)
        SSL_get1_groups(ssl, s->groups);
    s->ciphers = (const unsigned char *)(s->groups + ngroups);
    s->nciphers = (uint16_t)nraw;
    s->cipher_size = nraw != 0 ? (uint8_t)SSL_get0_raw_cipherlist(ssl, NULL) : 0;
    if (nraw != 0)
        memcpy(s->groups + ngroups, raw, nraw);
    s->version = SSL_get_version(ssl);
    s->cipher = SSL_get_current_cipher(ssl);
    s->group = (int)SSL_get_negotiated_group(ssl);
    if (SSL_get_signature_type_nid(ssl, &s->sigalg) != 1)
        s->sigalg = NID_undef;
    if (SSL_get_peer_signature_type_nid(ssl, &s->peer_sigalg) != 1)
        s->peer_sigalg = NID_undef;
    s->reused = SSL_session_reused(ssl);
    s->peer = SSL_get1_peer_certificate(ssl);
    s->verify = SSL_get_verify_result(ssl);
    unsigned n = 0;
    SSL_SESSION *session = SSL_get0_session(ssl);
    const unsigned char *id = session != NULL ? SSL_SESSION_get_id(session, &n) : NULL;
    s->session_id_n = (uint8_t)MIN(n, (unsigned)sizeof s->session_id);
    if (s->session_id_n != 0)
        memcpy(s->session_id, id, s->session_id_n);
    const unsigned char *alpn = NULL;
    SSL_get0_alpn_selected(ssl, &alpn, &n);
    s->alpn_n = (uint8_t)MIN(n, (unsigned)sizeof s->alpn);
    if (s->alpn_n != 0)
        memcpy(s->alpn, alpn, s->alpn_n);
    s->final = SSL_is_init_finished(ssl);
    return s;
}

void tls_saved_free(struct tls_saved *s) {
    if (s != NULL)
        X509_free(s->peer);
    free(s);
}

const struct tls_saved *tls_saved_of(const struct link *l) {
    struct tls *t = l->tls;
    if (t == NULL || (t->saved != NULL && (t->saved->final || t->ssl == NULL)))
        return t != NULL ? t->saved : NULL;
    tls_saved_free(t->saved); // early data: the handshake went on since
    t->saved = saved_new(t->ssl);
    return t->saved;
}
