// Listening and connecting.
#include "base/test.h"
#include "io/connect.h"
#include "io/link_private.h"
#include "io/listen.h"
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SOON = 5000 };

static const struct listen_opts plain = {.backlog = 511, .keepalive = -1};

static struct addr_full parse(const char *text) {
    struct addr_full a;
    const char *why;
    EXPECT(addr_parse(&a, str_c(text), 0, true, &why));
    return a;
}

// An open listening socket; *bound gets the port that the system chose.
static int open_at(const char *text, const struct listen_opts *o, struct addr_full *bound) {
    const char *what = "";
    *bound = parse(text);
    int fd = listen_open(bound, o, &what);
    if (fd < 0)
        test_fail(__FILE__, __LINE__, "%s: %s: %s", text, what, strerror(-fd));
    if (bound->sa.sa_family != AF_UNIX) {
        bound->len = sizeof(*bound) - offsetof(struct addr_full, sa);
        EXPECT(getsockname(fd, &bound->sa, &bound->len) == 0);
    }
    return fd;
}

static bool any_parked(struct loop *l) {
    list_each(link, &l->links, struct link, node) {
        if (link_parked(link))
            return true;
    }
    return false;
}

static void run_all(struct loop *l) {
    while (task_count(l) > 0 || any_parked(l))
        loop_turn(l, 1000);
}

static int get_int(int fd, int level, int name) {
    int v = -1;
    socklen_t len = sizeof(v);
    EXPECT(getsockopt(fd, level, name, &v, &len) == 0);
    return v;
}

// --- opening -----------------------------------------------------------------------------------------------------------------

TEST(open_sets_options) {
    struct addr_full at;
    struct listen_opts o = {.backlog = 10, .reuseport = true, .deferred = true, .keepalive = 1, .keepidle = 33,
                            .keepintvl = 7, .keepcnt = 4, .rcvbuf = 40000, .fastopen = 5};
    int fd = open_at("127.0.0.1", &o, &at);
    EXPECT_INT(get_int(fd, SOL_SOCKET, SO_REUSEPORT), 1);
    EXPECT_INT(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    EXPECT_INT(get_int(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    EXPECT_INT(get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE), 33);
    EXPECT_INT(get_int(fd, IPPROTO_TCP, TCP_KEEPINTVL), 7);
    EXPECT_INT(get_int(fd, IPPROTO_TCP, TCP_KEEPCNT), 4);
    EXPECT(get_int(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT) > 0);
    EXPECT_INT(get_int(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
    EXPECT(fcntl(fd, F_GETFL) & O_NONBLOCK);
    EXPECT(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    const char *what;
    struct addr_full second = at;
    EXPECT(close(listen_open(&second, &o, &what)) == 0); // reuseport
    EXPECT_INT(listen_open(&second, &plain, &what), -EADDRINUSE);
    EXPECT_STR(str_c(what), STR("bind()"));
    close(fd);
}

static char unix_text[80], unix_path[64];
static void unix_name(void) {
    snprintf(unix_path, sizeof(unix_path), "/tmp/weir-unit-%d.sock", (int)getpid());
    snprintf(unix_text, sizeof(unix_text), "unix:%s", unix_path);
    unlink(unix_path);
}

TEST(open_replaces_only_a_stale_unix_socket) {
    unix_name();
    struct addr_full at;
    int first = open_at(unix_text, &plain, &at);
    struct stat st;
    EXPECT(stat(unix_path, &st) == 0);
    EXPECT_INT(st.st_mode & 0777, 0666);
    const char *what;
    EXPECT_INT(listen_open(&at, &plain, &what), -EADDRINUSE); // somebody listens
    EXPECT(access(unix_path, F_OK) == 0);
    close(first);
    int second = open_at(unix_text, &plain, &at);
    close(second);
    unlink(unix_path);
    int file = open(unix_path, O_CREAT | O_WRONLY, 0600); // not a socket: not ours to remove
    EXPECT_INT(listen_open(&at, &plain, &what), -EADDRINUSE);
    EXPECT(access(unix_path, F_OK) == 0);
    close(file);
    unlink(unix_path);
}

// --- one loop ----------------------------------------------------------------------------------------------------------------

static struct listener *listener;
static struct addr_full address;

static void echo(void *arg) {
    struct link *l = arg;
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    if (link_news(l) & (LINK_READABLE | LINK_GONE))
        while (link_read(l, &c, 4096, SOON) > 0 && link_write(l, &c, SOON) > 0)
            ;
    chain_done(&c);
    link_free(l);
}

static void accept_echo(struct link *l, struct listener *from, void *arg) {
    EXPECT(from == listener && arg == &address && task_self() == NULL);
    link_park(l, echo, l, "echo", UINT64_MAX);
}

static void ask(const char *question) {
    int err = 0;
    struct link *l = connect_to(&address, NULL, SOON, &err);
    if (l == NULL)
        test_fail(__FILE__, __LINE__, "connect: %s", strerror(-err));
    if (address.sa.sa_family != AF_UNIX) {
        EXPECT_INT(get_int(link_fd(l), IPPROTO_TCP, TCP_NODELAY), 1);
        EXPECT(addr_eq(link_remote(l), &address.sa));
    }
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    chain_add_const(&c, question, strlen(question));
    EXPECT_INT(link_write(l, &c, SOON), strlen(question));
    while (c.bytes < strlen(question))
        EXPECT(link_read(l, &c, 4096, SOON) > 0);
    char got[64] = "";
    chain_peek(&c, got, sizeof(got));
    EXPECT_STR(str_c(got), str_c(question));
    chain_done(&c);
    link_free(l);
}

static void ask_task(void *arg) { ask("hello"); }

static void echo_over(const char *text) {
    int fd = open_at(text, &plain, &address);
    listener = listener_new(fd, &address, accept_echo, &address);
    EXPECT(listener_fd(listener) == fd && listener_arg(listener) == &address);
    EXPECT(addr_eq(&listener_addr(listener)->sa, &address.sa));
    struct loop *l = loop_new(0);
    listener_start(listener, l, &l, 1, 1000);
    for (int i = 0; i < 200; i++) // more than one batch
        EXPECT(task_new(ask_task, NULL, "ask") != NULL);
    run_all(l);
    EXPECT_INT(loop_stats(l)->accepted, 200);
    EXPECT_INT(atomic_load(&l->connections), 0);
    listener_stop(listener, l, false);
    loop_free(l);
    listener_free(listener);
}

TEST(echo_over_tcp4) { echo_over("127.0.0.1"); }
TEST(echo_over_tcp6) { echo_over("[::1]"); }
TEST(echo_over_unix) {
    unix_name();
    echo_over(unix_text);
    unlink(unix_path);
}

static void ask_two_at_the_limit(void *arg) {
    int err;
    struct loop *l = loop_self();
    struct link *one = connect_to(&address, NULL, SOON, &err), *two = connect_to(&address, NULL, SOON, &err);
    struct link *three = connect_to(&address, NULL, SOON, &err); // waits in the backlog
    EXPECT(one != NULL && two != NULL && three != NULL);
    task_sleep_ms(20);
    EXPECT_INT(loop_stats(l)->accepted, 2);
    EXPECT(l->accept_paused);
    link_free(one); // its place is free at once, not at the end of the pause
    uint64_t start = loop_now(l);
    while (loop_stats(l)->accepted < 3)
        task_sleep_ms(1);
    EXPECT(loop_now(l) < start + 300);
    link_free(two);
    link_free(three);
}

TEST(limit_pauses_accepting) {
    listener = listener_new(open_at("127.0.0.1", &plain, &address), &address, accept_echo, &address);
    struct loop *l = loop_new(0);
    listener_start(listener, l, &l, 1, 2);
    EXPECT(task_new(ask_two_at_the_limit, NULL, "ask") != NULL);
    run_all(l);
    listener_stop(listener, l, false);
    loop_free(l);
    listener_free(listener);
}

static void ask_without_descriptors(void *arg) {
    int fds[64], n = 0, err;
    struct loop *l = loop_self();
    struct rlimit old, low;
    getrlimit(RLIMIT_NOFILE, &old);
    struct link *one = connect_to(&address, NULL, SOON, &err);
    ask("first");
    low = old;
    low.rlim_cur = 64;
    setrlimit(RLIMIT_NOFILE, &low);
    struct link *two = NULL;
    while (n < 64 && (fds[n] = open("/dev/null", O_RDONLY)) >= 0)
        n++;
    EXPECT(n > 0 && errno == EMFILE);
    close(fds[--n]);
    two = connect_to(&address, NULL, SOON, &err); // takes the last one
    EXPECT(two != NULL);
    uint64_t turns = loop_stats(l)->turns;
    task_sleep_ms(200);
    EXPECT(loop_stats(l)->turns - turns < 50); // it does not spin
    EXPECT_INT(loop_stats(l)->accepted, 2);
    while (n > 0)
        close(fds[--n]);
    while (loop_stats(l)->accepted < 3)
        task_sleep_ms(10);
    setrlimit(RLIMIT_NOFILE, &old);
    ask("after");
    link_free(one);
    link_free(two);
}

TEST(out_of_descriptors_pauses_and_recovers) {
    listener = listener_new(open_at("127.0.0.1", &plain, &address), &address, accept_echo, &address);
    struct loop *l = loop_new(0);
    listener_start(listener, l, &l, 1, 1000);
    EXPECT(task_new(ask_without_descriptors, NULL, "ask") != NULL);
    run_all(l);
    listener_stop(listener, l, false);
    loop_free(l);
    listener_free(listener);
}

// An accept function that ends links which the same batch of events may name.
static struct link *victims[4];
static int accepted;
static void never(void *arg) { EXPECT(!"a freed link starts a task"); }

static void accept_and_kill(struct link *l, struct listener *from, void *arg) {
    accepted++;
    listener_stop(from, link_loop(l), false);
    for (int i = 0; i < 4; i++) {
        link_free(victims[i]);
        victims[i] = NULL;
    }
    link_free(l);
}

TEST(links_freed_within_a_batch) {
    struct loop *l = loop_new(0);
    listener = listener_new(open_at("127.0.0.1", &plain, &address), &address, accept_and_kill, NULL);
    int fd[4][2];
    for (int i = 0; i < 4; i++) {
        EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd[i]) == 0);
        victims[i] = link_new_fd(fd[i][0], NULL);
        link_park(victims[i], never, NULL, "victim", UINT64_MAX);
    }
    loop_turn(l, 0);
    listener_start(listener, l, &l, 1, 1000);
    int c = socket(AF_INET, SOCK_STREAM, 0); // first in the ready list
    EXPECT(connect(c, &address.sa, address.len) == 0);
    for (int i = 0; i < 4; i++)
        EXPECT(write(fd[i][1], "x", 1) == 1);
    while (accepted == 0)
        loop_turn(l, 100);
    EXPECT_INT(accepted, 1);
    loop_turn(l, 0);
    EXPECT_INT(loop_stats(l)->tasks_started, 0);
    listener_stop(listener, l, false); // harmless
    loop_free(l);
    listener_free(listener);
    close(c);
    for (int i = 0; i < 4; i++)
        close(fd[i][1]);
}

// --- several loops -----------------------------------------------------------------------------------------------------------

enum { LOOPS = 3, CLIENTS = 30 };
static struct loop *loops[LOOPS];
static pthread_barrier_t barrier;
static _Atomic int open_links;

static void end_held(void *arg) {
    link_free(arg);
    open_links--;
}

static void accept_hold(struct link *l, struct listener *from, void *arg) {
    EXPECT(link_loop(l) == loop_self());
    open_links++;
    link_park(l, end_held, l, "held", UINT64_MAX);
}

static void *loop_main(void *arg) {
    intptr_t id = (intptr_t)arg;
    loops[id] = loop_new((unsigned)id);
    pthread_barrier_wait(&barrier);
    listener_start(listener, loops[id], loops, LOOPS, 1000);
    pthread_barrier_wait(&barrier);
    loop_run(loops[id]);
    listener_stop(listener, loops[id], false);
    while (task_count(loops[id]) > 0 || any_parked(loops[id]))
        loop_turn(loops[id], 10);
    pthread_barrier_wait(&barrier);
    loop_free(loops[id]);
    return NULL;
}

TEST(connections_go_to_the_loop_with_the_fewest) {
    listener = listener_new(open_at("127.0.0.1", &plain, &address), &address, accept_hold, NULL);
    pthread_barrier_init(&barrier, NULL, LOOPS + 1);
    pthread_t t[LOOPS];
    for (intptr_t i = 0; i < LOOPS; i++)
        pthread_create(&t[i], NULL, loop_main, (void *)i);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    int fds[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        EXPECT(connect(fds[i], &address.sa, address.len) == 0);
    }
    while (open_links < CLIENTS)
        usleep(1000);
    unsigned sum = 0;
    for (int i = 0; i < LOOPS; i++) {
        unsigned n = atomic_load(&loops[i]->connections);
        EXPECT(n >= CLIENTS / LOOPS - 3 && n <= CLIENTS / LOOPS + 3); // two that accept at once may choose the same
        sum += n;
    }
    EXPECT_INT(sum, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    while (open_links > 0)
        usleep(1000);
    for (int i = 0; i < LOOPS; i++)
        loop_stop(loops[i]);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < LOOPS; i++)
        pthread_join(t[i], NULL);
    listener_free(listener);
}

// --- connecting to what does not answer ----------------------------------------------------------------------------------------

static struct addr_full target;
static int connect_err;
static uint64_t connect_ms;
static void connect_task(void *arg) {
    uint64_t start = loop_now(loop_self());
    connect_err = 0;
    struct link *l = connect_to(&target, arg, 60, &connect_err);
    connect_ms = loop_now(loop_self()) - start;
    link_free(l);
}

static void try_connect(struct addr_full *from) {
    struct loop *l = loop_new(0);
    EXPECT(task_new(connect_task, from, "connect") != NULL);
    run_all(l);
    loop_free(l);
}

TEST(connect_refused) {
    close(open_at("127.0.0.1", &plain, &target));
    try_connect(NULL);
    EXPECT_INT(connect_err, -ECONNREFUSED);
    unix_name();
    target = parse(unix_text);
    try_connect(NULL);
    EXPECT_INT(connect_err, -ENOENT);
    struct addr_full at;
    close(open_at(unix_text, &plain, &at));
    try_connect(NULL);
    EXPECT_INT(connect_err, -ECONNREFUSED);
    unlink(unix_path);
}

TEST(connect_times_out_at_a_full_backlog) {
    struct listen_opts none = plain;
    none.backlog = 0;
    int fd = open_at("127.0.0.1", &none, &target), c[4];
    for (int i = 0; i < 4; i++) { // the kernel takes one or two more than the backlog says
        c[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(c[i], &target.sa, target.len);
    }
    usleep(1000);
    try_connect(NULL);
    EXPECT_INT(connect_err, -ETIMEDOUT);
    EXPECT(connect_ms >= 60);
    for (int i = 0; i < 4; i++)
        close(c[i]);
    close(fd);
}

static struct link *late;
static void connect_late(void *arg) { late = connect_to(&target, NULL, SOON, &connect_err); }
static void accept_after_a_while(void *arg) {
    task_sleep_ms(20);
    EXPECT(late == NULL);
    for (int i = 0; i < 2; i++)
        close(accept(*(int *)arg, NULL, NULL));
}

TEST(connect_retries_a_full_unix_backlog) {
    unix_name();
    struct listen_opts none = plain;
    none.backlog = 0;
    int fd = open_at(unix_text, &none, &target), c[2];
    for (int i = 0; i < 2; i++) {
        c[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(c[i], &target.sa, target.len);
    }
    try_connect(NULL);
    EXPECT_INT(connect_err, -ETIMEDOUT);
    EXPECT(connect_ms >= 60);
    struct loop *l = loop_new(0);
    EXPECT(task_new(connect_late, NULL, "late") != NULL);
    EXPECT(task_new(accept_after_a_while, &fd, "accept") != NULL);
    run_all(l);
    EXPECT(late != NULL);
    link_free(late);
    loop_free(l);
    for (int i = 0; i < 2; i++)
        close(c[i]);
    close(fd);
    unlink(unix_path);
}

static void connect_cancelled(void *arg) {
    struct link *l = connect_to(&target, NULL, SOON, &connect_err);
    EXPECT(l == NULL);
    l = connect_to(&target, NULL, SOON, &connect_err);
    EXPECT(l == NULL);
}

TEST(connect_is_cancelled) {
    struct listen_opts none = plain;
    none.backlog = 0;
    int fd = open_at("127.0.0.1", &none, &target), c[4];
    for (int i = 0; i < 4; i++) {
        c[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(c[i], &target.sa, target.len);
    }
    usleep(1000);
    struct loop *l = loop_new(0);
    struct task *t = task_new(connect_cancelled, NULL, "connect");
    loop_turn(l, 0);
    loop_turn(l, 1);
    task_cancel(t);
    run_all(l);
    EXPECT_INT(connect_err, -ECANCELED);
    loop_free(l);
    for (int i = 0; i < 4; i++)
        close(c[i]);
    close(fd);
}

static struct addr_full bound_from;
static void connect_from(void *arg) {
    struct link *l = connect_to(&target, &bound_from, SOON, &connect_err);
    EXPECT(l != NULL);
    struct addr_full local;
    EXPECT(link_local(l, &local));
    EXPECT_INT(ntohl(local.in4.sin_addr.s_addr), 0x7f000005);
    link_free(l);
}

TEST(connect_from_an_address) {
    int fd = open_at("127.0.0.1", &plain, &target);
    bound_from = parse("127.0.0.5");
    struct loop *l = loop_new(0);
    EXPECT(task_new(connect_from, NULL, "connect") != NULL);
    run_all(l);
    loop_free(l);
    close(fd);
    bound_from = parse("192.0.2.1"); // nobody's
    fd = open_at("127.0.0.1", &plain, &target);
    try_connect(&bound_from);
    EXPECT_INT(connect_err, -EADDRNOTAVAIL);
    close(fd);
}
