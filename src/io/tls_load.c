// The texts that contexts are made of: read once when the configuration is loaded, while files may be read that the worker
// may not, and again when a file of a certificate changes. Keys are kept decrypted, in memory that is wiped.
#include "base/hash.h"
#include "io/broker.h"
#include "io/tls_config.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { TEXT_MAX = 16 << 20 };

static pthread_mutex_t material_lock = PTHREAD_MUTEX_INITIALIZER; // guards the configs' pointers to material

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

// --- files -----------------------------------------------------------------------------------------------------------------

static void text_free(struct tls_text *t) {
    if (t->p != NULL)
        OPENSSL_cleanse(t->p, t->n);
    free(t->p);
    t->p = NULL;
}

static bool is_data(struct str name) { return str_starts(name, STR("data:")); }

static void note_identity(struct tls_text *t, const struct stat *st) {
    t->dev = st->st_dev;
    t->ino = st->st_ino;
    t->size = st->st_size;
    t->mtime = st->st_mtim;
    t->ctime = st->st_ctim;
}

static bool has_changed(const struct tls_text *t) {
    struct stat st;
    if (t->name.p == NULL || t->is_data || stat(t->name.p, &st) != 0)
        return false;
    return st.st_dev != t->dev || st.st_ino != t->ino || st.st_size != t->size ||
           memcmp(&st.st_mtim, &t->mtime, sizeof t->mtime) != 0 || memcmp(&st.st_ctim, &t->ctime, sizeof t->ctime) != 0;
}

// False: OpenSSL's queue says why; the call that failed is BIO_new_file().
static bool read_text(struct tls_text *t, struct str name) {
    if (is_data(name)) {
        t->name = name;
        t->is_data = true;
        t->n = name.n - 5;
        t->p = str_xdup(str_from(name, 5));
        return true;
    }
    struct stat st;
    int fd = broker_open(name.p, &st);
    if (fd < 0) {
        BIO_free(BIO_new_file(name.p, "r")); // for its words
        return false;
    }
    size_t room = (size_t)MIN(st.st_size, (off_t)TEXT_MAX) + 1;
    t->name = name;
    note_identity(t, &st);
    t->p = xmalloc(room + 1);
    ssize_t n;
    while (t->n < TEXT_MAX && (n = read(fd, t->p + t->n, room - t->n)) > 0) {
        t->n += (size_t)n;
        if (t->n == room)
            t->p = xrealloc(t->p, (room *= 2) + 1);
    }
    t->p[t->n] = '\0';
    close(fd);
    return true;
}

static BIO *text_bio(const struct tls_text *t) { return BIO_new_mem_buf(t->p, (int)t->n); }

// --- keys ------------------------------------------------------------------------------------------------------------------

static int give_password(char *to, int room, int writing, void *arg) {
    const struct str *password = arg;
    if (writing || password == NULL)
        return -1;
    int n = (int)MIN(password->n, (size_t)room);
    memcpy(to, password->p, (size_t)n);
    return n;
}

static EVP_PKEY *read_key(const struct tls_text *t, const struct str *password) {
    BIO *b = text_bio(t);
    EVP_PKEY *key = b != NULL ? PEM_read_bio_PrivateKey(b, NULL, give_password, (void *)(uintptr_t)password) : NULL;
    BIO_free(b);
    return key;
}

// PEM, perhaps encrypted, becomes DER.
static bool decrypt_key(struct tls_text *t, const struct tls_settings *s) {
    EVP_PKEY *key = read_key(t, s->npasswords != 0 ? &s->passwords[0] : NULL);
    for (size_t i = 1; key == NULL && i < s->npasswords; i++) {
        ERR_clear_error();
        key = read_key(t, &s->passwords[i]);
    }
    if (key == NULL)
        return false;
    unsigned char *der = NULL;
    int n = i2d_PrivateKey(key, &der);
    EVP_PKEY_free(key);
    if (n <= 0)
        return false;
    text_free(t);
    t->p = xmalloc((size_t)n);
    memcpy(t->p, der, (size_t)n);
    t->n = (size_t)n;
    OPENSSL_clear_free(der, (size_t)n);
    return true;
}

static bool read_pair(struct tls_material *m, const struct tls_settings *s, size_t i, struct sbuf *why) {
    const struct tls_pair *p = &s->pairs[i];
    if (!read_text(&m->certs[i], p->cert))
        return say(why, "cannot load certificate \"%s\": BIO_new_file() failed", p->cert.p);
    if (!read_text(&m->keys[i], p->key))
        return say(why, "cannot load certificate key \"%s\": BIO_new_file() failed", p->key.p);
    if (!decrypt_key(&m->keys[i], s))
        return say(why, "cannot load certificate key \"%s\": PEM_read_bio_PrivateKey() failed", p->key.p);
    return true;
}

// --- material --------------------------------------------------------------------------------------------------------------

void tls_material_unref(struct tls_material *m) {
    if (m == NULL || __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    for (size_t i = 0; i < m->npairs; i++) {
        text_free(&m->certs[i]);
        text_free(&m->keys[i]);
    }
    free(m->certs);
    free(m->keys);
    struct tls_text *others[] = {&m->client_ca, &m->trusted_ca, &m->crl, &m->dhparam, &m->stapling};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        text_free(others[i]);
    free(m);
}

struct tls_material *tls_material_of(struct tls_config *c) {
    pthread_mutex_lock(&material_lock);
    struct tls_material *m = c->material;
    __atomic_add_fetch(&m->refs, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&material_lock);
    return m;
}

static struct tls_material *read_material(const struct tls_settings *s, struct sbuf *why) {
    struct tls_material *m = xcalloc(1, sizeof *m);
    m->refs = 1;
    m->npairs = s->npairs;
    m->certs = xcalloc(s->npairs + 1, sizeof *m->certs);
    m->keys = xcalloc(s->npairs + 1, sizeof *m->keys);
    bool ok = true;
    for (size_t i = 0; ok && i < s->npairs; i++)
        ok = read_pair(m, s, i, why);
    const struct {
        struct tls_text *to;
        struct str name;
        const char *call;
    } others[] = {
        {&m->client_ca, s->client_ca, "SSL_CTX_load_verify_locations"}, {&m->trusted_ca, s->trusted_ca, "SSL_CTX_load_verify_locations"},
        {&m->crl, s->crl, "X509_LOOKUP_load_file"},                     {&m->dhparam, s->dhparam, "BIO_new_file"},
        {&m->stapling, s->stapling_file, "BIO_new_file"},
    };
    for (size_t i = 0; ok && i < ARRAY_LEN(others); i++) {
        if (others[i].name.n == 0 || read_text(others[i].to, others[i].name))
            continue;
        if (others[i].to != &m->dhparam && others[i].to != &m->stapling)
            ERR_raise(ERR_LIB_X509, ERR_R_SYS_LIB); // as the call that is named would
        ok = say(why, "%s(\"%s\") failed", others[i].call, others[i].name.p);
    }
    if (ok)
        return m;
    tls_material_unref(m);
    return NULL;
}

// --- configs ---------------------------------------------------------------------------------------------------------------

struct tls_config *tls_config_new(const struct tls_settings *s, struct sbuf *why) {
    ERR_clear_error();
    struct tls_material *m = read_material(s, why);
    SSL_CTX *tried = m != NULL ? tls_build(s, m, NULL, why) : NULL;
    if (tried == NULL) {
        tls_material_unref(m);
        return NULL;
    }
    SSL_CTX_free(tried);
    struct tls_config *c = xcalloc(1, sizeof *c);
    pthread_mutex_init(&c->refreshing, NULL);
    c->refs = 1;
    c->settings = *s;
    c->material = m;
    c->version = 1;
    return c;
}

struct tls_config *tls_config_ref(struct tls_config *c) {
    __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
    return c;
}

void tls_config_unref(struct tls_config *c) {
    if (c == NULL || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    tls_contexts_free(c);
    tls_staples_free(c);
    tls_material_unref(c->material);
    pthread_mutex_destroy(&c->refreshing);
    free(c);
}

const struct tls_settings *tls_config_settings(const struct tls_config *c) { return &c->settings; }

static bool any_changed(const struct tls_material *m) {
    for (size_t i = 0; i < m->npairs; i++) {
        if (has_changed(&m->certs[i]) || has_changed(&m->keys[i]))
            return true;
    }
    return has_changed(&m->client_ca) || has_changed(&m->trusted_ca) || has_changed(&m->crl) || has_changed(&m->stapling);
}

// The same trouble at the next look is not told again.
static void complain_once(struct tls_config *c, struct sbuf *why) {
    uint64_t now = hash_bytes(why->p, why->n, 1);
    if (c->complaint == now)
        why->n = 0;
    c->complaint = now;
}

static bool refresh(struct tls_config *c, struct sbuf *why) {
    struct tls_material *old = tls_material_of(c), *m = NULL;
    bool changed = any_changed(old);
    tls_material_unref(old);
    if (!changed)
        return false;
    ERR_clear_error();
    m = read_material(&c->settings, why);
    SSL_CTX *tried = m != NULL ? tls_build(&c->settings, m, NULL, why) : NULL;
    if (tried == NULL) {
        tls_material_unref(m);
        complain_once(c, why);
        return false;
    }
    SSL_CTX_free(tried);
    c->complaint = 0;
    pthread_mutex_lock(&material_lock);
    old = c->material;
    c->material = m;
    pthread_mutex_unlock(&material_lock);
    __atomic_add_fetch(&c->version, 1, __ATOMIC_RELEASE);
    tls_staples_forget(c);
    tls_material_unref(old);
    return true;
}

bool tls_config_refresh(struct tls_config *c, struct sbuf *why) {
    pthread_mutex_lock(&c->refreshing);
    bool changed = refresh(c, why);
    pthread_mutex_unlock(&c->refreshing);
    return changed;
}

// --- what a text holds -----------------------------------------------------------------------------------------------------

static X509 *read_cert(BIO *b, OSSL_LIB_CTX *lib, bool first) {
    X509 *x = X509_new_ex(lib, NULL);
    X509 *got = x == NULL ? NULL : first ? PEM_read_bio_X509_AUX(b, &x, NULL, NULL) : PEM_read_bio_X509(b, &x, NULL, NULL);
    if (got == NULL)
        X509_free(x);
    return got;
}

// The end of a PEM text is an error to OpenSSL; any other is one to us too.
static bool at_end_of_pem(void) {
    unsigned long e = ERR_peek_last_error();
    bool end = ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
    if (end)
        ERR_clear_error();
    return end;
}

static bool use_chain(SSL_CTX *ctx, const struct tls_text *cert, OSSL_LIB_CTX *lib, struct sbuf *why) {
    const char *name = cert->name.p;
    BIO *b = text_bio(cert);
    X509 *x = b != NULL ? read_cert(b, lib, true) : NULL;
    bool ok = x != NULL;
    if (!ok)
        say(why, "cannot load certificate \"%s\": PEM_read_bio_X509_AUX() failed", name);
    if (ok && SSL_CTX_use_certificate(ctx, x) != 1)
        ok = say(why, "SSL_CTX_use_certificate(\"%s\") failed", name);
    X509_free(x);
    while (ok && (x = read_cert(b, lib, false)) != NULL) {
        if (SSL_CTX_add0_chain_cert(ctx, x) != 1) {
            X509_free(x);
            ok = say(why, "SSL_CTX_add0_chain_cert(\"%s\") failed", name);
        }
    }
    if (ok && !at_end_of_pem())
        ok = say(why, "cannot load certificate \"%s\": PEM_read_bio_X509() failed", name);
    BIO_free(b);
    return ok;
}

bool tls_use_pair(SSL_CTX *ctx, const struct tls_text *cert, const struct tls_text *key, OSSL_LIB_CTX *lib, struct sbuf *why) {
    if (!use_chain(ctx, cert, lib, why))
        return false;
    const unsigned char *der = (const unsigned char *)key->p;
    EVP_PKEY *k = d2i_AutoPrivateKey_ex(NULL, &der, (long)key->n, lib, NULL);
    const char *name = key->name.p;
    bool ok = k != NULL && SSL_CTX_use_PrivateKey(ctx, k) == 1;
    if (!ok)
        say(why, "SSL_CTX_use_PrivateKey(\"%s\") failed", name);
    EVP_PKEY_free(k);
    return ok;
}

bool tls_trust(SSL_CTX *ctx, const struct tls_text *t, bool tell_clients, OSSL_LIB_CTX *lib, struct sbuf *why) {
    const char *name = t->name.p;
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    BIO *b = text_bio(t);
    STACK_OF(X509_INFO) *all = b != NULL ? PEM_X509_INFO_read_bio_ex(b, NULL, NULL, NULL, lib, NULL) : NULL;
    BIO_free(b);
    int found = 0;
    for (int i = 0; all != NULL && i < sk_X509_INFO_num(all); i++) {
        X509_INFO *info = sk_X509_INFO_value(all, i);
        if (info->x509 != NULL) {
            found++;
            X509_STORE_add_cert(store, info->x509);
            if (tell_clients)
                SSL_CTX_add_client_CA(ctx, info->x509);
        }
        if (info->crl != NULL)
            X509_STORE_add_crl(store, info->crl);
    }
    sk_X509_INFO_pop_free(all, X509_INFO_free);
    if (found == 0) {
        if (ERR_peek_error() == 0)
            ERR_raise(ERR_LIB_X509, X509_R_NO_CERTIFICATE_OR_CRL_FOUND);
        return say(why, "SSL_CTX_load_verify_locations(\"%s\") failed", name);
    }
    ERR_clear_error(); // the same certificate twice
    return true;
}

bool tls_revoke(SSL_CTX *ctx, const struct tls_text *t, OSSL_LIB_CTX *lib, struct sbuf *why) {
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    BIO *b = text_bio(t);
    int found = 0;
    for (;;) {
        X509_CRL *crl = X509_CRL_new_ex(lib, NULL);
        if (crl == NULL || PEM_read_bio_X509_CRL(b, &crl, NULL, NULL) == NULL) {
            X509_CRL_free(crl);
            break;
        }
        found += X509_STORE_add_crl(store, crl);
        X509_CRL_free(crl);
    }
    BIO_free(b);
    if (found == 0 || !at_end_of_pem())
        return say(why, "X509_LOOKUP_load_file(\"%s\") failed", t->name.p);
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return true;
}

bool tls_use_dhparam(SSL_CTX *ctx, const struct tls_text *t, OSSL_LIB_CTX *lib, struct sbuf *why) {
    BIO *b = text_bio(t);
    char *name = NULL;
    unsigned char *data = NULL;
    long n;
    // Looked for first, for the sake of a better message.
    bool found = b != NULL && PEM_bytes_read_bio(&data, &n, &name, PEM_STRING_DHPARAMS, b, NULL, NULL) == 1;
    OPENSSL_free(data);
    OPENSSL_free(name);
    BIO_free(b);
    b = found ? text_bio(t) : NULL;
    EVP_PKEY *dh = b != NULL ? PEM_read_bio_Parameters_ex(b, NULL, lib, NULL) : NULL;
    BIO_free(b);
    if (dh == NULL)
        return say(why, "PEM_read_bio_DHparams(\"%s\") failed", t->name.p);
    if (SSL_CTX_set0_tmp_dh_pkey(ctx, dh) == 1)
        return true;
    EVP_PKEY_free(dh);
    return say(why, "SSL_CTX_set_tmp_dh(\"%s\") failed", t->name.p);
}
