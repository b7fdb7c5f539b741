// What is learnt of a peer that closes idle connections.
#include "base/test.h"
#include "upstream/learn.h"

static struct peer_state fresh(void) {
    return (struct peer_state){.closes_ms = UINT32_MAX, .early_ms = UINT32_MAX};
}

static bool safe(struct peer_state *ps, uint64_t idle_ms, uint64_t now) {
    bool survivor = false, canary = false;
    return learn_safe(ps, idle_ms, now, &survivor, &canary) && !canary;
}

TEST(learn_canary) {
    struct peer_state ps = fresh();
    bool survivor = false, canary = false, second = false;
    EXPECT(learn_safe(&ps, 5, 1000, &survivor, &canary) && canary);
    EXPECT(!learn_safe(&ps, 5, 1000, &survivor, &second) && !second);
    learn_canary_done(&ps, false);
    EXPECT(learn_safe(&ps, 5, 1000, &survivor, &second) && second);
    learn_kept(&ps, 19);
    EXPECT(!safe(&ps, 5, 1000));
    learn_kept(&ps, 20);
    EXPECT(safe(&ps, 5, 1000));
    learn_kept(&ps, 3);
    EXPECT_INT(ps.kept_ms, 20);
    // Or some canaries are answered, and no close comes between.
    struct peer_state busy = fresh();
    for (unsigned i = 0; i < 5; i++) {
        EXPECT(learn_safe(&busy, 0, 1000, &survivor, &canary) && canary);
        learn_canary_done(&busy, i != 1);
        if (i == 2) {
            learn_closed(&busy, 0, 1000);
            busy.early_ms = UINT32_MAX;
        }
    }
    EXPECT(!safe(&busy, 0, 1000));
    learn_canary_done(&busy, true);
    EXPECT(safe(&busy, 0, 1000));
}

// A back end that closes at random ages and is slow to do it now and then: a few links that live on prove nothing, nor does a
// close at a greater age.
TEST(learn_wants_many_survivors) {
    struct peer_state ps = fresh();
    uint64_t now = 100000;
    for (unsigned i = 0; i < 3; i++)
        learn_closed(&ps, 2 - i, now += 20);
    EXPECT_INT(ps.early_ms, 0);
    EXPECT_INT(ps.early_weight, 12);
    learn_closed(&ps, 100, now += 20);
    EXPECT_INT(ps.early_ms, 0);
    EXPECT_INT(ps.early_weight, 11);
    learn_closed(&ps, 1, now += 20); // some at once are one event
    learn_closed(&ps, 1, now + 5);
    EXPECT_INT(ps.early_weight, 15);
    EXPECT(!safe(&ps, 0, now) && !safe(&ps, 40, now));
    EXPECT_INT(ps.early_weight, 15);
    bool links[15] = {false}, canary = false;
    for (unsigned i = 0; i < 14; i++)
        for (unsigned again = 0; again < 3; again++)
            EXPECT(!learn_safe(&ps, 100, now, &links[i], &canary)); // each counts once
    EXPECT_INT(ps.early_weight, 1);
    EXPECT(learn_safe(&ps, 100, now, &links[14], &canary) && !canary);
    EXPECT(safe(&ps, 0, now)); // kept for 100 ms, as was seen
}

// Started anew, it closes all its links at once, young ones among them: that is forgotten when no more closes come. A back end
// that closes early goes on doing it.
TEST(learn_forgets) {
    struct peer_state ps = fresh();
    learn_closed(&ps, 3, 1000);
    learn_closed(&ps, 700, 1001);
    EXPECT(!safe(&ps, 1, 4000));
    EXPECT(safe(&ps, 1, 4001));
    for (unsigned i = 0; i < 4; i++) {
        learn_closed(&ps, 3, 10000 + i * 2900);
        EXPECT(!safe(&ps, 1, 10000 + i * 2900 + 2800));
    }
    struct peer_state slow = fresh();
    learn_closed(&slow, 5000, 1000);
    EXPECT(!safe(&slow, 4900, 1000 + 9 * 60 * 1000));
    EXPECT(safe(&slow, 4900, 1000 + 10 * 60 * 1000));
    EXPECT_INT(slow.closes_ms, UINT32_MAX);
}

TEST(learn_times_out) {
    struct peer_state ps = fresh();
    uint64_t now = 100000;
    EXPECT(learn_retire_after(&ps, now) == UINT64_MAX);
    learn_closed(&ps, 5000, now += 6000);
    EXPECT(learn_retire_after(&ps, now) == UINT64_MAX); // once is chance
    EXPECT(safe(&ps, 4400, now) && !safe(&ps, 4600, now) && !safe(&ps, 5100, now));
    learn_closed(&ps, 5010, now += 6000);
    EXPECT_INT(learn_retire_after(&ps, now), 4500);
    learn_closed(&ps, 100, now += 6000);
    EXPECT(learn_retire_after(&ps, now) == UINT64_MAX); // another age
    struct peer_state quick = fresh();
    learn_closed(&quick, 500, now);
    learn_closed(&quick, 500, now += 600);
    EXPECT(learn_retire_after(&quick, now) == UINT64_MAX); // too short an age to be a time-out
}
