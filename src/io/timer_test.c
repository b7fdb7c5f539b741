#include "base/test.h"
#include "io/loop_private.h"
#include <stdio.h>
#include <stdlib.h>

static uint64_t test_clock(void *arg) { return *(uint64_t *)arg; }

static uint64_t random_state = 88172645463325252u;
static uint64_t random_next(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

// --- against a model -------------------------------------------------------------------------------------------------------

enum { TIMERS = 200 };

struct model {
    struct timer timer;
    uint64_t due; // UINT64_MAX: silent
    bool fired;
};

static struct model models[TIMERS];
static struct wheel wheel;
static struct loop *model_loop;

static void model_fired(struct timer *t) {
    struct model *m = container_of(t, struct model, timer);
    EXPECT(!m->fired);
    m->fired = true;
    EXPECT(t->due_ms == UINT64_MAX);
}

static uint64_t random_distance(void) {
    return random_next() % (UINT64_C(2) << (random_next() % 40));
}

static void model_step(uint64_t *now) {
    for (int i = 0; i < 20; i++) {
        struct model *m = &models[random_next() % TIMERS];
        switch (random_next() % 8) {
        case 0:
            timer_clear(&m->timer);
            m->due = UINT64_MAX;
            break;
        case 1:
            timer_remove(&m->timer);
            m->due = UINT64_MAX;
            break;
        default:
            m->due = *now + random_distance();
            timer_set(model_loop, &m->timer, m->due);
        }
    }
    uint64_t first = UINT64_MAX;
    for (int i = 0; i < TIMERS; i++)
        first = MIN(first, MAX(models[i].due, *now + 1));
    uint64_t hint = wheel_next(&model_loop->wheel);
    EXPECT(hint <= first && hint > *now);
    *now = random_next() % 2 ? *now + random_next() % 100 : random_next() % 2 ? hint : *now + random_distance();
    if (*now == UINT64_MAX || *now < model_loop->wheel.now)
        *now = model_loop->wheel.now;
    loop_turn(model_loop, 0);
    for (int i = 0; i < TIMERS; i++) {
        struct model *m = &models[i];
        bool due = m->due <= *now && model_loop->now == *now;
        // What was set to a time that had passed comes up with the next millisecond.
        if (m->fired != due && !(due && m->timer.due_ms == m->due && m->timer.queued_ms == *now + 1))
            test_fail(__FILE__, __LINE__, "timer %d due %llu fired %d at %llu", i, (unsigned long long)m->due, m->fired,
                      (unsigned long long)*now);
        if (m->fired)
            m->due = UINT64_MAX;
        m->fired = false;
    }
}

TEST(wheel_agrees_with_a_model) {
    static const uint64_t starts[] = {1, 4090, UINT64_C(0xfffffff0), (UINT64_C(1) << 36) - 100, (UINT64_C(1) << 42) - 7,
                                      UINT64_C(1) << 60};
    for (int s = 0; s < ARRAY_LEN(starts); s++) {
        struct loop *l = model_loop = loop_new(0);
        uint64_t now = starts[s];
        loop_set_clock(l, test_clock, &now);
        for (int i = 0; i < TIMERS; i++) {
            timer_init(&models[i].timer, model_fired);
            models[i].due = UINT64_MAX;
            models[i].fired = false;
        }
        for (int step = 0; step < 3000; step++)
            model_step(&now);
        for (int i = 0; i < TIMERS; i++)
            timer_remove(&models[i].timer);
        loop_free(l);
    }
}

// --- single properties -----------------------------------------------------------------------------------------------------

static int fired;
static void count(struct timer *t) { fired++; }

TEST(moving_later_leaves_it_in_place) {
    struct loop *l = loop_new(0);
    uint64_t now = 1000;
    loop_set_clock(l, test_clock, &now);
    struct timer t;
    timer_init(&t, count);
    timer_remove(&t); // harmless
    timer_set(l, &t, 2000);
    struct list *where = t.node.prev;
    timer_set(l, &t, 100000);
    EXPECT(t.node.prev == where && t.queued_ms == 2000);
    now = 2000;
    loop_turn(l, 0);
    EXPECT_INT(fired, 0);
    EXPECT_INT(t.queued_ms, 100000);
    timer_set(l, &t, 3000); // earlier: it moves
    EXPECT_INT(t.queued_ms, 3000);
    now = 2999;
    loop_turn(l, 0);
    EXPECT_INT(fired, 0);
    now = 3000;
    loop_turn(l, 0);
    EXPECT_INT(fired, 1);
    timer_set(l, &t, 4000);
    timer_clear(&t);
    now = 5000;
    loop_turn(l, 0);
    EXPECT_INT(fired, 1);
    EXPECT(list_empty(&t.node)); // it fell out when its place came up
    loop_free(l);
}

static struct timer again, other;
static struct loop *again_loop;
static void set_again(struct timer *t) {
    fired++;
    timer_set(again_loop, t, loop_now(again_loop)); // now means: the next millisecond, not for ever in this one
    timer_remove(&other);
}
static void never(struct timer *t) { EXPECT(!"a removed timer fires"); }

TEST(firing_may_set_and_remove) {
    struct loop *l = again_loop = loop_new(0);
    uint64_t now = 1000;
    loop_set_clock(l, test_clock, &now);
    timer_init(&again, set_again);
    timer_init(&other, never);
    timer_set(l, &again, 1064);
    timer_set(l, &other, 1064); // same slot, behind it
    now = 1064;
    loop_turn(l, 0);
    EXPECT_INT(fired, 1);
    loop_turn(l, 0);
    EXPECT_INT(fired, 1);
    now++;
    loop_turn(l, 0);
    EXPECT_INT(fired, 2);
    timer_remove(&again);
    loop_free(l);
}

TEST(idle_timers_cost_nothing_per_turn) {
    enum { IDLE = 100000 };
    wheel_init(&wheel, 5000);
    struct loop *l = loop_new(0);
    uint64_t now = 1000;
    loop_set_clock(l, test_clock, &now);
    struct timer *t = xcalloc(IDLE, sizeof(*t));
    for (int i = 0; i < IDLE; i++) {
        timer_init(&t[i], count);
        timer_set(l, &t[i], now + 75000 + (uint64_t)i % 100);
    }
    timer_remove(&l->trim_timer);
    int wakes = 0;
    while (fired < IDLE) {
        now = wheel_next(&l->wheel);
        loop_turn(l, 0);
        wakes++;
    }
    EXPECT_INT(now, 1000 + 75099);
    EXPECT(wakes <= 100 + 8); // one for each millisecond that has timers, a few to bring them down the levels
    free(t);
    loop_free(l);
}

TEST(sleeping_loop_wakes_for_a_timer) {
    struct loop *l = loop_new(0);
    struct timer t;
    timer_init(&t, count);
    for (uint64_t ms = 1; ms < 40; ms += 7) {
        fired = 0;
        loop_turn(l, 0);
        uint64_t start = loop_now(l);
        timer_set(l, &t, start + ms);
        while (fired == 0)
            loop_turn(l, -1);
        EXPECT(loop_now(l) >= start + ms);
    }
    timer_remove(&t);
    loop_free(l);
}

TEST(a_new_clock_takes_the_timers_along) {
    struct loop *l = loop_new(0);
    struct timer t;
    timer_init(&t, count);
    timer_set(l, &t, loop_now(l) + 1000);
    uint64_t now = 10; // long before
    loop_set_clock(l, test_clock, &now);
    EXPECT_INT(loop_now(l), 10);
    timer_set(l, &t, 20);
    now = 19;
    loop_turn(l, 0);
    EXPECT_INT(fired, 0);
    now = 20;
    loop_turn(l, 0);
    EXPECT_INT(fired, 1);
    loop_free(l);
}
