// forwarder PORT UPSTREAM_PORT [BUFFER_KIB]: the least that forwards HTTP/1.1 with keep-alive on both sides, as the
// floor under every proxy's figures: edge-triggered epoll, one receive and one send per hop, one buffer for all
// connections. It rewrites one line of each head (Host, Server), as a proxy must, and does nothing else: no time-outs,
// no chunked bodies, no pipelining, no retries, no closing when the client asks for it. Never for real traffic.
//
//   client ──peer──► up      a request in flight ties the two; afterwards `up` goes back to the pool
//     state: HEAD ─► BODY ─► WAIT ─► HEAD ...          up: HEAD ─► BODY ─► pool
#include "common.h"

#define EDGE     (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
#define HEAD_MAX 16384
#define SLACK    8192 // room for a rewritten line that is longer than the old one
#define HOST     "Host: upstream.internal\r\n"
#define SERVER   "Server: floor\r\n"

enum kind { CLIENT, UP };
enum state { HEAD, BODY, WAIT };

struct conn {
    int fd;
    uint8_t kind, state;
    bool dead;     // closed; freed when this turn of the loop ends
    bool paused;   // not read, because the peer's `pend` is not empty
    bool want_out; // `pend` is not empty
    struct conn *peer;
    struct conn *next; // in pool or graveyard
    int64_t remain;    // of the message's body, to be read
    char *pend;        // what the socket did not take: [pend_at, pend_len)
    size_t pend_at, pend_len, pend_cap;
    char *part; // an incomplete head
    size_t part_len;
};

static int ep, upstream_port;
static char *buf;
static size_t buf_size = 256u << 10;
static struct conn *pool, *graveyard;

static struct conn *conn_new(int fd, enum kind kind) {
    struct conn *c = calloc(1, sizeof *c);
    if (!c)
        die("calloc");
    c->fd = fd;
    c->kind = kind;
    struct epoll_event e = {.events = EDGE, .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
    return c;
}

// Closes c and the connection it is tied to.
static void conn_kill(struct conn *c) {
    if (c->dead)
        return;
    c->dead = true;
    close(c->fd);
    if (c->kind == UP && !c->peer) {
        struct conn **p = &pool;
        while (*p && *p != c)
            p = &(*p)->next;
        if (*p)
            *p = c->next;
    }
    c->next = graveyard;
    graveyard = c;
    struct conn *other = c->peer;
    if (other) {
        // Still tied from the other side, so that an upstream connection does not look for itself in the pool.
        c->peer = NULL;
        conn_kill(other);
    }
}

static void bury(void) {
    while (graveyard) {
        struct conn *c = graveyard;
        graveyard = c->next;
        free(c->pend);
        free(c->part);
        free(c);
    }
}

static struct conn *up_get(void) {
    struct conn *u = pool;
    if (u) {
        pool = u->next;
        return u;
    }
    int fd = connect_to(upstream_port);
    if (fd < 0)
        return NULL;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return conn_new(fd, UP);
}

static void exchange_done(struct conn *u) {
    struct conn *c = u->peer;
    u->peer = c->peer = NULL;
    u->next = pool;
    pool = u;
    c->state = HEAD;
}

// Sends to d; what it does not take is kept and src paused. False: both are dead.
static bool forward(struct conn *d, struct conn *src, const char *b, size_t n) {
    size_t done = 0;
    if (d->pend_at == d->pend_len) {
        ssize_t w = send(d->fd, b, n, MSG_NOSIGNAL);
        if (w < 0 && errno != EAGAIN) {
            conn_kill(d);
            return false;
        }
        done = w > 0 ? (size_t)w : 0;
        if (done == n)
            return true;
        d->pend_at = d->pend_len = 0;
    }
    size_t left = n - done;
    if (d->pend_len + left > d->pend_cap) {
        d->pend_cap = d->pend_len + left > buf_size ? d->pend_len + left : buf_size;
        d->pend = realloc(d->pend, d->pend_cap);
        if (!d->pend)
            die("realloc");
    }
    memcpy(d->pend + d->pend_len, b + done, left);
    d->pend_len += left;
    src->paused = true;
    d->want_out = true;
    return true;
}

// Replaces the line [from, to) of the n bytes at b.
static size_t rewrite(char *b, size_t n, char *from, char *to, const char *line, size_t len) {
    if (!from)
        return n;
    memmove(from + len, to, (size_t)(b + n - to));
    memcpy(from, line, len);
    return n + len - (size_t)(to - from);
}

static void keep_part(struct conn *c, const char *b, size_t n) {
    if (n > HEAD_MAX) {
        conn_kill(c);
        return;
    }
    if (!c->part)
        c->part = malloc(HEAD_MAX);
    if (!c->part)
        die("malloc");
    memcpy(c->part, b, n);
    c->part_len = n;
}

// n bytes at b from a client. False: c is dead.
static bool from_client(struct conn *c, char *b, size_t n) {
    if (c->state == WAIT) {
        conn_kill(c);
        return false;
    }
    if (c->state == HEAD) {
        char *end = head_end(b, n), *from, *to;
        if (!end) {
            keep_part(c, b, n);
            return !c->dead;
        }
        int64_t length = head_scan(b, end, "host", &from, &to);
        size_t body = (size_t)(b + n - end);
        n = rewrite(b, n, from, to, HOST, sizeof HOST - 1);
        struct conn *u = up_get();
        if (!u) {
            conn_kill(c);
            return false;
        }
        u->peer = c;
        c->peer = u;
        u->state = HEAD;
        c->remain = length - (int64_t)body;
    } else {
        c->remain -= (int64_t)n;
    }
    c->state = c->remain > 0 ? BODY : WAIT;
    return forward(c->peer, c, b, n);
}

// n bytes at b from an upstream connection. False: u is dead.
static bool from_up(struct conn *u, char *b, size_t n) {
    if (!u->peer) {
        conn_kill(u);
        return false;
    }
    if (u->state == HEAD) {
        char *end = head_end(b, n), *from, *to;
        if (!end) {
            keep_part(u, b, n);
            return !u->dead;
        }
        int64_t length = head_scan(b, end, "server", &from, &to);
        u->remain = length - (b + n - end);
        u->state = BODY;
        n = rewrite(b, n, from, to, SERVER, sizeof SERVER - 1);
    } else {
        u->remain -= (int64_t)n;
    }
    if (!forward(u->peer, u, b, n))
        return false;
    if (u->remain == 0 && !u->paused)
        exchange_done(u);
    return true;
}

static void on_read(struct conn *c, uint32_t events) {
    while (!c->paused) {
        size_t old = c->part_len;
        if (old)
            memcpy(buf, c->part, old);
        ssize_t n = recv(c->fd, buf + old, buf_size - old, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            conn_kill(c);
            return;
        }
        c->part_len = 0;
        bool ok = c->kind == CLIENT ? from_client(c, buf, old + (size_t)n) : from_up(c, buf, old + (size_t)n);
        if (!ok)
            return;
        // A short read emptied the socket: the next bytes are a new edge. An end of file is announced and has to be
        // read.
        if ((size_t)n < buf_size - old && !(events & (EPOLLRDHUP | EPOLLHUP)))
            return;
    }
}

static void on_write(struct conn *d) {
    ssize_t n = send(d->fd, d->pend + d->pend_at, d->pend_len - d->pend_at, MSG_NOSIGNAL);
    if (n < 0) {
        if (errno != EAGAIN)
            conn_kill(d);
        return;
    }
    d->pend_at += (size_t)n;
    if (d->pend_at < d->pend_len)
        return;
    d->pend_at = d->pend_len = 0;
    d->want_out = false;
    struct conn *src = d->peer;
    if (!src || !src->paused)
        return;
    src->paused = false;
    if (src->kind == UP && src->state == BODY && src->remain == 0)
        exchange_done(src);
    else
        on_read(src, 0);
}

static void on_accept(int listener) {
    for (int i = 0; i < 64; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0)
            return;
        conn_new(fd, CLIENT);
    }
}

int main(int argc, char **argv) {
    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: forwarder PORT UPSTREAM_PORT [BUFFER_KIB]\n");
        return 2;
    }
    int listener = listen_on(port_arg(argv[1]));
    upstream_port = port_arg(argv[2]);
    if (argc == 4)
        buf_size = strtoul(argv[3], NULL, 10) * 1024;
    if (buf_size <= HEAD_MAX || buf_size > (64u << 20)) {
        fprintf(stderr, "forwarder: buffer must be 17 to 65536 KiB\n");
        return 2;
    }
    buf = aligned_alloc(4096, buf_size + SLACK);
    ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    if (!buf || ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e))
        die("start");
    for (;;) {
        struct epoll_event ev[256];
        int n = epoll_wait(ep, ev, 256, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            if (!c) {
                on_accept(listener);
                continue;
            }
            if (!c->dead && c->want_out && ev[i].events & EPOLLOUT)
                on_write(c);
            if (!c->dead && ev[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                on_read(c, ev[i].events);
        }
        bury();
    }
}
