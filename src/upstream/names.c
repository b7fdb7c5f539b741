// Servers named by host.
//
//   while loading: the system's resolver gives the first addresses, or a warning
//   group_names ── servers[] "app.internal:8080"  ── on the first loop a watch each: asks again when the answer's time is up
//               └─ current ──► list of peers of now, replaced when an answer differs
//
// Where a name can not be asked for any more its last addresses stay.
#include "upstream/names.h"
#include "base/list.h"
#include "http/req.h"
#include "io/loop.h"
#include "io/resolver.h"
#include "io/timer.h"
#include "upstream/state.h"
#include <stdlib.h>

enum {
    FIRST_LOOK_MS = 5000,  // of names that were found while loading
    RETRY_FIRST_MS = 1000, RETRY_MOST_MS = 5000, RETRY_KEPT_MS = 60 * 1000, // the last: while old addresses are in use
    AGAIN_LEAST_MS = 1000, AGAIN_MOST_MS = 3600 * 1000,
    AWAIT_STEP_MS = 10,
    SERVER_PEERS_MAX = 1024,
};

// --- while loading -----------------------------------------------------------------------------------------------------------------

static bool malformed(struct conf_cx *cx, const struct conf_node *node, const char *why, struct str text) {
    return conf_err(cx, node, "%s in upstream \"" STR_FMT "\"", why, STR_ARG(text));
}

static bool not_found(struct conf_cx *cx, const struct conf_node *node, struct str text) {
    const struct resolver_conf *rc = scope_conf(cx->scope, &feature_resolver);
    if (rc->strict)
        return conf_err(cx, node, "host not found in upstream \"" STR_FMT "\"", STR_ARG(text));
    conf_warn(cx, node, "host not found in upstream \"" STR_FMT "\"", STR_ARG(text));
    return true;
}

bool names_server(struct conf_cx *cx, const struct conf_node *node, struct str text, unsigned default_port, bool later,
                  struct group_server *s) {
    const char *why = NULL;
    struct addr_full one;
    if (addr_parse(&one, text, (int)default_port, false, &why) || str_istarts(text, STR("unix:")) || str_starts(text, STR("["))) {
        if (s->service.n != 0)
            return conf_err(cx, node, "service upstream \"" STR_FMT "\" is not a name", STR_ARG(text));
        if (names_resolve(cx->arena, text, default_port, &s->fixed, &why))
            return true;
        return malformed(cx, node, why != NULL ? why : "invalid address", text);
    }
    why = NULL;
    if (!names_split(text, default_port, &s->host, &s->port, &why))
        return malformed(cx, node, why != NULL ? why : "invalid host", text);
    if (s->service.n != 0 && str_chr(text, ':') >= 0)
        return conf_err(cx, node, "service upstream \"" STR_FMT "\" may not have port", STR_ARG(text));
    if (!dns_name_ok(s->host))
        return malformed(cx, node, "invalid host", text);
    s->peer.by_address = later;
    if (later)
        return true;
    return names_resolve(cx->arena, text, default_port, &s->fixed, &why) || not_found(cx, node, text);
}

static void add_peer(struct arena *a, struct group *g, const struct group_server *s, const struct addr_full *addr) {
    struct peer *p = &g->peers[g->npeers++];
    *p = s->peer;
    p->addr = *addr;
    p->name = peer_address_text(a, addr);
}

bool names_peers(struct conf_cx *cx, const struct conf_node *node, struct group *g, const struct group_server *servers,
                 unsigned count) {
    size_t total = 0;
    for (unsigned i = 0; i < count; i++)
        total += servers[i].fixed.count;
    if (total > GROUP_PEERS_MAX)
        return conf_err(cx, node, "%zu servers inside upstream, at most %d are possible", total, GROUP_PEERS_MAX);
    g->peers = arena_array(cx->arena, struct peer, MAX(total, (size_t)1));
    g->npeers = 0;
    for (unsigned i = 0; i < count; i++)
        for (size_t k = 0; k < servers[i].fixed.count; k++)
            add_peer(cx->arena, g, &servers[i], &servers[i].fixed.at[k]);
    return true;
}

static void drop_current(void *arg) {
    struct group_names *ns = arg;
    group_done(ns->current);
}

struct group_names *names_of(struct conf_cx *cx, const struct scope *scope, struct group *g,
                             const struct group_server *servers, unsigned count) {
    const struct resolver_conf *rc = scope_conf(scope, &feature_resolver);
    unsigned named = 0, unknown = 0;
    for (unsigned i = 0; i < count; i++) {
        named += servers[i].host.n != 0;
        unknown += servers[i].host.n != 0 && servers[i].fixed.count == 0;
    }
    if (named == 0)
        return NULL;
    struct group_names *ns = arena_new(cx->arena, struct group_names);
    ns->servers = servers;
    ns->nservers = count;
    ns->resolver = rc->resolver;
    ns->timeout_ms = rc->timeout;
    ns->pending = unknown;
    ns->errors = arena_array(cx->arena, int, count);
    for (unsigned i = 0; i < count; i++)
        ns->errors[i] = servers[i].host.n != 0 && servers[i].fixed.count == 0 ? -ENOENT : 0;
    arena_cleanup(cx->arena, drop_current, ns);
    return ns;
}

// --- watches -----------------------------------------------------------------------------------------------------------------------

struct target {
    struct addr_full addr;
    unsigned weight; // 0: the server's
    bool backup;
};

struct watch {
    struct timer timer;
    struct list all;            // of the loop
    struct conf *conf;          // counted while a task runs
    struct group *group;
    unsigned server;            // index in group->names->servers
    struct target *targets;     // the addresses of now
    unsigned ntargets;
    bool known;                 // targets say more than the load does
    bool was_pending;
    unsigned failures;
    bool stale;                 // the log says so already
    struct task *task;
    bool stopped;
};

static struct list watches = LIST_INIT(watches); // of the first loop, and only touched there

static const struct group_server *server_of(const struct watch *w) { return &w->group->names->servers[w->server]; }

static void free_watch(struct watch *w) {
    list_remove(&w->all);
    timer_remove(&w->timer);
    free(w->targets);
    free(w);
}

// --- the list of now ---------------------------------------------------------------------------------------------------------------

static const struct watch *watch_of(const struct group *g, unsigned server) {
    list_each(w, &watches, struct watch, all) {
        if (w->group == g && w->server == server)
            return w;
    }
    return NULL;
}

static void add_targets(struct group *list, const struct group_server *s, const struct watch *w) {
    for (unsigned i = 0; i < w->ntargets && list->npeers < GROUP_PEERS_MAX; i++) {
        add_peer(list->arena, list, s, &w->targets[i].addr);
        struct peer *p = &list->peers[list->npeers - 1];
        if (w->targets[i].weight != 0)
            p->weight = w->targets[i].weight;
        if (w->targets[i].backup)
            p->flags |= PEER_BACKUP;
    }
}

static void publish(struct group *g) {
    struct group_names *ns = g->names;
    unsigned total = 0;
    for (unsigned i = 0; i < ns->nservers; i++) {
        const struct watch *w = ns->servers[i].host.n != 0 ? watch_of(g, i) : NULL;
        total += w != NULL && w->known ? w->ntargets : (unsigned)ns->servers[i].fixed.count;
    }
    struct group *list = group_list_new(g, MIN(total, (unsigned)GROUP_PEERS_MAX));
    list->npeers = 0;
    for (unsigned i = 0; i < ns->nservers; i++) {
        const struct group_server *s = &ns->servers[i];
        const struct watch *w = s->host.n != 0 ? watch_of(g, i) : NULL;
        if (w != NULL && w->known) {
            add_targets(list, s, w);
            continue;
        }
        for (size_t k = 0; k < s->fixed.count && list->npeers < GROUP_PEERS_MAX; k++)
            add_peer(list->arena, list, s, &s->fixed.at[k]);
    }
    group_list_ready(list);
    pthread_mutex_lock(&g->state->lock);
    struct group *old = ns->current;
    ns->current = list;
    if (g->state->queued != 0)
        queue_wake(g->state);
    pthread_mutex_unlock(&g->state->lock);
    group_done(old);
}

// --- asking --------------------------------------------------------------------------------------------------------------------------

static bool has_target(const struct target *at, unsigned n, const struct target *t) {
    for (unsigned i = 0; i < n; i++)
        if (addr_eq(&at[i].addr.sa, &t->addr.sa) && at[i].weight == t->weight && at[i].backup == t->backup)
            return true;
    return false;
}

// The order of an answer says nothing: many name servers change it each time.
static bool same_targets(const struct watch *w, const struct target *at, unsigned n) {
    if (!w->known || n != w->ntargets)
        return false;
    for (unsigned i = 0; i < n; i++)
        if (!has_target(w->targets, w->ntargets, &at[i]))
            return false;
    return true;
}

static void add_addresses(struct target *to, unsigned *n, const struct names *addrs, unsigned port, unsigned weight, bool backup) {
    for (size_t i = 0; i < addrs->count && *n < SERVER_PEERS_MAX; i++) {
        struct target t = {.addr = addrs->at[i], .weight = weight, .backup = backup};
        addr_set_port(&t.addr.sa, port);
        if (!has_target(to, *n, &t))
            to[(*n)++] = t;
    }
}

static void log_failure(struct watch *w, int err) {
    const struct group_server *s = server_of(w);
    const char *kept = w->known || s->fixed.count != 0 ? ", its last addresses stay in use" : "";
    log_msg(LOG_ERR, 0, STR_FMT " could not be resolved (%d: %s) in upstream \"" STR_FMT "\"%s", STR_ARG(s->host),
            resolver_rcode(err), resolver_error(err), STR_ARG(w->group->name), kept);
}

static void note_stale(struct watch *w, int why) {
    if (why != 0 && !w->stale)
        log_failure(w, why);
    w->stale = why != 0;
}

// The name that SRV records are asked for: "_http._tcp.NAME" for service=http, else SERVICE.NAME.
static struct str service_name(const struct group_server *s, struct arena *a) {
    bool dots = str_chr(s->service, '.') >= 0, marked = str_starts(s->service, STR("_"));
    struct str parts[4] = {dots || marked ? STR("") : STR("_"), s->service, dots ? STR(".") : STR("._tcp."), s->host};
    return arena_join(a, parts, 4);
}

static int ask_services(struct watch *w, struct arena *a, struct target *to, unsigned *n, uint64_t *fresh_ms) {
    struct group_names *ns = w->group->names;
    const struct group_server *s = server_of(w);
    struct resolved found, addrs;
    int err = resolver_services(ns->resolver, service_name(s, a), ns->timeout_ms, a, &found), last = -ENOENT;
    *fresh_ms = found.fresh_ms;
    if (err == 0)
        note_stale(w, found.stale);
    for (size_t i = 0; err == 0 && i < found.nservices; i++) {
        const struct service *sv = &found.services[i];
        last = resolver_addresses(ns->resolver, sv->target, ns->timeout_ms, a, &addrs);
        if (last == -ECANCELED)
            return last;
        *fresh_ms = MIN(*fresh_ms, addrs.fresh_ms);
        if (last == 0)
            add_addresses(to, n, &addrs.addrs, sv->port, MAX(sv->weight, 1), sv->priority > found.services[0].priority);
    }
    return err != 0 ? err : *n != 0 ? 0 : last;
}

static int ask(struct watch *w, struct arena *a, struct target *to, unsigned *n, uint64_t *fresh_ms) {
    struct group_names *ns = w->group->names;
    const struct group_server *s = server_of(w);
    struct resolved found;
    if (s->service.n != 0)
        return ask_services(w, a, to, n, fresh_ms);
    int err = resolver_addresses(ns->resolver, s->host, ns->timeout_ms, a, &found);
    *fresh_ms = found.fresh_ms;
    if (err == 0) {
        note_stale(w, found.stale);
        add_addresses(to, n, &found.addrs, s->port, 0, false);
    }
    return err;
}

static void take_answer(struct watch *w, int err, const struct target *to, unsigned n) {
    if (err != 0) {
        if (w->failures++ == 0)
            log_failure(w, err);
        if (!w->known && server_of(w)->fixed.count == 0)
            __atomic_store_n(&w->group->names->errors[w->server], err, __ATOMIC_RELAXED);
    } else {
        w->failures = w->stale ? w->failures + 1 : 0;
        __atomic_store_n(&w->group->names->errors[w->server], 0, __ATOMIC_RELAXED);
        if (!same_targets(w, to, n)) {
            free(w->targets);
            w->targets = xcalloc(MAX(n, 1), sizeof(*to));
            memcpy(w->targets, to, n * sizeof(*to));
            w->ntargets = n;
            w->known = true;
            publish(w->group);
        }
    }
    if (w->was_pending)
        __atomic_fetch_sub(&w->group->names->pending, 1, __ATOMIC_RELEASE);
    w->was_pending = false;
}

static uint64_t next_look(const struct watch *w, uint64_t fresh_ms) {
    if (w->failures != 0) { // ever more patiently: name servers that fail must not be flooded
        uint64_t most = w->known || server_of(w)->fixed.count != 0 ? RETRY_KEPT_MS : RETRY_MOST_MS;
        uint64_t pause = (uint64_t)RETRY_FIRST_MS << MIN(w->failures - 1, 6u);
        return MIN(MAX(pause, fresh_ms), most);
    }
    // A little later than the answer's end, so that the question is really asked.
    return MIN(MAX(fresh_ms, (uint64_t)AGAIN_LEAST_MS), (uint64_t)AGAIN_MOST_MS) + 10;
}

static void look_task(void *arg) {
    struct watch *w = arg;
    struct conf *c = w->conf;
    struct arena a;
    uint64_t fresh_ms = 0;
    unsigned n = 0;
    log_set_context(NULL);
    arena_init(&a, NULL);
    struct target *to = arena_array(&a, struct target, SERVER_PEERS_MAX);
    int err = ask(w, &a, to, &n, &fresh_ms);
    w->task = NULL;
    if (w->stopped) {
        free_watch(w);
    } else {
        take_answer(w, err, to, n);
        timer_set(loop_self(), &w->timer, loop_now(loop_self()) + next_look(w, fresh_ms));
    }
    arena_done(&a);
    conf_unref(c);
}

static void on_timer(struct timer *t) {
    struct watch *w = container_of(t, struct watch, timer);
    conf_ref(w->conf);
    w->task = task_new(look_task, w, "names");
    if (w->task != NULL)
        return;
    conf_unref(w->conf);
    timer_set(loop_self(), &w->timer, loop_now(loop_self()) + RETRY_MOST_MS);
}

void names_start(struct conf *c) {
    struct groups *gs = groups_of(c, false);
    uint64_t now = loop_now(loop_self()), n = 0;
    for (size_t k = 0; gs != NULL && k < gs->count; k++) {
        struct group *g = gs->all[k];
        for (unsigned i = 0; g->names != NULL && i < g->names->nservers; i++) {
            if (g->names->servers[i].host.n == 0)
                continue;
            struct watch *w = xcalloc(1, sizeof(*w));
            timer_init(&w->timer, on_timer);
            list_push_back(&watches, &w->all);
            w->conf = c;
            w->group = g;
            w->server = i;
            w->was_pending = g->names->servers[i].fixed.count == 0;
            // Spread, so that a thousand names are no flood.
            timer_set(loop_self(), &w->timer, w->was_pending ? now : now + FIRST_LOOK_MS + n++ * 7 % FIRST_LOOK_MS);
        }
    }
}

void names_stop(struct conf *c) {
    list_each_safe(w, &watches, struct watch, all) {
        if (w->conf != c || w->stopped)
            continue;
        w->stopped = true;
        timer_clear(&w->timer);
        if (w->task != NULL)
            task_cancel(w->task); // frees the watch when it has unwound
        else
            free_watch(w);
    }
}

// --- for requests ----------------------------------------------------------------------------------------------------------------------

void names_await(struct group *g) {
    struct group_names *ns = g->names;
    if (ns == NULL || LIKELY(__atomic_load_n(&ns->pending, __ATOMIC_ACQUIRE) == 0))
        return;
    uint64_t until = loop_now(loop_self()) + ns->timeout_ms;
    while (__atomic_load_n(&ns->pending, __ATOMIC_ACQUIRE) != 0 && loop_now(loop_self()) < until) {
        struct group *list = group_now(g);
        bool some = list->npeers != 0;
        group_done(list);
        if (some || task_sleep_ms(AWAIT_STEP_MS) < 0)
            return;
    }
}

struct str names_missing(const struct group *g, struct arena *a) {
    const struct group_names *ns = g->names;
    for (unsigned i = 0; ns != NULL && i < ns->nservers; i++) {
        int err = __atomic_load_n(&ns->errors[i], __ATOMIC_RELAXED);
        if (err != 0)
            return arena_printf(a, "host \"" STR_FMT "\" is not resolved: %s", STR_ARG(ns->servers[i].host), resolver_error(err));
    }
    return STR_NONE;
}
