// Requests that wait until a peer may be asked (the directive `queue`), in the order in which they came, of all loops. Who
// gives a peer back wakes the first; who waits also looks from time to time, because a peer can become eligible by time alone.
#include "io/inbox.h"
#include "io/loop.h"
#include "io/task.h"
#include "upstream/queue.h"
#include "upstream/state.h"

enum { LOOK_MS = 100 };

struct waiter {
    struct message m;
    struct list node;    // in group_state->queue, under the lock
    struct task *task;
    struct loop *loop;
    bool told;           // a message is under way, under the lock
    bool arrived;        // the task's
};

static void arrive(struct message *m) {
    struct waiter *w = container_of(m, struct waiter, m);
    w->arrived = true;
    task_wake(w->task);
}

void queue_wake(struct group_state *s) {
    struct waiter *w = list_first(&s->queue, struct waiter, node);
    list_remove(&w->node);
    s->queued--;
    w->told = true;
    inbox_post(w->loop, &w->m);
}

// Joins the queue, at its front when it has waited before. False when the queue is full.
static bool join(struct group *g, struct waiter *w, bool front) {
    struct group_state *s = g->state;
    pthread_mutex_lock(&s->lock);
    bool room = front || s->queued < g->queue;
    if (room) {
        w->told = w->arrived = false;
        if (front)
            list_push_front(&s->queue, &w->node);
        else
            list_push_back(&s->queue, &w->node);
        s->queued++;
    }
    pthread_mutex_unlock(&s->lock);
    return room;
}

// Out of the queue; a message that is under way is awaited, because it is on the stack. True when there was one.
static bool leave(struct group *g, struct waiter *w) {
    struct group_state *s = g->state;
    pthread_mutex_lock(&s->lock);
    bool told = w->told;
    if (!told) {
        list_remove(&w->node);
        s->queued--;
    }
    pthread_mutex_unlock(&s->lock);
    task_shield(true);
    while (told && !w->arrived)
        task_park(UINT64_MAX);
    task_shield(false);
    return told;
}

struct peer *queue_wait(struct group *g, struct req *r, uint64_t *tried, enum queue_end *end) {
    struct waiter w = {.m = {.fn = arrive}, .task = task_self(), .loop = loop_self()};
    uint64_t now = loop_now(w.loop), until = now + g->queue_timeout_ms;
    list_init(&w.node);
    for (bool again = false;; again = true) {
        if (!join(g, &w, again)) {
            *end = QUEUE_FULL;
            return NULL;
        }
        int res = task_park(MIN(until, now + LOOK_MS));
        bool told = leave(g, &w);
        now = loop_now(w.loop);
        struct peer *p = res == -ECANCELED ? NULL : group_choose(g, r, tried, now);
        if (p != NULL)
            return p;
        if (res == -ECANCELED || now >= until) {
            *end = res == -ECANCELED ? QUEUE_CANCELLED : QUEUE_TIMED_OUT;
            if (told) { // the news is for the next in line
                pthread_mutex_lock(&g->state->lock);
                if (g->state->queued != 0)
                    queue_wake(g->state);
                pthread_mutex_unlock(&g->state->lock);
            }
            return NULL;
        }
    }
}

bool queue_is_waiting(struct group *g) { return g->queue != 0 && atomic_load_explicit(&g->state->queued, memory_order_relaxed) != 0; }
