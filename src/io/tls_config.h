// The inside of a tls_config: its files' texts, and the building of a context from them. Private to io/.
#pragma once
#include "io/tls_private.h"
#include <pthread.h>
#include <sys/stat.h>

enum { TLS_LOOPS = 512, TLS_CHUNK = 16, TLS_LOOK_MS = 1000 };

// What one file said when it was read.
struct tls_text {
    struct str name;   // of the file, or "data:" and the text
    bool is_data;
    char *p;           // NUL-terminated
    size_t n;
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime, ctime;
};

// All texts that a context is made of. Counted, immutable.
struct tls_material {
    unsigned refs; // atomic
    size_t npairs;
    struct tls_text *certs, *keys; // [npairs]
    struct tls_text client_ca, trusted_ca, crl, dhparam, stapling;
};

struct tls_config {
    unsigned refs;                 // atomic
    struct tls_settings settings;
    pthread_mutex_t refreshing;    // held while files are read again
    uint64_t complaint;            // under it: hash of the last one
    struct tls_material *material; // under `lock` of tls_load.c
    uint64_t version;              // atomic; changes with the material
    uint64_t look_ms;              // atomic: when the files are looked at next, ms of the loops' clock
    struct tls_staple *staples;    // [npairs]; tls_staple.c
    struct tls_context *of_loops[TLS_LOOPS / TLS_CHUNK]; // atomic pointers; each place is its loop's own
};

struct tls_material *tls_material_of(struct tls_config *c); // counted
void tls_material_unref(struct tls_material *m);
// A context; NULL with OpenSSL's errors queued and *why (may be NULL) filled in nginx's words.
SSL_CTX *tls_build(const struct tls_settings *s, const struct tls_material *m, OSSL_LIB_CTX *lib, struct sbuf *why);
void tls_contexts_free(struct tls_config *c);
void tls_staples_free(struct tls_config *c); // tls_staple.c
void tls_staples_forget(struct tls_config *c); // the certificates are others now
void tls_staple_attach(SSL_CTX *ctx, const struct tls_settings *s); // s is a tls_config's
void tls_peers_free(struct tls_loop *t); // tls_client.c
// tls_load.c, for tls_build: each puts one text into a context.
bool tls_use_pair(SSL_CTX *ctx, const struct tls_text *cert, const struct tls_text *key, OSSL_LIB_CTX *lib, struct sbuf *why);
bool tls_trust(SSL_CTX *ctx, const struct tls_text *t, bool tell_clients, OSSL_LIB_CTX *lib, struct sbuf *why);
bool tls_revoke(SSL_CTX *ctx, const struct tls_text *t, OSSL_LIB_CTX *lib, struct sbuf *why);
bool tls_use_dhparam(SSL_CTX *ctx, const struct tls_text *t, OSSL_LIB_CTX *lib, struct sbuf *why);
