// ssl_ocsp: after the handshake the responders of the authorities are asked whether the client's certificates were revoked.
// Requests see the result as those of any bad certificate: 495. What a responder said is kept as long as it says, if there is
// an ssl_ocsp_cache.
#include "io/tls_ocsp.h"
#include "base/base64.h"
#include "feature/tls/ssl.h"
#include "http/conn.h"
#include "io/connect.h"
#include "io/loop.h"
#include "io/resolver.h"
#include "upstream/names.h"
#include "wire/http1.h"
#include "wire/uri.h"
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { TIMEOUT_MS = 60 * 1000, ANSWER_MAX = 64 << 10, ENTRY_COST = 160 };
enum mode { OCSP_OFF, OCSP_ON, OCSP_LEAF };

static const char request_failed[] = "certificate status request failed";
static const char revoked[] = "certificate revoked";

struct ocsp_conf {
    int mode;             // enum mode
    struct str responder; // URL; "": the certificate's
    struct zone *cache;
    bool cache_said;
    const struct resolver_conf *resolver; // of the server
};
extern struct feature feature_ssl_ocsp;

// --- what is kept ----------------------------------------------------------------------------------------------------------------

struct entry {
    struct list node; // in by_use, oldest first
    enum tls_ocsp_verdict verdict;
    int64_t until;
    size_t n;
    char id[];
};

struct cache {
    pthread_mutex_t lock;
    struct map by_id;
    struct list by_use;
    size_t bytes, max;
};

static void *make_cache(const void *size) {
    struct cache *c = xcalloc(1, sizeof *c);
    pthread_mutex_init(&c->lock, NULL);
    map_init(&c->by_id, false, (uint64_t)(uintptr_t)c);
    list_init(&c->by_use);
    c->max = (size_t)*(const uint64_t *)size;
    return c;
}

// Under the lock.
static void drop(struct cache *c, struct entry *e) {
    map_del(&c->by_id, str_n(e->id, e->n));
    list_remove(&e->node);
    c->bytes -= e->n + ENTRY_COST;
    free(e);
}

static void free_cache(void *cache) {
    struct cache *c = cache;
    while (!list_empty(&c->by_use))
        drop(c, list_first(&c->by_use, struct entry, node));
    map_done(&c->by_id);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static bool cache_fits(const void *cache, const void *size) { return ((const struct cache *)cache)->max == *(const uint64_t *)size; }
static const struct zone_kind cache_kind = {"ssl_ocsp_cache", make_cache, free_cache, cache_fits};
static void unref_zone(void *zone) { zone_unref(zone); }

static enum tls_ocsp_verdict look_up(struct cache *c, struct str id) {
    enum tls_ocsp_verdict found = TLS_OCSP_UNKNOWN;
    pthread_mutex_lock(&c->lock);
    struct entry *e = map_get(&c->by_id, id);
    if (e != NULL && e->until <= time(NULL)) {
        drop(c, e);
    } else if (e != NULL) {
        found = e->verdict;
        list_remove(&e->node);
        list_push_back(&c->by_use, &e->node);
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

static void keep(struct cache *c, struct str id, enum tls_ocsp_verdict verdict, int64_t until) {
    struct entry *e = until > time(NULL) ? malloc(sizeof *e + id.n) : NULL;
    if (e == NULL)
        return;
    *e = (struct entry){.verdict = verdict, .until = until, .n = id.n};
    memcpy(e->id, id.p, id.n);
    pthread_mutex_lock(&c->lock);
    struct entry *same = map_get(&c->by_id, id);
    if (same != NULL)
        drop(c, same);
    while (c->bytes + e->n + ENTRY_COST > c->max && !list_empty(&c->by_use))
        drop(c, list_first(&c->by_use, struct entry, node));
    map_put(&c->by_id, str_n(e->id, e->n), e);
    list_push_back(&c->by_use, &e->node);
    c->bytes += e->n + ENTRY_COST;
    pthread_mutex_unlock(&c->lock);
}

// --- asking ----------------------------------------------------------------------------------------------------------------------

struct asking {
    const struct ocsp_conf *conf;
    struct arena *arena;
    struct loop *loop;
    struct uri_url url;
    uint64_t deadline;
};

static uint64_t left(const struct asking *a) {
    uint64_t now = loop_now(a->loop);
    return a->deadline > now ? a->deadline - now : 0;
}

static bool complain(const struct asking *a, int err, const char *what) {
    char room[128];
    if (err == 0)
        log_msg(LOG_ERR, 0, "%s while requesting certificate status, responder: " STR_FMT, what, STR_ARG(a->url.host));
    else if (err != -ECANCELED)
        log_msg(LOG_ERR, 0, "%s (%d: %s) while requesting certificate status, responder: " STR_FMT, what, -err,
                strerror_r(-err, room, sizeof room), STR_ARG(a->url.host));
    return false;
}

static struct link *connect_responder(struct asking *a) {
    struct names found = {0};
    struct addr_full one = {0};
    const char *malformed;
    int err = 0;
    uint16_t port = 80;
    int64_t number;
    if (a->url.port.n != 0 && conf_parse_num(a->url.port, &number) && number > 0 && number < 65536)
        port = (uint16_t)number;
    if (addr_parse(&one, a->url.host, port, false, &malformed)) {
        found = (struct names){&one, 1};
    } else {
        struct resolved r;
        uint64_t timeout = MIN(left(a), a->conf->resolver->timeout);
        err = resolver_addresses(a->conf->resolver->resolver, a->url.host, timeout, a->arena, &r);
        if (err != 0) {
            log_msg(LOG_ERR, 0, STR_FMT " could not be resolved (%d: %s) while requesting certificate status", STR_ARG(a->url.host),
                    resolver_rcode(err), resolver_error(err));
            return NULL;
        }
        found = r.addrs;
    }
    for (size_t i = 0; i < found.count; i++) {
        addr_set_port(&found.at[i].sa, port);
        struct link *l = connect_to(&found.at[i], NULL, left(a), &err);
        if (l != NULL)
            return l;
    }
    complain(a, err, "connect() failed");
    return NULL;
}

// RFC 6960 A.1: the question in base64 in the path; it is well below the 255 bytes up to which that is advised.
static bool send_question(struct asking *a, struct link *l, struct str der) {
    struct sbuf text, path;
    sbuf_init_arena(&text, a->arena, der.n * 2, 64 << 10);
    base64_encode(&text, der);
    sbuf_init_arena(&path, a->arena, 512, 64 << 10);
    sbuf_lit(&path, "GET ");
    sbuf_str(&path, a->url.has_path ? a->url.path : STR("/"));
    if (path.p[path.n - 1] != '/')
        sbuf_chr(&path, '/');
    sbuf_str(&path, uri_escape(sbuf_view(&text), URI_ESCAPE_COMPONENT, a->arena));
    sbuf_printf(&path, " HTTP/1.0\r\nHost: " STR_FMT "\r\n\r\n", STR_ARG(a->url.host));
    struct chain out;
    chain_init(&out, loop_blocks(a->loop));
    chain_add_copy(&out, sbuf_view(&path));
    ssize_t n = link_write(l, &out, left(a));
    chain_done(&out);
    return n > 0 || complain(a, (int)n, "send() failed");
}

static bool is_ocsp_response(const struct head *h) {
    const struct field *type = head_find(h, FIELD_CONTENT_TYPE);
    return type != NULL && str_ieq(type->value, STR("application/ocsp-response"));
}

// The body, from the arena, once the head and as much as it announces are there.
static bool read_answer(struct asking *a, struct link *l, struct str *body) {
    char *room = arena_alloc(a->arena, ANSWER_MAX);
    struct http1_parse ps = {0};
    struct head h;
    const struct http1_limits limits = {.max_line = 4096, .max_head = 16 << 10, .max_fields = 100};
    enum http1_result parsed = HTTP1_MORE;
    int64_t length = -1;
    size_t n = 0;
    ssize_t got = 0;
    head_init(&h, a->arena);
    while (n < ANSWER_MAX) {
        got = link_read_into(l, room + n, ANSWER_MAX - n, left(a));
        if (got <= 0)
            break;
        n += (size_t)got;
        if (parsed == HTTP1_MORE) {
            parsed = http1_parse_response(&ps, &h, room, n, &limits);
            const struct field *said = parsed == HTTP1_OK ? head_find(&h, FIELD_CONTENT_LENGTH) : NULL;
            if (said != NULL)
                length = http1_content_length(said->value, false);
        }
        if (parsed != HTTP1_MORE && (parsed != HTTP1_OK || (length >= 0 && n - ps.end >= (size_t)length)))
            break;
    }
    if (got < 0)
        return complain(a, (int)got, got == -ETIMEDOUT ? "OCSP responder timed out" : "recv() failed");
    if (parsed == HTTP1_MORE)
        return complain(a, 0, "OCSP responder prematurely closed connection");
    if (parsed != HTTP1_OK || h.status != 200 || !is_ocsp_response(&h))
        return complain(a, 0, parsed != HTTP1_OK ? "OCSP responder sent invalid response"
                              : h.status != 200  ? "OCSP responder did not answer 200"
                                                 : "OCSP responder sent invalid \"Content-Type\" header");
    *body = str_n(room + ps.end, length >= 0 ? MIN((size_t)length, n - ps.end) : n - ps.end);
    return true;
}

static bool ask(struct asking *a, struct str der, struct str *answer) {
    struct link *l = connect_responder(a);
    bool ok = l != NULL && send_question(a, l, der) && read_answer(a, l, answer);
    link_free(l);
    return ok;
}

static bool take_url(struct asking *a, struct str text) {
    const char *why;
    if (uri_parse_url(&a->url, text, &why) && str_ieq(a->url.scheme, STR("http")) && !a->url.is_unix)
        return true;
    log_msg(LOG_ERR, 0, "invalid URL \"" STR_FMT "\" of OCSP responder in certificate", STR_ARG(text));
    return false;
}

static enum tls_ocsp_verdict verdict_of(const struct ocsp_conf *conf, struct tls_ocsp *o, size_t i, struct loop *loop, struct arena *arena) {
    struct tls_ocsp_question q;
    struct asking a = {.conf = conf, .arena = arena, .loop = loop, .deadline = loop_now(loop) + TIMEOUT_MS};
    struct cache *cache = conf->cache != NULL ? conf->cache->state : NULL;
    if (!tls_ocsp_question(o, i, arena, &q))
        return TLS_OCSP_UNKNOWN;
    enum tls_ocsp_verdict known = cache != NULL ? look_up(cache, q.id) : TLS_OCSP_UNKNOWN;
    if (known != TLS_OCSP_UNKNOWN)
        return known;
    struct str url = conf->responder.n != 0 ? conf->responder : q.url, answer;
    if (url.n == 0) {
        log_msg(LOG_ERR, 0, "no OCSP responder URL in certificate");
        return TLS_OCSP_UNKNOWN;
    }
    if (!take_url(&a, url) || !ask(&a, q.der, &answer))
        return TLS_OCSP_UNKNOWN;
    int64_t until;
    const char *why = NULL;
    enum tls_ocsp_verdict verdict = tls_ocsp_judge(o, i, answer, &until, &why);
    if (verdict == TLS_OCSP_UNKNOWN)
        log_msg(LOG_ERR, 0, "OCSP response is of no use: %s, responder: " STR_FMT, why, STR_ARG(a.url.host));
    else if (cache != NULL)
        keep(cache, q.id, verdict, until);
    return verdict;
}

static void inspect(const struct https *h, struct conn *c) {
    const struct ocsp_conf *conf = h->inspect_conf;
    const char *why;
    struct tls_ocsp *o = tls_ocsp_new(c->link, conf->mode == OCSP_LEAF, &why);
    if (why != NULL) {
        log_msg(LOG_ERR, 0, "certificate status cannot be requested: %s", why);
        link_tls_distrust(c->link, request_failed);
    }
    if (o == NULL)
        return;
    struct loop *loop = link_loop(c->link);
    struct arena arena;
    arena_init(&arena, loop_blocks(loop));
    link_watch(c->link, task_self());
    const char *wrong = NULL;
    for (size_t i = 0; wrong == NULL && i < tls_ocsp_count(o); i++) {
        enum tls_ocsp_verdict v = verdict_of(conf, o, i, loop, &arena);
        wrong = v == TLS_OCSP_GOOD ? NULL : v == TLS_OCSP_REVOKED ? revoked : request_failed;
    }
    link_watch(c->link, NULL);
    if (wrong != NULL)
        link_tls_distrust(c->link, wrong);
    arena_done(&arena);
    tls_ocsp_free(o);
}

// --- rows ------------------------------------------------------------------------------------------------------------------------

static bool set_cache(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct ocsp_conf *c = conf;
    struct str word = node->args[1], rest = str_from(word, MIN(word.n, (size_t)7));
    c->cache = NULL;
    if (str_eq(word, STR("off")))
        return true;
    ssize_t colon = str_starts(word, STR("shared:")) ? str_chr(rest, ':') : -1;
    uint64_t size = 0;
    if (colon <= 0 || !conf_parse_size(str_from(rest, (size_t)colon + 1), &size))
        return conf_err(cx, node, "invalid OCSP cache \"" STR_FMT "\"", STR_ARG(word));
    if (size < 8 * 4096)
        return conf_err(cx, node, "OCSP cache \"" STR_FMT "\" is too small", STR_ARG(word));
    if (cx->conf->zones == NULL)
        return true;
    c->cache = zone_get(cx->conf->zones, &cache_kind, str_head(rest, (size_t)colon), &size, NULL);
    arena_cleanup(cx->arena, unref_zone, c->cache);
    return true;
}

static bool set_responder(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    ((struct ocsp_conf *)conf)->responder = arena_dup(cx->arena, node->args[1]);
    return true;
}

static const struct conf_word modes[] = {{"off", OCSP_OFF}, {"on", OCSP_ON}, {"leaf", OCSP_LEAF}, {NULL, 0}};

static const struct conf_row rows[] = {
    ROW_ENUM("ssl_ocsp", IN_HTTP | IN_SERVER, struct ocsp_conf, mode, "off", modes,
             "Asks OCSP responders whether certificates of clients were revoked: all of the chain, or (leaf) the client's own."),
    ROW_FNS("ssl_ocsp_cache", IN_HTTP | IN_SERVER, 1, 1, 0, set_cache, "off", "off | shared:name:size",
            "Keeps what responders say, for all threads."),
    ROW_FNS("ssl_ocsp_responder", IN_HTTP | IN_SERVER, 1, 1, 0, set_responder, NULL, "url",
            "The responder to be asked, instead of those that certificates name; http:// only."),
};

static bool check(struct conf_cx *cx, const struct ocsp_conf *c, const struct https *h) {
    if (h->verify == TLS_VERIFY_OPTIONAL_NO_CA)
        return conf_err(cx, NULL, "\"ssl_ocsp\" is incompatible with \"ssl_verify_client optional_no_ca\"");
    if (c->responder.n != 0 && !str_istarts(c->responder, STR("http://")))
        return conf_err(cx, NULL, "invalid URL prefix in OCSP responder \"" STR_FMT "\" in \"ssl_ocsp_responder\"",
                        STR_ARG(c->responder));
    return true;
}

// Behind feature_ssl, which has made the servers' https.
static bool link_ocsp(struct conf_cx *cx, struct scope *root) {
    const struct http_world *w = http_world(cx->conf);
    bool ok = true;
    for (unsigned i = 0; w != NULL && i < w->nservers; i++) {
        struct https *h = w->servers[i]->https;
        const struct ocsp_conf *c = scope_conf(w->servers[i]->scope, &feature_ssl_ocsp);
        if (h == NULL || c->mode == OCSP_OFF)
            continue;
        ok &= check(cx, c, h);
        if (h->verify == TLS_VERIFY_OFF)
            continue;
        struct ocsp_conf *own = arena_new(cx->arena, struct ocsp_conf);
        *own = *c;
        own->resolver = scope_conf(w->servers[i]->scope, &feature_resolver);
        h->inspect = inspect;
        h->inspect_conf = own;
    }
    return ok;
}

struct feature feature_ssl_ocsp = {
    .name = "ssl_ocsp",
    .rows = rows,
    .nrows = ARRAY_LEN(rows),
    .conf_size = sizeof(struct ocsp_conf),
    .link = link_ocsp,
};
