// Messages with descriptors between the supervisor and the worker.
#include "io/channel.h"
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { WAIT_SECONDS = 10 };

bool channel_pair(int fds[2]) {
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        return false;
    struct timeval limit = {.tv_sec = WAIT_SECONDS};
    for (int i = 0; i < 2; i++)
        if (setsockopt(fds[i], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
            setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0)
            return false;
    return true;
}

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
};

int channel_send(int channel, uint32_t kind, struct str bytes, int fd) {
    if (bytes.n > CHANNEL_BYTES)
        return -EMSGSIZE;
    struct iovec iov[2] = {{&kind, sizeof kind}, {(void *)bytes.p, bytes.n}};
    struct msghdr h = {.msg_iov = iov, .msg_iovlen = 2};
    union control control = {0};
    if (fd >= 0) {
        h.msg_control = &control;
        h.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t n;
    do
        n = sendmsg(channel, &h, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

int channel_receive(int channel, struct channel_message *m, bool wait) {
    struct iovec iov[2] = {{&m->kind, sizeof m->kind}, {m->bytes, sizeof m->bytes}};
    union control control;
    struct msghdr h = {.msg_iov = iov, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n;
    do
        n = recvmsg(channel, &h, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
    while (n < 0 && errno == EINTR);
    m->fd = -1;
    if (n <= 0)
        return n == 0 ? 0 : -errno;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c != NULL; c = CMSG_NXTHDR(&h, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(&m->fd, CMSG_DATA(c), sizeof m->fd);
    }
    if ((size_t)n < sizeof m->kind || (h.msg_flags & MSG_TRUNC)) {
        if (m->fd >= 0)
            close(m->fd);
        m->fd = -1;
        return -EBADMSG;
    }
    m->n = (size_t)n - sizeof m->kind;
    return 1;
}
