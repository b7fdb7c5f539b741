// Descriptors that logs are appended to: files, FIFOs, terminals, stderr. How they are opened and how one write is made
// without waiting for whoever reads the other end. Not here: what is written when (log_file.c).
#include "io/log_private.h"
#include "io/reach.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

static void target_classify(struct log_target *t) {
    struct stat st;
    t->stream = fstat(t->fd, &st) != 0 || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) || S_ISDIR(st.st_mode));
    int flags = fcntl(t->fd, F_GETFL);
    t->must_poll = t->stream && (flags < 0 || !(flags & O_NONBLOCK));
}

void log_target_take(struct log_target *t, int fd) {
    *t = (struct log_target){.fd = fd, .owned = true};
    target_classify(t);
}

// Where standard output is a socket (a service) or somebody else's terminal, its name cannot be opened; it can be written to.
static int inherited(const char *path) {
    int fd = strcmp(path, "/dev/stdout") == 0 ? STDOUT_FILENO : strcmp(path, "/dev/stderr") == 0 ? STDERR_FILENO : -1;
    return fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
}

static int file_target_open(const char *path, struct log_target *t) {
    const int common = O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int fd = reach_open(path, O_WRONLY | common, 0644);
    // A FIFO without a reader: open for reading as well keeps what is written until somebody comes.
    struct stat st;
    int err = fd < 0 ? errno : 0;
    if (err == ENXIO && stat(path, &st) == 0 && S_ISFIFO(st.st_mode)) {
        fd = reach_open(path, O_RDWR | common, 0644);
        err = fd < 0 ? errno : 0;
    }
    if (fd < 0)
        fd = inherited(path);
    if (fd < 0)
        return -err;
    log_target_take(t, fd);
    return 0;
}

static int stderr_target_open(const char *path, struct log_target *t) {
    *t = (struct log_target){.fd = STDERR_FILENO};
    target_classify(t);
    return 0;
}

// The first bytes of iov that one write may carry into a pipe without waiting and without being torn by other writers: at
// most PIPE_BUF, to the last line end among them if there is one.
static size_t stream_piece(const struct iovec *iov, int count, char *piece) {
    size_t n = 0;
    for (int i = 0; i < count && n < PIPE_BUF; i++) {
        size_t take = MIN(iov[i].iov_len, PIPE_BUF - n);
        memcpy(piece + n, iov[i].iov_base, take);
        n += take;
    }
    const char *end = memrchr(piece, '\n', n);
    return end != NULL ? (size_t)(end - piece) + 1 : n;
}

static ssize_t fd_target_write(struct log_target *t, const struct iovec *iov, int count) {
    ssize_t n;
    if (!t->stream) {
        do
            n = writev(t->fd, iov, count);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
    }
    if (t->must_poll) {
        struct pollfd p = {.fd = t->fd, .events = POLLOUT};
        if (poll(&p, 1, 0) <= 0)
            return -EAGAIN;
    }
    char piece[PIPE_BUF];
    size_t len = stream_piece(iov, count, piece);
    do
        n = write(t->fd, piece, len);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static void fd_target_close(struct log_target *t) {
    if (t->owned && t->fd >= 0)
        close(t->fd);
    t->fd = -1;
}

const struct log_ops *log_ops_for(const char *path) {
    static const struct log_ops file_ops = {file_target_open, fd_target_write, fd_target_close};
    static const struct log_ops stderr_ops = {stderr_target_open, fd_target_write, fd_target_close};
    static const struct log_ops syslog_ops = {log_syslog_open, log_syslog_write, log_syslog_close};
    static const struct log_ops memory_ops = {log_memory_open, log_memory_write, log_memory_close};
    if (strncmp(path, "syslog:", 7) == 0)
        return &syslog_ops;
    if (strncmp(path, "memory:", 7) == 0)
        return &memory_ops;
    return strcmp(path, "stderr") == 0 ? &stderr_ops : &file_ops;
}
