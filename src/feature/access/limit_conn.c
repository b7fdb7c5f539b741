// limit_conn: how many connections one key may have. As in nginx, a connection counts while it has a request.
#include "feature/access/limit_store.h"
#include "http/answer.h"
#include "http/plan.h"
#include "io/loop.h"
#include <stdlib.h>

enum { KEY_MAX = 255, CONN_MAX = 65535 };

struct limit {
    struct limit_zone *zone;
    uint32_t conn;
};

struct limit_conn_conf {
    struct conf_list limits; // struct limit
    struct limit_zone **zones;
    int log_level;
    int64_t status;
    bool dry_run;
};

enum verdict { VERDICT_NONE, VERDICT_PASSED, VERDICT_REJECTED, VERDICT_REJECTED_DRY };

struct limit_conn_ctx {
    enum verdict verdict;
};

struct feature feature_limit_conn;

// A count that is given back with the request, or with the tunnel that it becomes.
struct held {
    struct req_move move;
    struct limit_store *store; // NULL: given back, or the tunnel's
    struct limit_entry *entry;
    struct str key;
};

static void give_back(void *arg) {
    struct held *h = arg;
    if (h->store == NULL)
        return;
    uint32_t hash;
    struct limit_part *p = limit_lock(h->store, h->key, &hash);
    if (--h->entry->count == 0)
        limit_remove(p, h->entry);
    limit_unlock(p);
    h->store = NULL;
}

static void give_back_and_free(void *arg) {
    give_back(arg);
    free(arg);
}

// The request becomes a tunnel: the place in memory of its own, with the key behind it.
static void hold_on(struct req *r, struct req_move *m) {
    struct held *h = container_of(m, struct held, move);
    if (h->store == NULL)
        return;
    struct held *own = xmalloc(sizeof(*own) + h->key.n);
    *own = (struct held){.store = h->store, .entry = h->entry, .key = str_n((char *)(own + 1), h->key.n)};
    memcpy(own + 1, h->key.p, h->key.n);
    h->store = NULL;
    req_on_end(r, give_back_and_free, own);
}

enum look { LOOK_OK, LOOK_BUSY, LOOK_FULL };

static enum look take(struct req *r, const struct limit *l, struct held *h) {
    uint32_t hash;
    struct limit_part *p = limit_lock(h->store, h->key, &hash);
    struct limit_entry *e = limit_find(p, h->key, hash);
    enum look look = LOOK_OK;
    if (e == NULL)
        e = limit_add(p, h->key, hash, loop_now(r->loop), 0);
    if (e == NULL)
        look = LOOK_FULL;
    else if (e->count >= l->conn)
        look = LOOK_BUSY;
    else
        e->count++;
    limit_unlock(p);
    h->entry = e;
    return look;
}

static enum step refuse(struct req *r, const struct limit_conn_conf *c, struct limit_conn_ctx *ctx, const struct limit *l,
                        enum look look) {
    ctx->verdict = c->dry_run ? VERDICT_REJECTED_DRY : VERDICT_REJECTED;
    if (look == LOOK_BUSY && log_wants((enum log_level)c->log_level))
        r->hint = arena_printf(&r->arena, "limit_conn " STR_FMT " %u", STR_ARG(l->zone->name), l->conn).p;
    if (look == LOOK_BUSY)
        log_msg((enum log_level)c->log_level, 0, "limiting connections%s by zone \"" STR_FMT "\"", c->dry_run ? ", dry run," : "",
                STR_ARG(l->zone->name));
    else
        log_msg(LOG_CRIT, 0, "ngx_slab_alloc() failed: no memory in limit_conn_zone \"" STR_FMT "\" (its size: %llu bytes)",
                STR_ARG(l->zone->name), (unsigned long long)l->zone->size);
    r->hint = NULL;
    return c->dry_run ? STEP_NEXT : answer_status(r, (unsigned)c->status);
}

static enum step limit_connections(struct req *r, const void *conf) {
    const struct limit_conn_conf *c = conf;
    struct req *main = r->main;
    struct limit_conn_ctx *ctx = req_ctx_make(main, &feature_limit_conn, sizeof *ctx);
    if (ctx->verdict != VERDICT_NONE)
        return STEP_NEXT;
    struct held *first = arena_array(&main->arena, struct held, c->limits.count), *h = first;
    conf_list_each(const struct limit, l, c->limits) {
        if (!limit_key(r, l->zone, KEY_MAX, &h->key))
            continue;
        h->key = arena_dup(&main->arena, h->key);
        h->store = limit_zone_store(l->zone);
        ctx->verdict = VERDICT_PASSED;
        enum look look = take(r, l, h);
        if (look == LOOK_OK) {
            h->move.fn = hold_on;
            req_on_keep(main, &h->move);
            arena_cleanup(&main->arena, give_back, h++);
            continue;
        }
        while (h-- > first)
            give_back(h);
        return refuse(r, c, ctx, l, look);
    }
    return STEP_NEXT;
}

static bool get_status(struct eval *e, const struct var *v, struct str *out) {
    static const char *const words[] = {"", "PASSED", "REJECTED", "REJECTED_DRY_RUN"};
    const struct limit_conn_ctx *ctx = req_ctx(((struct req *)e->req)->main, &feature_limit_conn);
    *out = ctx != NULL ? str_c(words[ctx->verdict]) : STR_NONE;
    return out->n != 0;
}

// --- configuration ---------------------------------------------------------------------------------------------------------

static bool set_zone(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct limit_conn_conf *c = conf;
    struct str a = node->args[2];
    if (!str_starts(a, STR("zone=")))
        return conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(a));
    if (str_starts(a, STR("zone=:")))
        return conf_err(cx, node, "\"" STR_FMT "\" must have \"zone\" parameter", STR_ARG(node->args[0]));
    return limit_zone_declare(cx, c->zones, str_from(a, 5), node) != NULL;
}

static bool set_limit(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct limit_conn_conf *c = conf;
    struct limit l = {.zone = limit_zone_named(cx, c->zones, node->args[1], node)};
    struct limit *at = conf_list_add(cx, row, &c->limits, sizeof l);
    for (const struct limit *o = c->limits.at; o < at; o++) {
        if (o->zone == l.zone) {
            c->limits.count--;
            return conf_err(cx, node, "\"" STR_FMT "\" directive is duplicate", STR_ARG(node->args[0]));
        }
    }
    uint64_t n = 0;
    bool valid = str_u64(node->args[2], INT64_MAX, &n) && n != 0;
    l.conn = (uint32_t)MIN(n, (uint64_t)CONN_MAX);
    *at = l;
    if (!valid)
        return conf_err(cx, node, "invalid number of connections \"" STR_FMT "\"", STR_ARG(node->args[2]));
    return n <= CONN_MAX || conf_err(cx, node, "connection limit must be less 65536");
}

static bool finish_limit(struct conf_cx *cx, struct scope *s, void *conf) {
    if (s->outer == NULL)
        ((struct limit_conn_conf *)conf)->zones = arena_new(cx->arena, struct limit_zone *);
    return true;
}

static bool open_zones(struct conf_cx *cx, struct scope *root) {
    const struct limit_conn_conf *c = scope_conf(root, &feature_limit_conn);
    return limit_zones_open(cx, *c->zones, &limit_conn_kind);
}

static bool bind_limit(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct limit_conn_conf *c = conf;
    if (c->limits.count != 0)
        plan_add(cx, s, STAGE_PREACCESS, 0, limit_connections, c, "limit_conn");
    return true;
}

#define L struct limit_conn_conf
static const struct conf_row rows[] = {
    ROW_FNS("limit_conn_zone", IN_HTTP, 2, 2, ROW_REPEAT, set_zone, NULL, "key zone=name:size",
            "A zone that keeps how many connections each value of the key has."),
    ROW_FNS("limit_conn", IN_HTTP_ALL, 2, 2, ROW_LISTED, set_limit, NULL, "zone number",
            "How many connections with requests one value of the zone's key may have."),
    ROW_ENUM("limit_conn_log_level", IN_HTTP_ALL, L, log_level, "error", limit_levels,
             "The level of messages about refused connections."),
    ROW_NUM("limit_conn_status", IN_HTTP_ALL, L, status, "503", 400, 599, "What refused requests are answered with."),
    ROW_FLAG("limit_conn_dry_run", IN_HTTP_ALL, L, dry_run, "off", "Counts and logs, and lets all requests pass."),
};

static const struct var_def vars[] = {
    {"limit_conn_status", false, VAR_VOLATILE, get_status, NULL, 0, "PASSED, REJECTED or REJECTED_DRY_RUN."},
};

struct feature feature_limit_conn = {.name = "limit_conn",
                                     .rows = rows,
                                     .nrows = ARRAY_LEN(rows),
                                     .vars = vars,
                                     .nvars = ARRAY_LEN(vars),
                                     .conf_size = sizeof(struct limit_conn_conf),
                                     .finish = finish_limit,
                                     .link = open_zones,
                                     .bind = bind_limit};
