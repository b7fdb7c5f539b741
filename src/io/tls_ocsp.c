#include "io/tls_ocsp.h"
#include "base/arena.h"
#include "io/tls_private.h"
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <time.h>

enum { SKEW_S = 300 };

struct tls_ocsp {
    STACK_OF(X509) *chain;
    X509_STORE *store; // of the context; lives as long as the link
    size_t count;
};

// A resumed session has no chain: it is looked for again.
static STACK_OF(X509) *find_chain(SSL *ssl, X509_STORE *store, X509 *cert) {
    STACK_OF(X509) *known = SSL_get0_verified_chain(ssl);
    if (known != NULL)
        return X509_chain_up_ref(known);
    STACK_OF(X509) *found = NULL;
    X509_STORE_CTX *c = X509_STORE_CTX_new_ex(tls_loop()->lib, NULL);
    if (c != NULL && X509_STORE_CTX_init(c, store, cert, SSL_get_peer_cert_chain(ssl)) == 1 &&
        X509_STORE_CTX_set_default(c, "ssl_client") == 1 && X509_verify_cert(c) == 1)
        found = X509_STORE_CTX_get1_chain(c);
    X509_STORE_CTX_free(c);
    ERR_clear_error();
    return found;
}

struct tls_ocsp *tls_ocsp_new(const struct link *l, bool leaf, const char **why) {
    SSL *ssl = l->tls->ssl;
    X509 *cert = SSL_get0_peer_certificate(ssl);
    *why = NULL;
    if (cert == NULL || SSL_get_verify_result(ssl) != X509_V_OK)
        return NULL;
    X509_STORE *store = SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl));
    STACK_OF(X509) *chain = find_chain(ssl, store, cert);
    if (chain == NULL || sk_X509_num(chain) < 1) {
        *why = "no chain of certificates to a trusted one was found";
        sk_X509_pop_free(chain, X509_free);
        return NULL;
    }
    struct tls_ocsp *o = xcalloc(1, sizeof *o);
    o->chain = chain;
    o->store = store;
    size_t below = (size_t)sk_X509_num(chain) - 1;
    o->count = leaf ? MIN(below, (size_t)1) : below;
    return o;
}

void tls_ocsp_free(struct tls_ocsp *o) {
    if (o == NULL)
        return;
    sk_X509_pop_free(o->chain, X509_free);
    free(o);
}

size_t tls_ocsp_count(const struct tls_ocsp *o) { return o->count; }

static OCSP_CERTID *id_of(const struct tls_ocsp *o, size_t i) {
    return OCSP_cert_to_id(NULL, sk_X509_value(o->chain, (int)i), sk_X509_value(o->chain, (int)i + 1));
}

static bool give_der(struct str *out, struct arena *a, unsigned char *der, int n) {
    if (n > 0)
        *out = arena_dup(a, str_n((const char *)der, (size_t)n));
    OPENSSL_free(der);
    return n > 0;
}

bool tls_ocsp_question(struct tls_ocsp *o, size_t i, struct arena *a, struct tls_ocsp_question *q) {
    CHECK(i < o->count);
    *q = (struct tls_ocsp_question){.url = STR("")};
    OCSP_CERTID *id = id_of(o, i);
    OCSP_REQUEST *r = OCSP_REQUEST_new();
    unsigned char *der = NULL;
    int n = id != NULL ? i2d_OCSP_CERTID(id, &der) : 0;
    bool ok = give_der(&q->id, a, der, n) && r != NULL && OCSP_request_add0_id(r, id) != NULL;
    if (ok)
        id = NULL; // the request's
    der = NULL;
    n = ok ? i2d_OCSP_REQUEST(r, &der) : 0;
    ok = give_der(&q->der, a, der, n);
    OCSP_CERTID_free(id);
    OCSP_REQUEST_free(r);
    STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp(sk_X509_value(o->chain, (int)i));
    if (urls != NULL && sk_OPENSSL_STRING_num(urls) > 0)
        q->url = arena_dup(a, str_c(sk_OPENSSL_STRING_value(urls, 0)));
    X509_email_free(urls);
    ERR_clear_error();
    return ok;
}

static int64_t time_of(const ASN1_GENERALIZEDTIME *t) {
    int days, seconds;
    return t != NULL && ASN1_TIME_diff(&days, &seconds, NULL, t) == 1 ? (int64_t)time(NULL) + (int64_t)days * 86400 + seconds : 0;
}

static const char *judge_basic(struct tls_ocsp *o, size_t i, OCSP_BASICRESP *basic, int *status, int64_t *until) {
    OCSP_CERTID *id = id_of(o, i);
    ASN1_GENERALIZEDTIME *from = NULL, *to = NULL;
    int reason;
    const char *wrong = NULL;
    if (id == NULL)
        wrong = "it cannot be read";
    else if (OCSP_basic_verify(basic, o->chain, o->store, OCSP_TRUSTOTHER) != 1)
        wrong = "its signature is not valid";
    else if (OCSP_resp_find_status(basic, id, status, &reason, NULL, &from, &to) != 1)
        wrong = "it is about another certificate";
    else if (OCSP_check_validity(from, to, SKEW_S, -1) != 1)
        wrong = "it is not valid at this time";
    else
        *until = time_of(to);
    OCSP_CERTID_free(id);
    return wrong;
}

enum tls_ocsp_verdict tls_ocsp_judge(struct tls_ocsp *o, size_t i, struct str der, int64_t *until, const char **why) {
    CHECK(i < o->count);
    const unsigned char *p = (const unsigned char *)der.p;
    OCSP_RESPONSE *r = d2i_OCSP_RESPONSE(NULL, &p, (long)der.n);
    OCSP_BASICRESP *basic = NULL;
    int status = V_OCSP_CERTSTATUS_UNKNOWN;
    *until = 0;
    if (r == NULL)
        *why = "it cannot be read";
    else if (OCSP_response_status(r) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        *why = OCSP_response_status_str(OCSP_response_status(r));
    else if ((basic = OCSP_response_get1_basic(r)) == NULL)
        *why = "it cannot be read";
    else
        *why = judge_basic(o, i, basic, &status, until);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(r);
    ERR_clear_error();
    if (*why != NULL)
        return TLS_OCSP_UNKNOWN;
    if (status == V_OCSP_CERTSTATUS_GOOD)
        return TLS_OCSP_GOOD;
    *why = "the authority does not know the certificate";
    return status == V_OCSP_CERTSTATUS_REVOKED ? TLS_OCSP_REVOKED : TLS_OCSP_UNKNOWN;
}
