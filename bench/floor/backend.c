// backend PORT: the origin behind every proxy of the benchmark, so quick that it is never the bottleneck.
// GET .../N answers N bytes of text (16 MiB at most, 200 without a number); POST and PUT drain a body of known length
// and answer 200 bytes. No chunked requests, no pipelining behind an answer that had to wait: no proxy here sends
// either.
#include "common.h"

#define BODY_MAX (16u << 20)
#define BUF_SIZE (256u << 10)
#define HEAD_MAX 8192
#define SMALL    8192 // answers up to this size are copied behind their head and sent in one piece

struct client {
    bool draining;
    uint64_t body_left;
    char head[400];
    size_t head_len, head_sent, body_len, body_sent;
    char part[HEAD_MAX]; // an incomplete request head
    size_t part_len;
};

enum sent { SENT, BLOCKED, BROKEN };

static struct client *clients[65536]; // by descriptor, kept for the next connection with the same number
static char *text;
static char buf[BUF_SIZE + 1];
static int ep;

static void fill_text(void) {
    text = malloc(BODY_MAX);
    if (!text)
        die("malloc");
    uint32_t x = 12345;
    for (size_t i = 0; i < BODY_MAX; i++) {
        x = x * 1664525 + 1013904223;
        text[i] = "abcdefghijklmnopqrstuvwxyz 0123456789\n"[(x >> 24) % 38];
    }
}

static void watch(int fd, int op, uint32_t events) {
    struct epoll_event e = {.events = events, .data.fd = fd};
    epoll_ctl(ep, op, fd, &e);
}

static void count_sent(struct client *c, size_t n) {
    size_t head = c->head_len - c->head_sent;
    c->head_sent += n < head ? n : head;
    c->body_sent += n < head ? 0 : n - head;
}

static enum sent push(int fd, struct client *c) {
    while (c->head_sent < c->head_len || c->body_sent < c->body_len) {
        struct iovec v[2] = {{c->head + c->head_sent, c->head_len - c->head_sent},
                             {text + c->body_sent, c->body_len - c->body_sent}};
        struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
        ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN ? BLOCKED : BROKEN;
        count_sent(c, (size_t)n);
    }
    return SENT;
}

static enum sent answer(int fd, struct client *c, size_t size) {
    c->head_len = (size_t)snprintf(c->head, sizeof c->head,
                                   "HTTP/1.1 200 OK\r\nServer: origin/1.0\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
                                   "Content-Type: text/html; charset=utf-8\r\nContent-Length: %zu\r\n"
                                   "Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT\r\nETag: \"abcdef-%zx\"\r\n"
                                   "Cache-Control: max-age=3600\r\n\r\n",
                                   size, size);
    c->body_len = size;
    c->head_sent = c->body_sent = 0;
    if (size <= SMALL) {
        char whole[sizeof c->head + SMALL];
        memcpy(whole, c->head, c->head_len);
        memcpy(whole + c->head_len, text, size);
        ssize_t n = send(fd, whole, c->head_len + size, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return BROKEN;
        count_sent(c, n > 0 ? (size_t)n : 0);
    }
    return push(fd, c);
}

// The number after the last slash of the target.
static size_t size_wanted(char *head, char *end) {
    char *target = memchr(head, ' ', (size_t)(end - head));
    char *stop = target ? memchr(target + 1, ' ', (size_t)(end - target - 1)) : NULL;
    char *slash = stop ? memrchr(target, '/', (size_t)(stop - target)) : NULL;
    if (!slash || slash[1] < '0' || slash[1] > '9')
        return 200;
    size_t size = strtoull(slash + 1, NULL, 10);
    return size < BODY_MAX ? size : BODY_MAX;
}

// Consumes the bytes [p, end), which are a part of a request, one, or several.
static enum sent serve(int fd, struct client *c, char *p, char *end) {
    enum sent r = SENT;
    while (p < end && r == SENT) {
        if (c->draining) {
            size_t n = (size_t)(end - p) < c->body_left ? (size_t)(end - p) : c->body_left;
            c->body_left -= n;
            p += n;
            if (c->body_left == 0) {
                c->draining = false;
                r = answer(fd, c, 200);
            }
            continue;
        }
        char *body = head_end(p, (size_t)(end - p));
        if (!body) {
            c->part_len = (size_t)(end - p);
            if (c->part_len > sizeof c->part)
                return BROKEN;
            memcpy(c->part, p, c->part_len);
            return SENT;
        }
        char *from, *to;
        c->body_left = (uint64_t)head_scan(p, body, "transfer-encoding", &from, &to);
        if (from) {
            fprintf(stderr, "backend: chunked requests are not supported\n");
            return BROKEN;
        }
        if (c->body_left)
            c->draining = true;
        else
            r = answer(fd, c, *p == 'P' ? 200 : size_wanted(p, body));
        p = body;
    }
    return r;
}

static void on_read(int fd, struct client *c) {
    size_t old = c->part_len;
    memcpy(buf, c->part, old);
    ssize_t n = recv(fd, buf + old, BUF_SIZE - old, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    c->part_len = 0;
    enum sent r = n > 0 ? serve(fd, c, buf, buf + old + n) : BROKEN;
    if (r == BROKEN)
        close(fd);
    else if (r == BLOCKED)
        watch(fd, EPOLL_CTL_MOD, EPOLLOUT);
}

static void on_write(int fd, struct client *c) {
    enum sent r = push(fd, c);
    if (r == BROKEN)
        close(fd);
    else if (r == SENT)
        watch(fd, EPOLL_CTL_MOD, EPOLLIN);
}

static void on_accept(int listener) {
    for (int i = 0; i < 64; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0)
            return;
        if (fd < 65536 && !clients[fd])
            clients[fd] = malloc(sizeof(struct client));
        if (fd >= 65536 || !clients[fd]) {
            close(fd);
            continue;
        }
        struct client *c = clients[fd];
        c->draining = false;
        c->part_len = 0;
        c->head_len = c->head_sent = c->body_len = c->body_sent = 0;
        watch(fd, EPOLL_CTL_ADD, EPOLLIN);
    }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: backend PORT\n");
        return 2;
    }
    fill_text();
    int listener = listen_on(port_arg(argv[1]));
    ep = epoll_create1(0);
    watch(listener, EPOLL_CTL_ADD, EPOLLIN);
    for (;;) {
        struct epoll_event ev[512];
        int n = epoll_wait(ep, ev, 512, -1);
        for (int i = 0; i < n; i++) {
            int fd = ev[i].data.fd;
            if (fd == listener)
                on_accept(fd);
            else if (ev[i].events & EPOLLOUT)
                on_write(fd, clients[fd]);
            else
                on_read(fd, clients[fd]);
        }
    }
}
