#include "io/tls_kdf.h"
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <string.h>

enum { LABEL_MAX = 255, BLOCK_MAX = 128 };

// --- the functions ---------------------------------------------------------------------------------------------------------

static bool hash_init(struct tls_hash *h, OSSL_LIB_CTX *lib, const char *name, size_t n, size_t block) {
    *h = (struct tls_hash){EVP_MD_fetch(lib, name, "provider=default"), EVP_MD_CTX_new(), n, block, {0}};
    return h->md != NULL && h->scratch != NULL && EVP_DigestInit_ex2(h->scratch, h->md, NULL) == 1 &&
           EVP_DigestFinal_ex(h->scratch, h->empty, NULL) == 1;
}

bool tls_kdf_init(struct tls_kdf *k, OSSL_LIB_CTX *lib) {
    memset(k, 0, sizeof *k);
    return hash_init(&k->sha256, lib, "SHA256", 32, 64) && hash_init(&k->sha384, lib, "SHA384", 48, 128);
}

void tls_kdf_done(struct tls_kdf *k) {
    struct tls_hash *each[] = {&k->sha256, &k->sha384};
    for (size_t i = 0; i < ARRAY_LEN(each); i++) {
        EVP_MD_CTX_free(each[i]->scratch);
        EVP_MD_free(each[i]->md);
        if (k->providers[i] != NULL)
            OSSL_PROVIDER_unload(k->providers[i]);
    }
}

// One half of an HMAC: the key, a part that is given, and perhaps another.
static bool digest(struct tls_hash *h, const unsigned char *pad, const unsigned char *p, size_t n, unsigned char *out) {
    return EVP_DigestInit_ex2(h->scratch, h->md, NULL) == 1 && EVP_DigestUpdate(h->scratch, pad, h->block) == 1 &&
           EVP_DigestUpdate(h->scratch, p, n) == 1 && EVP_DigestFinal_ex(h->scratch, out, NULL) == 1;
}

bool tls_hmac(struct tls_hash *h, const unsigned char *key, size_t key_n, const unsigned char *p, size_t n, unsigned char *out) {
    unsigned char pad[BLOCK_MAX], inner[TLS_HASH_MAX];
    if (key_n > h->block)
        return false; // no key of TLS 1.3 is
    memset(pad, 0x36, h->block);
    for (size_t i = 0; i < key_n; i++)
        pad[i] ^= key[i];
    bool ok = digest(h, pad, p, n, inner);
    for (size_t i = 0; i < h->block; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    ok = ok && digest(h, pad, inner, h->n, out);
    OPENSSL_cleanse(pad, sizeof pad);
    OPENSSL_cleanse(inner, sizeof inner);
    return ok;
}

// HkdfLabel and the counter of the only block (RFC 8446 7.1, RFC 5869 2.3).
static bool expand(struct tls_hash *h, const unsigned char *secret, struct str prefix, struct str label, struct str data,
                   unsigned char *out, size_t n) {
    unsigned char info[2 + 1 + LABEL_MAX + 1 + TLS_HASH_MAX + 1], whole[TLS_HASH_MAX];
    size_t at = 0;
    if (n > h->n || prefix.n + label.n > LABEL_MAX || data.n > TLS_HASH_MAX)
        return false;
    info[at++] = 0;
    info[at++] = (unsigned char)n;
    info[at++] = (unsigned char)(prefix.n + label.n);
    memcpy(info + at, prefix.p, prefix.n);
    memcpy(info + at + prefix.n, label.p, label.n);
    at += prefix.n + label.n;
    info[at++] = (unsigned char)data.n;
    if (data.n != 0)
        memcpy(info + at, data.p, data.n);
    at += data.n;
    info[at++] = 1;
    bool ok = tls_hmac(h, secret, h->n, info, at, whole);
    if (ok)
        memcpy(out, whole, n);
    OPENSSL_cleanse(whole, sizeof whole);
    return ok;
}

bool tls_expand_label(struct tls_hash *h, const unsigned char *secret, struct str label, struct str data, unsigned char *out, size_t n) {
    return expand(h, secret, STR("tls13 "), label, data, out, n);
}

// --- as a provider ---------------------------------------------------------------------------------------------------------

// What libssl says in one call.
struct wanted {
    int mode;
    struct tls_hash *hash;
    struct str key, salt, prefix, label, data;
};

static bool take_bytes(const OSSL_PARAM *p, struct str *to) {
    const void *at = NULL;
    size_t n = 0;
    if (OSSL_PARAM_get_octet_string_ptr(p, &at, &n) != 1)
        return false;
    *to = str_n(at, n);
    return true;
}

static bool take_hash(struct tls_kdf *k, const OSSL_PARAM *p, struct wanted *w) {
    const char *name = p->data_type == OSSL_PARAM_UTF8_STRING ? p->data : NULL;
    struct str s = name != NULL ? str_c(name) : STR("");
    w->hash = str_ieq(s, STR("SHA256")) || str_ieq(s, STR("SHA2-256"))   ? &k->sha256
              : str_ieq(s, STR("SHA384")) || str_ieq(s, STR("SHA2-384")) ? &k->sha384
                                                                         : NULL;
    return w->hash != NULL;
}

static bool take(struct tls_kdf *k, const OSSL_PARAM *p, struct wanted *w) {
    bool ok = true;
    for (; ok && p != NULL && p->key != NULL; p++) {
        struct str name = str_c(p->key);
        if (str_eq(name, STR(OSSL_KDF_PARAM_MODE)))
            ok = OSSL_PARAM_get_int(p, &w->mode) == 1;
        else if (str_eq(name, STR(OSSL_KDF_PARAM_DIGEST)))
            ok = take_hash(k, p, w);
        else if (str_eq(name, STR(OSSL_KDF_PARAM_KEY)))
            ok = take_bytes(p, &w->key);
        else if (str_eq(name, STR(OSSL_KDF_PARAM_SALT)))
            ok = take_bytes(p, &w->salt);
        else if (str_eq(name, STR(OSSL_KDF_PARAM_PREFIX)))
            ok = take_bytes(p, &w->prefix);
        else if (str_eq(name, STR(OSSL_KDF_PARAM_LABEL)))
            ok = take_bytes(p, &w->label);
        else if (str_eq(name, STR(OSSL_KDF_PARAM_DATA)))
            ok = take_bytes(p, &w->data);
    }
    return ok && w->hash != NULL;
}

// One step down the schedule: what is new is extracted under what the secret before derives.
static bool extract(const struct wanted *w, unsigned char *out, size_t n) {
    static const unsigned char zeros[TLS_HASH_MAX];
    unsigned char before[TLS_HASH_MAX];
    struct tls_hash *h = w->hash;
    const unsigned char *fresh = w->key.p != NULL ? (const unsigned char *)w->key.p : zeros;
    size_t fresh_n = w->key.p != NULL ? w->key.n : h->n;
    if (n != h->n || (w->salt.p != NULL && w->salt.n != h->n))
        return false;
    if (w->salt.p == NULL)
        return tls_hmac(h, zeros, 0, fresh, fresh_n, out);
    bool ok = expand(h, (const unsigned char *)w->salt.p, w->prefix, w->label, str_n((const char *)h->empty, h->n), before, h->n) &&
              tls_hmac(h, before, h->n, fresh, fresh_n, out);
    OPENSSL_cleanse(before, sizeof before);
    return ok;
}

static int kdf_derive(void *ctx, unsigned char *out, size_t n, const OSSL_PARAM params[]) {
    struct tls_kdf *k = ctx;
    struct wanted w = {.mode = -1};
    if (!take(k, params, &w))
        return 0;
    if (w.mode == EVP_KDF_HKDF_MODE_EXTRACT_ONLY)
        return extract(&w, out, n);
    if (w.mode != EVP_KDF_HKDF_MODE_EXPAND_ONLY || w.key.n != w.hash->n ||
        !expand(w.hash, (const unsigned char *)w.key.p, w.prefix, w.label, w.data, out, n))
        return 0;
    if (k->on_secret != NULL && w.label.n == 12 && str_ends(w.label, STR(" ap traffic")))
        k->on_secret(k->arg, w.label.p[0] == 's', out, n);
    return 1;
}

// A context has nothing of its own: everything comes with the call that derives.
static void *kdf_new(void *provider) { return provider; }
static void kdf_free(void *ctx) {}
static void kdf_reset(void *ctx) {}

typedef void any_fn(void);
#define ENTRY(id, f) {id, (any_fn *)(f)}
static const OSSL_DISPATCH kdf_functions[] = {
    ENTRY(OSSL_FUNC_KDF_NEWCTX, kdf_new), ENTRY(OSSL_FUNC_KDF_FREECTX, kdf_free), ENTRY(OSSL_FUNC_KDF_RESET, kdf_reset),
    ENTRY(OSSL_FUNC_KDF_DERIVE, kdf_derive), {0, NULL},
};
static const OSSL_ALGORITHM kdfs[] = {{"TLS13-KDF", "provider=weir", kdf_functions, NULL}, {NULL, NULL, NULL, NULL}};

static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_cache) {
    *no_cache = 0;
    return operation == OSSL_OP_KDF ? kdfs : NULL;
}

static const OSSL_DISPATCH provider_functions[] = {ENTRY(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query), {0, NULL}};

static __thread struct tls_kdf *providing;

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **provider) {
    *out = provider_functions;
    *provider = providing;
    return providing != NULL;
}

bool tls_kdf_provide(struct tls_kdf *k, OSSL_LIB_CTX *lib) {
    providing = k;
    k->providers[0] = OSSL_PROVIDER_load(lib, "default"); // it is not loaded by itself any more
    if (OSSL_PROVIDER_add_builtin(lib, "weir", provider_init) == 1)
        k->providers[1] = OSSL_PROVIDER_load(lib, "weir");
    providing = NULL;
    return k->providers[0] != NULL && k->providers[1] != NULL && EVP_set_default_properties(lib, "?provider=weir") == 1;
}
