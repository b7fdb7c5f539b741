// The balancer and who is eligible: sequences that are known, and failures, limits, backups.
#include "base/test.h"
#include "upstream/state.h"
#include <stdlib.h>

enum { PEERS = 70 };

static struct peer peers[PEERS];
static struct group group;
static uint64_t tried[GROUP_PEERS_MAX / 64];

static void make(unsigned n, const unsigned *weights) {
    group = (struct group){.name = STR("test"), .peers = peers, .npeers = n, .balancer = &balancer_round_robin};
    for (unsigned i = 0; i < n; i++)
        peers[i] = (struct peer){.name = STR("p"), .weight = weights ? weights[i] : 1, .max_fails = 1, .fail_timeout_ms = 10000, .index = i};
    group.state = group_state_new();
    group_attach(&group);
    group_prepare(&group, NULL);
}

static int choose_at(uint64_t now) {
    memset(tried, 0, sizeof(tried));
    struct peer *p = group_choose(&group, NULL, tried, now);
    return p == NULL ? -1 : (int)p->index;
}

static int ask(uint64_t now, enum peer_result result) {
    int i = choose_at(now);
    if (i >= 0)
        group_release(&group, &peers[i], &(struct peer_end){.result = result, .start_ms = now}, now);
    return i;
}

// "abacaba" for n choices that end well.
static const char *sequence(unsigned n) {
    static char text[256];
    for (unsigned i = 0; i < n; i++)
        text[i] = (char)('a' + ask(100000, PEER_OK));
    text[n] = '\0';
    return text;
}

TEST(round_robin_weights) {
    make(3, (unsigned[]){5, 1, 1});
    EXPECT_STR(str_c(sequence(14)), STR("aabacaaaabacaa"));
    group_state_unref(group.state);
    make(3, NULL);
    EXPECT_STR(str_c(sequence(7)), STR("abcabca"));
    group_state_unref(group.state);
    make(2, (unsigned[]){1, 2});
    EXPECT_STR(str_c(sequence(6)), STR("babbab"));
    group_state_unref(group.state);
    make(1, (unsigned[]){7});
    EXPECT_STR(str_c(sequence(3)), STR("aaa"));
    group_state_unref(group.state);
}

TEST(round_robin_share_is_exact) {
    unsigned weights[PEERS], total = 0, seen[PEERS] = {0};
    for (unsigned i = 0; i < PEERS; i++)
        total += weights[i] = 1 + i % 5;
    make(PEERS, weights);
    for (unsigned i = 0; i < 3 * total; i++)
        seen[ask(100000, PEER_OK)]++;
    for (unsigned i = 0; i < PEERS; i++)
        EXPECT_INT(seen[i], 3 * weights[i]);
    group_state_unref(group.state);
}

// A failure takes weight / max_fails away; each choice gives one back.
TEST(round_robin_failed_peer_comes_back_slowly) {
    make(2, (unsigned[]){4, 4});
    peers[0].max_fails = peers[1].max_fails = 100;
    peers[0].max_fails = 2; // one failure: 4 - 2
    EXPECT_INT(ask(100000, PEER_FAILED), 0);
    EXPECT_INT(peers[0].state->effective_weight, 2);
    ask(100000, PEER_OK);
    EXPECT_INT(peers[0].state->effective_weight, 3);
    ask(100000, PEER_OK);
    ask(100000, PEER_OK);
    EXPECT_INT(peers[0].state->effective_weight, 4);
    group_state_unref(group.state);
}

TEST(eligible_failures_count_out_and_probe) {
    make(2, NULL);
    EXPECT_INT(ask(100000, PEER_FAILED), 0); // a is out until 110000
    EXPECT_INT(ask(100001, PEER_OK), 1);
    EXPECT_INT(ask(105000, PEER_OK), 1);
    EXPECT_INT(ask(110000, PEER_OK), 1);
    // Afterwards one request probes it while others still go round.
    int first;
    for (int i = 0; (first = choose_at(110001)) != 0; i++) { // its weight grows from 0 again
        EXPECT(i < 3);
        group_release(&group, &peers[first], &(struct peer_end){.result = PEER_OK, .start_ms = 110001}, 110001);
    }
    EXPECT_INT(ask(110002, PEER_OK), 1);
    EXPECT_INT(ask(110003, PEER_OK), 1);
    group_release(&group, &peers[0], &(struct peer_end){.result = PEER_OK, .start_ms = 110004}, 110004);
    EXPECT_INT(peers[0].state->fails, 0);
    group_state_unref(group.state);
}

TEST(eligible_one_peer_is_never_counted_out) {
    make(1, NULL);
    for (unsigned i = 0; i < 5; i++)
        EXPECT_INT(ask(100000 + i, PEER_FAILED), 0);
    group_state_unref(group.state);
}

TEST(eligible_max_fails_zero_never_counts) {
    make(2, NULL);
    peers[0].max_fails = peers[1].max_fails = 0;
    for (unsigned i = 0; i < 6; i++)
        EXPECT_INT(ask(100000, PEER_FAILED), i % 2);
    group_state_unref(group.state);
}

TEST(eligible_down_full_backup_tried) {
    make(4, NULL);
    peers[0].flags = PEER_DOWN;
    peers[1].max_conns = 1;
    peers[3].flags = PEER_BACKUP;
    EXPECT_INT(choose_at(100000), 1);   // now full
    EXPECT_INT(choose_at(100000), 2);
    peers[2].max_conns = 1;             // full as well
    EXPECT_INT(choose_at(100000), 3);   // so the backup
    group_release(&group, &peers[1], &(struct peer_end){.result = PEER_OK, .start_ms = 100000}, 100000);
    EXPECT_INT(choose_at(100000), 1);
    peers[3].flags |= PEER_DOWN;
    EXPECT_INT(choose_at(100000), -1);
    group_release(&group, &peers[1], &(struct peer_end){.result = PEER_NEUTRAL, .start_ms = 100000}, 100000);
    group_release(&group, &peers[2], &(struct peer_end){.result = PEER_OK, .start_ms = 100000}, 100000);
    group_release(&group, &peers[3], &(struct peer_end){.result = PEER_OK, .start_ms = 100000}, 100000);
    // Each at most once for one request.
    peers[2].max_conns = 0;
    memset(tried, 0, sizeof(tried));
    struct peer *a = group_choose(&group, NULL, tried, 100000), *b = group_choose(&group, NULL, tried, 100000);
    EXPECT(a != NULL && b != NULL && a != b);
    EXPECT(group_choose(&group, NULL, tried, 100000) == NULL);
    group_state_unref(group.state);
}
