// *_limit_rate: how fast a response is read. As in nginx, a second's worth may come at once at the beginning.
#include "feature/gateway/gateway.h"
#include "io/loop.h"

struct paced {
    struct body body;
    struct body *inner; // owned
    struct loop *loop;
    uint64_t rate, got, start_ms;
};

enum { STEPS_A_SECOND = 8 };

static uint64_t allowance(const struct paced *p) {
    uint64_t ms = loop_now(p->loop) - p->start_ms + 1000;
    uint64_t all = ms / 1000 * p->rate + ms % 1000 * p->rate / 1000;
    return all > p->got ? all - p->got : 0;
}

static ssize_t read_paced(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct paced *p = container_of(body, struct paced, body);
    uint64_t may = allowance(p);
    if (may == 0 && wait == BODY_NOWAIT)
        return -EAGAIN;
    while (may == 0) {
        int err = task_sleep_ms(1000 / STEPS_A_SECOND);
        if (err != 0)
            return err;
        may = allowance(p);
    }
    ssize_t n = body_read(p->inner, to, (size_t)MIN((uint64_t)room, may), wait);
    if (n > 0)
        p->got += (uint64_t)n;
    body->length = p->inner->length;
    body->trailers = p->inner->trailers;
    return n;
}

static void free_paced(struct body *body) { body_free(container_of(body, struct paced, body)->inner); }

static const struct body_ops paced_ops = {"limit_rate of a gateway", read_paced, NULL, free_paced};

struct body *gateway_paced(struct req *r, struct body *inner, uint64_t rate) {
    struct paced *p = arena_new(&r->arena, struct paced);
    body_init(&p->body, &paced_ops, inner->length);
    p->body.flush = inner->flush;
    p->inner = inner;
    p->loop = r->loop;
    p->rate = rate;
    p->start_ms = loop_now(r->loop);
    return &p->body;
}
