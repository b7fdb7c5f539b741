// Links that change their loop: another loop takes the connection out of an idle link, which keeps a descriptor of nothing.
#include "io/link_private.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int nothing = -1; // what stands in the place of a taken descriptor; written once
static pthread_once_t nothing_once = PTHREAD_ONCE_INIT;
static void make_nothing(void) { nothing = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

// At start-up, so that the number of descriptors does not change later.
void link_take_prepare(void) { pthread_once(&nothing_once, make_nothing); }

int link_take_fd(struct loop *owner, int fd) {
    pthread_once(&nothing_once, make_nothing);
    int taken = nothing < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (taken < 0)
        return -1;
    // A registration belongs to the open connection, not to the number: it must go before the number is given another
    // meaning, or the owner would be told of events of a link that it has freed.
    (void)epoll_ctl(owner->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    if (dup3(nothing, fd, O_CLOEXEC) < 0) {
        close(taken); // the owner's link is unregistered now: it times out
        return -1;
    }
    return taken;
}

bool link_parked(const struct link *l) { return l->is_parked; }
