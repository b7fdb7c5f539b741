// Contexts: what a tls_config becomes on each loop. OpenSSL 3.0 keeps algorithms, reference counts and caches in a library
// context and locks around them; each loop has a library context of its own, so that the locks are never met by two.
#include "io/inbox.h"
#include "io/tls_config.h"
#include <openssl/err.h>
#include <openssl/provider.h>
#include <pthread.h>
#include <stdlib.h>

// --- a loop's own ----------------------------------------------------------------------------------------------------------

static pthread_mutex_t contexts_lock = PTHREAD_MUTEX_INITIALIZER; // guards the lists of contexts and the configs' slots
static __thread struct tls_loop *here;


static void forget_contexts(struct tls_loop *t) {
    pthread_mutex_lock(&contexts_lock);
    list_each_safe(c, &t->contexts, struct tls_context, node) {
        list_remove(&c->node);
        SSL_CTX_free(c->ssl);
        c->ssl = NULL; // the place stays the config's
    }
    pthread_mutex_unlock(&contexts_lock);
}

static void free_loop(void *arg) {
    struct tls_loop *t = arg;
    tls_peers_free(t);
    timer_remove(&t->release);
    tls_keyed_free(t);
    SSL_free(t->any);
    forget_contexts(t);
    BIO_free(t->bio);
    EVP_CIPHER_free(t->ticket_cipher);
    tls_kdf_done(&t->kdf);
    OSSL_LIB_CTX_free(t->lib);
    free(t);
    here = NULL;
}

struct tls_loop *tls_loop(void) {
    if (LIKELY(here != NULL))
        return here;
    struct loop *loop = loop_this;
    CHECK(loop != NULL);
    struct tls_loop *t = xcalloc(1, sizeof *t);
    list_init(&t->contexts);
    list_init(&t->peers);
    tls_hold_init(t);
    t->lib = OSSL_LIB_CTX_new();
    t->bio = tls_bio_new(t);
    map_init(&t->peers_by_key, false, (uint64_t)(uintptr_t)t);
    CHECK(t->lib != NULL && t->bio != NULL);
    CHECK(tls_kdf_init(&t->kdf, t->lib) && tls_kdf_provide(&t->kdf, t->lib));
    tls_records_attach(t);
    t->ticket_cipher = EVP_CIPHER_fetch(t->lib, "AES-256-CBC", NULL);
    CHECK(t->ticket_cipher != NULL);
    loop_at_free(loop, free_loop, t);
    here = t;
    return t;
}

struct tls_loop *tls_enter(struct link *l) {
    struct tls_loop *t = tls_loop();
    t->current = l;
    l->tls->io_err = 0;
    return t;
}

void tls_leave(void) { tls_loop()->current = NULL; }

// --- contexts of a config ----------------------------------------------------------------------------------------------------

static struct tls_context *place_of(struct tls_config *c, unsigned loop_id) {
    if (loop_id >= TLS_LOOPS)
        return NULL;
    struct tls_context **chunk = &c->of_loops[loop_id / TLS_CHUNK];
    if (__atomic_load_n(chunk, __ATOMIC_ACQUIRE) == NULL) {
        struct tls_context *made = xcalloc(TLS_CHUNK, sizeof *made);
        pthread_mutex_lock(&contexts_lock);
        if (*chunk == NULL)
            __atomic_store_n(chunk, made, __ATOMIC_RELEASE);
        else
            free(made);
        pthread_mutex_unlock(&contexts_lock);
    }
    return &(*chunk)[loop_id % TLS_CHUNK];
}

// On a helper: what was found goes to the process's log, as no request is to blame.
static void look_at_files(void *arg) {
    struct tls_config *c = arg;
    char text[1024];
    struct sbuf why;
    sbuf_init_fixed(&why, text, sizeof text);
    if (tls_config_refresh(c, &why))
        log_msg(LOG_NOTICE, 0, "certificates of \"" STR_FMT "\" have changed and are used from now on",
                STR_ARG(c->settings.npairs != 0 ? c->settings.pairs[0].cert : STR("")));
    else if (why.n != 0)
        log_msg(LOG_ERR, 0, STR_FMT " (the certificates that were good before are used)", STR_ARG(sbuf_view(&why)));
    tls_config_unref(c);
}

// Handshakes see to it that files are looked at now and then: a config that nobody uses costs nothing.
static void look_now_and_then(struct tls_config *c) {
    uint64_t now = loop_this->now, due = __atomic_load_n(&c->look_ms, __ATOMIC_RELAXED);
    if (LIKELY(now < due) || !c->settings.watched)
        return;
    if (__atomic_compare_exchange_n(&c->look_ms, &due, now + TLS_LOOK_MS, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) && due != 0)
        helper_post(look_at_files, tls_config_ref(c));
}

SSL_CTX *tls_context_of(struct tls_config *c) {
    look_now_and_then(c);
    struct tls_context *place = place_of(c, loop_id(loop_this));
    if (place == NULL)
        return NULL;
    uint64_t version = __atomic_load_n(&c->version, __ATOMIC_ACQUIRE);
    if (LIKELY(place->ssl != NULL && place->version == version))
        return place->ssl;
    struct tls_loop *t = tls_loop();
    struct tls_material *m = tls_material_of(c);
    SSL_CTX *made = tls_build(&c->settings, m, t->lib, NULL);
    tls_material_unref(m);
    if (made == NULL)
        return place->ssl; // what was good before, if anything
    pthread_mutex_lock(&contexts_lock);
    SSL_CTX *old = place->ssl;
    place->ssl = made;
    place->version = version;
    if (old == NULL)
        list_push_back(&t->contexts, &place->node);
    pthread_mutex_unlock(&contexts_lock);
    SSL_CTX_free(old);
    return made;
}

void tls_contexts_free(struct tls_config *c) {
    pthread_mutex_lock(&contexts_lock);
    for (unsigned i = 0; i < ARRAY_LEN(c->of_loops); i++) {
        for (unsigned j = 0; c->of_loops[i] != NULL && j < TLS_CHUNK; j++) {
            struct tls_context *place = &c->of_loops[i][j];
            if (place->ssl == NULL)
                continue;
            list_remove(&place->node);
            SSL_CTX_free(place->ssl);
        }
        free(c->of_loops[i]);
    }
    pthread_mutex_unlock(&contexts_lock);
}
