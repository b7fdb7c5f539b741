#include "io/splice.h"
#include "io/link_private.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

// As large as an unprivileged process may have it (fs.pipe-max-size); a smaller one is worth its calls down to the minimum.
enum { PIPE_SIZE = 1 << 20, PIPE_MIN = 256 << 10, KEPT = 4, USED_MAX = 64 };

struct conduit {
    struct conduit *next;
    struct loop *loop;
    int in, out;
    size_t held;
};

static void conduit_close(struct conduit *c) {
    close(c->in);
    close(c->out);
    free(c);
}

void conduits_free(struct loop *l) {
    while (l->conduits != NULL) {
        struct conduit *c = l->conduits;
        l->conduits = c->next;
        conduit_close(c);
    }
}

static struct conduit *conduit_new(struct loop *l) {
    int fd[2];
    if (pipe2(fd, O_NONBLOCK | O_CLOEXEC) != 0)
        return NULL;
    int size = fcntl(fd[1], F_SETPIPE_SZ, PIPE_SIZE);
    struct conduit *c = size >= PIPE_MIN ? malloc(sizeof(*c)) : NULL;
    if (c == NULL) {
        close(fd[0]);
        close(fd[1]);
        return NULL;
    }
    *c = (struct conduit){.loop = l, .in = fd[1], .out = fd[0]};
    return c;
}

struct conduit *conduit_get(struct link *from, struct link *to) {
    if (from->ops != &link_socket_ops || to->ops != &link_socket_ops || from->unread != NULL)
        return NULL;
    struct loop *l = from->loop;
    if (l->conduits_used == USED_MAX) // each is two descriptors
        return NULL;
    struct conduit *c = l->conduits;
    if (c != NULL) {
        l->conduits = c->next;
        l->conduits_kept--;
    } else if ((c = conduit_new(l)) == NULL) {
        return NULL;
    }
    l->conduits_used++;
    return c;
}

void conduit_put(struct conduit *c) {
    if (c == NULL)
        return;
    struct loop *l = c->loop;
    l->conduits_used--;
    if (c->held != 0 || l->conduits_kept == KEPT) {
        conduit_close(c);
        return;
    }
    c->next = l->conduits;
    l->conduits = c;
    l->conduits_kept++;
}

size_t conduit_held(const struct conduit *c) { return c->held; }

ssize_t conduit_fill(struct conduit *c, struct link *from, size_t room) {
    CHECK(c->held == 0 && !from->is_parked && room > 0);
    if (!link_ready_to_read(from))
        return -EAGAIN;
    ssize_t n;
    do
        n = splice(from->fd, NULL, c->in, NULL, room, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        // Fewer bytes than asked for say nothing: the pipe may have been full. `readable` errs on the side of true.
        from->bytes_in += (uint64_t)n;
        c->held = (size_t)n;
        return n;
    }
    if (n == 0) {
        from->gone = true;
        return 0;
    }
    if (errno == EAGAIN && !from->gone)
        from->readable = false; // the pipe was empty: it is the socket that has nothing
    if (errno == EAGAIN)
        return -EAGAIN;
    return errno == EINVAL ? -EOPNOTSUPP : -errno;
}

ssize_t conduit_drain(struct conduit *c, struct link *to) {
    CHECK(c->held > 0 && !to->is_parked);
    if (to->write_shut)
        return -EPIPE;
    if (!to->writable)
        return -EAGAIN;
    ssize_t n;
    do
        n = splice(c->out, NULL, to->fd, NULL, c->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (n < 0 && errno == EINTR);
    if (n <= 0) {
        int err = n == 0 ? EIO : errno;
        if (err == EAGAIN)
            to->writable = false;
        else
            to->gone = to->failed = true;
        return -err;
    }
    to->bytes_out += (uint64_t)n;
    c->held -= (size_t)n;
    return n;
}
