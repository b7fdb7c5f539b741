// Tunnels whose client side is a stream of HTTP/2 (extended CONNECT, RFC 8441). What the peer sends is the body of the answer; a
// task of its own carries what the client sends. The exchange keeps the connection and ends it.
#include "http/answer.h"
#include "io/loop.h"
#include "upstream/tunnel.h"

enum { ROOM = 16 << 10 };

struct stream_tunnel {
    struct body body;
    struct req *r;
    struct exchange *x;
    struct task *sender;
    uint64_t moved_ms; // when bytes moved last, in either direction
    int error;
    bool ended;
};

static struct attempt *attempt_of(const struct stream_tunnel *t) { return &t->x->attempts[t->x->nattempts - 1]; }

static void carry_up(void *arg) {
    struct stream_tunnel *t = arg;
    struct chain c;
    ssize_t n;
    chain_init(&c, loop_blocks(t->r->loop));
    while ((n = body_read(t->r->tunnel_in, &c, ROOM, BODY_WAIT)) > 0) {
        t->moved_ms = loop_now(t->r->loop);
        if (link_write(t->x->link, &c, t->x->gw->send_timeout) < 0)
            break;
    }
    if (n == 0)
        link_shutdown_write(t->x->link);
    chain_done(&c);
}

static void end(struct stream_tunnel *t) {
    if (t->sender != NULL) {
        task_cancel(t->sender);
        task_join(t->sender);
        t->sender = NULL;
    }
    exchange_done(t->x, false);
}

static ssize_t read_tunnel(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct stream_tunnel *t = container_of(body, struct stream_tunnel, body);
    if (t->ended || t->error != 0)
        return t->error;
    for (;;) {
        uint64_t now = loop_now(t->r->loop), until = t->moved_ms + t->x->gw->read_timeout;
        ssize_t n = wait == BODY_WAIT ? link_read(t->x->link, to, room, until > now ? until - now : 0)
                                      : link_try_read(t->x->link, to, room);
        if (n == -EAGAIN)
            return n;
        if (n == -ETIMEDOUT && loop_now(t->r->loop) < t->moved_ms + t->x->gw->read_timeout)
            continue; // the client has sent something meanwhile
        if (n > 0) {
            t->moved_ms = loop_now(t->r->loop);
            attempt_of(t)->response_length += (uint64_t)n;
            return n;
        }
        if (n == -ETIMEDOUT)
            exchange_log(t->x, LOG_INFO, ETIMEDOUT, "proxying upgraded connection",
                         exchange_note(t->x, "read_timeout", t->x->gw->read_timeout, "ms"), "upstream timed out");
        t->ended = n == 0 || n == -ETIMEDOUT;
        t->error = t->ended ? 0 : (int)n;
        end(t);
        return t->error;
    }
}

static void free_tunnel(struct body *body) {
    struct stream_tunnel *t = container_of(body, struct stream_tunnel, body);
    if (!t->ended && t->error == 0)
        end(t);
}

static const struct body_ops ops = {"tunnel", read_tunnel, NULL, free_tunnel};

enum step tunnel_stream_answer(struct req *r, struct exchange *x) {
    CHECK(x->upgraded && r->tunnel_in != NULL);
    struct stream_tunnel *t = arena_new(&r->arena, struct stream_tunnel);
    body_init(&t->body, &ops, -1);
    t->body.flush = true;
    t->r = r;
    t->x = x;
    t->moved_ms = loop_now(r->loop);
    link_unread(x->link, &x->early);
    t->sender = task_new_joinable(carry_up, t, "tunnel of a stream");
    if (t->sender == NULL) {
        exchange_done(x, false);
        return answer_status(r, 500);
    }
    r->tunnelled = true;
    return answer_ready(r, 200, &t->body, -1);
}
