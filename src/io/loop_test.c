#include "base/test.h"
#include "io/loop_private.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

static uint64_t test_clock(void *arg) { return *(uint64_t *)arg; }

// --- clocks, places, hooks -------------------------------------------------------------------------------------------------

TEST(clocks_and_texts) {
    setenv("TZ", "UTC", 1);
    struct loop *l = loop_new(7);
    EXPECT(loop_self() == l && loop_id(l) == 7 && loop_blocks(l) != NULL);
    EXPECT(loop_now(l) > 0);
    EXPECT(llabs((long long)loop_wall_ms(l) / 1000 - (long long)time(NULL)) <= 2);
    uint64_t now = 5000;
    loop_set_clock(l, test_clock, &now);
    EXPECT_INT(loop_now(l), 5000);
    l->wall_offset = 784111777000 - 5000; // Sun, 06 Nov 1994 08:49:37 GMT
    l->text_second = INT64_MIN;
    EXPECT_STR(str_c(loop_text_http(l)), STR("Sun, 06 Nov 1994 08:49:37 GMT"));
    EXPECT_STR(str_c(loop_text_log(l)), STR("06/Nov/1994:08:49:37 +0000"));
    EXPECT_STR(str_c(loop_text_iso(l)), STR("1994-11-06T08:49:37+00:00"));
    EXPECT_STR(str_c(loop_text_error(l)), STR("1994/11/06 08:49:37"));
    now += 1500;
    EXPECT_INT(loop_now(l), 5000); // once a turn
    EXPECT_INT(loop_clock_now(), 6500);
    loop_turn(l, 0);
    EXPECT_INT(loop_now(l), 6500);
    EXPECT_INT(loop_wall_ms(l), 784111778500);
    EXPECT_STR(str_c(loop_text_error(l)), STR("1994/11/06 08:49:38"));
    loop_set_clock(l, NULL, NULL);
    EXPECT(llabs((long long)loop_wall_ms(l) / 1000 - (long long)time(NULL)) <= 2);
    loop_free(l);
    EXPECT(loop_self() == NULL);
}

static void hook(void *arg) { ++*(int *)arg; }

TEST(places_and_hooks) {
    unsigned a = loop_slot_new(), b = loop_slot_new();
    EXPECT(a != b);
    int turns = 0, frees = 0;
    struct loop *l = loop_new(0);
    EXPECT(*loop_slot(l, a) == NULL);
    *loop_slot(l, a) = &turns;
    EXPECT(*loop_slot(l, b) == NULL && *loop_slot(l, a) == &turns);
    loop_at_turn_end(l, hook, &turns);
    loop_at_free(l, hook, &frees);
    loop_turn(l, 0);
    loop_turn(l, 0);
    EXPECT_INT(turns, 2);
    EXPECT_INT(loop_stats(l)->turns, 2);
    EXPECT_INT(frees, 0);
    loop_free(l);
    EXPECT_INT(frees, 1);
}

TEST(a_turn_waits_no_longer_than_asked) {
    struct loop *l = loop_new(0);
    uint64_t start = loop_clock_now();
    loop_turn(l, 30);
    EXPECT(loop_clock_now() - start >= 29);
    EXPECT(loop_clock_now() - start < 5000);
    loop_free(l);
}

// --- stopping --------------------------------------------------------------------------------------------------------------

static struct loop *signalled;
static void on_alarm(int sig) { loop_stop(signalled); }

TEST(stop_from_a_signal_handler) {
    struct loop *l = signalled = loop_new(0);
    signal(SIGALRM, on_alarm);
    for (int i = 0; i < 5; i++) {
        struct itimerval t = {.it_value.tv_usec = 5000};
        setitimer(ITIMER_REAL, &t, NULL);
        loop_run(l);
    }
    loop_free(l);
}

static void *stop_it(void *arg) {
    usleep(5000);
    loop_stop(arg);
    return NULL;
}

TEST(stop_from_a_thread) {
    struct loop *l = loop_new(0);
    pthread_t t;
    pthread_create(&t, NULL, stop_it, l);
    loop_run(l);
    pthread_join(t, NULL);
    loop_stop(l); // before it runs: it makes one turn at most
    loop_run(l);
    loop_free(l);
}

// --- messages --------------------------------------------------------------------------------------------------------------

enum { SENDERS = 4, MESSAGES = 20000 };

struct numbered {
    struct message message;
    int sender, number;
};

static struct loop *receiver;
static int next_of[SENDERS], received;

static void on_numbered(struct message *m) {
    struct numbered *n = container_of(m, struct numbered, message);
    EXPECT(loop_self() == receiver && task_self() == NULL);
    EXPECT_INT(n->number, next_of[n->sender]);
    next_of[n->sender]++;
    received++;
    free(n);
}

static void *sender_main(void *arg) {
    for (int i = 0; i < MESSAGES; i++) {
        struct numbered *n = xcalloc(1, sizeof(*n));
        n->message.fn = on_numbered;
        n->sender = (int)(intptr_t)arg;
        n->number = i;
        inbox_post(receiver, &n->message);
        if (i % 1000 == 999)
            usleep(100); // lets the loop fall asleep
    }
    return NULL;
}

TEST(messages_from_many_threads_arrive_in_order) {
    struct loop *l = receiver = loop_new(0);
    pthread_t t[SENDERS];
    for (intptr_t i = 0; i < SENDERS; i++)
        pthread_create(&t[i], NULL, sender_main, (void *)i);
    while (received < SENDERS * MESSAGES)
        loop_turn(l, -1); // a lost wake-up would hang here
    for (int i = 0; i < SENDERS; i++)
        pthread_join(t[i], NULL);
    loop_free(l);
}

// Two loops throw one message to and fro: each throw finds the other asleep, or about to be.
enum { THROWS = 20000 };
static struct loop *_Atomic players[2];
static int throws;
static pthread_barrier_t both_stopped;

static void on_throw(struct message *m) {
    struct loop *here = loop_self();
    if (++throws >= THROWS) {
        loop_stop(players[0]);
        loop_stop(players[1]);
        return;
    }
    inbox_post(here == players[0] ? players[1] : players[0], m);
}

static void *player_main(void *arg) {
    struct loop *l = loop_new(1);
    players[1] = l;
    loop_run(l);
    pthread_barrier_wait(&both_stopped); // the other may be inside inbox_post still
    loop_free(l);
    return NULL;
}

TEST(two_loops_play) {
    struct loop *l = loop_new(0);
    players[0] = l;
    pthread_barrier_init(&both_stopped, NULL, 2);
    pthread_t t;
    pthread_create(&t, NULL, player_main, NULL);
    while (players[1] == NULL)
        usleep(100);
    struct message ball = {.fn = on_throw};
    inbox_post(l, &ball);
    loop_run(l);
    pthread_barrier_wait(&both_stopped);
    pthread_join(t, NULL);
    EXPECT_INT(throws, THROWS);
    loop_free(l);
}

// --- helpers ---------------------------------------------------------------------------------------------------------------

static pthread_t loop_thread;
static _Atomic int on_helpers, posted;

static int square(void *arg) {
    int *n = arg;
    on_helpers += !pthread_equal(pthread_self(), loop_thread);
    usleep(1000);
    return *n * *n;
}

static int finished;
static void squares(void *arg) {
    for (int i = 0; i < 5; i++) {
        int n = (int)(intptr_t)arg + i;
        EXPECT_INT(helper_run(square, &n), n * n);
    }
    finished++;
}

static void run_all(struct loop *l) {
    while (task_count(l) > 0)
        loop_turn(l, 100);
}

TEST(helpers_work_for_many_tasks) {
    loop_thread = pthread_self();
    struct loop *l = loop_new(0);
    helpers_start(3);
    for (intptr_t i = 0; i < 20; i++)
        EXPECT(task_new(squares, (void *)i, "squares") != NULL);
    run_all(l);
    EXPECT_INT(finished, 20);
    EXPECT_INT(on_helpers, 100);
    helpers_stop();
    helpers_start(1); // and again
    EXPECT(task_new(squares, (void *)3, "squares") != NULL);
    run_all(l);
    EXPECT_INT(finished, 21);
    helpers_stop();
    EXPECT(task_new(squares, (void *)3, "squares") != NULL); // without helpers: the task itself
    run_all(l);
    EXPECT_INT(finished, 22);
    EXPECT_INT(on_helpers, 105);
    loop_free(l);
}

static void cancelled_work(void *arg) {
    int n = 9;
    EXPECT_INT(helper_run(square, &n), 81);
    EXPECT_INT(task_park(UINT64_MAX), -ECANCELED);
    finished++;
}

TEST(cancelling_does_not_cut_helper_work) {
    struct loop *l = loop_new(0);
    helpers_start(1);
    struct task *t = task_new(cancelled_work, NULL, "t");
    loop_turn(l, 0);
    task_cancel(t);
    run_all(l);
    EXPECT_INT(finished, 1);
    helpers_stop();
    loop_free(l);
}

static void post_fn(void *arg) {
    usleep(500);
    posted++;
}

TEST(helpers_stop_finishes_the_queue) {
    helpers_start(2);
    for (int i = 0; i < 50; i++)
        helper_post(post_fn, NULL);
    helpers_stop();
    EXPECT_INT(posted, 50);
    helper_post(post_fn, NULL);
    EXPECT_INT(posted, 51);
}
