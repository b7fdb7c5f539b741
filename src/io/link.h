// A link carries bytes to and from a peer: TCP or Unix socket, TLS over it, memory for tests. Non-blocking descriptors are
// registered once, edge-triggered; a link then knows whether reading or writing can succeed, and asks the kernel only then.
// It belongs to one loop. One task may read and one (the same or another) may write at a time.
//
// An idle link holds no buffer and no task: link_park names a function that becomes a task when something happens.
#pragma once
#include "base/chain.h"
#include "io/task.h"
#include "wire/addr.h"

struct link;

enum link_news { LINK_READABLE = 1, LINK_GONE = 2, LINK_TIMEOUT = 4, LINK_STOPPING = 8 };

// --- making and ending -----------------------------------------------------------------------------------------------

// Takes over a connected or connecting, non-blocking socket. `remote` may be NULL (Unix). Fails (NULL, errno) when it
// cannot be registered; the descriptor is closed then.
struct link *link_new_fd(int fd, const struct sockaddr *remote);
// Two ends in memory on this loop; each direction holds at most `room` bytes. For tests: they behave like sockets.
bool link_pair(struct link **a, struct link **b, size_t room);
// Closes and frees at once, unparks, forgets watchers. Unsent bytes in the kernel are still sent (unless link_reset came
// before). Tasks must not be waiting on it. NULL does nothing.
void link_free(struct link *l);
// Takes the connection out of a parked link of another loop, which goes on as a link to nothing, to be freed by its loop. `fd`
// is that link's; the caller's lock keeps the owner from using or freeing it meanwhile. The descriptor to make a link of
// here, or -1. From any thread.
int link_take_fd(struct loop *owner, int fd);
void link_reset_on_free(struct link *l); // TCP RST instead of FIN (nginx reset_timedout_connection)
void link_shutdown_write(struct link *l); // sends FIN; reading goes on
// Waits up to total_ms, each read up to step_ms, eating and dropping what the peer still sends (nginx lingering_close),
// then frees. Never fails.
void link_linger_free(struct link *l, uint64_t total_ms, uint64_t step_ms);

// --- bytes -------------------------------------------------------------------------------------------------------------

// Appends at least one and at most `room` bytes (slices of a fresh block of the loop's pool that fits room, up to 256 KiB)
// to `to`. Returns the count, 0 at the end of the stream, or -errno: -ETIMEDOUT when nothing came for timeout_ms,
// -ECANCELED, -ECONNRESET... Waits.
ssize_t link_read(struct link *l, struct chain *to, size_t room, uint64_t timeout_ms);
// The same without waiting: -EAGAIN when nothing is there.
ssize_t link_try_read(struct link *l, struct chain *to, size_t room);
// Into the caller's memory, for heads: one receive. Waits / -EAGAIN.
ssize_t link_read_into(struct link *l, char *to, size_t room, uint64_t timeout_ms);
ssize_t link_try_read_into(struct link *l, char *to, size_t room);
// Bytes (kept in `from`, which is taken) come again before anything from the peer at the next read: pipelined data.
void link_unread(struct link *l, struct chain *from);
bool link_has_unread(const struct link *l);

// Writes from the front of `from` and drops what was written, until it is empty: total bytes, or -errno (what was not sent
// stays in `from`). timeout_ms runs between two successes (nginx send_timeout). File ranges go by sendfile where the link
// can. Waits.
ssize_t link_write(struct link *l, struct chain *from, uint64_t timeout_ms);
// As much as the peer takes now: bytes (0 < n <= from->bytes), or -EAGAIN, -EPIPE, -ECONNRESET... `more`: more follows soon
// (MSG_MORE). What stays in `from` must be written next, before anything else: TLS may have sealed it already.
ssize_t link_try_write(struct link *l, struct chain *from, bool more);

// Waits until the link is readable (data, end or error) and/or writable, as asked by LINK_WAIT_* bits: those that hold,
// or -ETIMEDOUT, -ECANCELED. With LINK_WAIT_WAKE also until task_wake: 0 then, when nothing else holds.
enum { LINK_WAIT_READ = 1, LINK_WAIT_WRITE = 2, LINK_WAIT_WAKE = 4 };
int link_wait(struct link *l, int what, uint64_t timeout_ms);
// The same for several links at once: waits until one of them is what it is wanted for. The index of the first one, or
// -ETIMEDOUT, -ECANCELED. A link stands in the list once; what 0 wants nothing of it.
struct link_want {
    struct link *link;
    int what;
};
int links_wait(const struct link_want *wants, unsigned n, uint64_t timeout_ms);
// Whether a read would find something (data, end, error) as far as is known without a system call.
bool link_readable(const struct link *l);
bool link_gone(const struct link *l); // the peer closed or reset, as far as the kernel has told
// A certain answer by one system call (MSG_PEEK): for connections from a pool. True: idle and alive.
bool link_alive(struct link *l);

// --- idle links and watchers ---------------------------------------------------------------------------------------------

// Nobody waits on the link now. When data, end, error or the deadline comes, a task fn(arg) starts, and the link is no
// longer parked; the task asks link_news for the reason. If something is there already, the task starts in this turn.
void link_park(struct link *l, task_fn *fn, void *arg, const char *name, uint64_t deadline_ms);
void link_unpark(struct link *l); // harmless when not parked
bool link_parked(const struct link *l); // still parked: no task has been started for it
void link_wake(struct link *l); // the task of a parked link starts now, whatever the link knows; harmless when it is not parked
int link_news(const struct link *l); // LINK_* bits that ended the last park
// A client that goes away (FIN, RST) cancels that task while it is watched. NULL ends it. Nothing else changes: data that
// comes meanwhile stays in the kernel. Ended before the task or the park.
void link_watch(struct link *l, struct task *t);
struct task *link_watcher(const struct link *l); // NULL: nobody

// --- facts ---------------------------------------------------------------------------------------------------------------

struct loop *link_loop(const struct link *l);
int link_fd(const struct link *l); // -1 for memory
const struct sockaddr *link_remote(const struct link *l); // of accept or connect; AF_UNIX for Unix sockets
// Asks the kernel once; false when it cannot be had.
bool link_local(const struct link *l, struct addr_full *a);
uint64_t link_bytes_in(const struct link *l);  // on the wire below TLS
uint64_t link_bytes_out(const struct link *l);
uint64_t link_plain_in(const struct link *l);  // what was read and written by whoever uses the link; without TLS the same
uint64_t link_plain_out(const struct link *l);
bool link_is_tls(const struct link *l);
size_t link_memory(const struct link *l); // user memory held now, in bytes, for tests and status

// Loop teardown and graceful stop: every parked link of the loop wakes with LINK_STOPPING.
void links_wake_parked(struct loop *l);
