#include "base/test.h"
#include "io/link_private.h"
#include "io/splice.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { MUCH = 3 << 20 };

static struct link *from_peer, *from, *to, *to_peer;
static size_t received;

static char pattern(size_t i) { return (char)(i * 31 + i / 251); }

static void pair(struct link **a, struct link **b) {
    int fd[2];
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0);
    EXPECT((*a = link_new_fd(fd[0], NULL)) != NULL && (*b = link_new_fd(fd[1], NULL)) != NULL);
}

static void in_loop(void (*fn)(void *arg)) {
    struct loop *l = loop_new(0);
    EXPECT(task_new(fn, NULL, "test") != NULL);
    while (task_count(l) > 0)
        loop_turn(l, 1000);
    loop_free(l);
}

static void open_both(void) {
    pair(&from_peer, &from);
    pair(&to, &to_peer);
}

static void free_both(void) {
    link_free(from_peer);
    link_free(from);
    link_free(to);
    link_free(to_peer);
}

static void sender(void *arg) {
    char *bytes = malloc(MUCH);
    for (size_t i = 0; i < MUCH; i++)
        bytes[i] = pattern(i);
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    chain_add_const(&c, bytes, MUCH);
    EXPECT_INT(link_write(from_peer, &c, 5000), MUCH);
    link_shutdown_write(from_peer);
    free(bytes);
}

static void receiver(void *arg) {
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    ssize_t n;
    while ((n = link_read(to_peer, &c, 10000, 5000)) > 0) {
        for (const struct piece *p = c.head; p != NULL; p = p->next)
            for (size_t i = 0; i < p->n; i++, received++)
                if (p->p[i] != pattern(received))
                    test_fail(__FILE__, __LINE__, "byte %zu differs", received);
        chain_done(&c);
    }
    EXPECT_INT(n, 0);
}

static void carry(void *arg) {
    open_both();
    received = 0;
    struct task *tasks[] = {task_new_joinable(sender, NULL, "sender"), task_new_joinable(receiver, NULL, "receiver")};
    struct conduit *c = conduit_get(from, to);
    EXPECT(c != NULL);
    for (;;) {
        ssize_t n = conduit_fill(c, from, 1 << 20);
        if (n == -EAGAIN) {
            EXPECT(link_wait(from, LINK_WAIT_READ, 5000) > 0);
            continue;
        }
        EXPECT(n >= 0);
        if (n == 0)
            break;
        EXPECT_INT(conduit_held(c), n);
        while (conduit_held(c) != 0)
            if (conduit_drain(c, to) == -EAGAIN)
                EXPECT(link_wait(to, LINK_WAIT_WRITE, 5000) > 0);
    }
    EXPECT(link_bytes_in(from) == MUCH && link_bytes_out(to) == MUCH);
    link_shutdown_write(to);
    task_join(tasks[0]);
    task_join(tasks[1]);
    EXPECT_INT(received, MUCH);
    conduit_put(c);
    EXPECT(conduit_get(from, to) == c); // the loop keeps it
    conduit_put(c);
    free_both();
}

TEST(sockets_are_joined_in_the_kernel) { in_loop(carry); }

static void errors(void *arg) {
    open_both();
    struct conduit *c = conduit_get(from, to);
    EXPECT_INT(conduit_fill(c, from, 100), -EAGAIN);
    struct chain bytes;
    chain_init(&bytes, loop_blocks(loop_self()));
    chain_add_const(&bytes, "hello", 5);
    EXPECT_INT(link_write(from_peer, &bytes, 1000), 5);
    EXPECT(link_wait(from, LINK_WAIT_READ, 1000) > 0);
    EXPECT_INT(conduit_fill(c, from, 3), 3); // no more than was asked for
    link_free(to_peer);
    to_peer = NULL;
    EXPECT_INT(conduit_drain(c, to), -EPIPE);
    EXPECT(link_gone(to));
    conduit_put(c); // with bytes in it: nobody else must get them
    c = conduit_get(from, to);
    EXPECT_INT(conduit_held(c), 0);
    EXPECT_INT(conduit_fill(c, from, 100), 2);
    conduit_put(c);
    chain_add_const(&bytes, "again", 5);
    link_unread(from, &bytes);
    EXPECT(conduit_get(from, to) == NULL); // those come first
    free_both();
}

TEST(conduits_that_fail) { in_loop(errors); }

static void others(void *arg) {
    struct link *a, *b;
    EXPECT(link_pair(&a, &b, 1000));
    EXPECT(conduit_get(a, b) == NULL);
    link_free(a);
    link_free(b);
    open_both();
    struct conduit *many[100];
    size_t n = 0;
    while (n < ARRAY_LEN(many) && (many[n] = conduit_get(from, to)) != NULL)
        n++;
    EXPECT(n > 0 && n < ARRAY_LEN(many));
    while (n > 0)
        conduit_put(many[--n]);
    free_both();
}

TEST(conduits_are_bounded) { in_loop(others); }
