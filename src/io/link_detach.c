// Links that change their loop: the old one gives its descriptor away.
#include "io/link_private.h"

int link_detach(struct link *l) {
    int fd = l->fd;
    if (fd < 0 || l->ops->tls) {
        link_free(l);
        return -1;
    }
    (void)epoll_ctl(l->loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    l->fd = -1;
    l->reset = false;
    link_free(l);
    return fd;
}

bool link_parked(const struct link *l) { return l->is_parked; }
