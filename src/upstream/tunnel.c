// Tunnels. While bytes move a task carries them; when both directions are quiet both links are parked and the task ends.
//
//   parked ──► news of either link ──► task: read, write, until nothing moves ──► parked
//                                        └─ both sides ended, an error, time is over ──► log line, end
#include "http/answer.h"
#include "http/conn.h"
#include "http/kept.h"
#include "http/run.h"
#include "io/loop.h"
#include "upstream/tunnel.h"
#include <stdlib.h>

enum {
    TUNNEL_MAGIC = 0x57544e4c,
    ROOM_MIN = 16 << 10,
    ROOM_MAX = 128 << 10,
    TURN = 1 << 20, // bytes carried before other tasks have their turn
};

enum side { CLIENT, PEER };

struct tunnel {
    uint32_t magic;
    uint8_t coming;  // tasks that were started, or will be by a parked link
    bool running, over;
    bool ended[2];   // that side has sent its end, and the other was told
    struct conn *conn;   // whose link is the client's side; or that of a stream
    struct link *stream; // the client's side then; NULL: conn's
    struct link *peer_link;
    struct conf *conf;   // of the request; counted
    struct group *group;
    struct group *list;  // counted; NULL: the whole request has it
    struct peer *peer;
    struct peer_end peer_end;
    struct kept *kept;   // of the request
    struct req *whole;   // instead of kept
    uint64_t read_timeout, send_timeout[2]; // ms
    uint64_t moved_ms;   // when bytes moved last
    uint64_t client_out; // the link's counter at the beginning
    uint64_t peer_in, peer_out; // at the beginning of the try
    unsigned nattempts;  // 0 with a whole request
    struct attempt attempts[]; // and their addresses
};

// One direction while a task runs.
struct flow {
    enum side from;
    struct chain bytes; // read and not taken yet
    size_t room;
};

// How it ended, for the error log.
struct tunnel_end {
    int err;       // 0: well; else negative errno
    enum side who; // whose link said so
};

static const char proxying[] = "proxying upgraded connection";

static struct link *client_link(const struct tunnel *t) { return t->stream != NULL ? t->stream : t->conn->link; }
static struct link *link_of(const struct tunnel *t, enum side s) { return s == CLIENT ? client_link(t) : t->peer_link; }
static enum side other(enum side s) { return s == CLIENT ? PEER : CLIENT; }

// --- the end -------------------------------------------------------------------------------------------------------------

static void count(struct tunnel *t, struct req *r, struct exchange *x) {
    struct attempt *a = &x->attempts[x->nattempts - 1];
    a->response_ms = loop_now(r->loop) - a->start_ms;
    a->bytes_sent += link_plain_out(t->peer_link) - t->peer_out;
    a->bytes_received += link_plain_in(t->peer_link) - t->peer_in;
    r->body_bytes_out += link_plain_out(client_link(t)) - t->client_out;
}

// The request as it is at the end.
static struct req *request_of(struct tunnel *t) {
    struct req *r = t->whole;
    if (r == NULL) {
        r = kept_revive(t->kept, t->conn, t->conf);
        struct exchange *x = arena_new(&r->arena, struct exchange);
        x->r = r;
        x->attempts = t->attempts;
        x->nattempts = t->nattempts;
        x->done = x->released = true;
        req_set_ctx(r, &feature_exchange, x);
    }
    t->kept = NULL;
    t->whole = NULL;
    count(t, r, exchange_of(r));
    return r;
}

static void log_end(struct req *r, struct tunnel_end end) {
    bool client = end.who == CLIENT;
    r->phase = proxying;
    if (end.err != 0)
        req_ended(r, end.err == -ETIMEDOUT ? (client ? 'c' : 's') : client ? 'C' : 'S', 'T');
    if (end.err == -ETIMEDOUT)
        log_msg(LOG_INFO, ETIMEDOUT, client ? "client timed out" : "upstream timed out");
    else if (end.err != 0 && end.err != -ECANCELED && end.err != -EPIPE)
        log_msg(client ? LOG_INFO : LOG_ERR, -end.err, "recv() failed");
}

static void free_tunnel(struct tunnel *t) {
    t->magic = 0;
    free(t);
}

// Before a whole request goes: it may hold the list of peers.
static void release_peer(struct tunnel *t) {
    t->peer_end.sent = link_plain_out(t->peer_link) - t->peer_out;
    t->peer_end.received = link_plain_in(t->peer_link) - t->peer_in;
    group_release(t->group, t->peer, &t->peer_end, loop_now(loop_self()));
    group_done(t->list);
}

static void finish(struct tunnel *t, struct tunnel_end end) {
    struct req *r = request_of(t);
    log_set_context(&r->log);
    log_end(r, end);
    run_log(r);
    log_set_context(NULL);
    release_peer(t);
    req_free(r);
    link_free(t->peer_link);
    if (t->stream != NULL) {
        bool silent = end.err == -ETIMEDOUT && end.who == PEER; // ended in order
        if (end.err != 0 && !silent)
            link_reset_on_free(t->stream);
        link_free(t->stream);
    } else {
        t->conn->owner_free = NULL;
        conn_free(t->conn);
    }
    conf_unref(t->conf);
    t->over = true;
    if (t->coming == 0)
        free_tunnel(t);
}

// The loop ends: nobody is told.
static void drop(void *arg) {
    struct tunnel *t = arg;
    CHECK_OBJ(t, TUNNEL_MAGIC);
    t->peer_end.result = PEER_NEUTRAL;
    release_peer(t);
    kept_free(t->kept);
    req_free(t->whole);
    link_free(t->peer_link);
    link_free(t->stream);
    conf_unref(t->conf);
    free_tunnel(t);
}

// --- bytes ---------------------------------------------------------------------------------------------------------------

// Reads and writes what can be without waiting. >0: something moved; 0: nothing; else the error, and whose.
static ssize_t carry(struct tunnel *t, struct flow *f, struct tunnel_end *end) {
    struct link *from = link_of(t, f->from), *to = link_of(t, other(f->from));
    ssize_t moved = 0;
    if (!t->ended[f->from] && chain_empty(&f->bytes)) {
        ssize_t n = link_try_read(from, &f->bytes, f->room);
        if (n < 0 && n != -EAGAIN)
            return *end = (struct tunnel_end){(int)n, f->from}, n;
        if (n == 0) {
            t->ended[f->from] = true;
            link_shutdown_write(to);
            return 1;
        }
        moved = MAX(n, 0);
        if (n == (ssize_t)f->room)
            f->room = MIN(f->room * 2, (size_t)ROOM_MAX);
    }
    if (!chain_empty(&f->bytes)) {
        ssize_t n = link_try_write(to, &f->bytes, false);
        if (n < 0 && n != -EAGAIN)
            return *end = (struct tunnel_end){(int)n, other(f->from)}, n;
        moved += MAX(n, 0);
    }
    return moved;
}

static void want(struct link_want *w, const struct tunnel *t, const struct flow *f) {
    if (!chain_empty(&f->bytes))
        w[other(f->from)].what |= LINK_WAIT_WRITE;
    else if (!t->ended[f->from])
        w[f->from].what |= LINK_WAIT_READ;
}

// Some receiver is slow: waits for it, and for whatever else can go on. 0 or the end.
static int wait_for_room(struct tunnel *t, struct flow *flows, struct tunnel_end *end) {
    struct link_want wants[2] = {{client_link(t), 0}, {t->peer_link, 0}};
    want(wants, t, &flows[CLIENT]);
    want(wants, t, &flows[PEER]);
    enum side slow = chain_empty(&flows[CLIENT].bytes) ? CLIENT : PEER;
    int r = links_wait(wants, 2, t->send_timeout[slow]);
    if (r >= 0)
        return 0;
    *end = (struct tunnel_end){r, slow};
    return r;
}

static void park(struct tunnel *t);

// Until nothing moves. True: parked, to go on later.
static bool run(struct tunnel *t, struct flow *flows, struct tunnel_end *end) {
    struct loop *l = link_loop(t->peer_link);
    size_t carried = 0;
    for (;;) {
        ssize_t up = carry(t, &flows[CLIENT], end), down = up < 0 ? up : carry(t, &flows[PEER], end);
        if (up < 0 || down < 0)
            return false;
        carried += (size_t)(up + down);
        if (up + down > 0)
            t->moved_ms = loop_now(l);
        bool quiet = chain_empty(&flows[CLIENT].bytes) && chain_empty(&flows[PEER].bytes);
        if (quiet && t->ended[CLIENT] && t->ended[PEER])
            return false;
        if (up + down == 0 && quiet) {
            park(t);
            return true;
        }
        if (up + down == 0 && wait_for_room(t, flows, end) != 0)
            return false;
        if (carried > TURN) {
            carried = 0;
            if (task_yield() != 0)
                return false;
        }
    }
}

// --- waking --------------------------------------------------------------------------------------------------------------

static void unpark(struct tunnel *t, enum side s) {
    if (!link_parked(link_of(t, s)))
        return;
    link_unpark(link_of(t, s));
    t->coming--;
}

// The task of a link with news. Both links may have news at once: the second task finds the first one at work.
static void woken(void *arg) {
    struct tunnel *t = arg;
    CHECK_OBJ(t, TUNNEL_MAGIC);
    t->coming--;
    if (t->over) {
        if (t->coming == 0)
            free_tunnel(t);
        return;
    }
    if (t->running)
        return;
    t->running = true;
    unpark(t, CLIENT);
    unpark(t, PEER);
    struct loop *l = link_loop(t->peer_link);
    struct flow flows[2] = {{.from = CLIENT, .room = ROOM_MIN}, {.from = PEER, .room = ROOM_MIN}};
    chain_init(&flows[CLIENT].bytes, loop_blocks(l));
    chain_init(&flows[PEER].bytes, loop_blocks(l));
    struct tunnel_end end = {0, CLIENT};
    bool late = !link_readable(client_link(t)) && !link_readable(t->peer_link) && loop_now(l) >= t->moved_ms + t->read_timeout;
    if (late)
        end = (struct tunnel_end){-ETIMEDOUT, PEER};
    bool parked = !late && run(t, flows, &end);
    chain_done(&flows[CLIENT].bytes);
    chain_done(&flows[PEER].bytes);
    if (!parked)
        finish(t, end);
}

// A side that has ended has no more news, and would wake us for ever.
static void park(struct tunnel *t) {
    uint64_t deadline = t->moved_ms + t->read_timeout;
    t->running = false;
    bool both = !t->ended[CLIENT] && !t->ended[PEER];
    t->coming = (uint8_t)(t->coming + (both ? 2 : 1));
    if (!t->ended[CLIENT])
        link_park(client_link(t), woken, t, "tunnel", both ? UINT64_MAX : deadline);
    if (!t->ended[PEER])
        link_park(t->peer_link, woken, t, "tunnel", deadline);
}

// --- the beginning ---------------------------------------------------------------------------------------------------------

static struct tunnel *make(struct exchange *x, bool keep) {
    size_t size = sizeof(struct tunnel);
    for (unsigned i = 0; keep && i < x->nattempts; i++)
        size += sizeof(struct attempt) + x->attempts[i].addr.n;
    struct tunnel *t = xcalloc(1, size);
    t->magic = TUNNEL_MAGIC;
    if (!keep)
        return t;
    t->nattempts = x->nattempts;
    char *to = (char *)&t->attempts[x->nattempts];
    for (unsigned i = 0; i < x->nattempts; i++) {
        struct str addr = x->attempts[i].addr;
        t->attempts[i] = x->attempts[i];
        t->attempts[i].addr = str_n(to, addr.n);
        to = mempcpy(to, addr.p, addr.n);
    }
    return t;
}

// The head of the 101 is out. The request's task ends when this returns.
static void begin(struct req *r) {
    struct exchange *x = exchange_of(r);
    struct conn *c = r->conn;
    bool keep = x->prev == NULL;
    exchange_name_asked(x);
    struct tunnel *t = make(x, keep);
    t->conn = c;
    t->conf = conf_ref(r->conf);
    t->read_timeout = x->gw->read_timeout;
    t->send_timeout[PEER] = x->gw->send_timeout;
    t->send_timeout[CLIENT] = req_core(r)->send_timeout;
    t->moved_ms = loop_now(r->loop);
    t->peer_in = x->plain_in;
    t->peer_out = x->plain_out;
    t->peer = x->peer;
    const struct attempt *a = &x->attempts[x->nattempts - 1];
    t->peer_end = (struct peer_end){PEER_OK, a->start_ms, a->status, a->header_ms};
    t->peer_link = exchange_take_link(x);
    if (r->codec->stream_link != NULL)
        t->stream = r->codec->stream_link(r, drop, t);
    t->client_out = link_plain_out(client_link(t));
    struct group *list = t->group = x->group;
    x->group = NULL; // ours now, to be given back by us
    t->kept = keep ? req_keep(r) : NULL;
    if (t->kept != NULL) {
        t->list = t->group;
    } else {
        x->group = list;
        t->whole = r;
    }
    if (t->stream == NULL) {
        c->owner = t;
        c->owner_free = drop;
    }
    park(t);
}

enum step tunnel_answer(struct req *r, struct exchange *x) {
    CHECK(x->upgraded && r->body == NULL && r->body_tape == NULL);
    answer_ready(r, r->tunnel_in != NULL ? 200 : 101, NULL, -1);
    r->keepalive = false;
    r->take_over = begin;
    return STEP_DONE;
}
