// Groups made at run time: found again, followed when their addresses change, bounded.
#include "base/test.h"
#include "io/loop.h"
#include "upstream/addresses.h"
#include "upstream/state.h"

static struct addr_full address(const char *text) {
    struct addr_full a;
    const char *why;
    EXPECT(addr_parse(&a, str_c(text), 80, false, &why));
    return a;
}

TEST(addresses_are_found_again) {
    struct addresses *as = addresses_new();
    struct addr_full one[] = {address("127.0.0.1:81")}, two[] = {address("127.0.0.2:81"), address("127.0.0.1:81")},
                     swapped[] = {address("127.0.0.1:81"), address("127.0.0.2:81")};
    struct group *a = addresses_group(as, STR("app:81"), 80, one, 1), *b = addresses_group(as, STR("APP:81"), 80, one, 1);
    EXPECT(a == b);
    EXPECT_STR(a->peers[0].name, STR("127.0.0.1:81"));
    EXPECT(a->keepalive != 0);
    struct group *other = addresses_group(as, STR("app:81"), 443, one, 1);
    EXPECT(other != a);
    group_done(other);
    // Other addresses: another list, the same state, and what is known of an address stays.
    a->peers[0].state->requests = 7;
    struct group *c = addresses_group(as, STR("app:81"), 80, two, 2);
    EXPECT(c != a && c->state == a->state);
    EXPECT_INT(c->peers[1].state->requests, 7);
    EXPECT_INT(c->peers[0].state->requests, 0);
    EXPECT(addresses_group(as, STR("app:81"), 80, swapped, 2) == c);
    EXPECT_INT(addresses_count(as), 2);
    group_done(a);
    group_done(b);
    group_done(c);
    group_done(c);
    addresses_free(as);
}

TEST(addresses_are_bounded) {
    struct addresses *as = addresses_new();
    struct addr_full at = address("127.0.0.1:81");
    struct group *first = addresses_group(as, STR("first"), 80, &at, 1);
    for (unsigned i = 0; i < 3 * ADDRESSES_MAX; i++) {
        char text[32];
        struct sbuf b;
        sbuf_init_fixed(&b, text, sizeof(text));
        sbuf_printf(&b, "host%u", i);
        group_done(addresses_group(as, sbuf_view(&b), 80, &at, 1));
        EXPECT(addresses_count(as) <= ADDRESSES_MAX);
    }
    // Who has it keeps it; it is not found any more.
    EXPECT_STR(first->peers[0].name, STR("127.0.0.1:81"));
    struct group *again = addresses_group(as, STR("first"), 80, &at, 1);
    EXPECT(again->state != first->state);
    group_done(again);
    group_done(first);
    addresses_free(as);
}
