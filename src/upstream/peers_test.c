// Lists of peers that follow each other, what stays known of a peer, and slow start: with a clock that the tests set.
#include "base/test.h"
#include "upstream/names.h"
#include "upstream/state.h"

static struct group group;
static struct peer own[2];

static void make(unsigned n) {
    group = (struct group){.name = STR("g"), .peers = own, .npeers = n, .balancer = &balancer_round_robin};
    for (unsigned i = 0; i < n; i++)
        own[i] = (struct peer){.name = i ? STR("b") : STR("a"), .server = STR("s"), .weight = 1, .max_fails = 1, .fail_timeout_ms = 1000};
    group.state = group_state_new();
    group_attach(&group);
    group_prepare(&group, NULL);
}

static void end(void) {
    group_detach(&group);
    group_state_unref(group.state);
}

static struct peer *choose(struct group *g, uint64_t now) {
    uint64_t tried[GROUP_PEERS_MAX / 64] = {0};
    return group_choose(g, NULL, tried, now);
}

static void release(struct group *g, struct peer *p, enum peer_result result, uint64_t now) {
    group_release(g, p, &(struct peer_end){.result = result, .start_ms = now, .header_ms = UINT64_MAX}, now);
}

// A list of these names.
static struct group *list_of(const char *names) {
    struct group *list = group_list_new(&group, (unsigned)strlen(names));
    for (unsigned i = 0; names[i] != '\0'; i++)
        list->peers[i] = (struct peer){.name = str_n(names + i, 1), .server = STR("s"), .weight = 1, .max_fails = 1, .fail_timeout_ms = 1000};
    group_list_ready(list);
    return list;
}

TEST(lists_share_what_is_known_of_a_peer) {
    make(2);
    struct group *list = list_of("bc");
    EXPECT(list->peers[0].state == own[1].state && list->peers[1].state != own[0].state);
    struct peer *p = choose(&group, 5000); // a
    struct peer *q = choose(&group, 5000); // b
    EXPECT(p == &own[0] && q == &own[1]);
    EXPECT_INT(list->peers[0].state->active, 1);
    release(&group, q, PEER_FAILED, 5000);
    release(&group, p, PEER_OK, 5000);
    EXPECT_INT(list->peers[0].state->active, 0);
    for (int i = 0; i < 3; i++) { // b is out in the list, too
        p = choose(list, 5001);
        EXPECT(p == &list->peers[1]);
        release(list, p, PEER_OK, 5001);
    }
    group_done(list);
    end();
}

TEST(lists_use_slots_again) {
    make(2);
    for (int i = 0; i < 100; i++) {
        char names[3] = {(char)('c' + i % 20), (char)('C' + i % 20), 0};
        struct group *list = list_of(names);
        EXPECT(list->peers[0].state->active == 0 && list->peers[0].state->fails == 0);
        release(list, choose(list, 5000), PEER_FAILED, 5000);
        group_done(list);
    }
    EXPECT_INT(group.state->nslots, 4);
    end();
}

TEST(lists_are_counted) {
    make(1);
    struct group_names names = {.current = NULL};
    group.names = &names;
    EXPECT(group_now(&group) == &group);
    group_done(&group);
    names.current = list_of("x");
    struct group *held = group_now(&group);
    EXPECT(held == names.current && held->refs == 2);
    struct group *next = list_of("y");
    group_done(names.current);
    names.current = next;
    EXPECT_INT(held->refs, 1);
    EXPECT_STR(held->peers[0].name, STR("x")); // who has it keeps it
    group_done(held);
    group_done(next);
    end();
}

TEST(two_peers_of_one_address_are_two) {
    make(2);
    own[1].name = STR("a");
    group_detach(&group);
    group_attach(&group);
    EXPECT(own[0].state != own[1].state);
    end();
}

// How many of n requests the first peer gets.
static int share(uint64_t now, int n) {
    int first = 0;
    for (int i = 0; i < n; i++) {
        struct peer *p = choose(&group, now);
        first += p == &own[0];
        release(&group, p, PEER_OK, now);
    }
    return first;
}

TEST(slow_start) {
    make(2);
    own[0].slow_start_ms = 10000;
    group_prepare(&group, NULL);
    EXPECT_INT(share(1000, 20), 10); // at first nobody is slow
    struct peer *p = choose(&group, 1000);
    while (p != &own[0]) {
        release(&group, p, PEER_OK, 1000);
        p = choose(&group, 1000);
    }
    release(&group, p, PEER_FAILED, 1000);
    EXPECT_INT(share(1500, 20), 0);
    // After fail_timeout it is asked once, answers, and begins to grow.
    uint64_t now = 2001;
    while (own[0].state->out)
        share(now, 1);
    EXPECT_INT(own[0].state->start_ms, now);
    int a = share(now + 1000, 110), b = share(now + 5000, 90), c = share(now + 10000, 20);
    EXPECT(a >= 7 && a <= 13);  // a tenth of the weight: 1 of 11
    EXPECT(b >= 27 && b <= 33); // a half: 1 of 3
    EXPECT(c >= 9 && c <= 11);
    end();
}

TEST(unhealthy_and_checking_peers_are_not_asked) {
    make(2);
    own[0].state->health = HEALTH_UNHEALTHY;
    EXPECT_INT(share(1000, 6), 0);
    own[0].state->health = HEALTH_CHECKING;
    EXPECT_INT(share(1000, 6), 0);
    own[0].state->health = HEALTH_UP;
    EXPECT_INT(share(1000, 6), 3);
    group.mandatory = true;
    struct group *list = list_of("ax");
    EXPECT_INT(list->peers[0].state->health, HEALTH_UP);
    EXPECT_INT(list->peers[1].state->health, HEALTH_CHECKING);
    group_done(list);
    end();
}

static int bound_peer;
static int find_bound(const struct group *g, struct req *r) { return bound_peer; }

TEST(drained_peers_are_for_bound_requests) {
    static const struct sticky sticky = {.name = "test", .find = find_bound};
    make(2);
    own[0].flags = PEER_DRAIN;
    group.sticky = &sticky;
    EXPECT_INT(share(1000, 6), 0); // no request, no binding
    uint64_t tried[1] = {0};
    struct req *r = (struct req *)(uintptr_t)&bound_peer; // only passed on
    struct peer *p = group_choose(&group, r, tried, 1000);
    EXPECT(p == &own[0]);
    release(&group, p, PEER_OK, 1000);
    p = group_choose(&group, r, tried, 1000); // once only
    EXPECT(p == &own[1]);
    release(&group, p, PEER_OK, 1000);
    end();
}

// What the status API will tell of a peer.
TEST(peers_are_counted) {
    make(2);
    struct peer *p;
    do {
        p = choose(&group, 1000);
        if (p != &own[0])
            release(&group, p, PEER_OK, 1000);
    } while (p != &own[0]);
    struct peer_state *ps = own[0].state;
    EXPECT_INT(ps->selected_ms, 1000);
    struct peer_end how = {PEER_FAILED, 1000, 502, UINT64_MAX, 100, 20};
    group_release(&group, p, &how, 1500);
    EXPECT_INT(ps->sent, 100);
    EXPECT_INT(ps->received, 20);
    EXPECT_INT(ps->responses[5], 1);
    EXPECT_INT(ps->unavailable, 1);
    EXPECT_INT(ps->away_ms, 1500);
    // Unhealthy as well, then healthy: it is still counted out; then it answers.
    pthread_mutex_lock(&group.state->lock);
    ps->health = HEALTH_UNHEALTHY;
    group_note_check(ps, false, HEALTH_UNCHECKED, 1600);
    ps->health = HEALTH_UP;
    group_note_check(ps, true, HEALTH_UNHEALTHY, 1700);
    pthread_mutex_unlock(&group.state->lock);
    EXPECT_INT(ps->away_ms, 1500);
    EXPECT_INT(ps->checks, 2);
    EXPECT_INT(ps->checks_failed, 1);
    EXPECT_INT(ps->unhealthy, 1);
    EXPECT(ps->check_passed);
    uint64_t now = 3000;
    while (ps->out)
        share(now += 10, 1);
    EXPECT_INT(ps->away_ms, 0);
    EXPECT(ps->downtime_ms >= 1510 && ps->downtime_ms < 2000);
    end();
}
