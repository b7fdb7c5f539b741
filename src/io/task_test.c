#include "base/test.h"
#include "io/loop_private.h"
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef FIBER_TSAN
enum { MANY = 4000 }; // its runtime counts fibers as threads
#elif defined(FIBER_ASAN)
enum { MANY = 34000 }; // and has its own copy of each stack's first page
#else
enum { MANY = 50000 };
#endif

static uint64_t test_clock(void *arg) { return *(uint64_t *)arg; }

static void run_all(struct loop *l) {
    while (task_count(l) > 0)
        loop_turn(l, 100);
}

// What tasks did, as text.
static char trace[256];
static void say(const char *word) { strncat(trace, word, sizeof(trace) - strlen(trace) - 1); }
static void say_arg(void *arg) { say(arg); }
static void *text(const char *s) { return (void *)(uintptr_t)s; }

TEST(starts_in_order_after_the_maker) {
    struct loop *l = loop_new(0);
    EXPECT(task_self() == NULL);
    EXPECT(task_new(say_arg, text("a"), "a") != NULL);
    EXPECT(task_new(say_arg, text("b"), "b") != NULL);
    EXPECT_STR(str_c(trace), STR(""));
    EXPECT_INT(task_count(l), 2);
    loop_turn(l, -1);
    EXPECT_STR(str_c(trace), STR("ab"));
    EXPECT_INT(task_count(l), 0);
    EXPECT_INT(loop_stats(l)->tasks_started, 2);
    loop_free(l);
}

static void make_another(void *arg) {
    say("1");
    EXPECT(task_new(say_arg, arg, "inner") != NULL);
    say("2");
}

TEST(made_by_a_task_runs_in_the_same_turn) {
    struct loop *l = loop_new(0);
    EXPECT(task_new(make_another, text("3"), "outer") != NULL);
    loop_turn(l, -1);
    EXPECT_STR(str_c(trace), STR("123"));
    loop_free(l);
}

static struct task *sleeper;
static int results[8], result_count;
static void park_for_ever(void *arg) {
    EXPECT_STR(str_c(task_name(task_self())), STR("sleeper"));
    EXPECT(task_loop(task_self()) == loop_self());
    sleeper = task_self();
    int r = task_park(UINT64_MAX);
    results[result_count++] = r;
    r = task_park(loop_now(loop_self()) + 20);
    results[result_count++] = r;
}

TEST(park_and_wake) {
    struct loop *l = loop_new(0);
    uint64_t now = 1000;
    loop_set_clock(l, test_clock, &now);
    EXPECT(task_new(park_for_ever, NULL, "sleeper") != NULL);
    loop_turn(l, 0);
    EXPECT_INT(result_count, 0);
    task_wake(sleeper);
    task_wake(sleeper); // the second is the same news
    loop_turn(l, 0);
    EXPECT_INT(result_count, 1);
    EXPECT_INT(results[0], 0);
    now += 19;
    loop_turn(l, 0);
    EXPECT_INT(result_count, 1);
    now++;
    loop_turn(l, 0);
    EXPECT_INT(results[1], -ETIMEDOUT);
    EXPECT_INT(task_count(l), 0);
    loop_free(l);
}

static void wakes_before_parks(void *arg) {
    task_wake(task_self());
    EXPECT_INT(task_park(UINT64_MAX), 0);
    uint64_t now = loop_now(loop_self());
    EXPECT_INT(task_park(now), -ETIMEDOUT);
    task_wake(task_self());
    EXPECT_INT(task_park(now), 0); // news wins over a deadline
    say("ok");
}

TEST(wake_before_park_is_not_lost) {
    struct loop *l = loop_new(0);
    EXPECT(task_new(wakes_before_parks, NULL, "t") != NULL);
    loop_turn(l, 0);
    EXPECT_STR(str_c(trace), STR("ok"));
    loop_free(l);
}

// Deadlines one after the other: later, earlier, none, so that the lazy timer is moved in each way.
static void deadlines(void *arg) {
    static const uint64_t waits[] = {100, 50, 70000, 3, 4096, 64, 1, 500000};
    struct loop *l = loop_self();
    for (int i = 0; i < ARRAY_LEN(waits); i++) {
        uint64_t until = loop_now(l) + waits[i];
        EXPECT_INT(task_park(until), -ETIMEDOUT);
        EXPECT_INT(loop_now(l), until);
        task_wake(task_self());
        EXPECT_INT(task_park(loop_now(l) + 1000), 0); // sets the timer, or not
        EXPECT_INT(task_yield(), 0);
    }
    say("ok");
}

TEST(deadlines_are_exact) {
    struct loop *l = loop_new(0);
    uint64_t now = 123456;
    loop_set_clock(l, test_clock, &now);
    EXPECT(task_new(deadlines, NULL, "t") != NULL);
    while (task_count(l) > 0) {
        now++;
        loop_turn(l, 0);
        loop_turn(l, 0);
    }
    EXPECT_STR(str_c(trace), STR("ok"));
    loop_free(l);
}

static void sleeps(void *arg) {
    uint64_t start = loop_now(loop_self());
    EXPECT_INT(task_sleep_ms(30), 0);
    EXPECT(loop_now(loop_self()) >= start + 30);
    say("ok");
}

TEST(sleep_is_not_shortened_by_wakes) {
    struct loop *l = loop_new(0);
    struct task *t = task_new(sleeps, NULL, "t");
    loop_turn(l, 0);
    for (int i = 0; i < 5; i++) {
        task_wake(t);
        loop_turn(l, 2);
    }
    run_all(l);
    EXPECT_STR(str_c(trace), STR("ok"));
    loop_free(l);
}

static void cancelled_everywhere(void *arg) {
    EXPECT_INT(task_park(UINT64_MAX), -ECANCELED);
    EXPECT(task_cancelled());
    EXPECT_INT(task_park(UINT64_MAX), -ECANCELED);
    EXPECT_INT(task_yield(), -ECANCELED);
    EXPECT_INT(task_sleep_ms(1000000), -ECANCELED);
    task_wake(task_self());
    EXPECT_INT(task_park(UINT64_MAX), -ECANCELED);
    task_shield(true);
    EXPECT(task_cancelled());
    EXPECT_INT(task_park(UINT64_MAX), 0); // the wake is still news
    EXPECT_INT(task_sleep_ms(5), 0);
    EXPECT_INT(task_yield(), 0);
    task_shield(false);
    EXPECT_INT(task_park(UINT64_MAX), -ECANCELED);
    say("ok");
}

TEST(cancel_is_sticky_and_shield_hides_it) {
    struct loop *l = loop_new(0);
    struct task *t = task_new(cancelled_everywhere, NULL, "t");
    loop_turn(l, 0);
    task_cancel(t);
    run_all(l);
    EXPECT_STR(str_c(trace), STR("ok"));
    trace[0] = '\0';
    t = task_new(cancelled_everywhere, NULL, "t");
    task_cancel(t); // before it has started: it starts, and its first wait says so
    run_all(l);
    EXPECT_STR(str_c(trace), STR("ok"));
    loop_free(l);
}

static void shielded_wait(void *arg) {
    task_shield(true);
    EXPECT_INT(task_park(UINT64_MAX), 0);
    task_shield(false);
    EXPECT_INT(task_park(UINT64_MAX), -ECANCELED);
    say("ok");
}

TEST(cancel_does_not_end_a_shielded_wait) {
    struct loop *l = loop_new(0);
    struct task *t = task_new(shielded_wait, NULL, "t");
    loop_turn(l, 0);
    task_cancel(t);
    loop_turn(l, 0);
    EXPECT_STR(str_c(trace), STR(""));
    task_wake(t);
    loop_turn(l, 0);
    EXPECT_STR(str_c(trace), STR("ok"));
    loop_free(l);
}

static void child(void *arg) {
    for (intptr_t i = (intptr_t)arg; i > 0; i--)
        task_yield();
    say("c");
}

static void joins(void *arg) {
    struct task *quick = task_new_joinable(child, (void *)0, "quick");
    struct task *slow = task_new_joinable(child, (void *)5, "slow");
    EXPECT_INT(task_yield(), 0);
    task_join(quick); // has ended
    say("q");
    task_cancel(task_self()); // does not end a join
    task_join(slow);
    say("s");
    EXPECT_INT(task_yield(), -ECANCELED);
}

TEST(join_before_and_after_the_end) {
    struct loop *l = loop_new(0);
    EXPECT(task_new(joins, NULL, "t") != NULL);
    run_all(l);
    EXPECT_STR(str_c(trace), STR("cqcs"));
    loop_free(l);
}

static void yields(void *arg) {
    for (int i = 0; i < 3; i++) {
        say(arg);
        task_yield();
    }
}

TEST(yield_lets_the_others_run) {
    struct loop *l = loop_new(0);
    EXPECT(task_new(yields, text("a"), "a") != NULL);
    EXPECT(task_new(yields, text("b"), "b") != NULL);
    EXPECT(task_new(yields, text("c"), "c") != NULL);
    run_all(l);
    EXPECT_STR(str_c(trace), STR("abcabcabc"));
    loop_free(l);
}

static struct task *pair[2];
static uint64_t hops;
static void ping(void *arg) {
    while (hops < 100000) {
        hops++;
        task_wake(pair[1 - (intptr_t)arg]);
        task_park(UINT64_MAX);
    }
    task_wake(pair[1 - (intptr_t)arg]);
}

static void match(void *arg) {
    pair[0] = task_new_joinable(ping, (void *)0, "ping");
    pair[1] = task_new_joinable(ping, (void *)1, "pong");
    task_join(pair[0]);
    task_join(pair[1]);
}

TEST(tasks_that_wake_each_other_do_not_keep_the_loop) {
    struct loop *l = loop_new(0);
    EXPECT(task_new(match, NULL, "match") != NULL);
    loop_turn(l, 0);
    EXPECT(hops > 100 && hops < 100000);
    run_all(l);
    EXPECT_INT(hops, 100000);
    EXPECT(loop_stats(l)->turns > 10);
    loop_free(l);
}

// --- stacks ----------------------------------------------------------------------------------------------------------------

// Live across a switch: more integers and doubles than there are callee-saved registers.
static NOINLINE uint64_t registers(uint64_t seed) {
    uint64_t i0 = seed, i1 = seed * 3, i2 = seed * 5, i3 = seed * 7, i4 = seed * 11, i5 = seed * 13, i6 = seed * 17;
    uint64_t i7 = seed * 19, i8 = seed * 23, i9 = seed * 29, i10 = seed * 31, i11 = seed * 37;
    double d0 = (double)seed, d1 = d0 * 2, d2 = d0 * 3, d3 = d0 * 4, d4 = d0 * 5, d5 = d0 * 6, d6 = d0 * 7, d7 = d0 * 8;
    for (int i = 0; i < 10; i++) {
        task_yield();
        i0 += i1, i1 += i2, i2 += i3, i3 += i4, i4 += i5, i5 += i6, i6 += i7, i7 += i8, i8 += i9, i9 += i10, i10 += i11;
        d0 += d1, d1 += d2, d2 += d3, d3 += d4, d4 += d5, d5 += d6, d6 += d7;
    }
    return (i0 ^ i1 ^ i2 ^ i3 ^ i4 ^ i5 ^ i6 ^ i7 ^ i8 ^ i9 ^ i10 ^ i11) + (uint64_t)(d0 + d1 + d2 + d3 + d4 + d5 + d6);
}

static uint64_t sums[8];
static void register_task(void *arg) {
    sums[(intptr_t)arg] = registers((uint64_t)(intptr_t)arg + 1);
}

TEST(registers_live_through_switches) {
    struct loop *l = loop_new(0);
    uint64_t alone[8];
    for (intptr_t i = 0; i < 8; i++) {
        EXPECT(task_new(register_task, (void *)i, "r") != NULL);
        run_all(l);
        alone[i] = sums[i];
    }
    for (intptr_t i = 0; i < 8; i++)
        EXPECT(task_new(register_task, (void *)i, "r") != NULL);
    run_all(l);
    for (int i = 0; i < 8; i++)
        EXPECT_INT(sums[i], alone[i]);
    EXPECT(alone[0] != alone[1]);
    loop_free(l);
}

static void *seen_task;
static void remember(void *arg) { seen_task = task_self(); }

TEST(stacks_are_reused_last_in_first_out) {
    struct loop *l = loop_new(0);
    EXPECT(task_new(remember, NULL, "t") != NULL);
    loop_turn(l, 0);
    void *first = seen_task;
    EXPECT(task_new(remember, NULL, "t") != NULL);
    loop_turn(l, 0);
    EXPECT(seen_task == first);
    loop_free(l);
}

static int woken_count;
static void one_of_many(void *arg) {
    volatile char local[512];
    memset((char *)local, 1, sizeof(local));
    EXPECT_INT(task_park(UINT64_MAX), 0);
    woken_count += local[7];
}

static void many(enum stack_guard best) {
    static struct task *tasks[MANY];
    stack_test_best_guard(best);
    struct loop *l = loop_new(0);
    for (int round = 0; round < 2; round++) {
        woken_count = 0;
        for (int i = 0; i < MANY; i++) {
            tasks[i] = task_new(one_of_many, NULL, "one of many");
            EXPECT(tasks[i] != NULL);
        }
        while (l->ready.head != NULL)
            loop_turn(l, 0);
        EXPECT_INT(task_count(l), MANY);
        for (int i = 0; i < MANY; i++)
            task_wake(tasks[i]);
        run_all(l);
        EXPECT_INT(woken_count, MANY);
    }
    loop_free(l);
}

TEST(many_tasks_guard_markers) { many(GUARD_INSTALL); }
TEST(many_tasks_protected_pages) { many(GUARD_PROTECT); }
TEST(many_tasks_canaries) { many(GUARD_CANARY); }

static NOINLINE int deep(int n) {
    volatile char frame[1000];
    memset((char *)frame, n, sizeof(frame));
    return n == 0 ? frame[0] : deep(n - 1) + frame[n % 1000];
}

static void overflow(void *arg) { deep(1000000); }

static void on_segv(int sig, siginfo_t *info, void *context) {
    const char *name = task_guard_name(info->si_addr);
    _exit(name != NULL && strcmp(name, "deep") == 0 && task_is_guard(info->si_addr) ? 77 : 78);
}

static int overflow_in_child(enum stack_guard best) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        static char handler_stack[65536];
        sigaltstack(&(stack_t){.ss_sp = handler_stack, .ss_size = sizeof(handler_stack)}, NULL);
        struct sigaction a = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_ONSTACK};
        sigaction(SIGSEGV, &a, NULL);
        sigaction(SIGBUS, &a, NULL);
        stack_test_best_guard(best);
        struct loop *l = loop_new(0);
        EXPECT(!task_is_guard(l) && !task_is_guard(NULL));
        EXPECT(task_new(remember, NULL, "before") != NULL);
        EXPECT(task_new(overflow, NULL, "deep") != NULL);
        loop_turn(l, 0);
        _exit(1);
    }
    int status = 0;
    EXPECT(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(overflow_meets_the_guard_page) {
    EXPECT_INT(overflow_in_child(GUARD_INSTALL), 77);
    EXPECT_INT(overflow_in_child(GUARD_PROTECT), 77);
}

static NOINLINE int down_to(const char *low) {
    volatile char frame[64];
    memset((char *)frame, 1, sizeof(frame));
    return (const char *)frame < low ? 1 : down_to(low) + frame[3];
}

static void overflow_a_little(void *arg) {
    down_to(task_self()->stack.low);
    task_yield();
}

static void overflow_canary(void *arg) {
    stack_test_best_guard(GUARD_CANARY);
    struct loop *l = loop_new(0);
    EXPECT(task_new(overflow_a_little, NULL, "deep") != NULL);
    loop_turn(l, 0);
}

TEST(overflow_breaks_the_canary) { EXPECT(test_dies(overflow_canary, NULL)); }

static void use_stack(void *arg) { down_to((char *)task_self() - 20000); }

TEST(high_water_in_debug_builds) {
    struct loop *l = loop_new(0);
    EXPECT(task_new(use_stack, NULL, "t") != NULL);
    run_all(l);
    size_t first = task_high_water();
    EXPECT(task_new(remember, NULL, "t") != NULL);
    run_all(l);
    EXPECT_INT(task_high_water(), first);
#ifdef WEIR_DEBUG
    EXPECT(first >= 20000 && first < 24000 + 4096);
#else
    EXPECT_INT(first, 0);
#endif
    loop_free(l);
}

static bool resident(const void *p) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char in = 0;
    EXPECT(mincore((void *)((uintptr_t)p & ~(page - 1)), page, &in) == 0);
    return in & 1;
}

TEST(unused_stacks_give_their_memory_back) {
    struct loop *l = loop_new(0);
    uint64_t now = 1000;
    loop_set_clock(l, test_clock, &now);
    struct task *t[10];
    for (int i = 0; i < 10; i++)
        t[i] = task_new(one_of_many, NULL, "t");
    loop_turn(l, 0);
    for (int i = 0; i < 10; i++)
        task_wake(t[i]);
    loop_turn(l, 0);
    EXPECT(resident(t[0]) && resident(t[9]));
    for (int i = 0; i < 4; i++) { // the one that is used stays warm
        now += 10000;
        EXPECT(task_new(remember, NULL, "t") != NULL);
        loop_turn(l, 0);
    }
    int left = 0;
    for (int i = 0; i < 10; i++)
        left += resident(t[i]);
    EXPECT(resident(seen_task));
    EXPECT(left <= 2); // tops of neighbours never share a page
    for (int i = 0; i < 10; i++) // and they serve again
        t[i] = task_new(one_of_many, NULL, "t");
    loop_turn(l, 0);
    for (int i = 0; i < 10; i++)
        task_wake(t[i]);
    run_all(l);
    EXPECT_INT(woken_count, 20);
    loop_free(l);
}

static void log_slot_child(void *arg) {
    EXPECT(*task_log_slot() == arg);
    *task_log_slot() = NULL;
}

static void log_slot_task(void *arg) {
    EXPECT(*task_log_slot() == NULL);
    *task_log_slot() = trace;
    EXPECT(task_new(log_slot_child, trace, "child") != NULL);
    task_yield();
    EXPECT(*task_log_slot() == trace);
}

TEST(log_slot_is_inherited) {
    struct loop *l = loop_new(0);
    EXPECT(task_new(log_slot_task, NULL, "t") != NULL);
    run_all(l);
    EXPECT(*task_log_slot() == NULL);
    loop_free(l);
}
