// Subrequests: making, running beside each other, and the body that one's answer is.
#include "http/subrequest.h"
#include "http/answer.h"
#include "http/run.h"
#include "http/tape.h"
#include "io/loop.h"

enum { SUB_MAGIC = 0x57535542, DISCARD_ROOM = 64 << 10 };

// The answer as a body. Lives in the subrequest's arena.
struct sub {
    struct body body;
    uint32_t magic;
    struct req *req;
    struct list node;    // in subs.living
    struct task *task;   // own, to be joined; NULL: none (any more)
    struct task *waiter; // for the head
    unsigned depth;
    bool started;        // has or had a task
    bool ran;            // the plans were run through: there is an answer, or none
    bool background;
    bool own_values;
};

// Arenas of ended subrequests whose values are shared.
struct kept {
    struct arena arena;
    struct kept *next;
};

// Of a client's request.
struct subs {
    struct list living;
    unsigned made, running;
    struct kept *kept;
};

static struct sub *sub_of(const struct req *sr) {
    CHECK(sr->sub != NULL && sr->sub->magic == SUB_MAGIC);
    return sr->sub;
}

// --- making ----------------------------------------------------------------------------------------------------------------

static struct subs *subs_of(struct req *main) {
    if (main->subs == NULL) {
        main->subs = arena_new(&main->arena, struct subs);
        list_init(&main->subs->living);
    }
    return main->subs;
}

static bool limits_allow(struct req *parent, const struct subs *subs, struct str uri) {
    if (parent->sub != NULL && parent->sub->depth >= SUBREQUEST_DEPTH_MAX) {
        log_msg(LOG_ERR, 0, "subrequests cycle while processing \"" STR_FMT "\" (limit: %d levels)", STR_ARG(uri),
                SUBREQUEST_DEPTH_MAX);
        return false;
    }
    if (subs->made >= SUBREQUESTS_MAX) {
        log_msg(LOG_CRIT, 0, "request reference counter overflow while processing \"" STR_FMT "\" (limit: %d subrequests)",
                STR_ARG(uri), SUBREQUESTS_MAX);
        return false;
    }
    return true;
}

// What it sees of the client's request.
static void inherit(struct req *sr, struct req *parent) {
    struct req *main = parent->main;
    sr->main = main;
    sr->parent = parent;
    sr->in = parent->in;
    sr->in.cap = sr->in.count; // lines are added to a copy
    sr->in.arena = &sr->arena;
    sr->target = parent->target;
    sr->request_line = parent->request_line;
    sr->host = parent->host;
    sr->port = parent->port;
    sr->head_bytes = parent->head_bytes;
    sr->unparsed_uri = parent->unparsed_uri;
    sr->pipelined = parent->pipelined;
    sr->start_ms = parent->start_ms;
    sr->client_addr = parent->client_addr;
    sr->client_text = parent->client_text;
    sr->codec_state = parent->codec_state;
    sr->internal = true;
    sr->keepalive = true;
    sr->log.connection = parent->log.connection;
}

static void share_values(struct req *sr, bool own) {
    struct eval *e = &sr->main->eval;
    size_t n = sr->conf->vars.count;
    if (e->values == NULL && !own && n != 0)
        e->values = arena_array(e->arena, struct var_value, n);
    if (!own) {
        sr->eval.values = e->values;
    } else if (e->values != NULL) {
        sr->eval.values = arena_array(&sr->arena, struct var_value, n);
        memcpy(sr->eval.values, e->values, n * sizeof(*e->values));
    }
}

static void clone(struct req *sr, const struct req *parent) {
    sr->content_only = true;
    sr->uri = parent->uri;
    sr->args = parent->args;
    sr->valid_unparsed_uri = parent->valid_unparsed_uri;
    sr->internal = parent->internal;
    sr->scope = parent->scope;
    sr->log.log = parent->log.log;
    sr->debugging = parent->debugging;
    memcpy(sr->captures, parent->captures, sizeof(sr->captures));
    sr->ncaptures = parent->ncaptures;
}

struct req *subrequest_new(struct req *parent, const struct subrequest_opts *o) {
    CHECK_OBJ(parent, REQ_MAGIC);
    struct req *main = parent->main;
    struct subs *subs = subs_of(main);
    if (!limits_allow(parent, subs, o->uri))
        return NULL;
    subs->made++;
    struct req *sr = req_new(parent->loop, parent->conn, parent->conf, parent->server, parent->codec);
    inherit(sr, parent);
    share_values(sr, o->own_values);
    sr->method = o->method != METHOD_UNKNOWN || o->method_text.n != 0 ? o->method : METHOD_GET;
    sr->method_text = o->method_text.n != 0 ? o->method_text : method_name(sr->method);
    sr->args = o->args;
    if (o->clone)
        clone(sr, parent);
    else if (o->uri.n != 0 && o->uri.p[0] == '@') {
        sr->uri = parent->uri;
        sr->goto_uri = o->uri;
    } else {
        sr->uri = o->uri;
    }
    if (o->body && main->body_tape != NULL) {
        sr->body_tape = tape_ref(main->body_tape);
        sr->content_length = main->content_length;
    }
    struct sub *s = arena_new(&sr->arena, struct sub);
    s->magic = SUB_MAGIC;
    s->req = sr;
    s->depth = parent->sub != NULL ? parent->sub->depth + 1 : 1;
    s->own_values = o->own_values;
    sr->sub = s;
    list_push_back(&subs->living, &s->node);
    return sr;
}

// --- running ---------------------------------------------------------------------------------------------------------------

void subrequest_run(struct req *sr) {
    struct sub *s = sub_of(sr);
    CHECK(!s->ran);
    const struct log_context *before = log_context();
    log_set_context(&sr->log);
    sr->task = task_self();
    run_request(sr);
    s->ran = true;
    log_set_context(before);
}

static void run_alone(void *arg) {
    struct sub *s = arg;
    struct req *sr = s->req;
    subrequest_run(sr);
    log_set_context(&sr->log);
    if (s->background && sr->out_body != NULL)
        body_discard(sr->out_body, UINT64_MAX);
    else if (s->waiter == NULL)
        body_ahead(sr->out_body); // its turn has not come: the back end need not wait for it
    sr->main->subs->running--;
    if (s->waiter != NULL)
        task_wake(s->waiter);
}

static bool start_task(struct sub *s) {
    struct subs *subs = s->req->main->subs;
    s->task = task_new_joinable(run_alone, s, "subrequest");
    if (s->task == NULL)
        return false;
    s->started = true;
    s->body.soon = true;
    subs->running++;
    return true;
}

static void join(struct sub *s) {
    struct task *t = s->task;
    s->task = NULL;
    if (t != NULL)
        task_join(t);
}

// Waits for the task, and for the client to go away. 0 or -ECANCELED.
static int await_task(struct sub *s) {
    struct req *main = s->req->main;
    bool watching = req_watch_client(main);
    int err = 0;
    s->waiter = task_self();
    while (!s->ran && err == 0)
        err = task_park(UINT64_MAX);
    s->waiter = NULL;
    if (watching)
        req_unwatch_client(main);
    return err;
}

int subrequest_wait(struct req *sr) {
    struct sub *s = sub_of(sr);
    // A task even for those that only one waits for: levels of subrequests must not pile up on one stack.
    if (!s->ran && !s->started && !start_task(s))
        subrequest_run(sr);
    int err = s->ran ? 0 : await_task(s);
    if (err == 0)
        join(s);
    return err;
}

// --- the answer as a body --------------------------------------------------------------------------------------------------

static ssize_t read_sub(struct body *b, struct chain *to, size_t room, enum body_wait wait) {
    struct sub *s = container_of(b, struct sub, body);
    struct req *sr = s->req;
    if (!s->ran) {
        if (wait == BODY_NOWAIT)
            return -EAGAIN;
        int err = subrequest_wait(sr);
        if (err != 0)
            return err;
    }
    b->soon = false;
    if (sr->outcome != OUTCOME_ANSWER)
        return sr->out.status == 499 ? -ECANCELED : -ECONNRESET;
    if (sr->out_body == NULL)
        return 0;
    ssize_t n = body_read(sr->out_body, to, room, wait);
    if (n > 0)
        sr->body_bytes_out += (uint64_t)n;
    b->flush = sr->out_body->flush;
    b->length = sr->out_body->length;
    return n;
}

static void ahead_sub(struct body *b) {
    struct sub *s = container_of(b, struct sub, body);
    if (s->ran)
        body_ahead(s->req->out_body);
}

static void free_sub(struct body *b) { subrequest_free(container_of(b, struct sub, body)->req); }

static const struct body_ops sub_ops = {"subrequest", read_sub, ahead_sub, free_sub};

struct body *subrequest_start(struct req *sr) {
    struct sub *s = sub_of(sr);
    body_init(&s->body, &sub_ops, -1);
    if (sr->main->subs->running < SUBREQUESTS_PARALLEL_MAX)
        start_task(s); // else it runs when it is pulled
    return &s->body;
}

void subrequest_background(struct req *sr) {
    struct sub *s = sub_of(sr);
    s->background = true;
    if (!start_task(s)) {
        log_msg(LOG_ERR, 0, "no task for the subrequest \"" STR_FMT "\"", STR_ARG(sr->uri));
        subrequest_free(sr);
    }
}

// --- ending ----------------------------------------------------------------------------------------------------------------

void subrequest_free(struct req *sr) {
    if (sr == NULL)
        return;
    struct sub *s = sub_of(sr);
    struct req *main = sr->main;
    if (s->task != NULL)
        task_cancel(s->task);
    join(s);
    const struct log_context *before = log_context();
    log_set_context(&sr->log);
    body_free(sr->out_body);
    sr->out_body = NULL;
    if (s->ran) {
        sr->completed = sr->outcome == OUTCOME_ANSWER;
        run_log(sr);
    }
    log_set_context(before);
    list_remove(&s->node);
    s->magic = 0;
    if (s->own_values) {
        req_free(sr);
        return;
    }
    struct kept *k = arena_new(&main->arena, struct kept);
    k->next = main->subs->kept;
    main->subs->kept = k;
    req_release(sr, &k->arena);
}

void subrequests_end(struct req *main) {
    struct subs *subs = main->subs;
    // A request that was given up gives up all; else what is beside it goes on to its end.
    while (!list_empty(&subs->living)) {
        struct sub *s = list_last(&subs->living, struct sub, node);
        if (s->background && !task_cancelled())
            join(s);
        subrequest_free(s->req);
    }
    for (struct kept *k = subs->kept; k != NULL; k = k->next)
        arena_done(&k->arena);
    subs->kept = NULL;
}
