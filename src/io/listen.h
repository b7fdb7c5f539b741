// Listening sockets. The supervisor (or the single process) opens them; each loop accepts, and hands an accepted connection
// to the loop with the fewest.
#pragma once
#include "io/link.h"

struct listen_opts {
    int backlog;        // nginx default 511
    bool reuseport, ipv6only, deferred, bind;
    int rcvbuf, sndbuf; // 0: system
    int fastopen;       // 0: off
    int keepalive;      // so_keepalive: -1 not given, 0 off, 1 on
    int keepidle, keepintvl, keepcnt; // seconds, seconds, count; 0: system
    int setfib_unused;
};

// Opens, binds and listens: a descriptor, or -errno with *what naming the call that failed ("bind()", "listen()"...).
// TCP_NODELAY is set here, because accepted sockets inherit it. A stale Unix socket file is replaced only when nobody
// listens behind it.
int listen_open(const struct addr_full *a, const struct listen_opts *o, const char **what);

struct listener;
// Called on the loop that will own the connection, outside of tasks, for each accepted connection; must not wait; it owns
// the link (usually parks it). `arg` is the listener's.
typedef void accept_fn(struct link *l, struct listener *from, void *arg);

struct listener *listener_new(int fd, const struct addr_full *bound, accept_fn *fn, void *arg); // takes fd; before loops start
int listener_fd(const struct listener *n);
void *listener_arg(const struct listener *n);
const struct addr_full *listener_addr(const struct listener *n);
// Each loop calls it once; `loops` are all loops of the worker (for choosing the one with the fewest connections), count
// of them. `limit` is worker_connections per loop: above it accepting pauses, with one log line, until one ends.
void listener_start(struct listener *n, struct loop *l, struct loop **loops, unsigned count, unsigned limit);
void listener_stop(struct listener *n, struct loop *l); // on its loop; the queue stays in the socket
void listener_free(struct listener *n);                 // closes the descriptor; after listener_stop on every loop, from any thread
