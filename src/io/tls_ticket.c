// Keys of session tickets (RFC 5077, RFC 8446 4.6.1): from files, or made here and changed every hour. Those of the process
// are one set for all loops, and a reload does not touch them. Old ones still open tickets for a day.
#include "io/broker.h"
#include "io/tls_private.h"
#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { KEYS_MAX = 26, PERIOD_S = 3600 };

struct ticket_key {
    unsigned char name[16], aes[32], hmac[32];
    bool short_keys; // 16 bytes each, from a file of 48
};

struct tls_tickets {
    pthread_mutex_t lock; // of the process's own
    size_t n;
    int64_t period;       // of keys[0], when they change
    int64_t aged_s;       // tls_tickets_age
    struct ticket_key keys[KEYS_MAX];
};

static struct tls_tickets own = {.lock = PTHREAD_MUTEX_INITIALIZER};

// --- files -----------------------------------------------------------------------------------------------------------------

static bool read_key(struct ticket_key *k, struct str path, struct sbuf *why) {
    unsigned char b[81];
    int fd = broker_open(path.p, NULL);
    ssize_t n = fd >= 0 ? read(fd, b, sizeof b) : -1;
    int err = errno;
    if (fd >= 0)
        close(fd);
    if (n < 0) {
        sbuf_printf(why, "open() \"%s\" failed (%d: %s)", path.p, err, strerror(err));
        return false;
    }
    if (n != 48 && n != 80) {
        sbuf_printf(why, "\"%s\" must be 48 or 80 bytes", path.p);
        return false;
    }
    memcpy(k->name, b, 16);
    k->short_keys = n == 48;
    memcpy(k->aes, b + (n == 48 ? 16 : 48), n == 48 ? 16 : 32);
    memcpy(k->hmac, b + (n == 48 ? 32 : 16), n == 48 ? 16 : 32);
    OPENSSL_cleanse(b, sizeof b);
    return true;
}

struct tls_tickets *tls_tickets_of_files(const struct str *paths, size_t n, struct sbuf *why) {
    struct tls_tickets *t = xcalloc(1, sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
    t->n = MIN(n, (size_t)KEYS_MAX);
    for (size_t i = 0; i < t->n; i++) {
        if (!read_key(&t->keys[i], paths[i], why)) {
            tls_tickets_free(t);
            return NULL;
        }
    }
    return t;
}

void tls_tickets_free(struct tls_tickets *t) {
    if (t == NULL)
        return;
    pthread_mutex_destroy(&t->lock);
    OPENSSL_cleanse(t->keys, sizeof t->keys);
    free(t);
}

// --- our own ---------------------------------------------------------------------------------------------------------------

// Under the lock. False: no randomness.
static bool change_keys(struct tls_tickets *t, OSSL_LIB_CTX *lib) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t period = (now.tv_sec + t->aged_s) / PERIOD_S + 1;
    if (t->period == period)
        return true;
    struct ticket_key fresh = {.short_keys = false};
    if (RAND_bytes_ex(lib, fresh.name, sizeof fresh.name, 0) != 1 || RAND_priv_bytes_ex(lib, fresh.aes, sizeof fresh.aes, 0) != 1 ||
        RAND_priv_bytes_ex(lib, fresh.hmac, sizeof fresh.hmac, 0) != 1)
        return false;
    int64_t passed = t->period != 0 ? period - t->period : 0;
    t->n = passed >= KEYS_MAX ? 0 : MIN(t->n, (size_t)KEYS_MAX - 1);
    memmove(t->keys + 1, t->keys, t->n * sizeof t->keys[0]);
    t->keys[0] = fresh;
    t->n++;
    t->period = period;
    OPENSSL_cleanse(&fresh, sizeof fresh);
    return true;
}

void tls_tickets_age(int64_t seconds) {
    pthread_mutex_lock(&own.lock);
    own.aged_s += seconds;
    pthread_mutex_unlock(&own.lock);
}

// --- OpenSSL asks ------------------------------------------------------------------------------------------------------------

// Copies the key of that name (NULL: the one for new tickets). Its place, or -1.
static int find_key(struct tls_tickets *t, const unsigned char *name, struct ticket_key *to, OSSL_LIB_CTX *lib) {
    int found = -1;
    pthread_mutex_lock(&t->lock);
    bool ok = t != &own || change_keys(t, lib);
    for (size_t i = 0; ok && i < t->n && found < 0; i++) {
        if (name == NULL || memcmp(t->keys[i].name, name, 16) == 0) {
            *to = t->keys[i];
            found = (int)i;
        }
    }
    pthread_mutex_unlock(&t->lock);
    return found;
}

static int use_key(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt) {
    struct tls_loop *loop = tls_loop();
    const struct tls_settings *s = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct ticket_key k;
    int at = find_key(s->ticket_keys != NULL ? s->ticket_keys : &own, encrypt ? NULL : name, &k, loop->lib);
    if (at < 0)
        return encrypt ? -1 : 0;
    const EVP_CIPHER *aes = k.short_keys ? EVP_aes_128_cbc() : loop->ticket_cipher;
    bool ok = true;
    if (encrypt) {
        memcpy(name, k.name, 16);
        ok = RAND_bytes_ex(loop->lib, iv, 16, 0) == 1;
    }
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k.hmac, k.short_keys ? 16 : 32),
                           OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
    ok = ok && EVP_MAC_CTX_set_params(mac, params) == 1 && EVP_CipherInit_ex(cipher, aes, NULL, k.aes, iv, encrypt) == 1;
    OPENSSL_cleanse(&k, sizeof k);
    if (!ok)
        return -1;
    // A client of TLS 1.3 should use a ticket only once: it gets a new one.
    return encrypt || (at == 0 && SSL_version(ssl) != TLS1_3_VERSION) ? 1 : 2;
}

bool tls_tickets_attach(SSL_CTX *ctx) {
    return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, use_key) == 1;
}
