// limit_req: how many requests a second one key may make. nginx's leaky bucket: each request adds one to the key's excess,
// which drains with the rate; above `burst` requests are refused, above `delay` they wait until it has drained.
#include "feature/access/limit_store.h"
#include "http/answer.h"
#include "http/plan.h"
#include "io/loop.h"

enum { KEY_MAX = LIMIT_KEY_MAX, ONE = 1000 /* thousandths of a request */ };

struct limit {
    struct limit_zone *zone;
    uint64_t burst, delay; // thousandths of a request; UINT64_MAX: nodelay
};

struct limit_req_conf {
    struct conf_list limits; // struct limit
    struct limit_zone **zones; // of the whole configuration
    int log_level;
    int64_t status;
    bool dry_run;
};

enum verdict { VERDICT_NONE, VERDICT_PASSED, VERDICT_DELAYED, VERDICT_REJECTED, VERDICT_DELAYED_DRY, VERDICT_REJECTED_DRY };

struct limit_req_ctx {
    enum verdict verdict;
};

struct feature feature_limit_req;

// A limit that let the request pass, as long as the others have not been asked: nothing is counted yet.
struct held {
    const struct limit *limit;
    struct limit_entry *entry;
    struct str key;
};

// The excess that one more request makes. A key that is new (last_ms 0) begins with none.
static uint64_t excess_now(const struct limit_use *u, const struct limit_zone *z, uint64_t now, uint64_t *ms) {
    *ms = now > u->last_ms ? now - u->last_ms : 0; // loops' clocks may differ by a turn
    uint64_t drained = *ms < (uint64_t)UINT32_MAX ? z->rate * *ms / 1000 : UINT64_MAX;
    uint64_t more = u->excess + ONE;
    return u->last_ms != 0 && more > drained ? more - drained : 0;
}

static void count(struct limit_use *u, uint64_t excess, uint64_t ms, uint64_t now) {
    u->excess = excess;
    if (ms != 0)
        u->last_ms = now;
}

enum look { LOOK_OK, LOOK_BUSY, LOOK_FULL };

// Asks one limit; `last`: counts at once, else the entry is held.
static enum look look_up(struct req *r, const struct limit *l, struct str key, bool last, struct held *held, uint64_t *excess) {
    uint32_t hash;
    uint64_t ms, now = loop_now(r->loop);
    struct limit_part *p = limit_lock(limit_zone_store(l->zone), key, &hash);
    struct limit_entry *e = limit_find(p, key, hash);
    enum look look = LOOK_OK;
    *excess = 0;
    if (e != NULL) {
        *excess = excess_now(limit_use_of(e), l->zone, now, &ms);
        if (*excess > l->burst)
            look = LOOK_BUSY;
        else if (last)
            count(limit_use_of(e), *excess, ms, now);
    } else {
        e = limit_add(p, key, hash, now, l->zone->rate);
        if (e == NULL)
            look = LOOK_FULL;
        else if (!last)
            limit_use_of(e)->last_ms = 0;
    }
    if (look == LOOK_OK && !last) {
        e->count++;
        *held = (struct held){l, e, key};
    }
    limit_unlock(p);
    return look;
}

static void let_go(struct held *h, bool counted, struct req *r, uint64_t *excess) {
    uint32_t hash;
    uint64_t ms, now = loop_now(r->loop);
    struct limit_part *p = limit_lock(limit_zone_store(h->limit->zone), h->key, &hash);
    if (counted) {
        struct limit_use *u = limit_use_of(h->entry);
        *excess = excess_now(u, h->limit->zone, now, &ms);
        count(u, *excess, ms, now);
    }
    h->entry->count--;
    limit_unlock(p);
}

static uint64_t delay_of(const struct limit *l, uint64_t excess) {
    return excess > l->delay ? (excess - l->delay) * 1000 / l->zone->rate : 0;
}

static void say(struct req *r, const struct limit_req_conf *c, bool delaying, uint64_t excess, const struct limit *l) {
    enum log_level level = (enum log_level)c->log_level;
    if (delaying && level != LOG_INFO)
        level++;
    uint64_t rate = l->zone->rate;
    if (log_wants(level))
        r->hint = arena_printf(&r->arena, "limit_req zone=" STR_FMT " burst=%llu, rate=%llur/%c", STR_ARG(l->zone->name),
                               (unsigned long long)(l->burst / ONE),
                               (unsigned long long)(rate % ONE == 0 ? rate / ONE : (rate * 60 + ONE / 2) / ONE),
                               rate % ONE == 0 ? 's' : 'm').p;
    log_msg(level, 0, "%s%s, excess: %llu.%03u%s by zone \"" STR_FMT "\"", delaying ? "delaying request" : "limiting requests",
            c->dry_run ? ", dry run" : "", (unsigned long long)(excess / 1000), (unsigned)(excess % 1000), delaying ? "," : "",
            STR_ARG(l->zone->name));
    r->hint = NULL;
}

static enum step refuse(struct req *r, const struct limit_req_conf *c, struct limit_req_ctx *ctx) {
    ctx->verdict = c->dry_run ? VERDICT_REJECTED_DRY : VERDICT_REJECTED;
    return c->dry_run ? STEP_NEXT : answer_status(r, (unsigned)c->status);
}

static enum step delay(struct req *r, const struct limit_req_conf *c, struct limit_req_ctx *ctx, uint64_t ms) {
    ctx->verdict = c->dry_run ? VERDICT_DELAYED_DRY : VERDICT_DELAYED;
    if (c->dry_run)
        return STEP_NEXT;
    bool watching = req_watch_client(r);
    int err = task_sleep_ms(ms);
    if (watching)
        req_unwatch_client(r);
    return err != 0 ? answer_status(r, 499) : STEP_NEXT;
}

static enum step limit_requests(struct req *r, const void *conf) {
    const struct limit_req_conf *c = conf;
    struct limit_req_ctx *ctx = req_ctx_make(r->main, &feature_limit_req, sizeof *ctx);
    if (ctx->verdict != VERDICT_NONE)
        return STEP_NEXT; // once for a request of a client
    const struct limit *limits = c->limits.at, *worst = NULL;
    struct held *held = arena_array(&r->arena, struct held, c->limits.count);
    size_t nheld = 0, n = c->limits.count;
    uint64_t excess = 0, worst_excess = 0, ms = 0;
    enum look look = LOOK_OK;
    bool any = false;
    for (size_t i = 0; i < n && look == LOOK_OK; i++) {
        struct str key;
        if (!limit_key(r, limits[i].zone, KEY_MAX, &key))
            continue;
        any = true;
        look = look_up(r, &limits[i], key, i + 1 == n, &held[nheld], &excess);
        nheld += look == LOOK_OK && i + 1 != n;
        worst = &limits[i];
        worst_excess = look == LOOK_OK && i + 1 != n ? 0 : excess;
    }
    if (!any)
        return STEP_NEXT;
    if (look == LOOK_BUSY)
        say(r, c, false, worst_excess, worst);
    else if (look == LOOK_FULL)
        log_msg(LOG_ALERT, 0, "could not allocate node in limit_req zone \"" STR_FMT "\"%s", STR_ARG(worst->zone->name),
                c->dry_run ? ", dry run" : "");
    else
        ms = delay_of(worst, worst_excess);
    while (nheld-- > 0) {
        let_go(&held[nheld], look == LOOK_OK, r, &excess);
        uint64_t more = look == LOOK_OK ? delay_of(held[nheld].limit, excess) : 0;
        if (more > ms) {
            ms = more;
            worst = held[nheld].limit;
            worst_excess = excess;
        }
    }
    if (look != LOOK_OK)
        return refuse(r, c, ctx);
    ctx->verdict = VERDICT_PASSED;
    if (ms == 0)
        return STEP_NEXT;
    say(r, c, true, worst_excess, worst);
    return delay(r, c, ctx, ms);
}

static bool get_status(struct eval *e, const struct var *v, struct str *out) {
    static const char *const words[] = {"", "PASSED", "DELAYED", "REJECTED", "DELAYED_DRY_RUN", "REJECTED_DRY_RUN"};
    const struct limit_req_ctx *ctx = req_ctx(((struct req *)e->req)->main, &feature_limit_req);
    *out = ctx != NULL ? str_c(words[ctx->verdict]) : STR_NONE;
    return out->n != 0;
}

// --- configuration ---------------------------------------------------------------------------------------------------------

// "10r/s", "30r/m", "10": thousandths a second.
static bool parse_rate(struct str text, uint64_t *rate) {
    uint64_t n, scale = 1;
    if (str_ends(text, STR("r/s")) || str_ends(text, STR("r/m"))) {
        scale = str_ends(text, STR("m")) ? 60 : 1;
        text.n -= 3;
    }
    if (!str_u64(text, INT32_MAX, &n) || n == 0)
        return false;
    *rate = n * 1000 / scale;
    return *rate != 0;
}

static bool set_zone(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct limit_req_conf *c = conf;
    struct str zone = STR_NONE;
    uint64_t rate = 1000;
    for (unsigned i = 2; i < node->nargs; i++) {
        struct str a = node->args[i];
        if (str_starts(a, STR("zone=")) && !str_starts(a, STR("zone=:")))
            zone = str_from(a, 5);
        else if (str_starts(a, STR("rate="))) {
            if (!parse_rate(str_from(a, 5), &rate))
                return conf_err(cx, node, "invalid rate \"" STR_FMT "\"", STR_ARG(a));
        } else if (!str_starts(a, STR("zone=")) && !str_eq(a, STR("sync")))
            return conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(a));
    }
    if (zone.p == NULL)
        return conf_err(cx, node, "\"" STR_FMT "\" must have \"zone\" parameter", STR_ARG(node->args[0]));
    struct limit_zone *z = limit_zone_declare(cx, c->zones, zone, node);
    if (z != NULL)
        z->rate = rate;
    return z != NULL;
}

static bool take_parameter(struct conf_cx *cx, const struct conf_node *node, struct str a, struct limit *l, struct str *zone) {
    uint64_t n;
    if (str_starts(a, STR("zone="))) {
        *zone = str_from(a, 5);
    } else if (str_starts(a, STR("burst="))) {
        if (!str_u64(str_from(a, 6), INT32_MAX, &n) || n == 0)
            return conf_err(cx, node, "invalid burst value \"" STR_FMT "\"", STR_ARG(a));
        l->burst = n * ONE;
    } else if (str_starts(a, STR("delay="))) {
        if (!str_u64(str_from(a, 6), INT32_MAX, &n) || n == 0)
            return conf_err(cx, node, "invalid delay value \"" STR_FMT "\"", STR_ARG(a));
        l->delay = n * ONE;
    } else if (str_eq(a, STR("nodelay"))) {
        l->delay = UINT64_MAX;
    } else {
        return conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(a));
    }
    return true;
}

static bool set_limit(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct limit_req_conf *c = conf;
    struct limit l = {0};
    struct str zone = STR_NONE;
    for (unsigned i = 1; i < node->nargs; i++) {
        if (!take_parameter(cx, node, node->args[i], &l, &zone))
            return false;
    }
    if (zone.p == NULL)
        return conf_err(cx, node, "\"" STR_FMT "\" must have \"zone\" parameter", STR_ARG(node->args[0]));
    l.zone = limit_zone_named(cx, c->zones, zone, node);
    struct limit *at = conf_list_add(cx, row, &c->limits, sizeof l);
    for (const struct limit *o = c->limits.at; o < at; o++) {
        if (o->zone == l.zone) {
            c->limits.count--;
            return conf_err(cx, node, "\"" STR_FMT "\" directive is duplicate", STR_ARG(node->args[0]));
        }
    }
    *at = l;
    return true;
}

static bool finish_limit(struct conf_cx *cx, struct scope *s, void *conf) {
    if (s->outer == NULL)
        ((struct limit_req_conf *)conf)->zones = arena_new(cx->arena, struct limit_zone *);
    return true;
}

static bool open_zones(struct conf_cx *cx, struct scope *root) {
    const struct limit_req_conf *c = scope_conf(root, &feature_limit_req);
    return limit_zones_open(cx, *c->zones, &limit_req_kind);
}

static bool bind_limit(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct limit_req_conf *c = conf;
    if (c->limits.count != 0)
        plan_add(cx, s, STAGE_PREACCESS, 0, limit_requests, c, "limit_req");
    return true;
}

#define L struct limit_req_conf
static const struct conf_row rows[] = {
    ROW_FNS("limit_req_zone", IN_HTTP, 3, 4, ROW_REPEAT, set_zone, NULL, "key zone=name:size rate=rate [sync]",
            "A zone that keeps how many requests each value of the key made, and the rate that they may have."),
    ROW_FNS("limit_req", IN_HTTP_ALL, 1, 3, ROW_LISTED, set_limit, NULL, "zone=name [burst=number] [nodelay | delay=number]",
            "Limits requests by this zone; up to `burst` of them wait, or pass at once."),
    ROW_ENUM("limit_req_log_level", IN_HTTP_ALL, L, log_level, "error", limit_levels,
             "The level of messages about refused requests; those about delayed ones are one less severe."),
    ROW_NUM("limit_req_status", IN_HTTP_ALL, L, status, "503", 400, 599, "What refused requests are answered with."),
    ROW_FLAG("limit_req_dry_run", IN_HTTP_ALL, L, dry_run, "off", "Counts and logs, and lets all requests pass."),
};

static const struct var_def vars[] = {
    {"limit_req_status", false, VAR_VOLATILE, get_status, NULL, 0,
     "PASSED, DELAYED, REJECTED, DELAYED_DRY_RUN or REJECTED_DRY_RUN."},
};

struct feature feature_limit_req = {.name = "limit_req",
                                    .rows = rows,
                                    .nrows = ARRAY_LEN(rows),
                                    .vars = vars,
                                    .nvars = ARRAY_LEN(vars),
                                    .conf_size = sizeof(struct limit_req_conf),
                                    .finish = finish_limit,
                                    .link = open_zones,
                                    .bind = bind_limit};
