// OCSP stapling (RFC 6066 8, RFC 6960): a response of the authority goes with the handshake. It comes from a file, or is fetched
// by a thread of its own when a client first asks for one, kept while it is good, and fetched anew in time.
#include "io/tls_config.h"
#include <openssl/err.h>
#include <openssl/http.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <time.h>

enum { RETRY_S = 300, REFRESH_S = 3600, SKEW_S = 300, TIMEOUT_S = 10, RESPONSE_MAX = 64 << 10 };

// Of one certificate. Under the lock.
struct tls_staple {
    pthread_mutex_t lock;
    unsigned char *der;
    int n;
    time_t until;               // by the wall clock the response is good so long
    uint64_t next_ms, tried_ms; // by the other one: when it is looked for again, when it was last
    bool busy;          // a thread is at it
};

static pthread_mutex_t make_lock = PTHREAD_MUTEX_INITIALIZER;

static struct tls_staple *staple_of(struct tls_config *c, size_t i) {
    pthread_mutex_lock(&make_lock);
    if (c->staples == NULL) {
        c->staples = xcalloc(c->settings.npairs, sizeof *c->staples);
        for (size_t k = 0; k < c->settings.npairs; k++)
            pthread_mutex_init(&c->staples[k].lock, NULL);
    }
    struct tls_staple *s = &c->staples[i];
    pthread_mutex_unlock(&make_lock);
    return s;
}

void tls_staples_free(struct tls_config *c) {
    for (size_t i = 0; c->staples != NULL && i < c->settings.npairs; i++) {
        OPENSSL_free(c->staples[i].der);
        pthread_mutex_destroy(&c->staples[i].lock);
    }
    free(c->staples);
}

void tls_staples_forget(struct tls_config *c) {
    pthread_mutex_lock(&make_lock);
    for (size_t i = 0; c->staples != NULL && i < c->settings.npairs; i++) {
        pthread_mutex_lock(&c->staples[i].lock);
        c->staples[i].until = 0;
        c->staples[i].next_ms = c->staples[i].tried_ms = 0;
        pthread_mutex_unlock(&c->staples[i].lock);
    }
    pthread_mutex_unlock(&make_lock);
}

// --- certificates ----------------------------------------------------------------------------------------------------------

static STACK_OF(X509) *read_all(const struct tls_text *t) {
    STACK_OF(X509) *all = sk_X509_new_null();
    BIO *b = t->p != NULL ? BIO_new_mem_buf(t->p, (int)t->n) : NULL;
    X509 *x;
    while (b != NULL && (x = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL)
        sk_X509_push(all, x);
    BIO_free(b);
    ERR_clear_error();
    return all;
}

static X509 *issuer_in(STACK_OF(X509) *all, X509 *leaf) {
    for (int i = 0; i < sk_X509_num(all); i++) {
        X509 *x = sk_X509_value(all, i);
        if (x != leaf && X509_check_issued(x, leaf) == X509_V_OK)
            return x;
    }
    return NULL;
}

// What is known of one certificate's authority.
struct authority {
    STACK_OF(X509) *chain, *trusted;
    X509 *leaf, *issuer; // of these
    struct str url;      // malloc'ed, or ""
};

static void authority_open(struct authority *a, const struct tls_settings *s, const struct tls_material *m, size_t i) {
    *a = (struct authority){.chain = read_all(&m->certs[i]), .trusted = read_all(&m->trusted_ca), .url = STR("")};
    a->leaf = sk_X509_num(a->chain) > 0 ? sk_X509_value(a->chain, 0) : NULL;
    if (a->leaf == NULL)
        return;
    a->issuer = issuer_in(a->chain, a->leaf);
    if (a->issuer == NULL)
        a->issuer = issuer_in(a->trusted, a->leaf);
    STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp(a->leaf);
    struct str url = s->responder;
    if (url.n == 0 && urls != NULL && sk_OPENSSL_STRING_num(urls) > 0)
        url = str_c(sk_OPENSSL_STRING_value(urls, 0));
    if (url.n != 0)
        a->url = str_c(str_xdup(url));
    X509_email_free(urls);
}

static void authority_close(struct authority *a) {
    sk_X509_pop_free(a->chain, X509_free);
    sk_X509_pop_free(a->trusted, X509_free);
    if (a->url.n != 0)
        free((char *)(uintptr_t)a->url.p);
}

const char *tls_staple_problem(struct tls_config *c, size_t i) {
    struct tls_material *m = tls_material_of(c);
    struct authority a;
    authority_open(&a, &c->settings, m, i);
    const char *problem = c->settings.stapling_file.n != 0 ? NULL
                          : a.issuer == NULL               ? "issuer certificate not found for certificate"
                          : a.url.n == 0                   ? "no OCSP responder URL in the certificate"
                                                           : NULL;
    authority_close(&a);
    tls_material_unref(m);
    return problem;
}

// --- a response --------------------------------------------------------------------------------------------------------------

static time_t time_of(const ASN1_GENERALIZEDTIME *t) {
    int days, seconds;
    return t != NULL && ASN1_TIME_diff(&days, &seconds, NULL, t) == 1 ? time(NULL) + (time_t)days * 86400 + seconds : 0;
}

static bool verify(OCSP_BASICRESP *basic, const struct tls_settings *s, const struct authority *a) {
    X509_STORE *store = X509_STORE_new();
    for (int i = 0; i < sk_X509_num(a->trusted); i++)
        X509_STORE_add_cert(store, sk_X509_value(a->trusted, i));
    // Its signature always; whom the signer must come from only where ssl_stapling_verify says so, as in nginx.
    int ok = OCSP_basic_verify(basic, a->chain, store, s->stapling_verify ? OCSP_TRUSTOTHER : OCSP_NOVERIFY);
    X509_STORE_free(store);
    return ok == 1;
}

// NULL when the response may be stapled; *until says for how long. Else what is wrong with it.
static const char *judge(OCSP_RESPONSE *r, const struct tls_settings *s, const struct authority *a, time_t *until) {
    if (OCSP_response_status(r) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        return OCSP_response_status_str(OCSP_response_status(r));
    OCSP_BASICRESP *basic = OCSP_response_get1_basic(r);
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, a->leaf, a->issuer);
    ASN1_GENERALIZEDTIME *from = NULL, *to = NULL;
    int status = -1, reason;
    const char *wrong = NULL;
    if (basic == NULL || id == NULL)
        wrong = "it cannot be read";
    else if (!verify(basic, s, a))
        wrong = "its signature is not valid";
    else if (OCSP_resp_find_status(basic, id, &status, &reason, NULL, &from, &to) != 1)
        wrong = "it is about another certificate";
    else if (status != V_OCSP_CERTSTATUS_GOOD)
        wrong = OCSP_cert_status_str(status);
    else if (OCSP_check_validity(from, to, SKEW_S, -1) != 1)
        wrong = "it is not valid at this time";
    else
        *until = to != NULL ? time_of(to) : time(NULL) + REFRESH_S;
    OCSP_CERTID_free(id);
    OCSP_BASICRESP_free(basic);
    ERR_clear_error();
    return wrong;
}

// Asks the authority. NULL: nothing came; *why says what failed.
static OCSP_RESPONSE *fetch(const struct authority *a, const char **why) {
    char *host = NULL, *port = NULL, *path = NULL;
    int tls = 0;
    OCSP_RESPONSE *response = NULL;
    OCSP_REQUEST *request = OCSP_REQUEST_new();
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, a->leaf, a->issuer);
    *why = "the responder did not answer";
    if (OSSL_HTTP_parse_url(a->url.p, &tls, NULL, &host, &port, NULL, &path, NULL, NULL) != 1 || tls) {
        *why = "the responder's URL is not http://";
        OCSP_CERTID_free(id);
    } else if (OCSP_request_add0_id(request, id) == NULL) {
        OCSP_CERTID_free(id);
    } else {
        BIO *body = ASN1_item_i2d_mem_bio(ASN1_ITEM_rptr(OCSP_REQUEST), (const ASN1_VALUE *)request);
        BIO *got = OSSL_HTTP_transfer(NULL, host, port, path, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL,
                                      "application/ocsp-request", body, "application/ocsp-response", 1, RESPONSE_MAX, TIMEOUT_S, 0);
        response = got != NULL ? d2i_OCSP_RESPONSE_bio(got, NULL) : NULL;
        BIO_free(got);
        BIO_free(body);
    }
    OPENSSL_free(host);
    OPENSSL_free(port);
    OPENSSL_free(path);
    OCSP_REQUEST_free(request);
    ERR_clear_error();
    return response;
}

static OCSP_RESPONSE *read_file(const struct tls_material *m, const char **why) {
    const unsigned char *p = (const unsigned char *)m->stapling.p;
    *why = "the file holds no response";
    OCSP_RESPONSE *r = d2i_OCSP_RESPONSE(NULL, &p, (long)m->stapling.n);
    ERR_clear_error();
    return r;
}

// --- keeping it ----------------------------------------------------------------------------------------------------------------

struct job {
    struct tls_config *config; // counted
    size_t pair;
};

static void keep(struct tls_staple *s, OCSP_RESPONSE *r, time_t until) {
    unsigned char *der = NULL;
    int n = r != NULL ? i2d_OCSP_RESPONSE(r, &der) : 0;
    time_t now = time(NULL);
    pthread_mutex_lock(&s->lock);
    s->busy = false;
    s->tried_ms = loop_clock_now();
    s->next_ms = s->tried_ms + RETRY_S * 1000;
    if (n > 0) {
        OPENSSL_free(s->der);
        s->der = der;
        s->n = n;
        s->until = until;
        time_t rest = until - SKEW_S - now;
        s->next_ms = s->tried_ms + (uint64_t)MAX((time_t)RETRY_S, MIN((time_t)REFRESH_S, rest)) * 1000;
    }
    pthread_mutex_unlock(&s->lock);
}

static void *work(void *arg) {
    struct job *j = arg;
    const struct tls_settings *s = &j->config->settings;
    struct tls_material *m = tls_material_of(j->config);
    struct authority a;
    authority_open(&a, s, m, j->pair);
    const char *why = NULL;
    time_t until = 0;
    OCSP_RESPONSE *r = NULL;
    if (a.leaf != NULL && a.issuer != NULL) {
        r = m->stapling.p != NULL ? read_file(m, &why) : fetch(&a, &why);
        if (r != NULL)
            why = judge(r, s, &a, &until);
        if (why != NULL)
            log_msg(LOG_ERR, 0, "no OCSP response is stapled to certificate \"" STR_FMT "\": %s%s" STR_FMT "%s",
                    STR_ARG(s->pairs[j->pair].cert), why, a.url.n != 0 ? " (responder " : "", STR_ARG(a.url), a.url.n != 0 ? ")" : "");
    }
    keep(staple_of(j->config, j->pair), why == NULL ? r : NULL, until);
    OCSP_RESPONSE_free(r);
    authority_close(&a);
    tls_material_unref(m);
    tls_config_unref(j->config);
    free(j);
    return NULL;
}

// A fetch may take seconds: it has a thread of its own, so that it holds up no file. Under the staple's lock.
static void start(struct tls_config *c, size_t pair, struct tls_staple *s) {
    struct job *j = xcalloc(1, sizeof *j);
    *j = (struct job){tls_config_ref(c), pair};
    pthread_attr_t detached;
    pthread_t id;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    s->busy = true;
    if (pthread_create(&id, &detached, work, j) != 0) {
        s->busy = false;
        s->next_ms = loop_clock_now() + RETRY_S * 1000;
        tls_config_unref(c);
        free(j);
    }
    pthread_attr_destroy(&detached);
}

// Which of the config's pairs the connection shows.
static size_t pair_of(struct tls_config *c, SSL *ssl) {
    X509 *shown = SSL_get_certificate(ssl);
    size_t found = 0;
    if (c->settings.npairs == 1 || shown == NULL)
        return 0;
    struct tls_material *m = tls_material_of(c);
    for (size_t i = 0; i < m->npairs; i++) {
        STACK_OF(X509) *all = read_all(&m->certs[i]);
        if (sk_X509_num(all) > 0 && X509_cmp(sk_X509_value(all, 0), shown) == 0)
            found = i;
        sk_X509_pop_free(all, X509_free);
    }
    tls_material_unref(m);
    return found;
}

static int on_status(SSL *ssl, void *arg) {
    struct tls_config *c = container_of(arg, struct tls_config, settings);
    size_t pair = pair_of(c, ssl);
    struct tls_staple *s = staple_of(c, pair);
    time_t now = time(NULL);
    int result = SSL_TLSEXT_ERR_NOACK;
    pthread_mutex_lock(&s->lock);
    if (s->der != NULL && now < s->until) {
        unsigned char *copy = OPENSSL_memdup(s->der, (size_t)s->n);
        if (copy != NULL && SSL_set_tlsext_status_ocsp_resp(ssl, copy, s->n) == 1)
            result = SSL_TLSEXT_ERR_OK;
    }
    // The wall clock may have been set: then a response is over sooner than was thought.
    uint64_t now_ms = loop_clock_now();
    bool over = s->der != NULL && now >= s->until && now_ms >= s->tried_ms + RETRY_S * 1000;
    if (!s->busy && (now_ms >= s->next_ms || over))
        start(c, pair, s);
    pthread_mutex_unlock(&s->lock);
    return result;
}

void tls_staple_attach(SSL_CTX *ctx, const struct tls_settings *s) {
    SSL_CTX_set_tlsext_status_cb(ctx, on_status);
    SSL_CTX_set_tlsext_status_arg(ctx, (void *)(uintptr_t)s);
}
