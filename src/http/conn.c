// Client connections of a loop, and the service that the loops share: the current snapshot and the counters.
#include "http/conn.h"
#include "http/background.h"
#include "http/h1_server.h"
#include "http/h2_server.h"
#include "http/tape.h"
#include "io/inbox.h"
#include "io/loop.h"
#include "wire/http2.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

// FIRST_REQUEST_MS: how long a loop that stops waits for the first request of a connection.
enum { LOOPS_MAX = 512, FIRST_REQUEST_MS = 1000 };

struct http_service {
    pthread_mutex_t lock; // guards conf and previous
    struct conf *conf, *previous;
    uint32_t snapshot;    // atomic; changes with conf
    uint64_t next_number; // atomic
    struct tape_budget budget;
    struct background background;
    struct http_loop *loops[LOOPS_MAX]; // by loop id; atomic pointers
};

static unsigned http_slot; // taken once, before threads start

// --- the service -----------------------------------------------------------------------------------------------------

struct http_service *http_service_new(struct conf *first, uint64_t body_memory) {
    static bool have_slot;
    if (!have_slot) {
        http_slot = loop_slot_new();
        have_slot = true;
    }
    struct http_service *s = xcalloc(1, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    s->conf = first;
    s->snapshot = 1;
    s->budget.left = (int64_t)body_memory;
    return s;
}

void http_service_free(struct http_service *s) {
    if (s == NULL)
        return;
    conf_unref(s->conf);
    conf_unref(s->previous);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void http_service_swap(struct http_service *s, struct conf *next) {
    pthread_mutex_lock(&s->lock);
    struct conf *old = s->previous;
    s->previous = s->conf;
    s->conf = next;
    __atomic_add_fetch(&s->snapshot, 1, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&s->lock);
    conf_unref(old);
    background_changed(&s->background, s);
}

void http_service_settle(struct http_service *s) {
    pthread_mutex_lock(&s->lock);
    struct conf *old = s->previous;
    s->previous = NULL;
    pthread_mutex_unlock(&s->lock);
    conf_unref(old);
}

struct conf *http_service_conf(struct http_service *s) {
    pthread_mutex_lock(&s->lock);
    struct conf *c = conf_ref(s->conf);
    pthread_mutex_unlock(&s->lock);
    return c;
}

static struct conf *previous_conf(struct http_service *s) {
    pthread_mutex_lock(&s->lock);
    struct conf *c = s->previous != NULL ? conf_ref(s->previous) : NULL;
    pthread_mutex_unlock(&s->lock);
    return c;
}

struct tape_budget *http_service_budget(struct http_service *s) { return &s->budget; }

struct http_loop *http_loop(struct loop *l) { return *loop_slot(l, http_slot); }

void http_loop_start(struct http_service *s, struct loop *l) {
    CHECK(loop_id(l) < LOOPS_MAX);
    struct http_loop *h = xcalloc(1, sizeof *h);
    h->service = s;
    list_init(&h->conns);
    *loop_slot(l, http_slot) = h;
    __atomic_store_n(&s->loops[loop_id(l)], h, __ATOMIC_RELEASE);
    if (loop_id(l) == 0) {
        __atomic_store_n(&s->background.loop, l, __ATOMIC_RELEASE);
        background_follow(&s->background, s);
    }
}

void http_loop_end(struct loop *l) {
    struct http_loop *h = http_loop(l);
    list_each_safe(c, &h->conns, struct conn, all) conn_free(c);
    if (loop_id(l) == 0) {
        background_stop(&h->service->background);
        __atomic_store_n(&h->service->background.loop, NULL, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&h->service->loops[loop_id(l)], NULL, __ATOMIC_RELEASE);
    *loop_slot(l, http_slot) = NULL;
    free(h);
}

void http_service_counters(struct http_service *s, struct http_loop *sum) {
    *sum = (struct http_loop){.service = s};
    for (unsigned i = 0; i < LOOPS_MAX; i++) {
        struct http_loop *h = __atomic_load_n(&s->loops[i], __ATOMIC_ACQUIRE);
        if (h == NULL)
            continue;
        sum->accepted += __atomic_load_n(&h->accepted, __ATOMIC_RELAXED);
        sum->handled += __atomic_load_n(&h->handled, __ATOMIC_RELAXED);
        sum->requests += __atomic_load_n(&h->requests, __ATOMIC_RELAXED);
        sum->active += __atomic_load_n(&h->active, __ATOMIC_RELAXED);
        sum->waiting += __atomic_load_n(&h->waiting, __ATOMIC_RELAXED);
    }
}

// --- connections -------------------------------------------------------------------------------------------------------

struct http_service *conn_service(const struct conn *c) { return http_loop(link_loop(c->link))->service; }

// Which virtual servers may answer: those of the address that the client really connected to. NULL: none has it.
static const struct vhosts *find_vhosts(const struct conn *c, const struct conf *conf) {
    const struct addr_full *bound = listener_addr(c->from);
    const struct http_world *w = http_world(conf);
    if (w == NULL)
        return NULL;
    struct addr_full local;
    bool wild = vhosts_need_local(w, &bound->sa) && link_local(c->link, &local);
    return vhosts_at(w, &bound->sa, wild ? &local.sa : NULL);
}

// The connection's snapshot, if that has its address; else the reference goes back.
static bool take_conf(struct conn *c, struct conf *conf) {
    const struct vhosts *found = conf != NULL ? find_vhosts(c, conf) : NULL;
    if (found == NULL) {
        conf_unref(conf);
        return false;
    }
    conf_unref(c->conf);
    c->conf = conf;
    c->vhosts = found;
    return true;
}

bool conn_refresh(struct conn *c) {
    struct http_service *s = conn_service(c);
    uint32_t now = __atomic_load_n(&s->snapshot, __ATOMIC_ACQUIRE);
    if (LIKELY(c->snapshot == now))
        return true;
    c->snapshot = now;
    if (take_conf(c, http_service_conf(s)))
        return true;
    c->last_request = true;
    return c->conf != NULL || take_conf(c, previous_conf(s));
}

static void run_conn(void *arg);

static void park(struct conn *c, uint64_t timeout_ms) {
    struct loop *l = link_loop(c->link);
    c->idle = true;
    conn_count(&http_loop(l)->waiting, 1);
    link_park(c->link, run_conn, c, "connection", loop_now(l) + timeout_ms);
}

// --- which codec speaks ------------------------------------------------------------------------------------------------

bool conn_offers_http2(const struct conn *c, const struct server *s) {
    const struct http2_conf *conf = scope_conf(s->scope, &feature_http2);
    return c->vhosts->http2 || conf->on;
}

// Prior knowledge (RFC 9113 3.3): the client begins with the preface. What was read comes again. Waits.
static bool look_for_preface(struct conn *c) {
    static const char preface[] = H2_PREFACE;
    const struct http_core *core = scope_conf(c->vhosts->fallback->scope, &feature_http_core);
    struct loop *l = link_loop(c->link);
    uint64_t deadline = loop_now(l) + core->client_header_timeout;
    char seen[sizeof(preface) - 1];
    size_t n = 0;
    ssize_t got = 1;
    while (n < sizeof(seen) && memcmp(seen, preface, n) == 0 && got > 0) {
        uint64_t now = loop_now(l);
        got = link_read_into(c->link, seen + n, sizeof(seen) - n, deadline > now ? deadline - now : 0);
        n += got > 0 ? (size_t)got : 0;
    }
    struct chain again;
    chain_init(&again, loop_blocks(l));
    chain_add_copy(&again, str_n(seen, n));
    link_unread(c->link, &again);
    if (n == sizeof(seen) && memcmp(seen, preface, n) == 0)
        c->serve = h2_serve;
    return got >= 0 || got == -EAGAIN;
}

// What comes before the first request: PROXY header, TLS handshake, and who speaks then. False: the connection has failed.
// Waits.
static bool greet(struct conn *c) {
    if (c->vhosts->proxy_protocol && c->proxied == NULL && !conn_read_proxy(c))
        return false;
    if (c->vhosts->ssl)
        return c->secured || conn_secure(c);
    return !conn_offers_http2(c, c->vhosts->fallback) || look_for_preface(c);
}

// How long an idle connection is left open although its loop stops: who was let in may be about to ask, and
// keepalive_min_timeout is a promise.
static uint64_t grace_of(const struct conn *c) {
    if (c->requests == 0)
        return FIRST_REQUEST_MS;
    uint64_t until = c->idle_ms + MIN(c->keepalive_min_ms, c->keepalive_ms), now = loop_now(link_loop(c->link));
    return until > now ? until - now : 0;
}

static void run_conn(void *arg) {
    struct conn *c = arg;
    CHECK_OBJ(c, CONN_MAGIC);
    int news = link_news(c->link);
    struct http_loop *h = http_loop(link_loop(c->link));
    if (c->idle)
        conn_count(&h->waiting, -1);
    c->idle = false;
    bool readable = news & LINK_READABLE;
    if (c->codec_state != NULL) {
        c->serve(c);
        return;
    }
    if (!readable && (news & LINK_STOPPING) && grace_of(c) != 0) {
        park(c, grace_of(c));
        return;
    }
    if (!readable && (news & (LINK_TIMEOUT | LINK_GONE | LINK_STOPPING))) {
        conn_free(c);
        return;
    }
    (void)conn_refresh(c); // it has a snapshot: at worst its own goes on
    if (c->requests == 0 && c->codec_state == NULL && !greet(c))
        conn_free(c);
    else
        c->serve(c);
}

void conn_rest(struct conn *c) { link_park(c->link, run_conn, c, "connection", UINT64_MAX); }

void conn_idle(struct conn *c, uint64_t timeout_ms) {
    (void)conn_refresh(c);
    c->idle_ms = loop_now(link_loop(c->link));
    // Where the loop retired behind the head of an answer, the client was not told that this was the last.
    if (!c->last_request && !http_loop(link_loop(c->link))->closing)
        park(c, timeout_ms);
    else if (grace_of(c) != 0)
        park(c, MIN(timeout_ms, grace_of(c)));
    else
        conn_free(c);
}

// debug_connection; decided when the connection comes, as in nginx.
static bool is_debugged(const struct conn *c) {
    const struct http_world *w = http_world(c->conf);
    conf_list_each(const struct cidr, net, w->debug_clients) {
        if (cidr_has(net, link_remote(c->link)))
            return true;
    }
    return false;
}

void conn_accept(struct link *link, struct listener *from, void *arg) {
    struct http_service *s = arg;
    struct loop *l = link_loop(link);
    struct http_loop *h = http_loop(l);
    struct conn *c = xcalloc(1, sizeof *c);
    c->magic = CONN_MAGIC;
    c->link = link;
    c->from = listener_ref(from);
    c->serve = h1_serve;
    c->number = __atomic_add_fetch(&s->next_number, 1, __ATOMIC_RELAXED);
    c->start_ms = loop_now(l);
    list_push_back(&h->conns, &c->all);
    conn_count(&h->accepted, 1);
    conn_count(&h->handled, 1);
    conn_count(&h->active, 1);
    if (!conn_refresh(c)) {
        conn_free(c);
        return;
    }
    c->debug = is_debugged(c);
    const struct http_core *core = scope_conf(c->vhosts->fallback->scope, &feature_http_core);
    park(c, h->stopping ? MIN(core->client_header_timeout, (uint64_t)FIRST_REQUEST_MS) : core->client_header_timeout);
}

void conn_free(struct conn *c) {
    if (c == NULL)
        return;
    CHECK_OBJ(c, CONN_MAGIC);
    struct http_loop *h = http_loop(loop_self());
    if (c->owner_free != NULL)
        c->owner_free(c->owner);
    if (c->idle)
        conn_count(&h->waiting, -1);
    conn_count(&h->active, -1);
    if (c->codec_state != NULL)
        h2_state_free(c);
    list_remove(&c->all);
    link_free(c->link);
    listener_unref(c->from);
    conf_unref(c->conf);
    free(c->proxied);
    conf_unref(c->early_conf);
    c->magic = 0;
    free(c);
}

void http_loop_stop(struct loop *l) {
    http_loop(l)->stopping = http_loop(l)->closing = true;
    if (loop_id(l) == 0)
        background_stop(&http_loop(l)->service->background);
    links_wake_parked(l);
    list_each(c, &http_loop(l)->conns, struct conn, all) h2_stop(c);
}

void http_loop_retire(struct loop *l) {
    http_loop(l)->stopping = true;
    list_each(c, &http_loop(l)->conns, struct conn, all) h2_stop(c);
}

// --- after a reload ------------------------------------------------------------------------------------------------------

enum { REFRESH_BATCH = 256 };

struct refresh {
    struct message message;
    struct loop *loop;
};

static void refresh_some(struct http_loop *h) {
    for (unsigned i = 0; i < REFRESH_BATCH && h->to_refresh > 0; i++, h->to_refresh--) {
        if (list_empty(&h->conns)) {
            h->to_refresh = 0;
            return;
        }
        struct conn *c = list_first(&h->conns, struct conn, all);
        list_remove(&c->all);
        list_push_back(&h->conns, &c->all);
        if (!link_parked(c->link) || (!c->idle && c->codec_state == NULL))
            continue; // busy: it refreshes itself before its next request
        (void)conn_refresh(c);
        if (!c->idle) { // its tunnels have their own snapshot
            if (c->last_request)
                h2_stop(c);
            continue;
        }
        if (c->last_request && c->requests > 0) { // who has not asked yet may ask once
            link_unpark(c->link);
            conn_free(c);
        }
    }
}

static void on_refresh(struct message *m) {
    struct refresh *r = container_of(m, struct refresh, message);
    struct http_loop *h = http_loop(r->loop);
    if (h != NULL)
        refresh_some(h);
    if (h != NULL && h->to_refresh > 0)
        inbox_post(r->loop, m);
    else
        free(r);
}

void http_loop_refresh(struct loop *l) {
    struct http_loop *h = http_loop(l);
    bool running = h->to_refresh > 0;
    h->to_refresh = (size_t)h->active;
    if (running || h->to_refresh == 0)
        return;
    struct refresh *r = xcalloc(1, sizeof *r);
    r->message.fn = on_refresh;
    r->loop = l;
    inbox_post(l, &r->message);
}

unsigned http_loop_close_older(struct loop *l, uint64_t generation) {
    unsigned n = 0;
    list_each(c, &http_loop(l)->conns, struct conn, all) {
        if (c->conf->generation > generation) {
            n += c->codec_state != NULL ? h2_close_older(c, generation) : 0;
            continue;
        }
        // Its task finds the connection ended, and unwinds as if the client had gone.
        shutdown(link_fd(c->link), SHUT_RDWR);
        n++;
    }
    return n;
}
