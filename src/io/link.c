// Links: what all kinds have in common: waiting, parking, watching, given back bytes. The kinds are in link_socket.c and
// link_memory.c.
#include "io/link_private.h"
#include "io/log.h"
#include <stdlib.h>

enum {
    READ_MAX = 256 << 10,
    ARRIVALS_FIRST = 64,
    ARRIVALS_A_TURN = 16,
    STRANDED = 8,       // a block of which less than this part was filled is not kept
    RETRY_MS = 100,     // when no task can be made for a parked link
    LINGER_ROOM = 64 << 10,
};

static inline void link_check(const struct link *l) { CHECK(l != NULL && l->source.magic == SOURCE_LINK); }

// --- making and ending -----------------------------------------------------------------------------------------------

static void on_park_deadline(struct timer *t);

int link_init(struct link *l, const struct link_ops *ops, int fd, const struct sockaddr *remote) {
    struct loop *loop = loop_this;
    CHECK(loop != NULL);
    l->source.magic = SOURCE_LINK;
    l->fd = fd;
    l->ops = ops;
    l->loop = loop;
    timer_init(&l->timer, on_park_deadline);
    l->writable = true;
    l->remote.sa.sa_family = AF_UNIX;
    if (remote != NULL && remote->sa_family == AF_INET)
        memcpy(&l->remote, remote, sizeof(struct sockaddr_in));
    else if (remote != NULL && remote->sa_family == AF_INET6)
        memcpy(&l->remote, remote, sizeof(struct sockaddr_in6));
    list_push_back(&loop->links, &l->node);
    if (fd < 0)
        return 0;
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = l};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0)
        return 0;
    list_remove(&l->node);
    return -errno;
}

static void drop_unread(struct link *l);

static void arrivals_forget(struct link *l);

void link_free(struct link *l) {
    if (l == NULL)
        return;
    link_check(l);
    struct loop *loop = l->loop;
    CHECK_SLOW(loop == loop_this);
    if (l->is_parked)
        link_unpark(l);
    else
        CHECK(l->reader == NULL && l->writer == NULL);
    timer_remove(&l->timer);
    drop_unread(l);
    l->ops->close(l);
    l->source.magic = SOURCE_DEAD;
    list_remove(&l->node);
    if (UNLIKELY(l->arrived))
        arrivals_forget(l);
    if (l->accepted) {
        atomic_fetch_sub_explicit(&loop->connections, 1, memory_order_relaxed);
        if (UNLIKELY(loop->accept_paused))
            listeners_resume(loop);
    }
    if (!loop->dispatching) {
        free(l);
        return;
    }
    // This batch of events may still name it.
    l->next_dead = loop->dead;
    loop->dead = l;
}

void links_free_dead(struct loop *loop) {
    while (loop->dead != NULL) {
        struct link *l = loop->dead;
        loop->dead = l->next_dead;
        free(l);
    }
}

void link_reset_on_free(struct link *l) { l->reset = true; }

void link_shutdown_write(struct link *l) {
    link_check(l);
    if (!l->write_shut)
        l->ops->shutdown_write(l);
    l->write_shut = true;
}

void link_linger_free(struct link *l, uint64_t total_ms, uint64_t step_ms) {
    link_shutdown_write(l);
    struct loop *loop = l->loop;
    uint64_t until = loop->now + total_ms;
    struct block *b = block_new(loop->blocks, LINGER_ROOM);
    while (loop->now < until && link_read_into(l, b->data, LINGER_ROOM, MIN(step_ms, until - loop->now)) > 0)
        ;
    block_unref(b);
    link_free(l);
}

// --- events ------------------------------------------------------------------------------------------------------------

// The parked link's task starts. Without memory for a stack it stays parked and tries again soon.
static void unpark_with(struct link *l, int news) {
    l->news |= (uint8_t)news;
    if (UNLIKELY(task_new(l->park_fn, l->park_arg, l->park_name) == NULL)) {
        log_msg(LOG_CRIT, ENOMEM, "no stack for a task of \"%s\", trying again in %d ms", l->park_name, RETRY_MS);
        timer_set(l->loop, &l->timer, l->loop->now + RETRY_MS);
        return;
    }
    link_unpark(l);
}

static int news_now(const struct link *l) {
    return (link_ready_to_read(l) ? LINK_READABLE : 0) | (l->gone ? LINK_READABLE | LINK_GONE : 0);
}

// --- arrivals ----------------------------------------------------------------------------------------------------------

static bool arrivals_grow(struct arrivals *a) {
    uint32_t cap = a->cap != 0 ? a->cap * 2 : ARRIVALS_FIRST;
    struct link **at = malloc(cap * sizeof(*at));
    if (at == NULL)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        at[i] = a->at[(a->first + i) & (a->cap - 1)];
    free(a->at);
    *a = (struct arrivals){.at = at, .count = a->count, .cap = cap};
    return true;
}

// False: no memory to remember it.
static bool arrive(struct link *l) {
    struct arrivals *a = &l->loop->arrivals;
    if (l->arrived)
        return true;
    if (UNLIKELY(a->count == a->cap) && !arrivals_grow(a))
        return false;
    a->at[(a->first + a->count++) & (a->cap - 1)] = l;
    return l->arrived = true;
}

static COLD void arrivals_forget(struct link *l) {
    struct arrivals *a = &l->loop->arrivals;
    for (uint32_t i = 0; i < a->count; i++) {
        struct link **at = &a->at[(a->first + i) & (a->cap - 1)];
        if (*at == l)
            *at = NULL;
    }
}

void links_start_arrived(struct loop *loop) {
    struct arrivals *a = &loop->arrivals;
    for (int begun = 0; a->count > 0 && begun < ARRIVALS_A_TURN;) {
        struct link *l = a->at[a->first];
        a->first = (a->first + 1) & (a->cap - 1);
        a->count--;
        if (l == NULL)
            continue;
        l->arrived = false;
        if (!l->is_parked || !l->readable) // something else happened to it meanwhile
            continue;
        unpark_with(l, news_now(l));
        begun++;
    }
}

void link_event(struct link *l, uint32_t events) {
    if (UNLIKELY(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
        l->gone = l->readable = true;
        if (events & (EPOLLHUP | EPOLLERR))
            l->failed = l->writable = true;
    }
    if (events & EPOLLIN)
        l->readable = true;
    if (events & EPOLLOUT)
        l->writable = true;
    if (l->is_parked) {
        if (l->readable && !(l->accepted && arrive(l)))
            unpark_with(l, news_now(l));
        return;
    }
    if (l->readable && l->reader != NULL)
        task_wake(l->reader);
    if (l->writable && l->writer != NULL)
        task_wake(l->writer);
    if (UNLIKELY(l->gone) && l->watcher != NULL)
        task_cancel(l->watcher);
}

// --- waiting -------------------------------------------------------------------------------------------------------------

static uint64_t deadline_of(const struct link *l, uint64_t timeout_ms) {
    return timeout_ms < UINT64_MAX - l->loop->now ? l->loop->now + timeout_ms : UINT64_MAX;
}

static int wait_until(struct link *l, int what, uint64_t deadline) {
    struct task *self = task_self();
    CHECK(!l->is_parked && self != NULL);
    if (what & LINK_WAIT_READ) {
        CHECK(l->reader == NULL);
        l->reader = self;
    }
    if (what & LINK_WAIT_WRITE) {
        CHECK(l->writer == NULL);
        l->writer = self;
    }
    int r, held = 0;
    do {
        r = task_park(deadline);
        held = (what & LINK_WAIT_READ) && link_ready_to_read(l) ? LINK_WAIT_READ : 0;
        held |= (what & LINK_WAIT_WRITE) && l->writable ? LINK_WAIT_WRITE : 0;
    } while (r == 0 && held == 0 && (what & LINK_WAIT_WAKE) == 0);
    if (what & LINK_WAIT_READ)
        l->reader = NULL;
    if (what & LINK_WAIT_WRITE)
        l->writer = NULL;
    return r == -ECANCELED || held == 0 ? r : held;
}

int link_wait(struct link *l, int what, uint64_t timeout_ms) {
    link_check(l);
    CHECK((what & (LINK_WAIT_READ | LINK_WAIT_WRITE)) != 0);
    if (task_is_cancelled(l->loop->current))
        return -ECANCELED;
    int held = (what & LINK_WAIT_READ) && link_ready_to_read(l) ? LINK_WAIT_READ : 0;
    held |= (what & LINK_WAIT_WRITE) && l->writable ? LINK_WAIT_WRITE : 0;
    return held != 0 ? held : wait_until(l, what, deadline_of(l, timeout_ms));
}

static int holds(const struct link_want *w) {
    int held = (w->what & LINK_WAIT_READ) && link_ready_to_read(w->link) ? LINK_WAIT_READ : 0;
    return held | ((w->what & LINK_WAIT_WRITE) && w->link->writable ? LINK_WAIT_WRITE : 0);
}

static int first_held(const struct link_want *wants, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        if (holds(&wants[i]) != 0)
            return (int)i;
    }
    return -1;
}

static void set_waiting(const struct link_want *wants, unsigned n, struct task *t) {
    for (unsigned i = 0; i < n; i++) {
        struct link *l = wants[i].link;
        CHECK(!l->is_parked);
        if (wants[i].what & LINK_WAIT_READ) {
            CHECK(t == NULL || l->reader == NULL);
            l->reader = t;
        }
        if (wants[i].what & LINK_WAIT_WRITE) {
            CHECK(t == NULL || l->writer == NULL);
            l->writer = t;
        }
    }
}

int links_wait(const struct link_want *wants, unsigned n, uint64_t timeout_ms) {
    CHECK(n > 0);
    struct task *self = task_self();
    CHECK(self != NULL);
    if (task_is_cancelled(self))
        return -ECANCELED;
    int held = first_held(wants, n), r = 0;
    if (held >= 0)
        return held;
    uint64_t deadline = deadline_of(wants[0].link, timeout_ms);
    set_waiting(wants, n, self);
    do {
        r = task_park(deadline);
        held = first_held(wants, n);
    } while (r == 0 && held < 0);
    set_waiting(wants, n, NULL);
    return r == -ECANCELED || held < 0 ? r : held;
}

// A task whose peers are always ready would never wait: now and then it lets the others run.
static int fair(struct loop *loop, ssize_t n) {
    loop->budget -= (int)n;
    return LIKELY(loop->budget > 0) ? 0 : task_yield();
}

// --- given back bytes ----------------------------------------------------------------------------------------------------

static void unread_open(struct link *l, struct chain *c) {
    chain_init(c, l->loop->blocks);
    c->head = l->unread;
    for (c->tail = &c->head; *c->tail != NULL; c->tail = &(*c->tail)->next)
        c->bytes += (*c->tail)->n;
}

void link_unread(struct link *l, struct chain *from) {
    link_check(l);
    if (chain_empty(from))
        return;
    struct chain c;
    unread_open(l, &c);
    chain_prepend(&c, from);
    l->unread = c.head;
}

static void drop_unread(struct link *l) {
    if (l->unread == NULL)
        return;
    struct chain c;
    unread_open(l, &c);
    chain_done(&c);
    l->unread = NULL;
}

bool link_has_unread(const struct link *l) { return l->unread != NULL; }

static COLD ssize_t take_unread(struct link *l, struct chain *to, size_t room) {
    struct chain c;
    unread_open(l, &c);
    size_t n = chain_move(to, &c, room);
    l->unread = c.head;
    return (ssize_t)n;
}

static COLD ssize_t take_unread_into(struct link *l, char *to, size_t room) {
    struct chain c;
    unread_open(l, &c);
    size_t n = chain_peek(&c, to, room);
    chain_drop(&c, n);
    l->unread = c.head;
    return (ssize_t)n;
}

// --- reading -------------------------------------------------------------------------------------------------------------

ssize_t link_try_read_into(struct link *l, char *to, size_t room) {
    link_check(l);
    CHECK(!l->is_parked && room > 0);
    if (UNLIKELY(l->unread != NULL))
        return take_unread_into(l, to, room);
    if (!link_ready_to_read(l))
        return -EAGAIN;
    return l->ops->read(l, to, room);
}

ssize_t link_try_read(struct link *l, struct chain *to, size_t room) {
    link_check(l);
    CHECK(!l->is_parked && room > 0);
    if (UNLIKELY(l->unread != NULL))
        return take_unread(l, to, room);
    if (!link_ready_to_read(l))
        return -EAGAIN;
    room = MIN(room, READ_MAX);
    struct blocks *pool = l->loop->blocks;
    struct block *b = block_new(pool, room);
    ssize_t n = l->ops->read(l, b->data, room);
    if (n <= 0) {
        block_unref(b);
    } else if ((size_t)n < b->size / STRANDED) {
        // The large block is warm and goes on to the next reader.
        struct block *small = block_new(pool, (size_t)n);
        memcpy(small->data, b->data, (size_t)n);
        block_unref(b);
        chain_give_block(to, small, small->data, (size_t)n);
    } else {
        chain_give_block(to, b, b->data, (size_t)n);
    }
    return n;
}

ssize_t link_read(struct link *l, struct chain *to, size_t room, uint64_t timeout_ms) {
    if (task_is_cancelled(l->loop->current))
        return -ECANCELED;
    uint64_t deadline = 0;
    for (;;) {
        ssize_t n = link_try_read(l, to, room);
        if (LIKELY(n > 0))
            fair(l->loop, n); // a cancellation shows at the next wait
        if (n != -EAGAIN)
            return n;
        if (deadline == 0)
            deadline = deadline_of(l, timeout_ms);
        int r = wait_until(l, LINK_WAIT_READ, deadline);
        if (r < 0)
            return r;
    }
}

ssize_t link_read_into(struct link *l, char *to, size_t room, uint64_t timeout_ms) {
    if (task_is_cancelled(l->loop->current))
        return -ECANCELED;
    uint64_t deadline = 0;
    for (;;) {
        ssize_t n = link_try_read_into(l, to, room);
        if (LIKELY(n > 0))
            fair(l->loop, n);
        if (n != -EAGAIN)
            return n;
        if (deadline == 0)
            deadline = deadline_of(l, timeout_ms);
        int r = wait_until(l, LINK_WAIT_READ, deadline);
        if (r < 0)
            return r;
    }
}

// --- writing -------------------------------------------------------------------------------------------------------------

ssize_t link_try_write(struct link *l, struct chain *from, bool more) {
    link_check(l);
    CHECK(!l->is_parked);
    if (chain_empty(from))
        return 0;
    if (l->write_shut)
        return -EPIPE;
    if (!l->writable)
        return -EAGAIN;
    return l->ops->write(l, from, more);
}

ssize_t link_write(struct link *l, struct chain *from, uint64_t timeout_ms) {
    ssize_t total = 0;
    if (task_is_cancelled(l->loop->current))
        return -ECANCELED;
    while (!chain_empty(from)) {
        ssize_t n = link_try_write(l, from, false);
        int r = 0;
        if (LIKELY(n > 0)) {
            total += n;
            if (chain_empty(from))
                break;
            r = fair(l->loop, n);
        } else {
            r = n == -EAGAIN ? wait_until(l, LINK_WAIT_WRITE, deadline_of(l, timeout_ms)) : (int)n;
        }
        if (r < 0)
            return r;
    }
    return total;
}

// --- idle links and watchers -----------------------------------------------------------------------------------------------

static void on_park_deadline(struct timer *t) {
    struct link *l = container_of(t, struct link, timer);
    if (l->is_parked && !l->arrived)
        unpark_with(l, l->news != 0 ? 0 : LINK_TIMEOUT);
}

void link_park(struct link *l, task_fn *fn, void *arg, const char *name, uint64_t deadline_ms) {
    link_check(l);
    CHECK(!l->is_parked && l->reader == NULL && l->writer == NULL);
    // The last read may have ended just where the data did: a task should not start for nothing.
    if (l->readable && !l->gone && l->unread == NULL && l->ops->alive(l))
        l->readable = false;
    l->is_parked = true;
    l->news = 0;
    l->park_fn = fn;
    l->park_arg = arg;
    l->park_name = name;
    int news = news_now(l);
    if (UNLIKELY(news != 0))
        unpark_with(l, news);
    else
        timer_set(l->loop, &l->timer, deadline_ms);
}

void link_unpark(struct link *l) {
    if (!l->is_parked)
        return;
    l->is_parked = false;
    l->reader = l->writer = l->watcher = NULL;
    timer_clear(&l->timer);
}

void link_wake(struct link *l) {
    if (l->is_parked)
        unpark_with(l, news_now(l));
}

int link_news(const struct link *l) { return l->news; }

void link_watch(struct link *l, struct task *t) {
    link_check(l);
    CHECK(!l->is_parked);
    l->watcher = t;
    if (UNLIKELY(l->gone) && t != NULL)
        task_cancel(t);
}

struct task *link_watcher(const struct link *l) { return l->is_parked ? NULL : l->watcher; }

void links_wake_parked(struct loop *loop) {
    list_each(l, &loop->links, struct link, node) {
        if (l->is_parked)
            unpark_with(l, LINK_STOPPING | news_now(l));
    }
}

// --- facts -----------------------------------------------------------------------------------------------------------------

struct loop *link_loop(const struct link *l) { return l->loop; }
int link_fd(const struct link *l) { return l->fd; }
const struct sockaddr *link_remote(const struct link *l) { return &l->remote.sa; }
bool link_local(const struct link *l, struct addr_full *a) { return l->ops->local(l, a); }
uint64_t link_bytes_in(const struct link *l) { return l->bytes_in; }
uint64_t link_bytes_out(const struct link *l) { return l->bytes_out; }
uint64_t link_plain_in(const struct link *l) { return l->ops->plain_in != NULL ? l->ops->plain_in(l) : l->bytes_in; }
uint64_t link_plain_out(const struct link *l) { return l->ops->plain_out != NULL ? l->ops->plain_out(l) : l->bytes_out; }
bool link_is_tls(const struct link *l) { return l->ops->tls; }
bool link_readable(const struct link *l) { return link_ready_to_read(l); }
bool link_gone(const struct link *l) { return l->gone; }

bool link_alive(struct link *l) {
    link_check(l);
    return l->unread == NULL && !l->gone && l->ops->alive(l);
}

size_t link_memory(const struct link *l) {
    struct chain c;
    unread_open((struct link *)(uintptr_t)l, &c);
    return chain_held(&c) + (l->ops->memory != NULL ? l->ops->memory(l) : sizeof(*l));
}
