// health_check: servers are asked from time to time whether they are well, and one that is not gets no requests until it is.
//
//   check (of a location) ─ tick every interval on the first loop ─► a task for each peer: the location's own gateway asks
//   that peer, with a request of ours and no client ─► verdict of (check, peer) ─► health of the peer: bad if any check says so
#include "feature/balance/balance.h"
#include "feature/balance/match.h"
#include "http/plan.h"
#include "http/route.h"
#include "http/vhost.h"
#include "io/loop.h"
#include "io/timer.h"
#include "wire/grpc_health.h"
#include <stdlib.h>

struct hc {
    uint64_t interval_ms, jitter_ms, keepalive_ms;
    int64_t fails, passes;
    struct str uri, match_name;
    bool grpc;                 // type=grpc: gRPC's own protocol is asked
    struct str grpc_service;   // empty: the server as a whole
    int64_t grpc_status;       // that is as good as 0
    unsigned port;             // 0: the server's own
    bool mandatory, persistent;
    const struct match *match;
    const struct scope *scope; // where it stands
    const struct conf_node *node;
};

struct hc_conf {
    struct conf_list checks; // struct hc
};

extern struct feature feature_health_check;

// What one check knows of one peer.
struct verdict {
    uint64_t peer; // id of the peer_state that it is about
    bool running, known, bad;
    int64_t fails, passes; // in a row
};

// A check of the running snapshot. On the first loop.
struct check {
    struct list all;
    struct timer timer;
    struct conf *conf;
    const struct hc *hc;
    struct group *group;       // that the location's gateway asks; NULL: not known yet
    struct group_state *links; // of kept connections (keepalive_time); else NULL
    struct verdict *verdicts;  // [nverdicts] by slot of the peer_state
    unsigned nverdicts;
    struct list probes;        // that run
    bool stopped;
};

static struct list checks = LIST_INIT(checks); // of the first loop, and only touched there

// --- the request -------------------------------------------------------------------------------------------------------------------

static const struct server *server_of(const struct conf *c, const struct scope *s) {
    for (; s != NULL; s = s->outer)
        if (s->place == IN_SERVER)
            return s->data;
    return http_world(c)->servers[0];
}

static struct req *request_for(const struct check *ck) {
    struct req *r = req_new(loop_self(), NULL, ck->conf, server_of(ck->conf, ck->hc->scope), NULL);
    r->scope = (struct scope *)(uintptr_t)ck->hc->scope;
    r->method = METHOD_GET;
    r->method_text = STR("GET");
    r->uri = r->unparsed_uri = r->target.raw_path = ck->hc->uri;
    r->valid_unparsed_uri = true;
    r->client_text = STR("");
    r->in.version = 11;
    r->content_length = -1;
    if (ck->hc->grpc) {
        r->method = METHOD_POST;
        r->method_text = STR("POST");
        head_add_known(&r->in, FIELD_CONTENT_TYPE, STR("application/grpc"));
        head_add_known(&r->in, FIELD_TE, STR("trailers"));
    }
    return r;
}

// The location's gateway runs with this order.
static void run_gateway(struct req *r, struct exchange_order *o) {
    exchange_order(r, o);
    const struct plan *p = r->scope->plan;
    for (unsigned i = 0; p != NULL && i < p->stage[STAGE_CONTENT].count; i++) {
        const struct hook *h = &p->stage[STAGE_CONTENT].at[i];
        if (h->fn(r, h->conf) != STEP_NEXT)
            break;
    }
}

static struct group *find_group(const struct check *ck) {
    struct req *r = request_for(ck);
    struct exchange_order o = {0};
    run_gateway(r, &o);
    struct group *g = o.found != NULL && o.found->node != NULL ? o.found : NULL; // not one of that request alone
    req_free(r);
    return g;
}

// --- verdicts ----------------------------------------------------------------------------------------------------------------------

static struct verdict *verdict_of(struct check *ck, const struct peer *p) {
    unsigned slot = p->state->slot;
    if (slot >= ck->nverdicts) {
        unsigned more = MAX(slot + 1, ck->nverdicts * 2);
        ck->verdicts = xrealloc(ck->verdicts, more * sizeof(struct verdict));
        memset(ck->verdicts + ck->nverdicts, 0, (more - ck->nverdicts) * sizeof(struct verdict));
        ck->nverdicts = more;
    }
    struct verdict *v = &ck->verdicts[slot];
    if (v->peer != p->state->id)
        *v = (struct verdict){.peer = p->state->id};
    return v;
}

// By all checks of the group.
static enum peer_health health_of(const struct check *ck, const struct peer *p) {
    enum peer_health health = HEALTH_UP;
    list_each(other, &checks, struct check, all) {
        if (other->stopped || other->group != ck->group)
            continue;
        const struct verdict *v = verdict_of(other, p);
        if (v->known && v->bad)
            return HEALTH_UNHEALTHY;
        if (!v->known && other->hc->mandatory)
            health = HEALTH_CHECKING;
    }
    return health;
}

static void set_health(struct check *ck, struct peer *p, const char *why, bool passed) {
    enum peer_health now = health_of(ck, p);
    struct group_state *s = ck->group->state;
    pthread_mutex_lock(&s->lock);
    enum peer_health before = p->state->health;
    p->state->health = now;
    group_note_check(p->state, passed, before, loop_now(loop_self()));
    if (now == HEALTH_UP && before == HEALTH_UNHEALTHY) {
        p->state->fails = 0;
        if (p->slow_start_ms != 0)
            p->state->start_ms = loop_now(loop_self());
    }
    if (now == HEALTH_UP && s->queued != 0)
        queue_wake(s);
    pthread_mutex_unlock(&s->lock);
    if (now == HEALTH_UNHEALTHY && before != now)
        log_msg(LOG_WARN, 0, "peer is unhealthy while %s, health check \"" STR_FMT "\" of peer " STR_FMT " in upstream \"" STR_FMT
                "\"", why, STR_ARG(ck->hc->match_name), STR_ARG(p->name), STR_ARG(ck->group->name));
    else if (now == HEALTH_UP && (before == HEALTH_UNHEALTHY || before == HEALTH_CHECKING))
        log_msg(LOG_NOTICE, 0, "peer is healthy, health check \"" STR_FMT "\" of peer " STR_FMT " in upstream \"" STR_FMT "\"",
                STR_ARG(ck->hc->match_name), STR_ARG(p->name), STR_ARG(ck->group->name));
}

// why NULL: it passed.
static void judge(struct check *ck, struct peer *p, const char *why) {
    struct verdict *v = verdict_of(ck, p);
    if (why == NULL) {
        v->fails = 0;
        v->passes++;
    } else {
        v->passes = 0;
        v->fails++;
    }
    if (!v->known && why == NULL) {
        // A server that may get requests already stays so; one that waits for its first check needs all its passes.
        v->known = !ck->hc->mandatory || v->passes >= ck->hc->passes;
    } else if (why != NULL && v->fails >= ck->hc->fails) {
        v->known = v->bad = true;
    } else if (why == NULL && v->bad && v->passes >= ck->hc->passes) {
        v->bad = false;
    }
    set_health(ck, p, why == NULL ? "" : why, why == NULL);
}

// --- one check of one peer -----------------------------------------------------------------------------------------------------------

struct probe {
    struct list all;
    struct task *task;
    struct check *ck;
    struct group *list; // counted
    struct peer *peer;
};

// A group of that peer alone: what a check does counts for nobody.
static struct group *group_of_peer(const struct probe *pr, struct req *r) {
    const struct check *ck = pr->ck;
    struct group *g = arena_new(&r->arena, struct group);
    *g = *pr->list;
    g->origin = NULL;
    g->names = NULL;
    g->balancer = &balancer_round_robin;
    g->sticky = NULL;
    g->queue = 0;
    g->mandatory = false;
    g->keepalive = ck->links != NULL ? GROUP_PEERS_MAX : 0;
    g->keepalive_time_ms = ck->hc->keepalive_ms;
    g->npeers = 1;
    struct peer *p = g->peers = arena_new(&r->arena, struct peer);
    *p = *pr->peer;
    p->flags = 0;
    p->max_conns = p->max_fails = 0;
    if (ck->hc->port != 0 && p->addr.sa.sa_family != AF_UNIX) {
        addr_set_port(&p->addr.sa, ck->hc->port);
        p->name = peer_address_text(&r->arena, &p->addr);
    }
    g->state = ck->links != NULL ? ck->links : group_state_new();
    group_attach(g);
    group_prepare(g, &r->arena);
    return g;
}

// At most MATCH_BODY_MAX bytes of the answer's body; false when it failed.
static bool read_body(struct req *r, struct sbuf *to) {
    struct chain c;
    chain_init(&c, loop_blocks(r->loop));
    ssize_t n = 1;
    while (r->out_body != NULL && to->n < MATCH_BODY_MAX && n > 0) {
        n = body_read(r->out_body, &c, 16 << 10, BODY_WAIT);
        while (n > 0 && !chain_empty(&c)) {
            struct piece *p = c.head;
            if (p->kind == PIECE_MEM)
                sbuf_put(to, p->p, MIN(p->n, MATCH_BODY_MAX - to->n));
            chain_drop(&c, p->n);
        }
    }
    chain_done(&c);
    return n >= 0;
}

static struct str question(const struct hc *hc, struct req *r) {
    struct sbuf b;
    if (!hc->grpc)
        return STR_NONE;
    sbuf_init_arena(&b, &r->arena, hc->grpc_service.n + 16, hc->grpc_service.n + 16);
    grpc_health_put(&b, hc->grpc_service);
    return sbuf_view(&b);
}

// The status is a trailer, or a field when the answer is nothing else.
static const char *judge_grpc(const struct hc *hc, const struct exchange *x, struct str body) {
    const struct head *heads[2] = {x->trailers, &x->head};
    uint64_t status = UINT64_MAX;
    for (unsigned i = 0; i < 2 && status == UINT64_MAX; i++) {
        if (heads[i] == NULL)
            continue;
        head_each(f, heads[i]) {
            if (str_ieq(f->name, STR("grpc-status")) && !str_u64(f->value, INT_MAX, &status))
                return "checking gRPC status";
        }
    }
    if (x->head.status != 200)
        return "checking status code";
    if (hc->grpc_status != 0 && status == (uint64_t)hc->grpc_status)
        return NULL;
    if (status != 0)
        return "checking gRPC status";
    return grpc_health_parse(body) == GRPC_HEALTH_SERVING ? NULL : "checking gRPC health";
}

// NULL: passed; else what failed.
static const char *ask(struct probe *pr, struct req *r) {
    const struct hc *hc = pr->ck->hc;
    struct exchange_order o = {.group = group_of_peer(pr, r), .uri = hc->uri, .body = question(hc, r)};
    struct sbuf body;
    sbuf_init_heap(&body, MATCH_BODY_MAX);
    run_gateway(r, &o);
    const char *why = NULL;
    if (o.exchange == NULL || !o.answered)
        why = o.exchange != NULL && o.exchange->phase != NULL ? o.exchange->phase : "connecting to upstream";
    else if (!read_body(r, &body))
        why = "reading upstream";
    else
        why = hc->grpc ? judge_grpc(hc, o.exchange, sbuf_view(&body)) : match_judge(hc->match, r, &o.exchange->head, sbuf_view(&body));
    sbuf_done(&body);
    group_detach(o.group);
    struct group_state *own = pr->ck->links == NULL ? o.group->state : NULL;
    if (o.answered && !o.exchange->done)
        exchange_done(o.exchange, false);
    body_free(r->out_body);
    r->out_body = NULL;
    if (own != NULL)
        arena_cleanup(&r->arena, (void (*)(void *))group_state_unref, own);
    return why;
}

static void free_check(struct check *ck) {
    list_remove(&ck->all);
    timer_remove(&ck->timer);
    if (ck->links != NULL) {
        pool_forget(ck->links);
        group_state_unref(ck->links);
    }
    free(ck->verdicts);
    free(ck);
}

static void probe_task(void *arg) {
    struct probe *pr = arg;
    struct check *ck = pr->ck;
    struct conf *c = ck->conf;
    const struct hc *hc = ck->hc;
    log_set_context(NULL);
    uint64_t wait = hc->jitter_ms == 0 ? 0 : (uint64_t)rand() % (hc->jitter_ms + 1);
    int err = wait == 0 ? 0 : task_sleep_ms(wait);
    if (err == 0 && !ck->stopped) {
        struct log quiet = {.level = LOG_STDERR}; // what is wrong with a server that is known to be bad is no news
        struct req *r = request_for(ck);
        if (verdict_of(ck, pr->peer)->bad)
            r->log.log = &quiet;
        log_set_context(&r->log);
        const char *why = ask(pr, r);
        log_set_context(NULL);
        if (!task_cancelled() && !ck->stopped)
            judge(ck, pr->peer, why);
        req_free(r);
    }
    verdict_of(ck, pr->peer)->running = false;
    group_done(pr->list);
    list_remove(&pr->all);
    free(pr);
    if (ck->stopped && list_empty(&ck->probes))
        free_check(ck);
    conf_unref(c);
}

static bool start_probe(struct check *ck, struct group *list, struct peer *p) {
    struct probe *pr = xcalloc(1, sizeof(*pr));
    *pr = (struct probe){.ck = ck, .list = list, .peer = p};
    pr->task = task_new(probe_task, pr, "health check");
    if (pr->task == NULL) {
        free(pr);
        return false;
    }
    conf_ref(ck->conf);
    group_keep(list);
    list_push_back(&ck->probes, &pr->all);
    verdict_of(ck, p)->running = true;
    return true;
}

static void on_tick(struct timer *t) {
    struct check *ck = container_of(t, struct check, timer);
    struct group *list = group_now(ck->group);
    for (unsigned i = 0; i < list->npeers; i++) {
        struct peer *p = &list->peers[i];
        if ((p->flags & PEER_DOWN) == 0 && !verdict_of(ck, p)->running && !start_probe(ck, list, p))
            break;
    }
    group_done(list);
    timer_set(loop_self(), &ck->timer, loop_now(loop_self()) + ck->hc->interval_ms);
}

// --- of a snapshot -------------------------------------------------------------------------------------------------------------------

// Until the first check of a server: as it was before the reload (persistent), waiting, or taken for healthy.
static void first_health(struct check *ck) {
    struct group *g = ck->group;
    pthread_mutex_lock(&g->state->lock);
    g->mandatory |= ck->hc->mandatory;
    for (unsigned i = 0; i < g->npeers; i++) {
        struct peer_state *ps = g->peers[i].state;
        if (ps->health == HEALTH_UP && ck->hc->persistent)
            verdict_of(ck, &g->peers[i])->known = true;
        else
            ps->health = ck->hc->mandatory ? HEALTH_CHECKING : HEALTH_UNCHECKED;
    }
    pthread_mutex_unlock(&g->state->lock);
}

static void start_check(struct conf *c, const struct hc *hc) {
    struct check *ck = xcalloc(1, sizeof(*ck));
    timer_init(&ck->timer, on_tick);
    list_init(&ck->probes);
    list_push_back(&checks, &ck->all);
    ck->conf = c;
    ck->hc = hc;
    ck->group = find_group(ck);
    if (ck->group == NULL) {
        log_msg(LOG_WARN, 0, "health_check: the location asks no upstream that is known while the configuration is read");
        free_check(ck);
        return;
    }
    if (hc->keepalive_ms != 0)
        ck->links = group_state_new();
    first_health(ck);
    timer_set(loop_self(), &ck->timer, loop_now(loop_self()));
}

static void start_scope(struct conf *c, const struct scope *s, const struct hc_conf *outer) {
    const struct hc_conf *hcs = scope_conf(s, &feature_health_check);
    if (hcs != outer) {
        conf_list_each(const struct hc, hc, hcs->checks) {
            if (hc->scope == s)
                start_check(c, hc);
        }
    }
    for (const struct scope *i = s->children; i != NULL; i = i->next)
        start_scope(c, i, hcs);
}

static bool is_checked(const struct group *g) {
    list_each(ck, &checks, struct check, all) {
        if (ck->group == g && !ck->stopped)
            return true;
    }
    return false;
}

// What earlier snapshots found out means nothing where nobody checks any more.
static void forget_health(struct group *g) {
    pthread_mutex_lock(&g->state->lock);
    for (unsigned i = 0; i < g->state->nslots; i++)
        g->state->slots[i]->health = HEALTH_UNCHECKED;
    pthread_mutex_unlock(&g->state->lock);
}

static void start(struct conf *c) {
    struct groups *gs = groups_of(c, false);
    start_scope(c, c->root, NULL);
    for (size_t i = 0; gs != NULL && i < gs->count; i++)
        if (!is_checked(gs->all[i]))
            forget_health(gs->all[i]);
}

static void stop(struct conf *c) {
    list_each_safe(ck, &checks, struct check, all) {
        if (ck->conf != c || ck->stopped)
            continue;
        ck->stopped = true;
        timer_clear(&ck->timer);
        list_each(pr, &ck->probes, struct probe, all) {
            task_cancel(pr->task);
        }
        if (list_empty(&ck->probes))
            free_check(ck);
    }
}

// --- configuration -------------------------------------------------------------------------------------------------------------------

static bool parse_count(struct str value, int64_t least, int64_t *to) { return conf_parse_num(value, to) && *to >= least; }

// type=grpc comes after all that is not its own.
static bool parse_grpc(struct hc *hc, struct str arg) {
    struct str value = upstream_value(arg, STR("grpc_service"));
    if (str_eq(arg, STR("type=grpc")) && !hc->grpc)
        return hc->grpc = true;
    if (value.p != NULL)
        hc->grpc_service = value;
    else if ((value = upstream_value(arg, STR("grpc_status"))).p != NULL)
        return hc->grpc && parse_count(value, 0, &hc->grpc_status);
    return hc->grpc && value.p != NULL;
}

static bool parse_word(struct hc *hc, struct str arg) {
    struct str value;
    int64_t port;
    if (hc->grpc || str_eq(arg, STR("type=grpc")))
        return parse_grpc(hc, arg);
    if (str_eq(arg, STR("mandatory")))
        return hc->mandatory = true;
    if (str_eq(arg, STR("persistent")))
        return hc->persistent = true;
    if ((value = upstream_value(arg, STR("interval"))).p != NULL)
        return conf_parse_msec(value, &hc->interval_ms) && hc->interval_ms > 0;
    if ((value = upstream_value(arg, STR("jitter"))).p != NULL)
        return conf_parse_msec(value, &hc->jitter_ms);
    if ((value = upstream_value(arg, STR("keepalive_time"))).p != NULL)
        return conf_parse_msec(value, &hc->keepalive_ms);
    if ((value = upstream_value(arg, STR("fails"))).p != NULL)
        return parse_count(value, 1, &hc->fails);
    if ((value = upstream_value(arg, STR("passes"))).p != NULL)
        return parse_count(value, 1, &hc->passes);
    if ((value = upstream_value(arg, STR("port"))).p != NULL) {
        bool ok = parse_count(value, 1, &port) && port <= 65535;
        hc->port = ok ? (unsigned)port : 0;
        return ok;
    }
    if ((value = upstream_value(arg, STR("uri"))).p != NULL) {
        hc->uri = value;
        return value.p[0] == '/' && str_chr(value, ' ') < 0;
    }
    hc->match_name = upstream_value(arg, STR("match"));
    return hc->match_name.p != NULL;
}

static const char root[] = "/";

static bool set(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct hc_conf *hcs = conf;
    struct hc *hc = conf_list_add(cx, row, &hcs->checks, sizeof(*hc));
    *hc = (struct hc){.interval_ms = 5000, .fails = 1, .passes = 1, .uri = str_c(root), .match_name = STR(""), .scope = cx->scope,
                      .node = node};
    for (unsigned i = 1; i < node->nargs; i++) {
        if (!parse_word(hc, node->args[i]))
            return upstream_bad_parameter(cx, node, node->args[i]);
    }
    if (hc->grpc && (hc->match_name.n != 0 || hc->uri.p != root))
        return conf_err(cx, node, "\"type=grpc\" is not compatible with \"uri\" and \"match\"");
    if (hc->grpc)
        hc->uri = STR(GRPC_HEALTH_PATH);
    if (hc->persistent && !hc->mandatory)
        return conf_err(cx, node, "\"persistent\" requires \"mandatory\"");
    return true;
}

static bool bind_checks(struct conf_cx *cx, struct scope *s, void *conf) {
    struct hc_conf *hcs = conf;
    conf_list_each(struct hc, hc, hcs->checks) {
        if (hc->scope != s || hc->match_name.n == 0)
            continue;
        hc->match = match_find(cx->conf, hc->match_name);
        if (hc->match == NULL)
            return conf_err(cx, hc->node, "match \"" STR_FMT "\" is not found", STR_ARG(hc->match_name));
    }
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("health_check", IN_LOCATION, 0, 0xffff, ROW_LISTED, set, NULL,
            "[interval=time] [jitter=time] [fails=number] [passes=number] [uri=uri] [mandatory [persistent]] [match=name] "
            "[port=number] [keepalive_time=time] [type=grpc [grpc_service=name] [grpc_status=code]]",
            "Asks the servers of the location's upstream from time to time; those that fail get no requests until they pass."),
};

struct feature feature_health_check = {
    .name = "health_check",
    .rows = rows,
    .nrows = ARRAY_LEN(rows),
    .conf_size = sizeof(struct hc_conf),
    .bind = bind_checks,
    .start = start,
    .stop = stop,
};
