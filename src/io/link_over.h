// Links over something that is no descriptor: a stream of a connection that carries many. Whoever has the stream says how bytes
// are taken and given, and tells the link when that has become possible. To its user it is a link as any other: it can be
// waited for, parked and unparked.
#pragma once
#include "io/link.h"

// What the stream does; none of it waits. `owner` is what the link was made with.
struct link_over {
    // At most n bytes into `to`: the count, 0 at the end, -EAGAIN when nothing is there (link_over_news follows), -errno.
    ssize_t (*read)(void *owner, char *to, size_t n);
    // From the front of `from`, dropping what was taken: the count (> 0), -EAGAIN when there is no room (news follow), -errno.
    ssize_t (*write)(void *owner, struct chain *from);
    void (*shutdown_write)(void *owner); // the end, behind what was written
    bool (*quiet)(void *owner);          // a read would find nothing
    // The link is freed: the stream ends, at once when `reset`.
    void (*close)(void *owner, bool reset);
};

// `ops` and `owner` outlive the link; `remote` is what link_remote says, NULL: none.
struct link *link_over_new(const struct link_over *ops, void *owner, const struct sockaddr *remote);
void *link_over_owner(const struct link *l);
// Bytes or the end can be read; there is room to write; the stream is gone (reading says how, at the next try).
void link_over_news(struct link *l, bool readable, bool writable, bool gone);
