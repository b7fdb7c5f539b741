// What is known of a connection over TLS: the values of $ssl_*, in nginx's forms.
#include "base/arena.h"
#include "io/tls_private.h"
#include "wire/uri.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

static X509 *cert_of(const struct link *l) {
    const struct tls_saved *s = tls_saved_of(l);
    return s != NULL ? s->peer : NULL;
}

static bool give(struct str *out, struct arena *a, const char *text) {
    *out = text != NULL ? arena_dup(a, str_c(text)) : STR("");
    return text != NULL;
}

// Takes the text of a memory BIO.
static bool give_bio(struct str *out, struct arena *a, BIO *b) {
    char *p = NULL;
    long n = b != NULL ? BIO_get_mem_data(b, &p) : 0;
    if (n > 0)
        *out = arena_dup(a, str_n(p, (size_t)n));
    BIO_free(b);
    return n > 0;
}

bool tls_fact_protocol(const struct link *l, struct arena *a, struct str *out) {
    const struct tls_saved *s = tls_saved_of(l);
    return s != NULL && give(out, a, s->version);
}
bool tls_fact_cipher(const struct link *l, struct arena *a, struct str *out) {
    const struct tls_saved *s = tls_saved_of(l);
    return s != NULL && give(out, a, SSL_CIPHER_get_name(s->cipher));
}

static void put_hex(struct sbuf *b, const unsigned char *p, size_t n) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        sbuf_chr(b, digits[p[i] >> 4]);
        sbuf_chr(b, digits[p[i] & 15]);
    }
}

// --- what the client offered ---------------------------------------------------------------------------------------------------

static const SSL_CIPHER *find_cipher(const unsigned char *p) {
    struct tls_loop *t = tls_loop();
    if (t->any == NULL) {
        SSL_CTX *ctx = SSL_CTX_new_ex(t->lib, NULL, TLS_server_method());
        t->any = ctx != NULL ? SSL_new(ctx) : NULL;
        SSL_CTX_free(ctx);
    }
    return t->any != NULL ? SSL_CIPHER_find(t->any, p) : NULL;
}

bool tls_fact_ciphers(const struct link *l, struct arena *a, struct str *out) {
    const struct tls_saved *s = tls_saved_of(l);
    size_t n = s != NULL ? s->nciphers : 0, each = s != NULL ? s->cipher_size : 0;
    if (n == 0 || each == 0)
        return false;
    struct sbuf b;
    sbuf_init_arena(&b, a, n * 16, 1 << 20);
    for (size_t i = 0; i + each <= n; i += each) {
        const SSL_CIPHER *c = find_cipher(s->ciphers + i);
        if (i != 0)
            sbuf_chr(&b, ':');
        if (c != NULL) {
            sbuf_str(&b, str_c(SSL_CIPHER_get_name(c)));
        } else {
            sbuf_lit(&b, "0x");
            put_hex(&b, s->ciphers + i, each);
        }
    }
    *out = sbuf_view(&b);
    return true;
}

static void put_group(struct sbuf *b, int nid) {
    if (nid & TLSEXT_nid_unknown) {
        sbuf_printf(b, "0x%04x", (unsigned)nid & 0xffff);
        return;
    }
    const char *name = OBJ_nid2sn(nid);
    sbuf_str(b, str_c(name != NULL ? name : "unknown"));
}

bool tls_fact_curves(const struct link *l, struct arena *a, struct str *out) {
    const struct tls_saved *s = tls_saved_of(l);
    if (s == NULL || s->ngroups == 0)
        return false;
    struct sbuf b;
    sbuf_init_arena(&b, a, 128, 64 << 10);
    for (size_t i = 0; i < s->ngroups; i++) {
        if (i != 0)
            sbuf_chr(&b, ':');
        put_group(&b, s->groups[i]);
    }
    *out = sbuf_view(&b);
    return true;
}

bool tls_fact_curve(const struct link *l, struct arena *a, struct str *out) {
    const struct tls_saved *s = tls_saved_of(l);
    if (s == NULL || s->group == NID_undef)
        return false;
    struct sbuf b;
    sbuf_init_arena(&b, a, 32, 256);
    put_group(&b, s->group);
    *out = sbuf_view(&b);
    return true;
}

// --- the session ---------------------------------------------------------------------------------------------------------------

bool tls_fact_session_id(const struct link *l, struct arena *a, struct str *out) {
    const struct tls_saved *s = tls_saved_of(l);
    if (s == NULL || s->session_id_n == 0)
        return false;
    struct sbuf b;
    sbuf_init_arena(&b, a, s->session_id_n * 2u, 256);
    put_hex(&b, s->session_id, s->session_id_n);
    *out = sbuf_view(&b);
    return true;
}

bool tls_fact_session_reused(const struct link *l, struct arena *a, struct str *out) {
    const struct tls_saved *s = tls_saved_of(l);
    *out = s != NULL && s->reused ? STR("r") : STR(".");
    return true;
}

bool tls_fact_early_data(const struct link *l, struct arena *a, struct str *out) {
    *out = link_tls_early(l) ? STR("1") : STR("");
    return out->n != 0;
}

static bool give_nid(struct str *out, struct arena *a, int nid) { return nid != NID_undef && give(out, a, OBJ_nid2sn(nid)); }

bool tls_fact_sigalg(const struct link *l, struct arena *a, struct str *out) {
    const struct tls_saved *s = tls_saved_of(l);
    return s != NULL && give_nid(out, a, s->sigalg);
}

bool tls_fact_client_sigalg(const struct link *l, struct arena *a, struct str *out) {
    const struct tls_saved *s = tls_saved_of(l);
    return s != NULL && give_nid(out, a, s->peer_sigalg);
}

// --- the client's certificate ----------------------------------------------------------------------------------------------------

bool tls_fact_client_raw_cert(const struct link *l, struct arena *a, struct str *out) {
    X509 *x = cert_of(l);
    BIO *b = x != NULL ? BIO_new(BIO_s_mem()) : NULL;
    if (b != NULL)
        PEM_write_bio_X509(b, x);
    return give_bio(out, a, b);
}

// For a header field: every line but the first begins with a tab, and the last line end is gone.
bool tls_fact_client_cert(const struct link *l, struct arena *a, struct str *out) {
    struct str raw;
    if (!tls_fact_client_raw_cert(l, a, &raw))
        return false;
    struct sbuf b;
    sbuf_init_arena(&b, a, raw.n + 64, raw.n * 2 + 64);
    for (size_t i = 0; i + 1 < raw.n; i++) {
        sbuf_chr(&b, raw.p[i]);
        if (raw.p[i] == '\n')
            sbuf_chr(&b, '\t');
    }
    *out = sbuf_view(&b);
    return true;
}

bool tls_fact_client_escaped_cert(const struct link *l, struct arena *a, struct str *out) {
    struct str raw;
    if (!tls_fact_client_raw_cert(l, a, &raw))
        return false;
    *out = uri_escape(raw, URI_ESCAPE_COMPONENT, a);
    return true;
}

static bool give_name(struct str *out, struct arena *a, X509_NAME *name, bool legacy) {
    if (name == NULL)
        return false;
    if (legacy) {
        char *line = X509_NAME_oneline(name, NULL, 0);
        bool ok = give(out, a, line);
        OPENSSL_free(line);
        return ok;
    }
    BIO *b = BIO_new(BIO_s_mem());
    if (b != NULL)
        X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253);
    return give_bio(out, a, b);
}

static X509_NAME *subject(const struct link *l) { return cert_of(l) != NULL ? X509_get_subject_name(cert_of(l)) : NULL; }
static X509_NAME *issuer(const struct link *l) { return cert_of(l) != NULL ? X509_get_issuer_name(cert_of(l)) : NULL; }
bool tls_fact_client_s_dn(const struct link *l, struct arena *a, struct str *out) { return give_name(out, a, subject(l), false); }
bool tls_fact_client_i_dn(const struct link *l, struct arena *a, struct str *out) { return give_name(out, a, issuer(l), false); }
bool tls_fact_client_s_dn_legacy(const struct link *l, struct arena *a, struct str *out) {
    return give_name(out, a, subject(l), true);
}
bool tls_fact_client_i_dn_legacy(const struct link *l, struct arena *a, struct str *out) {
    return give_name(out, a, issuer(l), true);
}

bool tls_fact_client_serial(const struct link *l, struct arena *a, struct str *out) {
    X509 *x = cert_of(l);
    BIO *b = x != NULL ? BIO_new(BIO_s_mem()) : NULL;
    if (b != NULL)
        i2a_ASN1_INTEGER(b, X509_get0_serialNumber(x));
    return give_bio(out, a, b);
}

bool tls_fact_client_fingerprint(const struct link *l, struct arena *a, struct str *out) {
    X509 *x = cert_of(l);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (x == NULL || X509_digest(x, EVP_sha1(), digest, &n) != 1)
        return false;
    struct sbuf b;
    sbuf_init_arena(&b, a, n * 2, 256);
    put_hex(&b, digest, n);
    *out = sbuf_view(&b);
    return true;
}

static bool give_time(struct str *out, struct arena *a, const ASN1_TIME *t) {
    BIO *b = t != NULL ? BIO_new(BIO_s_mem()) : NULL;
    if (b != NULL)
        ASN1_TIME_print(b, t);
    return give_bio(out, a, b);
}

bool tls_fact_client_v_start(const struct link *l, struct arena *a, struct str *out) {
    return give_time(out, a, cert_of(l) != NULL ? X509_get0_notBefore(cert_of(l)) : NULL);
}
bool tls_fact_client_v_end(const struct link *l, struct arena *a, struct str *out) {
    return give_time(out, a, cert_of(l) != NULL ? X509_get0_notAfter(cert_of(l)) : NULL);
}

// Whole days.
bool tls_fact_client_v_remain(const struct link *l, struct arena *a, struct str *out) {
    X509 *x = cert_of(l);
    int days = 0, seconds = 0;
    if (x == NULL || ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x)) != 1)
        return false;
    *out = arena_printf(a, "%d", days > 0 ? days : 0);
    return true;
}

long link_tls_verify_result(const struct link *l, bool *present, const char **text) {
    *present = cert_of(l) != NULL;
    const struct tls_saved *s = tls_saved_of(l);
    long result = s != NULL ? s->verify : X509_V_OK;
    *text = result != X509_V_OK ? X509_verify_cert_error_string(result) : l->tls != NULL ? l->tls->distrust : NULL;
    return result;
}

void link_tls_distrust(struct link *l, const char *why) { l->tls->distrust = why; }

bool tls_fact_client_verify(const struct link *l, struct arena *a, struct str *out) {
    bool present;
    const char *text;
    long result = link_tls_verify_result(l, &present, &text);
    if (!present)
        *out = STR("NONE");
    else if (result == X509_V_OK && text == NULL)
        *out = STR("SUCCESS");
    else
        *out = arena_printf(a, "FAILED:%s", text);
    return true;
}
