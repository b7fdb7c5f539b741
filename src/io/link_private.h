// The inside of a link: what kinds of links (sockets, memory, TLS) implement, and what link.c does for all of them.
// Private to io/.
//
// The state of readiness is two bits that err on the side of true: `readable` false means that a receive is known to find
// nothing, `writable` false that a send is known to find no room. Who clears a bit is sure of an edge to come.
#pragma once
#include "io/link.h"
#include "io/loop_private.h"

// A kind of link. None of these waits.
struct link_ops {
    // At most n bytes into `to`: the count, 0 at the end of the stream, -EAGAIN (readable is false now), -errno.
    ssize_t (*read)(struct link *l, char *to, size_t n);
    // From the front of `from`, dropping what was written: the count (> 0), -EAGAIN (writable is false now), -errno. The next
    // call begins with the bytes that were not dropped: TLS may have some of them under way.
    ssize_t (*write)(struct link *l, struct chain *from, bool more);
    void (*shutdown_write)(struct link *l);
    // Asks for certain whether the link is idle and alive, at the price of a system call.
    bool (*alive)(struct link *l);
    // Something to read is inside the link itself, whatever the kernel has (TLS). NULL: never.
    bool (*pending)(const struct link *l);
    bool (*local)(const struct link *l, struct addr_full *a);
    uint64_t (*plain_in)(const struct link *l), (*plain_out)(const struct link *l); // NULL: bytes_in, bytes_out
    size_t (*memory)(const struct link *l); // besides what link.c counts; NULL: sizeof(struct link)
    void (*close)(struct link *l);          // ends it; the object is freed by link.c with free()
    bool tls;
};

struct link {
    struct source source; // SOURCE_LINK
    int fd;               // -1: memory
    const struct link_ops *ops;
    struct loop *loop;
    union {
        struct {
            struct task *reader, *writer, *watcher;
        };
        struct { // while parked
            task_fn *park_fn;
            void *park_arg;
            const char *park_name;
        };
        struct link *next_dead;
    };
    struct timer timer;  // of the park; left in the wheel between parks
    struct list node;    // in loop->links, from its making to its end: parking touches no neighbour
    struct piece *unread; // first piece; given back bytes are few, so the tail is looked for
    uint64_t bytes_in, bytes_out;
    bool is_parked : 1, readable : 1, writable : 1;
    bool gone : 1;   // FIN, RST or an error was seen: reads go on until they find it
    bool failed : 1; // an error was seen: HUP on both sides or worse
    bool reset : 1;  // on free
    bool accepted : 1; // counts in loop->connections
    bool write_shut : 1;
    bool arrived : 1; // in loop->arrivals
    uint8_t news;
    struct tls *tls;     // tls_private.h; NULL: plain
    struct addr remote;
};
_Static_assert(sizeof(struct link) <= 184, "an idle link stays below 200 bytes with malloc's own");

// Fills the common part and registers fd with the loop when it is not -1: 0 or -errno.
int link_init(struct link *l, const struct link_ops *ops, int fd, const struct sockaddr *remote);

extern const struct link_ops link_socket_ops;

// For kinds of links: has something to read for certain, as far as is known.
static inline bool link_ready_to_read(const struct link *l) {
    return l->readable || l->unread != NULL || (l->ops->pending != NULL && l->ops->pending(l));
}
