// Links over stream sockets of the kernel, TCP and Unix.
#include "io/link_private.h"
#include "io/sys.h"
#include <stdlib.h>
#include <sys/sendfile.h>
#include <unistd.h>

enum { IOVECS = 64, SENDFILE_MAX = 1 << 20 }; // a file goes on after others had their turn

struct link *link_new_fd(int fd, const struct sockaddr *remote) {
    struct link *l = calloc(1, sizeof(*l));
    int err = l == NULL ? -ENOMEM : link_init(l, &link_socket_ops, fd, remote);
    if (err == 0)
        return l;
    free(l);
    close(fd);
    errno = -err;
    return NULL;
}

static ssize_t socket_failed(struct link *l) {
    int err = errno;
    if (err != EAGAIN)
        l->gone = l->failed = true;
    return -err;
}

static ssize_t socket_read(struct link *l, char *to, size_t n) {
    ssize_t r;
    do
        r = sys_recv(l->fd, to, n, 0);
    while (UNLIKELY(r < 0 && errno == EINTR));
    if (LIKELY(r > 0)) {
        l->bytes_in += (uint64_t)r;
        // Fewer bytes than asked for: there are no more, and the next ones will be an edge; but the end that was
        // announced already will not.
        if ((size_t)r < n && !l->gone)
            l->readable = false;
        return r;
    }
    if (r == 0) {
        l->gone = true;
        return 0;
    }
    if (errno == EAGAIN && !l->gone)
        l->readable = false;
    return socket_failed(l);
}

// Apart, so that the usual single slice does not carry the vector's room on its stack.
static NOINLINE ssize_t send_slices(struct link *l, const struct chain *from, int flags, size_t *wanted) {
    struct iovec iov[IOVECS];
    struct msghdr m = {.msg_iov = iov};
    m.msg_iovlen = chain_iov(from, iov, IOVECS, wanted);
    if (*wanted < from->bytes)
        flags |= MSG_MORE; // the rest follows at once
    return sys_sendmsg(l->fd, &m, flags);
}

// The memory at the front of the chain: as many bytes as the kernel took, *wanted is what it was asked to take.
static ssize_t send_memory(struct link *l, const struct chain *from, bool more, size_t *wanted) {
    int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
    const struct piece *first = from->head;
    if (UNLIKELY(first->next != NULL))
        return send_slices(l, from, flags, wanted);
    *wanted = first->n;
    return sys_send(l->fd, first->p, first->n, flags);
}

static ssize_t send_file(struct link *l, const struct piece *p, size_t *wanted) {
    off_t off = p->off;
    *wanted = MIN(p->n, SENDFILE_MAX);
    ssize_t n = sendfile(l->fd, p->file->fd, &off, *wanted);
    if (n == 0) { // the file was cut meanwhile
        errno = EIO;
        return -1;
    }
    return n;
}

static ssize_t socket_write(struct link *l, struct chain *from, bool more) {
    size_t total = 0;
    while (!chain_empty(from) && total < SENDFILE_MAX) {
        size_t wanted;
        bool file = from->head->kind == PIECE_FILE;
        ssize_t n = file ? send_file(l, from->head, &wanted) : send_memory(l, from, more, &wanted);
        if (UNLIKELY(n < 0)) {
            if (errno == EINTR)
                continue;
            if (errno == EAGAIN)
                l->writable = false;
            return total > 0 ? (ssize_t)total : file && errno == EIO ? -EIO : socket_failed(l);
        }
        chain_drop(from, (size_t)n);
        l->bytes_out += (uint64_t)n;
        total += (size_t)n;
        // A send that took less has filled the socket. A file's may also have met the end of its pages.
        if ((size_t)n < wanted && !file) {
            l->writable = false;
            break;
        }
    }
    return (ssize_t)total;
}

static void socket_shutdown(struct link *l) { shutdown(l->fd, SHUT_WR); }

static bool socket_alive(struct link *l) {
    char byte;
    return sys_recv(l->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static bool socket_local(const struct link *l, struct addr_full *a) {
    struct addr_full got = {.len = sizeof(got.un)};
    if (getsockname(l->fd, &got.sa, &got.len) != 0)
        return false;
    *a = got;
    return true;
}

static void socket_close(struct link *l) {
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (l->reset)
        setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(l->fd);
}

const struct link_ops link_socket_ops = {
    .read = socket_read,
    .write = socket_write,
    .shutdown_write = socket_shutdown,
    .alive = socket_alive,
    .local = socket_local,
    .close = socket_close,
};
