// The worker: one unprivileged process with one event loop a thread. It serves until it is told to stop.
#pragma once
#include "conf/conf.h"
#include "io/listen.h"

// A listening socket that the supervisor opened.
struct socket {
    struct addr_full addr;
    struct str text; // for messages
    int fd;
};
struct sockets {
    struct socket *at;
    unsigned count;
};

struct worker_opts {
    struct conf *conf; // a reference that the worker keeps
    const struct sockets *sockets;
    uid_t uid;
    gid_t gid;
    struct str user;   // "" : stay who we are
    bool alone;        // master_process off: this process is the worker, signals come from users
};

// Runs to the end: returns the exit code. Signals TERM/INT (fast), QUIT (graceful), USR1 (reopen logs) are blocked in the
// caller and waited for here.
int worker_run(const struct worker_opts *o);
unsigned worker_threads(const struct conf *c); // worker_processes, auto resolved
