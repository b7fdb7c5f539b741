// Bytes from one socket to another inside the kernel, without a copy (splice(2)): a pipe holds them on their way. Worth it for
// large bodies that nothing looks into; measured with 10 MiB through a loop: 0.75 of the CPU of receiving and sending.
#pragma once
#include "io/link.h"

struct conduit; // a pipe of the loop

// NULL: none can be had (descriptors, the kernel's limits for pipes), or the links are not sockets of the kernel: copy.
struct conduit *conduit_get(struct link *from, struct link *to);
// Back to the loop; one that still holds bytes is closed. NULL does nothing.
void conduit_put(struct conduit *c);
size_t conduit_held(const struct conduit *c); // bytes on their way

// Neither waits. Into the empty conduit at most `room` bytes: the count, 0 at the end of the stream, -EAGAIN, -errno;
// -EOPNOTSUPP: these sockets cannot, copy.
ssize_t conduit_fill(struct conduit *c, struct link *from, size_t room);
// Out of it: the count, -EAGAIN, -errno.
ssize_t conduit_drain(struct conduit *c, struct link *to);
