// What log_file.c (queues, who writes when) and log_target.c (descriptors) share.
#pragma once
#include "io/log.h"
#include <sys/uio.h>

// An open descriptor to append to.
struct log_target {
    int fd;         // -1: none
    bool owned;     // closed with the target; stderr is not
    bool stream;    // a pipe, FIFO, terminal or socket: it may take nothing for a long time
    bool must_poll; // a stream that others share and that is in blocking mode: asked before each write
    void *state;    // of its kind
};

// A kind of target: what differs between a file, stderr, syslog and a ring in memory. Chosen by the path.
struct log_ops {
    int (*open)(const char *path, struct log_target *t); // 0 or -errno; never waits for a FIFO's reader
    // Some bytes from the front: the count, -EAGAIN when a stream takes nothing now, -errno.
    ssize_t (*write)(struct log_target *t, const struct iovec *iov, int count);
    void (*close)(struct log_target *t);
};
const struct log_ops *log_ops_for(const char *path);
void log_target_take(struct log_target *t, int fd); // fills *t for an open descriptor, which it then owns

// The kinds in files of their own.
int log_syslog_open(const char *name, struct log_target *t);
ssize_t log_syslog_write(struct log_target *t, const struct iovec *iov, int count);
void log_syslog_close(struct log_target *t);
int log_memory_open(const char *name, struct log_target *t);
ssize_t log_memory_write(struct log_target *t, const struct iovec *iov, int count);
void log_memory_close(struct log_target *t);

// A compressor between a log's lines and its target; one thread at a time. Like ops->write it returns how many bytes of iov were
// taken; what the target did not take of them yet goes first the next time.
struct log_gzip;
struct log_gzip *log_gzip_new(int level);
void log_gzip_free(struct log_gzip *g); // NULL does nothing
ssize_t log_gzip_write(struct log_gzip *g, const struct log_ops *ops, struct log_target *t, const struct iovec *iov, int count);
void log_gzip_forget(struct log_gzip *g); // the target is another now: what is left of a member is of no use there
bool log_gzip_waits(const struct log_gzip *g); // something is left
