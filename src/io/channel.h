// A channel between two of weir's own processes: whole messages with descriptors, over a Unix socket pair. Both ends are
// the same program, so what comes is believed. Blocking calls: for the threads that look after processes, never on a loop.
#pragma once
#include "base/str.h"

enum { CHANNEL_BYTES = 8192 }; // of one message, its kind not counted

struct channel_message {
    uint32_t kind;
    int fd; // whoever received it owns it; -1: none, or this process may not have more
    size_t n;
    char bytes[CHANNEL_BYTES];
};

bool channel_pair(int fds[2]); // close-on-exec; false: errno
// Sends one message, waiting while the other end is slow to read, but not for more than 10 seconds. fd -1: none; it stays the
// caller's. 0 or -errno.
int channel_send(int channel, uint32_t kind, struct str bytes, int fd) MUST_USE;
// The next message: 1, 0 when the other end is gone, -EAGAIN when nothing is there (with `wait`: for 10 seconds), -errno.
int channel_receive(int channel, struct channel_message *m, bool wait) MUST_USE;
