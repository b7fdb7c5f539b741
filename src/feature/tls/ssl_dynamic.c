// Certificates whose names hold variables: one tls_config for each value, as long as it is in use. Without
// ssl_certificate_cache each handshake looks whether the files have changed, which costs a stat; what is loaded stays.
#include "feature/tls/ssl_dynamic.h"
#include "base/hash.h"
#include "http/conn.h"
#include "io/inbox.h"
#include "io/loop.h"
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>

enum { KEPT_MAX = 1000 }; // without ssl_certificate_cache

struct kept {
    struct list node; // in `by_use`, oldest first
    struct tls_config *config;
    struct tls_pair *pairs; // texts of its own
    uint64_t loaded_ms, used_ms;
    size_t n;
    char key[];
};

struct ssl_dynamic {
    struct ssl_dynamic_opts o;
    pthread_mutex_t lock;
    struct map by_key;
    struct list by_use;
};

// Under the lock.
static void drop(struct ssl_dynamic *d, struct kept *k) {
    map_del(&d->by_key, str_n(k->key, k->n));
    list_remove(&k->node);
    tls_config_unref(k->config);
    OPENSSL_cleanse(k->key, k->n);
    free(k);
}

static void free_all(void *arg) {
    struct ssl_dynamic *d = arg;
    while (!list_empty(&d->by_use))
        drop(d, list_first(&d->by_use, struct kept, node));
    map_done(&d->by_key);
    pthread_mutex_destroy(&d->lock);
}

struct ssl_dynamic *ssl_dynamic_new(struct conf_cx *cx, const struct ssl_dynamic_opts *o) {
    struct ssl_dynamic *d = arena_new(cx->arena, struct ssl_dynamic);
    d->o = *o;
    pthread_mutex_init(&d->lock, NULL);
    map_init(&d->by_key, false, cx->conf->seed);
    list_init(&d->by_use);
    arena_cleanup(cx->arena, free_all, d);
    return d;
}

// --- loading -------------------------------------------------------------------------------------------------------------------

struct work {
    const struct tls_settings *settings;
    struct tls_config *config;
    struct sbuf why;
    char text[1024];
};

static int load(void *arg) {
    struct work *w = arg;
    w->config = tls_config_new(w->settings, &w->why);
    return 0;
}

static int refresh(void *arg) {
    struct work *w = arg;
    tls_config_refresh(w->config, &w->why);
    return 0;
}

static void complain(struct work *w) {
    if (w->why.n != 0)
        log_msg(LOG_ERR, 0, STR_FMT, STR_ARG(sbuf_view(&w->why)));
}

// A name that a variable made is a file in the configuration's directory, as those that are written there.
static struct str evaluate(struct req *r, const struct tmpl *t) {
    struct str v = req_eval(r, t);
    if (t->constant || v.n == 0 || v.p[0] == '/' || str_starts(v, STR("data:")))
        return arena_dup(&r->arena, v);
    const struct str parts[2] = {r->conf->conf_prefix, v};
    struct str joined = arena_join(&r->arena, parts, 2);
    return arena_dup(&r->arena, joined);
}

// "cert\0key\0cert\0key\0" of this connection: the key of the cache, and where the pairs' texts lie.
static struct str make_key(struct req *r, const struct ssl_dynamic_opts *o) {
    struct sbuf b;
    sbuf_init_arena(&b, &r->arena, 256, 1 << 20);
    for (size_t i = 0; i < o->certs.count; i++) {
        sbuf_str(&b, evaluate(r, ((const struct ssl_name *)o->certs.at)[i].tmpl));
        sbuf_chr(&b, '\0');
        sbuf_str(&b, evaluate(r, ((const struct ssl_name *)o->keys.at)[i].tmpl));
        sbuf_chr(&b, '\0');
    }
    return b.overflow ? STR_NONE : sbuf_view(&b);
}

// The pairs lie behind the object and its key, so that they live as long as it.
static struct kept *kept_new(struct str key, size_t npairs) {
    size_t at = (sizeof(struct kept) + key.n + 15) & ~(size_t)15;
    struct kept *k = calloc(1, at + npairs * sizeof(struct tls_pair));
    if (k == NULL)
        return NULL;
    k->n = key.n;
    memcpy(k->key, key.p, key.n);
    k->pairs = (struct tls_pair *)(void *)((char *)k + at);
    struct str rest = str_n(k->key, k->n);
    for (size_t i = 0; i < npairs; i++) {
        str_split(&rest, '\0', &k->pairs[i].cert);
        str_split(&rest, '\0', &k->pairs[i].key);
    }
    return k;
}

static struct tls_config *insert(struct ssl_dynamic *d, struct kept *k, uint64_t now) {
    size_t max = d->o.cache->max > 0 ? (size_t)d->o.cache->max : KEPT_MAX;
    k->loaded_ms = k->used_ms = now;
    struct tls_config *c = tls_config_ref(k->config);
    pthread_mutex_lock(&d->lock);
    struct kept *same = map_get(&d->by_key, str_n(k->key, k->n));
    if (same != NULL)
        drop(d, same);
    while (d->by_key.count >= max)
        drop(d, list_first(&d->by_use, struct kept, node));
    map_put(&d->by_key, str_n(k->key, k->n), k);
    list_push_back(&d->by_use, &k->node);
    pthread_mutex_unlock(&d->lock);
    return c;
}

// A kept config, counted, or NULL; *look: its files are to be looked at first.
static struct tls_config *find(struct ssl_dynamic *d, struct str key, uint64_t now, bool *look) {
    const struct ssl_cert_cache *c = d->o.cache;
    struct tls_config *found = NULL;
    pthread_mutex_lock(&d->lock);
    struct kept *k = map_get(&d->by_key, key);
    bool cached = c->max > 0;
    if (k != NULL && cached && now - k->used_ms > (uint64_t)c->inactive_s * 1000) {
        drop(d, k);
    } else if (k != NULL) {
        *look = !cached || now - k->loaded_ms >= (uint64_t)c->valid_s * 1000;
        if (*look)
            k->loaded_ms = now;
        k->used_ms = now;
        list_remove(&k->node);
        list_push_back(&d->by_use, &k->node);
        found = tls_config_ref(k->config);
    }
    pthread_mutex_unlock(&d->lock);
    return found;
}

struct tls_config *ssl_dynamic_get(struct ssl_dynamic *d, struct req *r, uint64_t *hash) {
    struct str key = make_key(r, &d->o);
    struct work w = {0};
    sbuf_init_fixed(&w.why, w.text, sizeof w.text);
    bool look = false;
    if (key.p == NULL)
        return NULL;
    if (hash != NULL)
        *hash = hash_str(key, 0);
    w.config = find(d, key, loop_now(r->loop), &look);
    if (w.config != NULL) {
        if (look)
            helper_run(refresh, &w);
        complain(&w);
        return w.config;
    }
    struct kept *k = kept_new(key, d->o.certs.count);
    if (k == NULL)
        return NULL;
    struct tls_settings s;
    d->o.fill(d->o.conf, &s);
    s.pairs = k->pairs;
    s.npairs = k->pairs[0].cert.n != 0 ? d->o.certs.count : 0; // an empty name: no certificate
    s.id = d->o.id;
    w.settings = &s;
    helper_run(load, &w);
    complain(&w);
    k->config = w.config;
    if (w.config != NULL)
        return insert(d, k, loop_now(r->loop));
    free(k);
    return NULL;
}

bool ssl_is_dynamic(struct conf_list certs, struct conf_list keys) {
    conf_list_each(const struct ssl_name, cert, certs) {
        if (!cert->tmpl->constant)
            return true;
    }
    conf_list_each(const struct ssl_name, key, keys) {
        if (!key->tmpl->constant)
            return true;
    }
    return false;
}

// --- the directive -------------------------------------------------------------------------------------------------------------

bool ssl_set_cert_cache(struct conf_cx *cx, struct ssl_cert_cache *cache, const struct conf_node *node) {
    *cache = (struct ssl_cert_cache){.inactive_s = 10, .valid_s = 60};
    for (unsigned i = 1; i < node->nargs; i++) {
        struct str w = node->args[i];
        bool ok = true;
        if (str_starts(w, STR("max=")))
            ok = conf_parse_num(str_from(w, 4), &cache->max) && cache->max > 0;
        else if (str_starts(w, STR("inactive=")))
            ok = conf_parse_sec(str_from(w, 9), &cache->inactive_s);
        else if (str_starts(w, STR("valid=")))
            ok = conf_parse_sec(str_from(w, 6), &cache->valid_s);
        else if (str_eq(w, STR("off")) && node->nargs == 2)
            cache->off = true;
        else
            ok = false;
        if (!ok)
            return conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(w));
    }
    if (!cache->off && cache->max == 0)
        return conf_err(cx, node, "\"" STR_FMT "\" must have the \"max\" parameter", STR_ARG(node->args[0]));
    return true;
}
