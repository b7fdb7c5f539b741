#include "http/background.h"
#include "http/conn.h"
#include "io/inbox.h"
#include <stdlib.h>

struct change {
    struct message m;
    struct background *b;
    struct http_service *service;
};

static void stop_running(struct background *b) {
    struct conf *c = b->running;
    if (c == NULL)
        return;
    b->running = NULL;
    for (size_t i = c->nfeatures; i-- > 0;)
        if (c->features[i]->stop != NULL)
            c->features[i]->stop(c);
    conf_unref(c);
}

void background_follow(struct background *b, struct http_service *s) {
    if (b->stopped)
        return;
    struct conf *c = http_service_conf(s);
    if (c == b->running) {
        conf_unref(c);
        return;
    }
    stop_running(b);
    b->running = c;
    for (size_t i = 0; i < c->nfeatures; i++)
        if (c->features[i]->start != NULL)
            c->features[i]->start(c);
}

void background_stop(struct background *b) {
    b->stopped = true;
    stop_running(b);
}

static void on_change(struct message *m) {
    struct change *ch = container_of(m, struct change, m);
    background_follow(ch->b, ch->service);
    free(ch);
}

void background_changed(struct background *b, struct http_service *s) {
    struct loop *l = __atomic_load_n(&b->loop, __ATOMIC_ACQUIRE);
    if (l == NULL)
        return;
    struct change *ch = xcalloc(1, sizeof(*ch));
    ch->m.fn = on_change;
    ch->b = b;
    ch->service = s;
    inbox_post(l, &ch->m);
}
