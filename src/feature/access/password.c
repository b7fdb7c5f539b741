// Hashes of passwords.
#include "feature/access/password.h"
#include "base/base64.h"
#include "base/sbuf.h"
#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <sys/random.h>

enum { MD5_LEN = 16, SHA1_LEN = 20, SEEN = 64 };

static bool same(const void *a, const void *b, size_t n) { return CRYPTO_memcmp(a, b, n) == 0; }

static bool same_text(const char *a, const char *b) {
    size_t n = strlen(a);
    return n == strlen(b) && same(a, b, n);
}

static bool digest(const EVP_MD *md, const struct str *parts, size_t count, unsigned char *out) {
    EVP_MD_CTX *cx = EVP_MD_CTX_new();
    bool ok = cx != NULL && EVP_DigestInit_ex(cx, md, NULL) == 1;
    for (size_t i = 0; ok && i < count; i++)
        ok = EVP_DigestUpdate(cx, parts[i].p, parts[i].n) == 1;
    ok = ok && EVP_DigestFinal_ex(cx, out, NULL) == 1;
    EVP_MD_CTX_free(cx);
    return ok;
}

// --- {SHA}, {SSHA} ---------------------------------------------------------------------------------------------------------

// {SHA} is {SSHA} without salt.
static int check_sha(const char *password, const char *encoded, bool salted) {
    char storage[256];
    struct sbuf b;
    sbuf_init_fixed(&b, storage, sizeof(storage));
    if (!base64_decode(&b, str_c(encoded)) || b.overflow || b.n < SHA1_LEN || (!salted && b.n != SHA1_LEN))
        return 0;
    unsigned char sha[EVP_MAX_MD_SIZE];
    struct str parts[2] = {str_c(password), str_n(storage + SHA1_LEN, b.n - SHA1_LEN)};
    if (!digest(EVP_sha1(), parts, 2, sha))
        return -ENOSYS;
    return same(sha, storage, SHA1_LEN);
}

// --- $apr1$ ----------------------------------------------------------------------------------------------------------------

static void put64(char **to, unsigned v, int n) {
    static const char digits[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (; n > 0; n--, v >>= 6)
        *(*to)++ = digits[v & 63];
}

// One of the thousand rounds of Apache's MD5.
static bool apr1_round(int i, struct str pw, struct str salt, unsigned char *md5) {
    struct str old = str_n((char *)md5, MD5_LEN), parts[4];
    size_t n = 0;
    parts[n++] = i & 1 ? pw : old;
    if (i % 3 != 0)
        parts[n++] = salt;
    if (i % 7 != 0)
        parts[n++] = pw;
    parts[n++] = i & 1 ? old : pw;
    return digest(EVP_md5(), parts, n, md5);
}

static bool apr1(const char *password, struct str salt, unsigned char *md5) {
    struct str pw = str_c(password), first[3] = {pw, salt, pw};
    unsigned char inner[EVP_MAX_MD_SIZE];
    if (!digest(EVP_md5(), first, 3, inner))
        return false;
    EVP_MD_CTX *cx = EVP_MD_CTX_new();
    bool ok = cx != NULL && EVP_DigestInit_ex(cx, EVP_md5(), NULL) == 1 && EVP_DigestUpdate(cx, pw.p, pw.n) == 1 &&
              EVP_DigestUpdate(cx, "$apr1$", 6) == 1 && EVP_DigestUpdate(cx, salt.p, salt.n) == 1;
    for (size_t n = pw.n; ok && n > 0; n -= MIN(n, (size_t)MD5_LEN))
        ok = EVP_DigestUpdate(cx, inner, MIN(n, (size_t)MD5_LEN)) == 1;
    for (size_t n = pw.n; ok && n > 0; n >>= 1)
        ok = EVP_DigestUpdate(cx, n & 1 ? "" : pw.p, 1) == 1; // "": a NUL
    ok = ok && EVP_DigestFinal_ex(cx, md5, NULL) == 1;
    EVP_MD_CTX_free(cx);
    for (int i = 0; ok && i < 1000; i++)
        ok = apr1_round(i, pw, salt, md5);
    return ok;
}

static int check_apr1(const char *password, const char *hash) {
    const char *p = hash + 6;
    size_t n = strcspn(p, "$");
    struct str salt = str_n(p, MIN(n, (size_t)8));
    unsigned char f[EVP_MAX_MD_SIZE];
    if (!apr1(password, salt, f))
        return -ENOSYS;
    char text[32], *to = text;
    for (int i = 0; i < 5; i++)
        put64(&to, (unsigned)f[i] << 16 | (unsigned)f[i + 6] << 8 | f[i == 4 ? 5 : i + 12], 4);
    put64(&to, f[11], 2);
    *to = '\0';
    return p[n] == '$' && same_text(text, p + n + 1);
}

// --- crypt -----------------------------------------------------------------------------------------------------------------

static int check_crypt(const char *password, const char *hash) {
    struct crypt_data *data = calloc(1, sizeof(*data));
    if (data == NULL)
        return -ENOMEM;
    errno = 0;
    const char *made = crypt_rn(password, hash, data, sizeof(*data)); // of libxcrypt: like crypt_r, but NULL when it fails
    int res = made == NULL ? -(errno != 0 ? errno : EINVAL) : same_text(made, hash);
    OPENSSL_cleanse(data, sizeof(*data));
    free(data);
    return res;
}

static bool is_kind(const char *hash, const char *kind) { return strncmp(hash, kind, strlen(kind)) == 0; }

bool password_is_slow(const char *hash) { return !is_kind(hash, "{PLAIN}") && !is_kind(hash, "{SHA}") && !is_kind(hash, "{SSHA}"); }

int password_matches(const char *password, const char *hash) {
    if (is_kind(hash, "{PLAIN}"))
        return same_text(password, hash + 7);
    if (is_kind(hash, "{SHA}"))
        return check_sha(password, hash + 5, false);
    if (is_kind(hash, "{SSHA}"))
        return check_sha(password, hash + 6, true);
    if (is_kind(hash, "$apr1$"))
        return check_apr1(password, hash);
    return check_crypt(password, hash);
}

// --- lately ----------------------------------------------------------------------------------------------------------------

static __thread struct {
    bool keyed;
    unsigned char key[32];
    unsigned char at[SEEN][32]; // by the digest's first byte
} seen;

static bool keyed_digest(const char *password, const char *hash, unsigned char *out) {
    if (!seen.keyed && getrandom(seen.key, sizeof(seen.key), 0) != sizeof(seen.key))
        return false;
    seen.keyed = true;
    // The length keeps apart what the two strings are.
    uint64_t n = strlen(hash);
    unsigned char text[1024];
    size_t m = strlen(password);
    if (sizeof(n) + n + m > sizeof(text))
        return false;
    memcpy(text, &n, sizeof(n));
    memcpy(text + sizeof(n), hash, n);
    memcpy(text + sizeof(n) + n, password, m);
    bool ok = HMAC(EVP_sha256(), seen.key, sizeof(seen.key), text, sizeof(n) + n + m, out, NULL) != NULL;
    OPENSSL_cleanse(text, sizeof(text));
    return ok;
}

bool password_seen(const char *password, const char *hash) {
    unsigned char d[EVP_MAX_MD_SIZE];
    return keyed_digest(password, hash, d) && same(seen.at[d[0] % SEEN], d, 32);
}

void password_note(const char *password, const char *hash) {
    unsigned char d[EVP_MAX_MD_SIZE];
    if (keyed_digest(password, hash, d))
        memcpy(seen.at[d[0] % SEEN], d, 32);
}
