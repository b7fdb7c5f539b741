// A request's way through the cache: what is asked of it, whom it waits for, when the back end is asked, and when what is too
// old must do.
#include "feature/gateway/cache.h"
#include "http/answer.h"
#include "http/subrequest.h"
#include "io/loop.h"
#include "wire/range.h"

int64_t cache_now_s(const struct req *r) { return (int64_t)(loop_wall_ms(r->loop) / 1000); }

bool cache_any_holds(struct req *r, struct conf_list conditions) {
    conf_list_each(const struct condition, c, conditions) {
        struct str value = req_eval(r, c->value);
        if (value.n != 0 && !str_eq(value, STR("0")))
            return true;
    }
    return false;
}

int64_t cache_valid_for(const struct cache_conf *c, unsigned status) {
    conf_list_each(const struct cache_valid, v, c->valid) {
        if (v->status == 0 || v->status == status)
            return v->seconds;
    }
    return 0;
}

static enum step ask_back_end(struct cache_run *run) {
    unsigned status = gateway_run(run->x);
    return status != 0 ? answer_status(run->r, status) : gateway_answer(run->r, run->rw, run->x);
}

// --- what the back end is sent -------------------------------------------------------------------------------------------

static bool is_about_client(enum field_id id) {
    switch (id) {
    case FIELD_IF_MATCH:
    case FIELD_IF_MODIFIED_SINCE:
    case FIELD_IF_NONE_MATCH:
    case FIELD_IF_RANGE:
    case FIELD_IF_UNMODIFIED_SINCE:
    case FIELD_RANGE:
        return true;
    default:
        return false;
    }
}

// The client's conditions and ranges are judged here: the back end is asked for the whole, or whether ours is still good.
static void choose_fields(struct cache_run *run) {
    const struct head *in = &run->r->in;
    const struct head *kept = run->validates ? &run->ask.object->head : NULL;
    struct str etag = kept != NULL ? head_value(kept, FIELD_ETAG) : STR_NONE;
    struct str modified = kept != NULL ? head_value(kept, FIELD_LAST_MODIFIED) : STR_NONE;
    bool same = etag.n == 0 && modified.n == 0;
    head_each(f, in) same &= !is_about_client((enum field_id)f->id);
    if (same)
        return;
    struct head *h = arena_new(&run->r->arena, struct head);
    head_init(h, &run->r->arena);
    head_each(g, in) {
        if (!is_about_client((enum field_id)g->id))
            head_add_same(h, g);
    }
    if (modified.n != 0)
        head_add_known(h, FIELD_IF_MODIFIED_SINCE, modified);
    if (etag.n != 0)
        head_add_known(h, FIELD_IF_NONE_MATCH, etag);
    run->x->fields = h;
}

// What is kept answered a HEAD and has no body: it is nothing for a GET.
static bool lacks_body(const struct cache_run *run) {
    const struct cache_object *o = run->ask.object;
    return o != NULL && o->facts.head_length != -1 && run->r->method != METHOD_HEAD;
}

static bool can_validate(const struct cache_run *run) {
    const struct cache_object *o = run->ask.object;
    // An ETag is that of what a 200 brings: by a 304 nobody says that an error or a redirect is still what there is.
    return run->c->revalidate && run->store && o != NULL && (o->head.status == 200 || o->head.status == 206) &&
           (head_has(&o->head, FIELD_ETAG) || head_has(&o->head, FIELD_LAST_MODIFIED));
}

// --- the back end is asked -----------------------------------------------------------------------------------------------

// Whether what is too old shall answer: *_cache_use_stale, or stale-if-error of the object (RFC 5861 4).
static bool stale_will_do(const struct cache_run *run, unsigned failure) {
    if (run->ask.object == NULL || run->says != CACHE_SAYS_EXPIRED || failure == 0)
        return false;
    const unsigned errors = NEXT_ERROR | NEXT_TIMEOUT | NEXT_INVALID_HEADER | NEXT_500 | NEXT_502 | NEXT_503 | NEXT_504;
    return (run->c->use_stale & failure) != 0 || (run->ask.stale_error && (failure & errors) != 0);
}

static enum step answer_stale(struct cache_run *run) {
    run->says = CACHE_SAYS_STALE;
    exchange_answered(run->x);
    cache_refuse(&run->ask);
    return cache_answer_object(run);
}

// A status without a page of its own is remembered by its number; but not in front of what the request did not want to see,
// nor of what others still get while it is renewed.
static void remember(struct cache_run *run, unsigned status, int64_t seconds) {
    if (run->store && run->says != CACHE_SAYS_BYPASS && !run->background && seconds > 0 && !cache_any_holds(run->r, run->c->no_cache))
        cache_remember(&run->ask, status, cache_now_s(run->r) + seconds);
    else
        cache_close(&run->ask); // nothing is known of the answer: who waits may ask
}

static enum step no_answer(struct cache_run *run, unsigned status) {
    if (status != 499 && stale_will_do(run, run->x->failure))
        return answer_stale(run);
    bool failed = status == 502 || status == 504;
    remember(run, status, failed ? cache_valid_for(run->c, status) : 0);
    return answer_status(run->r, status);
}

static enum step fetch(struct cache_run *run) {
    struct exchange *x = run->x;
    run->validates = can_validate(run);
    if (run->store) {
        x->for_others = true;
        choose_fields(run);
    }
    if (run->c->convert_head && run->r->method == METHOD_HEAD && str_eq(x->method, STR("HEAD")))
        x->method = STR("GET");
    unsigned status = gateway_run(x);
    if (status != 0)
        return no_answer(run, status);
    if (run->validates && x->head.status == 304)
        return cache_answer_validated(run);
    if (stale_will_do(run, next_bit_of_status(x->head.status)))
        return answer_stale(run);
    return cache_answer_fetched(run);
}

// --- the cache is asked --------------------------------------------------------------------------------------------------

// A copy of this request renews the object beside it (stale-while-revalidate, RFC 5861 3). False: no copy can be had.
static bool renew_in_background(struct cache_run *run) {
    struct req *r = run->r;
    struct req *sr = subrequest_new(r, &(struct subrequest_opts){
                                           .method = r->method, .method_text = r->method_text, .own_values = true, .clone = true});
    if (sr == NULL)
        return false;
    struct cache_run *copy = req_ctx_make(sr, &feature_cache, sizeof *copy);
    copy->taken = &run->ask;
    subrequest_background(sr);
    return true;
}

// It is passed on as it is, and others may renew the object.
static enum step fetch_expired(struct cache_run *run) {
    run->says = CACHE_SAYS_EXPIRED;
    if (run->far) {
        run->store = false;
        cache_refuse(&run->ask);
    }
    return fetch(run);
}

static enum step expired(struct cache_run *run) {
    bool may = (run->c->use_stale & NEXT_UPDATING) != 0 || run->ask.stale_updating;
    if (may && run->c->background_update && renew_in_background(run)) {
        run->says = CACHE_SAYS_STALE;
        return cache_answer_object(run);
    }
    return fetch_expired(run);
}

static enum step updating(struct cache_run *run) {
    bool may = (run->c->use_stale & NEXT_UPDATING) != 0 || run->ask.stale_updating;
    if (!may)
        return fetch_expired(run);
    run->says = CACHE_SAYS_UPDATING;
    return cache_answer_object(run);
}

static enum cache_news wait(struct cache_run *run) {
    struct req *r = run->r;
    uint64_t now = loop_now(r->loop);
    if (run->waited_since == 0)
        run->waited_since = now;
    bool watching = task_self() == r->main->task && req_watch_client(r->main);
    enum cache_news news = cache_wait(&run->ask, run->waited_since + run->c->lock_timeout);
    if (watching)
        req_unwatch_client(r->main);
    return news;
}

static enum step missed(struct cache_run *run, bool store) {
    run->store = store && !run->far;
    run->says = CACHE_SAYS_MISS;
    return fetch(run);
}

static enum step ask_for_body(struct cache_run *run) {
    cache_name(&run->ask);
    return missed(run, true);
}

// After others had asked for it. True: *step is what comes of it; false: the cache is to be asked again.
static bool after_waiting(struct cache_run *run, enum step *step) {
    switch (wait(run)) {
    case CACHE_NEWS_AGAIN:
        return false;
    case CACHE_NEWS_OBJECT:
        if (lacks_body(run)) {
            *step = ask_for_body(run);
            return true;
        }
        run->says = CACHE_SAYS_HIT;
        *step = cache_answer_object(run);
        if (*step != STEP_NEXT)
            return true;
        cache_close(&run->ask);
        *step = missed(run, false);
        return true;
    case CACHE_NEWS_LATE:
        *step = missed(run, false);
        return true;
    case CACHE_NEWS_REFUSED:
        *step = missed(run, true);
        return true;
    case CACHE_NEWS_CANCELLED:
        break;
    }
    *step = answer_status(run->r, 499);
    return true;
}

static enum step look_up(struct cache_run *run) {
    enum step step = STEP_DONE;
    for (;;) {
        enum cache_verdict verdict = cache_open(&run->ask);
        if (lacks_body(run))
            return ask_for_body(run);
        switch (verdict) {
        case CACHE_HIT:
            run->says = CACHE_SAYS_HIT;
            return cache_answer_object(run);
        case CACHE_EXPIRED:
            return expired(run);
        case CACHE_UPDATING:
            return updating(run);
        case CACHE_SCARCE:
            return missed(run, false);
        case CACHE_MISS:
            return missed(run, true);
        case CACHE_FAILED:
            run->says = CACHE_SAYS_HIT;
            return answer_status(run->r, run->ask.error);
        case CACHE_BUSY:
            if (after_waiting(run, &step))
                return step;
        }
    }
}

// --- which cache, which key ----------------------------------------------------------------------------------------------

// The cache of a name that a variable gives. False: there is none of that name (logged); *out NULL: no caching.
static bool find_zone(struct req *r, const struct cache_conf *c, const char *family, struct cache_zone **out) {
    *out = c->zone;
    if (c->name == NULL)
        return true;
    struct str name = req_eval(r, c->name);
    *out = NULL;
    if (name.n == 0 || str_eq(name, STR("off")))
        return true;
    for (struct cache_zone *z = cache_zones_of(r->scope)->first; z != NULL; z = z->next) {
        if (str_eq(z->name, name) && strcmp(z->family, family) == 0)
            *out = z;
    }
    if (*out == NULL)
        log_msg(LOG_ERR, 0, "cache \"" STR_FMT "\" not found", STR_ARG(name));
    return *out != NULL;
}

static struct str key_of(struct cache_run *run) {
    struct req *r = run->r;
    const struct exchange *x = run->x;
    if (run->c->key != NULL)
        return req_eval(r, run->c->key);
    struct str parts[3] = {x->scheme, x->host, x->uri};
    return arena_join(&r->arena, parts, 3);
}

// A Range that begins far behind, or counts from the end, is the back end's (*_cache_max_range_offset).
static bool range_is_too_far(struct cache_run *run) {
    struct str range = head_value(&run->r->in, FIELD_RANGE), first;
    uint64_t max = run->c->max_range_offset, start;
    if (max == UINT64_MAX || !str_istarts(range, STR("bytes=")))
        return false;
    range = str_trim(str_from(range, 6));
    if (max == 0)
        return true;
    if (str_starts(range, STR("-")))
        return true;
    return str_split(&range, '-', &first) && str_u64(str_trim(first), UINT64_MAX, &start) && start >= max;
}

static void close_ask(void *ask) { cache_close(ask); }

static struct cache_run *begin(struct exchange *x, const struct gateway_rewrite *rw, const struct cache_conf *c, struct cache *cache) {
    struct req *r = x->r;
    struct cache_run *run = req_ctx(r, &feature_cache);
    struct cache_ask *taken = run != NULL ? run->taken : NULL;
    run = arena_new(&r->arena, struct cache_run);
    *run = (struct cache_run){.r = r, .x = x, .rw = rw, .c = c, .taken = taken, .store = true};
    req_set_ctx(r, &feature_cache, run);
    run->ask = (struct cache_ask){
        .cache = cache,
        .request = &r->in,
        .arena = &r->arena,
        .now_s = cache_now_s(r),
        .now_ms = loop_now(r->loop),
        .min_uses = (uint64_t)c->min_uses,
        .lock = c->lock,
        .lock_age_ms = c->lock_age,
    };
    return run;
}

static enum step serve(struct cache_run *run) {
    struct req *r = run->r;
    const struct cache_conf *c = run->c;
    run->ask.key = key_of(run);
    if (run->ask.key.n == 0 && c->key == NULL)
        return ask_back_end(run);
    arena_cleanup(&r->arena, close_ask, &run->ask);
    if (run->taken != NULL) {
        cache_take_over(&run->ask, run->taken);
        run->taken = NULL;
        run->background = true;
        run->says = CACHE_SAYS_EXPIRED;
        return fetch(run);
    }
    if (c->purge.count != 0 && cache_any_holds(r, c->purge))
        return answer_status(r, cache_purge(run->ask.cache, run->ask.key) ? 204 : 404);
    if (c->bypass.count != 0 && cache_any_holds(r, c->bypass)) {
        cache_name(&run->ask);
        run->says = CACHE_SAYS_BYPASS;
        return fetch(run);
    }
    run->far = range_is_too_far(run);
    run->ask.lock = c->lock && !run->far; // neither waited for, nor worth to wait for
    return look_up(run);
}

// RFC 9111 4.4: what an unsafe method has changed is not answered from what was kept before. The key is that of a GET.
static enum step serve_unsafe(struct exchange *x, const struct gateway_rewrite *rw, const struct cache_conf *c, struct cache *cache) {
    struct req *r = x->r;
    unsigned status = gateway_run(x);
    if (status != 0)
        return answer_status(r, status);
    if (x->head.status >= 200 && x->head.status < 400) {
        struct cache_run run = {.r = r, .x = x, .c = c};
        struct str method = r->method_text;
        r->method_text = STR("GET");
        struct str key = key_of(&run);
        r->method_text = method;
        if (key.n != 0)
            cache_forget(cache, key);
    }
    return gateway_answer(r, rw, x);
}

static bool is_safe(enum method m) { return m == METHOD_GET || m == METHOD_HEAD || m == METHOD_OPTIONS || m == METHOD_TRACE; }

enum step gateway_serve(struct exchange *x, const struct gateway_rewrite *rw, const struct feature *family) {
    struct req *r = x->r;
    const struct cache_conf *c = req_conf(r, family);
    // Of an inner *_store and an outer *_cache the inner holds. Requests without a connection are this server's own: they ask a
    // back end how it is.
    if (LIKELY(!c->on) || x->gw->store_set != NULL || r->conn == NULL)
        goto plain;
    bool purges = c->purge.count != 0 && cache_any_holds(r, c->purge);
    bool looks = (c->methods >> r->method & 1) != 0 || purges;
    if (!looks && is_safe(r->method))
        goto plain;
    struct cache_zone *z;
    if (!find_zone(r, c, family->family, &z))
        return answer_status(r, 500);
    if (z == NULL)
        goto plain;
    if (!looks)
        return serve_unsafe(x, rw, c, z->zone->state);
    return serve(begin(x, rw, c, z->zone->state));
plain:;
    unsigned status = gateway_run(x);
    return status != 0 ? answer_status(r, status) : gateway_answer(r, rw, x);
}
