// Sessions of clients in one cache for all loops: by id, as the bytes that OpenSSL makes of them, the least lately used
// giving way. A loop holds the lock only to look up and copy, or to put in.
//
//   map: id ──► entry ─ entry ─ entry   by last use, within `max` bytes
#include "base/map.h"
#include "io/tls_private.h"
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { SESSION_MAX = TLS_SCRATCH, ENTRY_COST = 96 }; // bytes of one session; what the tables cost for each

struct entry {
    struct list node;
    uint64_t until_ms; // by the clock that nobody sets
    uint32_t id_n, n;
    char id[SSL_MAX_SSL_SESSION_ID_LENGTH];
    unsigned char der[];
};

struct tls_cache {
    unsigned refs; // atomic: the owner's and those of contexts
    pthread_mutex_t lock;
    struct map by_id;
    struct list by_use; // oldest first
    size_t bytes, max;
};

struct tls_cache *tls_cache_new(size_t bytes) {
    struct tls_cache *c = xcalloc(1, sizeof *c);
    c->refs = 1;
    pthread_mutex_init(&c->lock, NULL);
    map_init(&c->by_id, false, (uint64_t)(uintptr_t)c);
    list_init(&c->by_use);
    c->max = bytes;
    return c;
}

static size_t cost(const struct entry *e) { return sizeof *e + e->n + ENTRY_COST; }

// Under the lock.
static void drop(struct tls_cache *c, struct entry *e) {
    map_del(&c->by_id, str_n(e->id, e->id_n));
    list_remove(&e->node);
    c->bytes -= cost(e);
    free(e);
}

void tls_cache_free(struct tls_cache *c) {
    if (c == NULL || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    while (!list_empty(&c->by_use))
        drop(c, list_first(&c->by_use, struct entry, node));
    map_done(&c->by_id);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

size_t tls_cache_bytes(const struct tls_cache *c) { return __atomic_load_n(&c->bytes, __ATOMIC_RELAXED); }

size_t tls_cache_size(const struct tls_cache *c) { return c->max; }

// A context owns a reference: connections, and so contexts, outlive configurations.
static int cache_index;
static pthread_once_t index_once = PTHREAD_ONCE_INIT;
static void free_reference(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long number, void *arg) { tls_cache_free(p); }
static void make_index(void) { cache_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_reference); }
static struct tls_cache *cache_of(const SSL_CTX *ctx) { return SSL_CTX_get_ex_data(ctx, cache_index); }

static int on_new(SSL *ssl, SSL_SESSION *session) {
    struct tls_cache *c = cache_of(SSL_get_SSL_CTX(ssl));
    unsigned id_n;
    const unsigned char *id = SSL_SESSION_get_id(session, &id_n);
    int n = i2d_SSL_SESSION(session, NULL);
    if (n <= 0 || n > SESSION_MAX || id_n == 0)
        return 0;
    struct entry *e = malloc(sizeof *e + (size_t)n);
    if (e == NULL)
        return 0;
    unsigned char *to = e->der;
    e->n = (uint32_t)i2d_SSL_SESSION(session, &to);
    e->id_n = id_n;
    memcpy(e->id, id, id_n);
    e->until_ms = loop_clock_now() + (uint64_t)SSL_SESSION_get_timeout(session) * 1000;
    pthread_mutex_lock(&c->lock);
    struct entry *same = map_get(&c->by_id, str_n(e->id, id_n));
    if (same != NULL)
        drop(c, same);
    while (c->bytes + cost(e) > c->max && !list_empty(&c->by_use))
        drop(c, list_first(&c->by_use, struct entry, node));
    map_put(&c->by_id, str_n(e->id, id_n), e);
    list_push_back(&c->by_use, &e->node);
    c->bytes += cost(e);
    pthread_mutex_unlock(&c->lock);
    return 0; // no reference is kept
}

static SSL_SESSION *on_get(SSL *ssl, const unsigned char *id, int id_n, int *copy) {
    struct tls_cache *c = cache_of(SSL_get_SSL_CTX(ssl));
    char *der = tls_loop()->scratch;
    size_t n = 0;
    pthread_mutex_lock(&c->lock);
    struct entry *e = map_get(&c->by_id, str_n((const char *)id, (size_t)id_n));
    if (e != NULL && e->until_ms < loop_clock_now()) {
        drop(c, e);
    } else if (e != NULL) {
        n = e->n;
        memcpy(der, e->der, n);
        list_remove(&e->node);
        list_push_back(&c->by_use, &e->node);
    }
    pthread_mutex_unlock(&c->lock);
    *copy = 0;
    const unsigned char *p = (const unsigned char *)der;
    return n != 0 ? d2i_SSL_SESSION(NULL, &p, (long)n) : NULL;
}

static void on_remove(SSL_CTX *ctx, SSL_SESSION *session) {
    struct tls_cache *c = cache_of(ctx);
    unsigned id_n;
    const unsigned char *id = SSL_SESSION_get_id(session, &id_n);
    pthread_mutex_lock(&c->lock);
    struct entry *e = map_get(&c->by_id, str_n((const char *)id, id_n));
    if (e != NULL)
        drop(c, e);
    pthread_mutex_unlock(&c->lock);
}

void tls_cache_attach(SSL_CTX *ctx, struct tls_cache *c) {
    pthread_once(&index_once, make_index);
    __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
    SSL_CTX_set_ex_data(ctx, cache_index, c);
    SSL_CTX_sess_set_new_cb(ctx, on_new);
    SSL_CTX_sess_set_get_cb(ctx, on_get);
    SSL_CTX_sess_set_remove_cb(ctx, on_remove);
}
