// Answers from the cache, and what of the back end's goes into it.
#include "base/date.h"
#include "feature/gateway/cache.h"
#include "feature/response/range.h"
#include "http/answer.h"
#include "io/loop.h"
#include "wire/freshness.h"

enum { FILL_ROOM = 256 << 10, FILL_AT_ONCE = 64 << 10 };

// --- from the cache ------------------------------------------------------------------------------------------------------

// RFC 9111 5.1: where HTTP's own fields say how long an answer holds, the next cache must know how old it is. Where the
// configuration or X-Accel-Expires say it, this server speaks for the back end, and the age begins anew, as in nginx.
static void add_age(struct cache_run *run) {
    const struct cache_facts *f = &run->ask.object->facts;
    if (!f->by_origin)
        return;
    struct req *r = run->r;
    int64_t age = f->age + MAX(cache_now_s(r) - f->stored, (int64_t)0);
    head_set(&r->out, FIELD_AGE, arena_printf(&r->arena, "%lld", (long long)age));
}

// Where the back end says Accept-Ranges, Range is served here. While it comes in, one part only (nginx).
static void allow_ranges(struct cache_run *run, const struct head *h, bool one) {
    struct req *r = run->r;
    if (!run->x->gw->force_ranges && !head_has(h, FIELD_ACCEPT_RANGES))
        return;
    head_drop(&r->out, FIELD_ACCEPT_RANGES); // the range filter says it, of a 200
    if (h->status != 200)
        return;
    if (one)
        range_allow_one(r);
    else
        range_allow(r, NULL);
}

enum step cache_answer_object(struct cache_run *run) {
    struct req *r = run->r;
    struct exchange *x = run->x;
    struct cache_object *o = run->ask.object;
    struct body *b = NULL;
    int64_t length = o->facts.head_length >= 0 && r->method == METHOD_HEAD ? o->facts.head_length : cache_object_length(o);
    if (r->method != METHOD_HEAD && length != 0) {
        b = cache_object_body(o, &r->arena);
        if (b == NULL)
            return STEP_NEXT;
    }
    if (!x->from_store)
        exchange_answered(x);
    x->head = o->head;
    enum step step = gateway_answer_from(r, run->rw, x, b, length);
    add_age(run);
    allow_ranges(run, &o->head, false);
    return step;
}

// --- what may be kept ----------------------------------------------------------------------------------------------------

static unsigned freshness_ignored(const struct gateway_conf *gw) {
    return (gw->ignore_headers & IGNORE_ACCEL_EXPIRES ? FRESHNESS_NO_ACCEL : 0) |
           (gw->ignore_headers & IGNORE_CACHE_CONTROL ? FRESHNESS_NO_CACHE_CONTROL : 0) |
           (gw->ignore_headers & IGNORE_EXPIRES ? FRESHNESS_NO_EXPIRES : 0);
}

// Until when it holds: by its fields, or the configuration. False: it does not.
static bool find_facts(struct cache_run *run, const struct head *h, struct cache_facts *facts) {
    int64_t now = cache_now_s(run->r);
    struct freshness f;
    freshness_of(h, freshness_ignored(run->x->gw), now, &f);
    if (f.kind == FRESHNESS_NEVER)
        return false;
    if (f.kind == FRESHNESS_UNSAID)
        f.until = now + cache_valid_for(run->c, h->status);
    // What may be served while it is renewed may be served when that fails (nginx).
    int64_t if_error = f.if_error != 0 ? f.if_error : f.while_revalidate;
    *facts = (struct cache_facts){
        .valid = f.until,
        .updating = f.while_revalidate != 0 ? f.until + f.while_revalidate : 0,
        .error = if_error != 0 ? f.until + if_error : 0,
        .stored = now,
        .age = f.age,
        .by_origin = f.by_origin,
        .head_length = -1,
    };
    return f.until > now;
}

static bool may_keep(struct cache_run *run, struct cache_facts *facts, struct str *vary) {
    const struct exchange *x = run->x;
    const struct head *h = &x->head;
    if (!run->store || x->upgraded || !gateway_buffers(x))
        return false;
    if (head_has(h, FIELD_SET_COOKIE) && (x->gw->ignore_headers & IGNORE_SET_COOKIE) == 0)
        return false;
    *vary = STR("");
    if (head_has(h, FIELD_VARY) && (x->gw->ignore_headers & IGNORE_VARY) == 0) {
        *vary = cache_vary(h, &run->r->arena);
        if (vary->p == NULL)
            return false;
    }
    return find_facts(run, h, facts) && !cache_any_holds(run->r, run->c->no_cache);
}

// --- keeping -------------------------------------------------------------------------------------------------------------

// Brings the back end's body into the object, whether or not the client keeps up or stays.
struct filler {
    struct cache_run *run;
    struct body *source; // owned
    struct task *task;   // to be joined at the request's end
};

static void end_fill(struct filler *f, int err) {
    cache_object_end(f->run->ask.object, err);
    cache_kept(&f->run->ask);
    body_free(f->source);
    f->source = NULL;
}

// Up to `most` bytes. 1: there is more to come; 0: it has ended.
static int fill_some(struct filler *f, enum body_wait wait, uint64_t most) {
    struct chain c;
    chain_init(&c, loop_blocks(f->run->r->loop));
    for (uint64_t total = 0;;) {
        ssize_t n = total < most ? body_read(f->source, &c, (size_t)MIN((uint64_t)FILL_ROOM, most - total), wait) : -EAGAIN;
        if (n == -EAGAIN)
            return 1;
        total += (uint64_t)MAX(n, 0);
        int err = n > 0 ? cache_object_append(f->run->ask.object, &c) : (int)n;
        chain_done(&c);
        if (n > 0 && err == 0)
            continue;
        end_fill(f, err);
        return 0;
    }
}

static void fill(void *arg) { fill_some(arg, BODY_WAIT, UINT64_MAX); }

static void join_filler(void *arg) { task_join(((struct filler *)arg)->task); }

static void start_fill(struct cache_run *run, struct body *source) {
    struct req *r = run->r;
    struct filler *f = arena_new(&r->arena, struct filler);
    *f = (struct filler){.run = run, .source = source};
    if (source == NULL) {
        end_fill(f, 0);
        return;
    }
    // A short answer needs no task. What is longer must not wait here: its first reader is this very task.
    if (fill_some(f, BODY_NOWAIT, FILL_AT_ONCE) == 0)
        return;
    f->task = task_new_joinable(fill, f, "cache");
    if (f->task != NULL)
        req_on_end(r, join_filler, f);
    else
        fill(f); // no stack to be had: the client waits
}

static enum step keep(struct cache_run *run, const struct cache_facts *facts, struct str vary) {
    struct req *r = run->r;
    struct exchange *x = run->x;
    bool head = str_eq(x->method, STR("HEAD"));
    struct cache_facts all = *facts;
    if (head)
        all.head_length = x->body_length >= 0 ? x->body_length : CACHE_HEAD_UNSAID;
    struct cache_object *o = cache_keep(&run->ask, vary, &all, &x->head, head ? -1 : x->body_length);
    if (o == NULL) {
        cache_refuse(&run->ask);
        return gateway_answer(r, run->rw, x);
    }
    struct body *source = x->protocol->body(x);
    if (source != NULL)
        source = gateway_limited(r, x->gw, source);
    struct body *b = r->method != METHOD_HEAD && source != NULL ? cache_object_body(o, &r->arena) : NULL;
    start_fill(run, source);
    int64_t length = head ? x->body_length : cache_object_length(o);
    enum step step = gateway_answer_from(r, run->rw, x, b, length);
    allow_ranges(run, &x->head, true);
    return step;
}

static bool redirects_inside(const struct exchange *x) {
    return head_value(&x->head, FIELD_X_ACCEL_REDIRECT).n != 0 && (x->gw->ignore_headers & IGNORE_ACCEL_REDIRECT) == 0;
}

enum step cache_answer_fetched(struct cache_run *run) {
    struct exchange *x = run->x;
    struct cache_facts facts;
    struct str vary;
    bool keeps = may_keep(run, &facts, &vary) && !redirects_inside(x);
    if (keeps && !gateway_intercepts(run->r, x))
        return keep(run, &facts, vary);
    if (keeps && run->says != CACHE_SAYS_BYPASS) // error_page makes the answer: only the status is remembered
        cache_remember(&run->ask, x->head.status, facts.valid);
    else
        cache_refuse(&run->ask);
    exchange_watch_client(x);
    enum step step = gateway_answer(run->r, run->rw, x);
    // The back end was asked for the whole, without the client's conditions: they are judged here, and what is wanted cut out.
    if (run->store && !x->upgraded && !redirects_inside(x) && !gateway_intercepts(run->r, x)) {
        run->r->conditions_judged = false;
        allow_ranges(run, &x->head, true);
    }
    return step;
}

// --- validated -----------------------------------------------------------------------------------------------------------

// The object's fields as they are after a 304 (RFC 9111 3.2), for a look at how long it holds now.
static void merge(struct head *to, const struct head *old, const struct head *new, struct arena *a) {
    head_init(to, a);
    to->status = old->status;
    head_each(f, old) {
        if (head_find_name(new, f->name) == NULL)
            head_add(to, (enum field_id)f->id, f->name, f->value);
    }
    head_each(g, new) head_add(to, (enum field_id)g->id, g->name, g->value);
}

enum step cache_answer_validated(struct cache_run *run) {
    struct exchange *x = run->x;
    struct head merged;
    struct cache_facts facts;
    merge(&merged, &run->ask.object->head, &x->head, &run->r->arena);
    run->says = CACHE_SAYS_REVALIDATED;
    if (find_facts(run, &merged, &facts) && !cache_any_holds(run->r, run->c->no_cache)) {
        facts.head_length = run->ask.object->facts.head_length;
        cache_renew(&run->ask, &facts, &x->head);
    } else {
        cache_refuse(&run->ask);
    }
    struct body *none = x->protocol->body(x); // a 304 has none; the connection is free
    body_free(none);
    exchange_answered(x);
    return cache_answer_object(run);
}
