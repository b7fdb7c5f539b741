// Links in memory: two ends on one loop that behave like two connected TCP sockets, without system calls. For tests.
#include "io/link_private.h"
#include <stdlib.h>
#include <unistd.h>

struct mem {
    struct link link;
    struct mem *peer; // NULL: closed
    struct chain in;  // on its way to this end
    size_t room;      // bound of in
    bool ended;       // the peer has sent its end
    bool reset;       // the peer has sent a reset, or bytes met nobody
    bool reset_told;  // reading or writing has said so once
};

static struct mem *mem_of(const struct link *l) { return container_of((struct link *)(uintptr_t)l, struct mem, link); }

static void mem_reset(struct mem *m) {
    m->reset = true;
    link_event(&m->link, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
}

static ssize_t mem_read(struct link *l, char *to, size_t n) {
    struct mem *m = mem_of(l);
    size_t got = chain_peek(&m->in, to, n);
    chain_drop(&m->in, got);
    if (got > 0) {
        l->bytes_in += got;
        if (got < n && !l->gone)
            l->readable = false;
        if (m->peer != NULL && !m->peer->link.writable)
            link_event(&m->peer->link, EPOLLOUT);
        return (ssize_t)got;
    }
    if (m->reset && !m->reset_told) {
        m->reset_told = true;
        return -ECONNRESET;
    }
    if (m->reset || m->ended)
        return 0;
    l->readable = false;
    return -EAGAIN;
}

// Copies the front of the first piece, as a kernel would: its memory may be anybody's as soon as the write returns.
static ssize_t copy_front(struct chain *to, const struct piece *p, size_t n) {
    if (p->kind == PIECE_MEM) {
        chain_add_copy(to, str_n(p->p, n));
        return (ssize_t)n;
    }
    struct block *b = block_new(to->pool, n);
    ssize_t r = pread(p->file->fd, b->data, n, p->off);
    if (r <= 0) {
        block_unref(b);
        return r < 0 ? -errno : -EIO;
    }
    chain_give_block(to, b, b->data, (size_t)r);
    return r;
}

static ssize_t mem_write(struct link *l, struct chain *from, bool more) {
    struct mem *m = mem_of(l);
    if (m->reset) {
        ssize_t err = m->reset_told ? -EPIPE : -ECONNRESET;
        m->reset_told = true;
        return err;
    }
    if (m->peer == NULL) { // the first bytes to a closed socket are taken; the answer is a reset
        size_t n = from->bytes;
        l->bytes_out += n;
        chain_drop(from, n);
        mem_reset(m);
        return (ssize_t)n;
    }
    struct mem *peer = m->peer;
    size_t total = 0;
    while (!chain_empty(from) && peer->in.bytes < peer->room) {
        ssize_t n = copy_front(&peer->in, from->head, MIN(from->head->n, peer->room - peer->in.bytes));
        if (n < 0 && total == 0)
            return n;
        if (n < 0)
            break;
        chain_drop(from, (size_t)n);
        total += (size_t)n;
    }
    if (!chain_empty(from))
        l->writable = false;
    if (total == 0)
        return -EAGAIN;
    l->bytes_out += total;
    link_event(&peer->link, EPOLLIN);
    return (ssize_t)total;
}

static void mem_shutdown(struct link *l) {
    struct mem *m = mem_of(l), *peer = m->peer;
    if (peer == NULL || m->reset)
        return;
    peer->ended = true;
    bool both = m->ended;
    link_event(&peer->link, EPOLLIN | EPOLLRDHUP | (both ? EPOLLHUP : 0));
    if (both)
        link_event(l, EPOLLHUP);
}

static bool mem_alive(struct link *l) {
    struct mem *m = mem_of(l);
    return chain_empty(&m->in) && !m->ended && !m->reset;
}

static bool mem_local(const struct link *l, struct addr_full *a) {
    memset(a, 0, sizeof(*a));
    a->sa.sa_family = AF_UNIX;
    a->len = sizeof(sa_family_t);
    return true;
}

static size_t mem_memory(const struct link *l) { return sizeof(struct mem) + chain_held(&mem_of(l)->in); }

static void mem_close(struct link *l) {
    struct mem *m = mem_of(l), *peer = m->peer;
    bool reset = l->reset || !chain_empty(&m->in); // who closes with bytes unread resets
    chain_done(&m->in);
    if (peer == NULL)
        return;
    peer->peer = NULL;
    if (peer->reset)
        return;
    if (reset) {
        mem_reset(peer);
    } else {
        peer->ended = true;
        link_event(&peer->link, EPOLLIN | EPOLLRDHUP | (peer->link.write_shut ? EPOLLHUP : 0));
    }
}

static const struct link_ops mem_ops = {
    .read = mem_read,
    .write = mem_write,
    .shutdown_write = mem_shutdown,
    .alive = mem_alive,
    .local = mem_local,
    .memory = mem_memory,
    .close = mem_close,
};

static struct mem *mem_new(size_t room) {
    struct mem *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return NULL;
    link_init(&m->link, &mem_ops, -1, NULL);
    chain_init(&m->in, m->link.loop->blocks);
    m->room = room;
    return m;
}

bool link_pair(struct link **a, struct link **b, size_t room) {
    CHECK(room > 0);
    struct mem *x = mem_new(room), *y = mem_new(room);
    if (x == NULL || y == NULL) {
        free(x);
        free(y);
        return false;
    }
    x->peer = y;
    y->peer = x;
    *a = &x->link;
    *b = &y->link;
    return true;
}
