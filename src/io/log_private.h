// What log_file.c (queues, who writes when) and log_target.c (descriptors) share.
#pragma once
#include "io/log.h"
#include <sys/uio.h>

// An open descriptor to append to.
struct log_target {
    int fd;
    bool owned;     // closed with the target; stderr is not
    bool stream;    // a pipe, FIFO, terminal or socket: it may take nothing for a long time
    bool must_poll; // a stream that others share and that is in blocking mode: asked before each write
};

// A kind of target: what differs between a file, stderr and (later) syslog. Chosen by the path.
struct log_ops {
    int (*open)(const char *path, struct log_target *t); // 0 or -errno; never waits for a FIFO's reader
    // Some bytes from the front: the count, -EAGAIN when a stream takes nothing now, -errno.
    ssize_t (*write)(const struct log_target *t, const struct iovec *iov, int count);
    void (*close)(struct log_target *t);
};
const struct log_ops *log_ops_for(const char *path);
void log_target_take(struct log_target *t, int fd); // fills *t for an open descriptor, which it then owns
