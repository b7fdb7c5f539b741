// Listening sockets, and giving accepted connections to the loop with the fewest.
#include "io/listen.h"
#include "io/link_private.h"
#include "io/log.h"
#include "io/tcp.h"
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// A shortage is logged when it begins, and again when it begins after so long without one.
enum { ACCEPT_BATCH = 64, DRAIN_BATCHES = 1024, PAUSE_MS = 500, QUIET_MS = 60000 };

// --- opening -------------------------------------------------------------------------------------------------------------

static bool set_int(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

// Options that a system may not know are not worth failing for; those of addresses are.
static int set_options(int fd, const struct addr_full *a, const struct listen_opts *o, const char **what) {
    *what = "setsockopt(SO_REUSEADDR)";
    if (!set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1))
        return -errno;
    *what = "setsockopt(SO_REUSEPORT)";
    if (o->reuseport && !set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1))
        return -errno;
    *what = "setsockopt(IPV6_V6ONLY)";
    if (a->sa.sa_family == AF_INET6 && !set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, o->ipv6only))
        return -errno;
    if (o->rcvbuf > 0)
        set_int(fd, SOL_SOCKET, SO_RCVBUF, o->rcvbuf);
    if (o->sndbuf > 0)
        set_int(fd, SOL_SOCKET, SO_SNDBUF, o->sndbuf);
    if (o->keepalive >= 0)
        set_int(fd, SOL_SOCKET, SO_KEEPALIVE, o->keepalive);
    if (a->sa.sa_family == AF_UNIX)
        return 0;
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1); // accepted sockets inherit it
    if (o->keepidle > 0)
        set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, o->keepidle);
    if (o->keepintvl > 0)
        set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, o->keepintvl);
    if (o->keepcnt > 0)
        set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, o->keepcnt);
    if (o->deferred)
        set_int(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
    if (o->fastopen > 0)
        set_int(fd, IPPROTO_TCP, TCP_FASTOPEN, o->fastopen);
    return 0;
}

// A Unix socket file outlives its server. True when nobody listens behind it and it is gone now.
static bool remove_stale(const struct addr_full *a) {
    struct stat st;
    if (a->un.sun_path[0] == '\0' || lstat(a->un.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool stale = connect(fd, &a->sa, a->len) != 0 && errno == ECONNREFUSED;
    close(fd);
    return stale && unlink(a->un.sun_path) == 0;
}

static int bind_and_listen(int fd, const struct addr_full *a, const struct listen_opts *o, const char **what) {
    *what = "bind()";
    int r = bind(fd, &a->sa, a->len);
    if (r != 0 && errno == EADDRINUSE && a->sa.sa_family == AF_UNIX) {
        r = remove_stale(a) ? bind(fd, &a->sa, a->len) : -1;
        if (r != 0)
            errno = EADDRINUSE;
    }
    if (r != 0)
        return -errno;
    *what = "chmod()";
    if (a->sa.sa_family == AF_UNIX && a->un.sun_path[0] != '\0' && chmod(a->un.sun_path, 0666) != 0)
        return -errno;
    *what = "listen()";
    return listen(fd, o->backlog) == 0 ? 0 : -errno;
}

int listen_open(const struct addr_full *a, const struct listen_opts *o, const char **what) {
    const char *call = "socket()";
    int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int err = fd < 0 ? -errno : set_options(fd, a, o, &call);
    if (err == 0)
        err = bind_and_listen(fd, a, o, &call);
    if (err == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    *what = call;
    return err;
}

int listen_try(const struct addr_full *a, const struct listen_opts *o, const char **what) {
    *what = "socket()";
    int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int err = fd < 0 ? -errno : set_options(fd, a, o, what);
    if (err == 0) {
        *what = "bind()";
        if (bind(fd, &a->sa, a->len) != 0)
            err = -errno;
        else if (a->sa.sa_family == AF_UNIX && a->un.sun_path[0] != '\0')
            unlink(a->un.sun_path);
    }
    if (fd >= 0)
        close(fd);
    return err;
}

void listen_adjust(int fd, const struct addr_full *a, const struct listen_opts *o) {
    const char *what;
    int err = set_options(fd, a, o, &what); // those that a bound socket may not change stay
    (void)err;
    listen(fd, o->backlog);
}

void listen_refuse(int fd) {
    // Classic BPF over the TCP header: byte 13 holds the flags; SYN (2) without ACK (16) begins a connection.
    static struct sock_filter code[] = {
        {BPF_LD | BPF_B | BPF_ABS, 0, 0, 13},
        {BPF_ALU | BPF_AND | BPF_K, 0, 0, 0x12},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0x02},
        {BPF_RET | BPF_K, 0, 0, 0},
        {BPF_RET | BPF_K, 0, 0, UINT32_MAX},
    };
    struct sock_fprog program = {ARRAY_LEN(code), code};
    int family = AF_UNSPEC;
    socklen_t n = sizeof(family);
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &n) == 0 && family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

// --- the listener ----------------------------------------------------------------------------------------------------------

#define LISTENER_MAGIC 0x6c697374u

// A listener on one loop. It belongs to that loop.
struct listen_source {
    struct source source; // SOURCE_LISTENER
    bool watched;         // in epoll
    uint64_t quiet_files, quiet_limit; // until then a shortage is the one that was logged
    struct listener *listener;
    struct loop *loop;
    struct loop **loops;
    unsigned count, limit;
    struct timer again; // ends a pause
    struct list node;   // in loop->listeners
};

struct listener {
    uint32_t magic;
    int fd;
    _Atomic unsigned refs; // its maker's, those of users, and one for each connection on its way to another loop
    accept_fn *fn;
    void *arg;
    struct addr_full bound;
    bool on_loopback; // and so is who connects
};

// A connection on its way to another loop.
struct handover {
    struct message message;
    int fd;
    struct listener *from;
    struct addr remote;
};

struct listener *listener_new(int fd, const struct addr_full *bound, accept_fn *fn, void *arg) {
    struct listener *n = xcalloc(1, sizeof(*n));
    n->magic = LISTENER_MAGIC;
    n->fd = fd;
    n->refs = 1;
    n->fn = fn;
    n->arg = arg;
    n->bound = *bound;
    n->on_loopback = tcp_spare_pacing(fd, &bound->sa);
    return n;
}

struct listener *listener_ref(struct listener *n) {
    atomic_fetch_add(&n->refs, 1);
    return n;
}

void listener_unref(struct listener *n) {
    if (atomic_fetch_sub(&n->refs, 1) == 1) {
        n->magic = 0;
        free(n);
    }
}

void listener_free(struct listener *n) {
    if (n == NULL)
        return;
    CHECK_OBJ(n, LISTENER_MAGIC);
    close(n->fd);
    n->fd = -1;
    listener_unref(n);
}

int listener_fd(const struct listener *n) { return n->fd; }
void *listener_arg(const struct listener *n) { return n->arg; }
const struct addr_full *listener_addr(const struct listener *n) { return &n->bound; }

// Level-triggered, and exclusive: one waiting loop is woken for a connection, not all.
static void watch(struct listen_source *s) {
    struct epoll_event e = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = s};
    if (s->watched)
        return;
    if (epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_ADD, s->listener->fd, &e) == 0)
        s->watched = true;
    else
        log_msg(LOG_CRIT, errno, "epoll_ctl() of a listening socket failed");
}

static void unwatch(struct listen_source *s) {
    if (s->watched)
        epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_DEL, s->listener->fd, NULL);
    s->watched = false;
}

static void pause_accepting(struct listen_source *s) {
    unwatch(s);
    timer_set(s->loop, &s->again, s->loop->now + PAUSE_MS);
}

static void on_again(struct timer *t) { watch(container_of(t, struct listen_source, again)); }

void listeners_resume(struct loop *l) {
    l->accept_paused = false;
    list_each(s, &l->listeners, struct listen_source, node) watch(s);
}

static unsigned connections_of(struct loop *l) { return atomic_load_explicit(&l->connections, memory_order_relaxed); }

static struct loop *fewest(const struct listen_source *s) {
    struct loop *best = s->loop;
    unsigned least = connections_of(best);
    for (unsigned i = 0; i < s->count; i++) {
        unsigned n = connections_of(s->loops[i]);
        if (n < least) {
            least = n;
            best = s->loops[i];
        }
    }
    return best;
}

// The connection is this loop's from here on.
static void adopt(struct listener *n, int fd, const struct sockaddr *remote) {
    struct loop *loop = loop_this;
    struct link *l = loop->closing ? NULL : link_new_fd(fd, remote);
    if (l != NULL) {
        l->accepted = true;
        stat_add(&loop->stats.accepted, 1);
        n->fn(l, n, n->arg);
        return;
    }
    if (loop->closing)
        close(fd);
    else
        log_msg(LOG_CRIT, errno, "an accepted connection could not be registered");
    atomic_fetch_sub_explicit(&loop->connections, 1, memory_order_relaxed);
}

static void on_handover(struct message *m) {
    struct handover *h = container_of(m, struct handover, message);
    adopt(h->from, h->fd, &h->remote.sa);
    listener_unref(h->from);
    free(h);
}

static void give(struct listen_source *s, struct loop *to, int fd, const struct addr *remote) {
    struct handover *h = to == s->loop ? NULL : malloc(sizeof(*h));
    if (h == NULL)
        to = s->loop;
    atomic_fetch_add_explicit(&to->connections, 1, memory_order_relaxed);
    if (h == NULL) {
        adopt(s->listener, fd, &remote->sa);
        return;
    }
    h->message.fn = on_handover;
    h->fd = fd;
    h->from = listener_ref(s->listener);
    h->remote = *remote;
    inbox_post(to, &h->message);
}

static bool shortage_begins(const struct listen_source *s, uint64_t *quiet_until) {
    bool begins = s->loop->now >= *quiet_until;
    *quiet_until = s->loop->now + QUIET_MS;
    return begins;
}

// False: no more now.
static bool accept_failed(struct listen_source *s, int err) {
    switch (err) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        if (shortage_begins(s, &s->quiet_files))
            log_msg(LOG_CRIT, err, "accept4() failed, trying again every %d ms", PAUSE_MS);
        pause_accepting(s);
        return false;
    default: // the connection is gone already, or of no use (accept(2), Error handling)
        return true;
    }
}

static void limit_reached(struct listen_source *s) {
    if (shortage_begins(s, &s->quiet_limit))
        log_msg(LOG_CRIT, 0, "%u worker_connections are not enough", s->limit);
    s->loop->accept_paused = true;
    pause_accepting(s);
}

void listener_event(struct listen_source *s) {
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct loop *to = fewest(s);
        if (connections_of(to) >= s->limit) {
            limit_reached(s);
            return;
        }
        union {
            struct sockaddr sa;
            struct addr ip;
            struct sockaddr_un un;
        } remote;
        socklen_t len = sizeof(remote);
        remote.sa.sa_family = AF_UNIX;
        int fd = accept4(s->listener->fd, &remote.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (accept_failed(s, errno))
                continue;
            return;
        }
        if (!s->listener->on_loopback)
            (void)tcp_spare_pacing(fd, &remote.sa);
        give(s, to, fd, &remote.ip);
        if (!s->watched)
            return; // stopped by what it led to
    }
}

void listener_start(struct listener *n, struct loop *l, struct loop **loops, unsigned count, unsigned limit) {
    CHECK_OBJ(n, LISTENER_MAGIC);
    CHECK(l == loop_this && limit > 0);
    struct listen_source *s = xcalloc(1, sizeof(*s));
    s->source.magic = SOURCE_LISTENER;
    s->listener = n;
    s->loop = l;
    s->loops = loops;
    s->count = count;
    s->limit = limit;
    timer_init(&s->again, on_again);
    list_push_back(&l->listeners, &s->node);
    watch(s);
}

void listeners_share(struct loop *l, struct loop **loops, unsigned count, unsigned limit) {
    CHECK(l == loop_this);
    list_each(s, &l->listeners, struct listen_source, node) {
        s->loops = loops;
        s->count = count;
        s->limit = limit;
    }
}

// All that waits; several loops may be at it. Bounded, for a socket to which connections can still come.
static void drain_queue(struct listen_source *s) {
    struct pollfd p = {.fd = s->listener->fd, .events = POLLIN};
    for (int batches = 0; batches < DRAIN_BATCHES && s->watched && poll(&p, 1, 0) > 0 && (p.revents & POLLIN); batches++)
        listener_event(s);
}

void listener_stop(struct listener *n, struct loop *l, bool drain) {
    CHECK(l == loop_this);
    list_each_safe(s, &l->listeners, struct listen_source, node) {
        if (s->listener != n)
            continue;
        if (drain)
            drain_queue(s);
        unwatch(s);
        timer_remove(&s->again);
        list_remove(&s->node);
        s->source.magic = SOURCE_DEAD;
        list_push_back(&l->dead_listeners, &s->node);
    }
    if (!l->dispatching)
        listeners_free_dead(l);
}

void listeners_free_dead(struct loop *l) {
    list_each_safe(s, &l->dead_listeners, struct listen_source, node) {
        list_remove(&s->node);
        free(s);
    }
}
