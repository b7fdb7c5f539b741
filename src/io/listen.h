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

// Whether listen_open could: binds, and gives the address up again without having listened. 0 or -errno with *what; an address
// that is in use is -EADDRINUSE. No file of a Unix socket is left, none that is there is touched.
int listen_try(const struct addr_full *a, const struct listen_opts *o, const char **what);
// Of a socket that listens already and goes on under new options: those that can be changed are.
void listen_adjust(int fd, const struct addr_full *a, const struct listen_opts *o);
// The socket begins no new connection any more: what asks for one is not heard, and refused when the socket is closed.
// Connections that were begun come to its queue as before, and can be accepted. Holds for all processes that share it.
// Without privileges some kernels do not allow it: then it goes on as before until it is closed.
void listen_refuse(int fd);

struct listener;
// Called on the loop that will own the connection, outside of tasks, for each accepted connection; must not wait; it owns
// the link (usually parks it). `arg` is the listener's.
typedef void accept_fn(struct link *l, struct listener *from, void *arg);

struct listener *listener_new(int fd, const struct addr_full *bound, accept_fn *fn, void *arg); // takes fd
struct listener *listener_ref(struct listener *n); // for who keeps it longer than listener_free; any thread
void listener_unref(struct listener *n);
int listener_fd(const struct listener *n);
void *listener_arg(const struct listener *n);
const struct addr_full *listener_addr(const struct listener *n);
// Each loop calls it once; `loops` are all loops of the worker (for choosing the one with the fewest connections), count
// of them. `limit` is worker_connections per loop: above it accepting pauses, with one log line, until one ends.
void listener_start(struct listener *n, struct loop *l, struct loop **loops, unsigned count, unsigned limit);
// The loop's listeners choose among these loops from now on, on the loop. The array before is not looked at any more.
void listeners_share(struct loop *l, struct loop **loops, unsigned count, unsigned limit);
// What is in the queue now is accepted first (`drain`), or stays in the socket. On its loop.
void listener_stop(struct listener *n, struct loop *l, bool drain);
void listener_free(struct listener *n); // closes the descriptor; after listener_stop on every loop, from any thread
