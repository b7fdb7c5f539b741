// The worker: one unprivileged process with one event loop a thread. It serves until it is told to stop.
#pragma once
#include "app/options.h"
#include "app/sockets.h"

struct worker_opts {
    const struct options *options; // for reading the configuration again
    struct str text;               // of the program, instead of a file; NONE else
    struct conf *conf;             // the first; a reference that the worker takes over
    struct sockets *sockets;       // alone: the worker's to change and close; else only looked at
    uid_t uid;
    gid_t gid;
    struct str user;       // "" : stay who we are
    bool alone;            // master_process off: this process is the worker, signals come from users
    int channel;           // to the supervisor; -1 when alone
    int ask_channel;       // to it, for files (io/broker.h); -1 when alone
    pid_t supervisor;
    uint64_t watchdog_ms;  // how often it says that it is alive; 0: never
};

// Runs to the end: returns the exit code. Signals TERM/INT (fast), QUIT, WINCH of a daemon (graceful), USR1, HUP (alone: logs
// and configuration anew) are blocked in the caller and waited for here.
int worker_run(const struct worker_opts *o);
