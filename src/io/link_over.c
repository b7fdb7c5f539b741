#include "io/link_over.h"
#include "io/link_private.h"

struct over {
    struct link link;
    const struct link_over *ops;
    void *owner;
};

static struct over *over_of(const struct link *l) { return container_of((struct link *)(uintptr_t)l, struct over, link); }

static ssize_t over_read(struct link *l, char *to, size_t n) {
    struct over *o = over_of(l);
    ssize_t got = o->ops->read(o->owner, to, n);
    if (got > 0)
        l->bytes_in += (uint64_t)got;
    if (!l->gone && (got == -EAGAIN || (got > 0 && o->ops->quiet(o->owner))))
        l->readable = false;
    return got;
}

static ssize_t over_write(struct link *l, struct chain *from, bool more) {
    struct over *o = over_of(l);
    ssize_t n = o->ops->write(o->owner, from);
    if (n > 0)
        l->bytes_out += (uint64_t)n;
    else if (n == -EAGAIN)
        l->writable = false;
    return n;
}

static void over_shutdown(struct link *l) {
    struct over *o = over_of(l);
    o->ops->shutdown_write(o->owner);
}

static bool over_alive(struct link *l) {
    struct over *o = over_of(l);
    return o->ops->quiet(o->owner);
}

static bool over_local(const struct link *l, struct addr_full *a) { return false; }

static size_t over_memory(const struct link *l) { return sizeof(struct over); }

static void over_close(struct link *l) {
    struct over *o = over_of(l);
    o->ops->close(o->owner, l->reset);
}

static const struct link_ops over_ops = {
    .read = over_read,
    .write = over_write,
    .shutdown_write = over_shutdown,
    .alive = over_alive,
    .local = over_local,
    .memory = over_memory,
    .close = over_close,
};

struct link *link_over_new(const struct link_over *ops, void *owner, const struct sockaddr *remote) {
    struct over *o = xcalloc(1, sizeof(*o));
    link_init(&o->link, &over_ops, -1, remote);
    o->ops = ops;
    o->owner = owner;
    return &o->link;
}

void *link_over_owner(const struct link *l) {
    CHECK(l->ops == &over_ops);
    return over_of(l)->owner;
}

void link_over_news(struct link *l, bool readable, bool writable, bool gone) {
    CHECK(l->ops == &over_ops);
    uint32_t events = (readable ? EPOLLIN : 0) | (writable ? EPOLLOUT : 0) | (gone ? EPOLLRDHUP | EPOLLHUP : 0);
    link_event(l, events);
}
