// Connecting to others.
#include "io/connect.h"
#include "io/link_private.h"
#include "io/log.h"
#include "io/tcp.h"
#include <netinet/tcp.h>
#include <unistd.h>

// How long a full backlog of a Unix socket is given before it is asked again; doubles up to the second.
enum { RETRY_FIRST_MS = 1, RETRY_MOST_MS = 64 };

static int open_socket(const struct addr_full *to, const struct addr_full *from, bool transparent) {
    int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int one = 1;
    if (to->sa.sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)tcp_spare_pacing(fd, &to->sa);
    if (from == NULL)
        return fd;
    if (transparent) {
        bool six = to->sa.sa_family == AF_INET6;
        if (setsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_TRANSPARENT : IP_TRANSPARENT, &one, sizeof(one)) != 0)
            log_msg(LOG_ALERT, errno, "setsockopt(IP_TRANSPARENT) failed");
    }
    // Without it each connection takes a local port of its own, whatever its other end is.
    if (addr_port(&from->sa) == 0)
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (bind(fd, &from->sa, from->len) == 0)
        return fd;
    int err = -errno;
    close(fd);
    return err;
}

// 0: connected; -EINPROGRESS: the link will be writable when it is, or has failed; -errno.
static int start(int fd, const struct addr_full *to, uint64_t deadline) {
    struct loop *loop = loop_this;
    for (uint64_t pause = RETRY_FIRST_MS;; pause = MIN(pause * 2, RETRY_MOST_MS)) {
        if (connect(fd, &to->sa, to->len) == 0)
            return 0;
        if (errno == EINTR) // TCP goes on by itself
            return -EINPROGRESS;
        if (errno != EAGAIN || to->sa.sa_family != AF_UNIX)
            return -errno;
        if (loop->now >= deadline)
            return -ETIMEDOUT;
        int r = task_sleep_ms(MIN(pause, deadline - loop->now));
        if (r < 0)
            return r;
    }
}

static int finish(struct link *l, uint64_t deadline) {
    l->writable = false;
    int r = link_wait(l, LINK_WAIT_WRITE, deadline == UINT64_MAX ? deadline : deadline - l->loop->now);
    if (r < 0)
        return r;
    int err = 0;
    socklen_t len = sizeof(err);
    if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
        err = errno;
    return -err;
}

struct link *connect_to(const struct addr_full *to, const struct addr_full *bind_to, uint64_t timeout_ms, int *err) {
    return connect_bound(to, bind_to, false, timeout_ms, err);
}

struct link *connect_bound(const struct addr_full *to, const struct addr_full *bind_to, bool transparent, uint64_t timeout_ms,
                           int *err) {
    struct loop *loop = loop_this;
    CHECK(task_self() != NULL);
    uint64_t deadline = timeout_ms < UINT64_MAX - loop->now ? loop->now + timeout_ms : UINT64_MAX;
    struct link *l = NULL;
    int fd = task_is_cancelled(loop->current) ? -ECANCELED : open_socket(to, bind_to, transparent);
    if (fd < 0) {
        *err = fd;
        return NULL;
    }
    int r = start(fd, to, deadline);
    if (r != 0 && r != -EINPROGRESS) {
        close(fd);
        *err = r;
        return NULL;
    }
    l = link_new_fd(fd, &to->sa);
    if (l == NULL) {
        *err = -errno;
        return NULL;
    }
    if (r == -EINPROGRESS)
        r = finish(l, deadline);
    if (r == 0)
        return l;
    link_free(l);
    *err = r;
    return NULL;
}
