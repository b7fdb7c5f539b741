#include "base/test.h"
#include "io/link_private.h"
#include <fcntl.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// Every test runs over each kind of link: they must not differ but where it is said.
enum kind { MEMORY, TCP, UNIX };
static enum kind kind;

static uint64_t test_clock(void *arg) { return *(uint64_t *)arg; }

static void tcp_pair(int fd[2]) {
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    EXPECT(bind(s, (struct sockaddr *)&a, len) == 0 && listen(s, 1) == 0);
    EXPECT(getsockname(s, (struct sockaddr *)&a, &len) == 0);
    fd[0] = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(connect(fd[0], (struct sockaddr *)&a, len) == 0);
    fd[1] = accept4(s, NULL, NULL, SOCK_NONBLOCK);
    setsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    close(s);
}

static void make_pair(struct link **a, struct link **b) {
    int fd[2];
    if (kind == MEMORY) {
        EXPECT(link_pair(a, b, 100000));
        return;
    }
    if (kind == TCP)
        tcp_pair(fd);
    else
        EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    for (int i = 0; i < 2; i++) {
        int size = 50000;
        EXPECT(setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
        struct sockaddr_in remote = {.sin_family = AF_INET, .sin_port = htons(1234)};
        EXPECT(fcntl(fd[i], F_SETFL, O_NONBLOCK) == 0);
        *(i == 0 ? a : b) = link_new_fd(fd[i], kind == TCP ? (struct sockaddr *)&remote : NULL);
    }
    EXPECT(*a != NULL && *b != NULL);
}

// Each test is a task on a loop of its own that has a pair of links.
static struct link *a, *b;
static void (*body)(void);
static void run_body(void *arg) {
    make_pair(&a, &b);
    body();
}

static void run_all(struct loop *l) {
    while (task_count(l) > 0)
        loop_turn(l, 1000);
}

static void on_loop(enum kind k, void (*fn)(void)) {
    kind = k;
    body = fn;
    struct loop *l = loop_new(0);
    EXPECT(task_new(run_body, NULL, "test") != NULL);
    run_all(l);
    loop_free(l);
}

#define LINK_TEST(id)                                                                                                  \
    static void id(void);                                                                                              \
    TEST(id##_memory) { on_loop(MEMORY, id); }                                                                         \
    TEST(id##_tcp) { on_loop(TCP, id); }                                                                               \
    TEST(id##_unix) { on_loop(UNIX, id); }                                                                             \
    static void id(void)

enum { SOON = 5000 }; // ms; never passes unless something is lost

static void put(struct link *l, const char *text) {
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    chain_add_const(&c, text, strlen(text));
    EXPECT_INT(link_write(l, &c, SOON), strlen(text));
    EXPECT(chain_empty(&c) && c.bytes == 0);
}

// Reads exactly that.
static void expect_text(struct link *l, const char *want, size_t room) {
    char got[256] = "";
    size_t n = 0;
    while (n < strlen(want)) {
        ssize_t r = link_read_into(l, got + n, MIN(room, sizeof(got) - n), SOON);
        EXPECT(r > 0 && (size_t)r <= room);
        n += (size_t)r;
    }
    EXPECT_STR(str_n(got, n), str_c(want));
}

static void expect_end(struct link *l) {
    char byte;
    EXPECT_INT(link_read_into(l, &byte, 1, SOON), 0);
    EXPECT_INT(link_read_into(l, &byte, 1, SOON), 0); // and it stays so
    EXPECT(link_gone(l) && link_readable(l));
}

static void free_both(void) {
    link_free(a);
    link_free(b);
}

// --- bytes -------------------------------------------------------------------------------------------------------------------

LINK_TEST(bytes_in_every_split) {
    const char *text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    char byte;
    EXPECT_INT(link_try_read_into(b, &byte, 1), -EAGAIN);
    for (size_t room = 1; room <= strlen(text) + 1; room++) {
        put(a, text);
        expect_text(b, text, room);
        task_yield();
        EXPECT_INT(link_try_read_into(b, &byte, 1), -EAGAIN);
        EXPECT(!link_readable(b));
    }
    for (const char *p = text; *p != '\0'; p++) {
        char one[2] = {*p, '\0'};
        put(b, one);
        expect_text(a, one, 100);
    }
    EXPECT_INT(link_bytes_out(a), strlen(text) * (strlen(text) + 1));
    EXPECT_INT(link_bytes_in(b), link_bytes_out(a));
    EXPECT_INT(link_bytes_in(a), strlen(text));
    EXPECT(!link_gone(a) && !link_gone(b) && !link_is_tls(a) && link_loop(a) == loop_self());
    free_both();
    link_free(NULL);
}

static void write_greeting(void *arg) {
    put(a, "hello");
    put(a, " world");
}

LINK_TEST(reader_waits_for_writer) {
    EXPECT(task_new(write_greeting, NULL, "w") != NULL);
    expect_text(b, "hello world", 64);
    free_both();
}

LINK_TEST(small_reads_do_not_strand_large_blocks) {
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    for (int i = 0; i < 10; i++) {
        put(a, "x");
        EXPECT_INT(link_read(b, &c, 1 << 20, SOON), 1);
    }
    EXPECT(c.bytes == 10 && chain_held(&c) <= 10 * 512);
    EXPECT_INT(blocks_in_use(loop_blocks(loop_self())), chain_held(&c));
    chain_done(&c);
    free_both();
}

// A stream of numbered bytes larger than all buffers, in pieces of many sizes.
enum { STREAM = 3000000 };
static char pattern(size_t i) { return (char)(i * 7 + i / 251); }

static void write_stream(void *arg) {
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    for (size_t at = 0, size = 1; at < STREAM; size = size % 100000 * 3 + 1) {
        for (int piece = 0; piece < 3 && at < STREAM; piece++) {
            size_t n = MIN(size, STREAM - at);
            struct block *k = block_new(c.pool, n);
            for (size_t i = 0; i < n; i++)
                k->data[i] = pattern(at + i);
            chain_give_block(&c, k, k->data, n);
            at += n;
        }
        size_t bytes = c.bytes;
        EXPECT_INT(link_write(a, &c, SOON), bytes);
    }
    link_shutdown_write(a);
    link_shutdown_write(a); // harmless
    struct chain none;
    chain_init(&none, c.pool);
    EXPECT_INT(link_write(a, &none, SOON), 0);
    chain_add_const(&none, "x", 1);
    EXPECT_INT(link_write(a, &none, SOON), -EPIPE);
    chain_done(&none);
}

LINK_TEST(long_stream_with_backpressure) {
    EXPECT(task_new(write_stream, NULL, "w") != NULL);
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    size_t at = 0, room = 1;
    for (;;) {
        room = room % 300000 * 2 + 1;
        ssize_t n = link_read(b, &c, room, SOON);
        EXPECT(n >= 0 && (size_t)n <= room);
        if (n == 0)
            break;
        for (const struct piece *p = c.head; p != NULL; p = p->next)
            for (size_t i = 0; i < p->n; i++, at++)
                if (p->p[i] != pattern(at))
                    test_fail(__FILE__, __LINE__, "byte %zu differs", at);
        chain_done(&c);
    }
    EXPECT_INT(at, STREAM);
    free_both();
}

static int memory_file(size_t size) {
    int fd = memfd_create("test", 0);
    char *p = xmalloc(size);
    for (size_t i = 0; i < size; i++)
        p[i] = pattern(i);
    EXPECT(write(fd, p, size) == (ssize_t)size);
    free(p);
    return fd;
}
static int closed_files;
static void close_file(struct file_ref *f) {
    close(f->fd);
    closed_files++;
}

static struct file_ref file;
static void write_file(void *arg) {
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    chain_add_const(&c, "[", 1);
    chain_add_file(&c, &file, 100, 500000);
    chain_add_const(&c, "][", 2);
    chain_add_file(&c, &file, 0, 10);
    chain_add_const(&c, "]", 1);
    EXPECT_INT(link_write(a, &c, SOON), 500014);
    chain_add_file(&c, &file, 600000 - 5, 10); // the file is shorter by now than somebody believed
    EXPECT_INT(link_write(a, &c, SOON), -EIO);
    EXPECT_INT(c.bytes, 5);
    chain_done(&c);
    file_unref(&file);
    link_shutdown_write(a);
}

LINK_TEST(file_ranges) {
    file = (struct file_ref){.refs = 1, .fd = memory_file(600000), .close = close_file};
    EXPECT(task_new(write_file, NULL, "w") != NULL);
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    while (link_read(b, &c, 65536, SOON) > 0)
        ;
    EXPECT_INT(c.bytes, 500014 + 5);
    char *got = xmalloc(c.bytes);
    EXPECT_INT(chain_peek(&c, got, c.bytes), c.bytes);
    EXPECT(got[0] == '[' && got[500001] == ']' && got[500002] == '[' && got[500013] == ']');
    for (size_t i = 0; i < 500000; i++)
        if (got[i + 1] != pattern(i + 100))
            test_fail(__FILE__, __LINE__, "byte %zu differs", i);
    EXPECT(got[500003] == pattern(0) && got[500014] == pattern(600000 - 5));
    EXPECT_INT(closed_files, 1);
    free(got);
    chain_done(&c);
    free_both();
}

LINK_TEST(many_slices_in_one_write) {
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    for (int i = 0; i < 200; i++)
        chain_add_const(&c, &"0123456789"[i % 10], 1);
    EXPECT_INT(link_try_write(a, &c, true), 200);
    for (int i = 0; i < 20; i++)
        expect_text(b, "0123456789", 10);
    free_both();
}

// --- ends --------------------------------------------------------------------------------------------------------------------

LINK_TEST(half_close) {
    put(a, "request");
    link_shutdown_write(a);
    expect_text(b, "request", 3);
    expect_end(b);
    put(b, "answer");
    expect_text(a, "answer", 64);
    EXPECT(!link_gone(a));
    link_free(b);
    expect_end(a);
    link_free(a);
}

LINK_TEST(end_behind_pending_data) {
    put(a, "0123456789");
    link_free(a);
    task_sleep_ms(2); // the end is known before the data is read
    EXPECT(link_gone(b));
    expect_text(b, "0123456789", 3);
    expect_end(b);
    link_free(b);
    make_pair(&a, &b);
    put(a, "0123456789");
    link_free(a);
    task_sleep_ms(2);
    expect_text(b, "0123456789", 10); // exactly what is there
    expect_end(b);
    link_free(b);
    make_pair(&a, &b);
    put(a, "0123456789");
    expect_text(b, "0123456789", 64); // the end comes after
    EXPECT(!link_readable(b));
    link_free(a);
    expect_end(b);
    link_free(b);
}

LINK_TEST(close_with_unread_bytes_resets) {
    put(a, "unread");
    task_sleep_ms(2);
    link_free(b);
    char byte;
    EXPECT_INT(link_read_into(a, &byte, 1, SOON), -ECONNRESET);
    EXPECT(link_gone(a));
    EXPECT_INT(link_read_into(a, &byte, 1, SOON), 0);
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    chain_add_const(&c, "x", 1);
    EXPECT_INT(link_write(a, &c, SOON), -EPIPE);
    EXPECT_INT(c.bytes, 1);
    chain_done(&c);
    link_free(a);
}

LINK_TEST(reset_on_free) {
    link_reset_on_free(b);
    link_free(b);
    char byte;
    EXPECT_INT(link_read_into(a, &byte, 1, SOON), kind == UNIX ? 0 : -ECONNRESET);
    link_free(a);
}

LINK_TEST(writing_to_nobody_fails_without_a_signal) {
    link_free(b);
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    ssize_t r = 0;
    for (int i = 0; i < 10 && r >= 0; i++) {
        chain_done(&c);
        chain_add_const(&c, "hello", 5);
        r = link_write(a, &c, SOON);
        task_sleep_ms(1);
    }
    EXPECT(r == -EPIPE || r == -ECONNRESET);
    EXPECT_INT(c.bytes, 5);
    chain_done(&c);
    link_free(a);
}

static void close_b_later(void *arg) { link_free(b); }

LINK_TEST(a_waiting_writer_sees_the_reset) {
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    struct block *k = block_new(c.pool, 10000000);
    memset(k->data, 1, 10000000);
    chain_give_block(&c, k, k->data, 10000000);
    EXPECT(link_try_write(a, &c, false) > 0);
    EXPECT(task_new(close_b_later, NULL, "close") != NULL);
    ssize_t r = link_write(a, &c, SOON);
    EXPECT(r == -EPIPE || r == -ECONNRESET);
    chain_done(&c);
    link_free(a);
}

static bool lingered;
static void linger(void *arg) {
    link_linger_free(b, 5000, 5000);
    lingered = true;
}

LINK_TEST(lingering_close_eats_the_rest) {
    put(b, "answer");
    EXPECT(task_new(linger, NULL, "linger") != NULL);
    for (int i = 0; i < 5; i++) {
        put(a, "more");
        task_sleep_ms(1);
    }
    EXPECT(!lingered);
    expect_text(a, "answer", 64);
    expect_end(a);
    link_free(a);
    task_sleep_ms(2);
    EXPECT(lingered);
}

static void linger_shortly(void *arg) {
    link_linger_free(b, 50, 1000); // a step that no busy machine exceeds
    lingered = true;
}

LINK_TEST(lingering_close_ends) {
    EXPECT(task_new(linger_shortly, NULL, "linger") != NULL);
    uint64_t start = loop_now(loop_self());
    while (!lingered) { // the peer neither closes nor stops
        struct chain c;
        chain_init(&c, loop_blocks(loop_self()));
        chain_add_const(&c, "more", 4);
        link_try_write(a, &c, false);
        chain_done(&c);
        task_sleep_ms(4);
        EXPECT(loop_now(loop_self()) < start + SOON);
    }
    EXPECT(loop_now(loop_self()) >= start + 45);
    link_free(a);
}

// --- waiting -----------------------------------------------------------------------------------------------------------------

static uint64_t fake_now = 1000;
static int timed_results[3];
static void timed(void *arg) {
    char byte;
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    timed_results[0] = (int)link_read_into(b, &byte, 1, 100);
    timed_results[1] = link_wait(b, LINK_WAIT_READ, 0);
    struct block *k = block_new(c.pool, 10000000);
    memset(k->data, 1, 10000000);
    chain_give_block(&c, k, k->data, 10000000);
    timed_results[2] = (int)link_write(a, &c, 200);
    EXPECT(c.bytes > 0 && c.bytes < 10000000);
    chain_done(&c);
}

LINK_TEST(time_outs) {
    struct loop *l = loop_self();
    loop_set_clock(l, test_clock, &fake_now);
    EXPECT(task_new(timed, NULL, "timed") != NULL);
    for (int i = 0; i < 3; i++)
        task_yield();
    fake_now += 99;
    for (int i = 0; i < 3; i++)
        task_yield();
    EXPECT_INT(timed_results[0], 0);
    fake_now += 1;
    for (int i = 0; i < 3; i++)
        task_yield();
    EXPECT_INT(timed_results[0], -ETIMEDOUT);
    EXPECT_INT(timed_results[1], -ETIMEDOUT);
    EXPECT_INT(timed_results[2], 0);
    for (int i = 0; i < 20; i++)
        task_yield(); // what the kernel takes late
    fake_now += 200;
    for (int i = 0; i < 3; i++)
        task_yield();
    EXPECT_INT(timed_results[2], -ETIMEDOUT);
    free_both();
}

static void cancelled_reader(void *arg) {
    char byte;
    EXPECT_INT(link_read_into(b, &byte, 1, SOON), -ECANCELED);
    EXPECT_INT(link_wait(b, LINK_WAIT_WRITE, SOON), -ECANCELED);
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    EXPECT_INT(link_read(b, &c, 10, SOON), -ECANCELED);
    timed_results[0] = 1;
}

LINK_TEST(cancel_ends_a_read) {
    struct task *t = task_new(cancelled_reader, NULL, "t");
    task_yield();
    task_cancel(t);
    task_yield();
    task_yield();
    EXPECT_INT(timed_results[0], 1);
    free_both();
}

LINK_TEST(wait_for_either) {
    EXPECT_INT(link_wait(a, LINK_WAIT_READ | LINK_WAIT_WRITE, SOON), LINK_WAIT_WRITE);
    put(b, "x");
    EXPECT_INT(link_wait(a, LINK_WAIT_READ, SOON), LINK_WAIT_READ);
    EXPECT_INT(link_wait(a, LINK_WAIT_READ | LINK_WAIT_WRITE, SOON), LINK_WAIT_READ | LINK_WAIT_WRITE);
    expect_text(a, "x", 5);
    free_both();
}

// --- parking -----------------------------------------------------------------------------------------------------------------

static int parked_news, parked_runs;
static void unparked(void *arg) {
    parked_news = link_news(arg);
    parked_runs++;
}

static void wait_unparked(int runs) {
    for (int i = 0; i < 1000 && parked_runs < runs; i++)
        task_sleep_ms(1);
    EXPECT_INT(parked_runs, runs);
}

LINK_TEST(park_until_data_end_or_deadline) {
    struct loop *l = loop_self();
    link_unpark(b); // harmless
    link_park(b, unparked, b, "parked", UINT64_MAX);
    task_sleep_ms(3);
    EXPECT_INT(parked_runs, 0);
    put(a, "x");
    wait_unparked(1);
    EXPECT_INT(parked_news, LINK_READABLE);
    link_park(b, unparked, b, "parked", UINT64_MAX); // it is there already
    wait_unparked(2);
    EXPECT_INT(parked_news, LINK_READABLE);
    expect_text(b, "x", 1); // exactly what is there: whether there is more is not known
    link_park(b, unparked, b, "parked", loop_now(l) + 20);
    task_sleep_ms(5);
    EXPECT_INT(parked_runs, 2);
    wait_unparked(3);
    EXPECT_INT(parked_news, LINK_TIMEOUT);
    link_park(b, unparked, b, "parked", loop_now(l) + 5);
    link_unpark(b);
    task_sleep_ms(10);
    EXPECT_INT(parked_runs, 3);
    link_park(b, unparked, b, "parked", loop_now(l) + 5000);
    links_wake_parked(l);
    wait_unparked(4);
    EXPECT_INT(parked_news, LINK_STOPPING);
    link_park(b, unparked, b, "parked", loop_now(l) + 5000);
    link_free(a);
    wait_unparked(5);
    EXPECT(parked_news & LINK_GONE);
    expect_end(b);
    link_park(b, unparked, b, "parked", UINT64_MAX);
    wait_unparked(6);
    EXPECT(parked_news & LINK_GONE);
    link_free(b);
}

LINK_TEST(a_parked_link_may_be_freed) {
    link_park(b, unparked, b, "parked", loop_now(loop_self()) + 5);
    put(a, "x"); // the event is on its way, or the task is made
    if (kind != MEMORY)
        link_free(b);
    link_park(a, unparked, a, "parked", loop_now(loop_self()) + 5);
    link_free(a);
    task_sleep_ms(10);
    EXPECT_INT(parked_runs, kind == MEMORY);
    if (kind == MEMORY)
        link_free(b);
}

LINK_TEST(unread_bytes_come_first) {
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    put(a, "world");
    chain_add_const(&c, "lo ", 3);
    link_unread(b, &c);
    EXPECT(chain_empty(&c) && link_has_unread(b) && link_readable(b));
    link_unread(b, &c); // nothing
    chain_add_const(&c, "hel", 3);
    link_unread(b, &c); // before what was there
    link_park(b, unparked, b, "parked", UINT64_MAX);
    wait_unparked(1);
    EXPECT_INT(parked_news & LINK_READABLE, LINK_READABLE);
    EXPECT(!link_alive(b));
    EXPECT_INT(link_read(b, &c, 2, SOON), 2);
    EXPECT_INT(link_try_read(b, &c, 100), 4);
    EXPECT(!link_has_unread(b));
    char text[8] = "";
    EXPECT_INT(chain_peek(&c, text, 8), 6);
    EXPECT_STR(str_c(text), STR("hello "));
    link_unread(b, &c);
    expect_text(b, "hello world", 4);
    chain_add_const(&c, "left", 4);
    link_unread(b, &c);
    free_both(); // and are dropped with the link
}

// --- arrivals ------------------------------------------------------------------------------------------------------------

enum { CROWD = 100, FREED = 50, LATE = 60 };
static struct link *crowd_a[CROWD], *crowd_b[CROWD];
static int crowd_order[CROWD], crowd_served, crowd_turns;

static void serve_one_of_many(void *arg) {
    struct link *l = arg;
    int i = 0;
    while (crowd_b[i] != l)
        i++;
    EXPECT_INT(link_news(l), LINK_READABLE);
    crowd_order[crowd_served++] = i;
    if (i == 0) // one that waits for its turn may go meanwhile
        link_free(crowd_b[FREED]);
    expect_text(l, "x", 8);
}

static void all_speak(void *arg) {
    for (int i = 0; i < CROWD; i++)
        put(crowd_a[i], "x");
}

// All clients speak at once: each is served, in its order, a few a turn.
TEST(many_arrivals_are_begun_a_few_at_a_time) {
    uint64_t now = 1000;
    kind = MEMORY;
    struct loop *l = loop_new(0);
    loop_set_clock(l, test_clock, &now);
    for (int i = 0; i < CROWD; i++) {
        make_pair(&crowd_a[i], &crowd_b[i]);
        crowd_b[i]->accepted = true;
        atomic_fetch_add(&l->connections, 1);
        link_park(crowd_b[i], serve_one_of_many, crowd_b[i], "one of many", now + (i == LATE ? 5 : 1000));
    }
    EXPECT(task_new(all_speak, NULL, "clients") != NULL);
    while (crowd_served < CROWD - 1) {
        loop_turn(l, 0);
        crowd_turns++;
        now += 10; // a deadline passes for one that has spoken in time
    }
    EXPECT(crowd_turns >= 5);
    for (int i = 0; i < CROWD - 1; i++)
        EXPECT_INT(crowd_order[i], i + (i >= FREED));
    for (int i = 0; i < CROWD; i++) {
        link_free(crowd_a[i]);
        if (i != FREED)
            link_free(crowd_b[i]);
    }
    loop_free(l);
}

static int others_turns;
static bool greedy_done;
static void other(void *arg) {
    while (!greedy_done) {
        others_turns++;
        task_yield();
    }
}

LINK_TEST(who_never_has_to_wait_lets_others_run) {
    enum { MUCH = 16 << 20 };
    static char bytes[MUCH];
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    chain_add_const(&c, bytes, MUCH);
    link_unread(b, &c);
    EXPECT(task_new(other, NULL, "other") != NULL);
    size_t total = 0;
    while (total < MUCH) {
        ssize_t n = link_read(b, &c, 65536, SOON);
        EXPECT(n > 0);
        total += (size_t)n;
        chain_done(&c);
    }
    greedy_done = true;
    EXPECT(others_turns >= 10);
    free_both();
}

static int watched_result;
static void watched(void *arg) {
    watched_result = task_park(UINT64_MAX);
    if (watched_result == 0)
        watched_result = 1;
}

LINK_TEST(watch_cancels_when_the_peer_goes) {
    struct task *t = task_new(watched, NULL, "watched");
    link_watch(b, t);
    put(a, "pipelined"); // data is no news
    task_sleep_ms(3);
    EXPECT_INT(watched_result, 0);
    link_watch(b, NULL);
    link_shutdown_write(a);
    task_sleep_ms(3);
    EXPECT_INT(watched_result, 0);
    EXPECT(link_gone(b));
    link_watch(b, t); // gone already
    task_sleep_ms(1);
    EXPECT_INT(watched_result, -ECANCELED);
    link_watch(b, NULL);
    expect_text(b, "pipelined", 64); // still in the kernel
    free_both();

    make_pair(&a, &b);
    watched_result = 0;
    t = task_new(watched, NULL, "watched");
    link_watch(b, t);
    task_sleep_ms(1);
    link_reset_on_free(a);
    link_free(a);
    task_sleep_ms(3);
    EXPECT_INT(watched_result, -ECANCELED);
    link_free(b);
}

LINK_TEST(alive) {
    EXPECT(link_alive(b));
    put(a, "x");
    task_sleep_ms(2);
    EXPECT(!link_alive(b));
    expect_text(b, "x", 5);
    EXPECT(link_alive(b));
    link_free(a);
    EXPECT(!link_alive(b)); // asked, not remembered
    link_free(b);
}

// --- facts -------------------------------------------------------------------------------------------------------------------

LINK_TEST(facts) {
    struct addr_full local;
    EXPECT(link_local(a, &local));
    EXPECT_INT(local.sa.sa_family, kind == TCP ? AF_INET : AF_UNIX);
    EXPECT_INT(link_remote(a)->sa_family, kind == TCP ? AF_INET : AF_UNIX);
    EXPECT_INT(kind == TCP ? addr_port(link_remote(a)) : 1234, 1234);
    EXPECT_INT(link_fd(a) >= 0, kind != MEMORY);
    if (kind == TCP)
        EXPECT_INT(addr_port(&local.sa) > 0, 1);
    free_both();
}

TEST(an_idle_link_is_small) {
    struct loop *l = loop_new(0);
    kind = TCP;
    make_pair(&a, &b);
    size_t in_use = blocks_in_use(loop_blocks(l));
    link_park(a, unparked, a, "parked", loop_now(l) + 75000);
    loop_turn(l, 0);
    EXPECT(link_memory(a) <= 200);
    EXPECT_INT(in_use, 0);
#if !defined(FIBER_ASAN) && !defined(FIBER_TSAN)
    EXPECT(malloc_usable_size(a) + sizeof(size_t) <= 200);
#endif
    free_both();
    loop_free(l);
}

// Links that are freed outside of tasks while the same batch of events names them: whoever comes first frees the others.
enum { BATCH = 8 };
static struct link *batch[BATCH], *batch_peers[BATCH];
static struct timer killer;
static void kill_all(struct timer *t) {
    for (int i = 0; i < BATCH; i++) {
        link_free(batch[i]);
        batch[i] = NULL;
    }
}

TEST(freed_between_events_and_tasks) {
    struct loop *l = loop_new(0);
    timer_init(&killer, kill_all);
    for (int k = MEMORY; k <= UNIX; k++) {
        kind = (enum kind)k;
        timer_set(l, &killer, loop_now(l) + 1); // in the same millisecond as the deadlines, and before them
        for (int i = 0; i < BATCH; i++) {
            make_pair(&batch[i], &batch_peers[i]);
            link_park(batch[i], unparked, NULL, "parked", loop_now(l) + 1);
            link_park(batch_peers[i], unparked, batch_peers[i], "peer", UINT64_MAX);
        }
        usleep(3000);
        loop_turn(l, 0);
        EXPECT(batch[0] == NULL);
        loop_turn(l, 0);
        for (int i = 0; i < BATCH; i++)
            link_free(batch_peers[i]);
    }
    EXPECT(l->dead == NULL);
    timer_remove(&killer);
    loop_free(l);
}
