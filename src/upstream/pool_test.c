// The pool: own links, links of another loop, limits, and links that die while idle. The storm runs under the thread sanitizer.
#include "base/test.h"
#include "io/loop.h"
#include "upstream/state.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct peer peer = {.name = STR_INIT("unix:x"), .weight = 1, .addr = {.un = {.sun_family = AF_UNIX}}};
static struct group group = {.name = STR_INIT("test"), .peers = &peer, .npeers = 1, .keepalive = 8, .keepalive_requests = INT64_MAX,
                             .keepalive_time_ms = UINT64_MAX, .keepalive_timeout_ms = 60000};

// A link on this loop; *other is the far end.
static struct link *make(int *other) {
    int fds[2];
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    *other = fds[1];
    struct link *l = link_new_fd(fds[0], NULL);
    EXPECT(l != NULL);
    return l;
}

static void turns(struct loop *l, int n) {
    for (int i = 0; i < n; i++)
        loop_turn(l, 1);
}

static bool ended(int fd) {
    char c;
    return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

TEST(pool_own_loop) {
    struct loop *l = loop_new(0);
    group.state = group_state_new();
    group_attach(&group);
    int far[3];
    struct link *a = make(&far[0]), *b = make(&far[1]);
    pool_give(&group, &peer, a, 3, 77);
    pool_give(&group, &peer, b, 4, 78);
    EXPECT_INT(group.state->idle, 2);
    EXPECT(pool_take(&group, &peer, false) == b); // the warmest first
    int64_t requests;
    uint64_t since;
    pool_facts(b, &requests, &since);
    EXPECT_INT(requests, 4);
    EXPECT_INT(since, 78);
    EXPECT(pool_take(&group, &peer, false) == a);
    EXPECT(pool_take(&group, &peer, false) == NULL);
    pool_give(&group, &peer, a, 3, loop_now(l));
    pool_give(&group, &peer, b, 3, loop_now(l));
    close(far[1]); // dies idle
    turns(l, 3);
    EXPECT_INT(group.state->idle, 1);
    EXPECT(write(far[0], "?", 1) == 1); // speaks unasked
    turns(l, 3);
    EXPECT_INT(group.state->idle, 0);
    close(far[0]);
    pools_close();
    loop_free(l);
    group_state_unref(group.state);
}

TEST(pool_limits) {
    struct loop *l = loop_new(0);
    struct group g = group;
    g.keepalive = 2;
    g.keepalive_requests = 10;
    g.keepalive_timeout_ms = 1000;
    g.state = group_state_new();
    group_attach(&g);
    int far[6];
    for (int i = 0; i < 3; i++)
        pool_give(&g, &peer, make(&far[i]), 1, loop_now(l));
    turns(l, 2);
    EXPECT_INT(g.state->idle, 3); // for a moment
    g.keepalive_timeout_ms = 20;
    usleep(150000);
    turns(l, 4);
    EXPECT_INT(g.state->idle, 2);
    EXPECT(ended(far[0]) && !ended(far[1])); // the oldest went
    usleep(950000);
    turns(l, 4);
    EXPECT(ended(far[1]) && ended(far[2]) && g.state->idle == 0); // too old
    pool_give(&g, &peer, make(&far[4]), 1, loop_now(l));
    pool_give(&g, &peer, make(&far[3]), 10, loop_now(l));
    EXPECT(ended(far[3])); // served its requests
    usleep(30000);
    turns(l, 40);
    EXPECT_INT(g.state->idle, 0); // too old
    EXPECT(ended(far[4]));
    g.keepalive = 0;
    pool_give(&g, &peer, make(&far[5]), 1, loop_now(l));
    EXPECT(ended(far[5]));
    for (int i = 0; i < 6; i++)
        close(far[i]);
    pools_close();
    loop_free(l);
    group_state_unref(g.state);
}

// A group that ends closes what is idle for it, and its state goes with the last of them.
TEST(pool_forget) {
    struct loop *l = loop_new(0);
    struct group g = group;
    g.state = group_state_new();
    group_attach(&g);
    int far;
    pool_give(&g, &peer, make(&far), 1, loop_now(l));
    pool_forget(g.state);
    group_state_unref(g.state);
    EXPECT(!ended(far));
    turns(l, 2);
    EXPECT(ended(far));
    close(far);
    pools_close();
    loop_free(l);
}

// --- learning ------------------------------------------------------------------------------------------------------------------

static uint64_t clock_ms;
static uint64_t set_clock(void *arg) { return clock_ms; }

static void at(struct loop *l, uint64_t ms) {
    clock_ms = ms;
    turns(l, 2);
}

// A link that has been idle for age ms, and then is closed by the far end (or not).
static void idle_for(struct loop *l, struct group *g, uint64_t age, bool closes) {
    int far;
    pool_give(g, &peer, make(&far), 1, loop_now(l));
    at(l, clock_ms + age);
    if (closes)
        close(far);
    turns(l, 3);
    if (!closes) {
        link_free(pool_take(g, &peer, false));
        close(far);
    }
}

static struct group learner(struct loop *l) {
    clock_ms = 1000000;
    loop_set_clock(l, set_clock, NULL);
    at(l, clock_ms);
    struct group g = group;
    g.state = group_state_new();
    group_attach(&g);
    return g;
}

static void learner_end(struct loop *l, struct group *g) {
    pools_close();
    group_detach(g);
    group_state_unref(g->state);
    loop_free(l);
}

// Of a peer that nothing is known of one request that could not be repeated takes an idle link; the others take its place.
TEST(pool_sends_a_canary) {
    struct loop *l = loop_new(0);
    struct group g = learner(l);
    int far[3];
    for (unsigned i = 0; i < 3; i++)
        pool_give(&g, &peer, make(&far[i]), 1, loop_now(l));
    struct link *canary = pool_take(&g, &peer, true);
    EXPECT(canary != NULL && pool_is_canary(canary));
    EXPECT(pool_take(&g, &peer, true) == NULL);
    EXPECT_INT(g.state->idle, 1); // one was closed: its process is free for the connection that is made instead
    struct link *other = pool_take(&g, &peer, false);
    EXPECT(other != NULL && !pool_is_canary(other));
    pool_give(&g, &peer, other, 2, loop_now(l));
    pool_canary_done(&peer, false);
    pool_give(&g, &peer, canary, 2, loop_now(l));
    canary = pool_take(&g, &peer, true);
    EXPECT(canary != NULL && pool_is_canary(canary));
    at(l, clock_ms + 30); // the other one is still there
    pool_give(&g, &peer, canary, 3, loop_now(l));
    for (unsigned i = 0; i < 2; i++) {
        other = pool_take(&g, &peer, true);
        EXPECT(other != NULL && !pool_is_canary(other));
        link_free(other);
    }
    // What the peer says counts at once.
    peer.state->kept_ms = 0;
    pool_canary_done(&peer, false);
    int more;
    pool_give_for(&g, &peer, make(&more), 1, loop_now(l), 4500);
    other = pool_take(&g, &peer, true);
    EXPECT(other != NULL && !pool_is_canary(other));
    link_free(other);
    for (unsigned i = 0; i < 3; i++)
        close(far[i]);
    close(more);
    learner_end(l, &g);
}

TEST(pool_learns_when_a_peer_closes) {
    struct loop *l = loop_new(0);
    struct group g = learner(l);
    int far;
    struct link *got;
    // One close at 5 s: what cannot be repeated takes no link near to that age.
    idle_for(l, &g, 5000, true);
    EXPECT_INT(peer.state->closes_ms, 5000);
    pool_give(&g, &peer, make(&far), 1, loop_now(l));
    at(l, clock_ms + 4400);
    EXPECT((got = pool_take(&g, &peer, true)) != NULL);
    pool_give(&g, &peer, got, 1, loop_now(l));
    at(l, clock_ms + 4600);
    EXPECT((got = pool_take(&g, &peer, false)) != NULL);
    pool_give(&g, &peer, got, 1, loop_now(l));
    at(l, clock_ms + 4600);
    EXPECT(!ended(far));
    EXPECT(pool_take(&g, &peer, true) == NULL);
    EXPECT(ended(far));
    close(far);
    // A second close at that age: links retire half a second earlier.
    idle_for(l, &g, 5010, true);
    EXPECT_INT(peer.state->closes_seen, 2);
    pool_give(&g, &peer, make(&far), 1, loop_now(l));
    at(l, clock_ms + 4400);
    EXPECT_INT(g.state->idle, 1);
    at(l, clock_ms + 200);
    EXPECT_INT(g.state->idle, 0);
    close(far);
    // Long ago does not count.
    at(l, clock_ms + 11 * 60 * 1000);
    pool_give(&g, &peer, make(&far), 1, loop_now(l));
    at(l, clock_ms + 6000);
    EXPECT((got = pool_take(&g, &peer, true)) != NULL);
    link_free(got);
    close(far);
    learner_end(l, &g);
}

// --- two loops ---------------------------------------------------------------------------------------------------------------------

enum { LOOPS = 2, ROUNDS = 1500 };

struct worker {
    unsigned id;
    pthread_t thread;
    unsigned taken, made;
    bool ended;
};
static pthread_barrier_t barrier;
static _Atomic unsigned all_stolen;

// The far end's descriptor travels as the number of requests.
static void round_of(struct worker *wk, unsigned *seed) {
    int64_t far;
    uint64_t since;
    struct link *l = pool_take(&group, &peer, false);
    if (l == NULL) {
        int fd;
        l = make(&fd);
        far = fd;
        wk->made++;
    } else {
        pool_facts(l, &far, &since);
        wk->taken++;
        all_stolen += since != wk->id;
    }
    char c = 0;
    struct chain out;
    chain_init(&out, loop_blocks(loop_self()));
    chain_add_const(&out, "x", 1);
    ssize_t n = link_try_write(l, &out, false);
    chain_done(&out);
    if (n == 1)
        EXPECT(read((int)far, &c, 1) == 1 && c == 'x');
    if (rand_r(seed) % 4 == 0)
        task_sleep_ms((unsigned)rand_r(seed) % 2);
    if (n != 1 || rand_r(seed) % 4 == 0) {
        link_free(l);
        close((int)far);
    } else {
        pool_give(&group, &peer, l, far, wk->id);
    }
}

static void worker_task(void *arg) {
    struct worker *wk = arg;
    unsigned seed = wk->id + 1;
    // The machine may run the loops one after the other for a while.
    for (unsigned i = 0; i < ROUNDS || (all_stolen < 20 && i < 100 * ROUNDS); i++) {
        round_of(wk, &seed);
        if (i % 8 == 0)
            task_yield();
    }
    wk->ended = true;
}

static void *worker_main(void *arg) {
    struct worker *wk = arg;
    struct loop *l = loop_new(wk->id);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 3; i++)
        EXPECT(task_new(worker_task, wk, "worker") != NULL);
    while (task_count(l) > 0)
        loop_turn(l, 1);
    pools_close();
    for (int i = 0; i < 5; i++)
        loop_turn(l, 0);
    pthread_barrier_wait(&barrier);
    loop_free(l);
    return NULL;
}

TEST(pool_storm_of_two_loops) {
    group.state = group_state_new();
    group_attach(&group);
    struct worker workers[LOOPS] = {0};
    pthread_barrier_init(&barrier, NULL, LOOPS);
    for (unsigned i = 0; i < LOOPS; i++) {
        workers[i].id = i;
        EXPECT(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) == 0);
    }
    unsigned taken = 0;
    for (unsigned i = 0; i < LOOPS; i++) {
        pthread_join(workers[i].thread, NULL);
        taken += workers[i].taken;
    }
    EXPECT(taken > ROUNDS);
    EXPECT(all_stolen >= 20);
    EXPECT_INT(group.state->idle, 0);
    group_state_unref(group.state);
}

// One loop's link serves the other: the same connection, and the first loop forgets it.
static void *thief_main(void *arg) {
    struct loop *l = loop_new(1);
    struct link *got = pool_take(&group, &peer, false);
    struct chain out;
    chain_init(&out, loop_blocks(l));
    chain_add_const(&out, "hello", 5);
    *(bool *)arg = got != NULL && link_try_write(got, &out, false) == 5;
    chain_done(&out);
    link_free(got);
    pools_close();
    loop_free(l);
    return NULL;
}

TEST(pool_taken_by_another_loop) {
    struct loop *l = loop_new(0);
    group.state = group_state_new();
    group_attach(&group);
    int far;
    pool_give(&group, &peer, make(&far), 1, loop_now(l));
    bool ok = false;
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, thief_main, &ok) == 0);
    pthread_join(thread, NULL);
    EXPECT(ok);
    char text[8];
    EXPECT(read(far, text, sizeof(text)) == 5);
    EXPECT_INT(group.state->idle, 0);
    EXPECT(ended(far)); // nothing of it is left with the first loop
    turns(l, 2);
    close(far);
    pools_close();
    loop_free(l);
    group_state_unref(group.state);
}
