#include "wire/forwarded.h"
#include "base/test.h"

static struct cidr nets[3];
static struct trusted trusted(void) {
    bool truncated;
    EXPECT(cidr_parse(&nets[0], STR("10.0.0.0/8"), &truncated));
    EXPECT(cidr_parse(&nets[1], STR("fe80::/10"), &truncated));
    return (struct trusted){nets, 2};
}

static struct str text_of(const struct addr *a, struct arena *arena) {
    struct sbuf b;
    sbuf_init_arena(&b, arena, 32, ADDR_TEXT_MAX);
    addr_put(&b, &a->sa, true);
    return sbuf_view(&b);
}

TEST(forwarded_by_value_reads_from_the_end) {
    static const struct {
        const char *peer, *value, *last, *recursive; // NULL: not replaced
    } cases[] = {
        {"10.0.0.1", "1.2.3.4", "1.2.3.4:0", "1.2.3.4:0"},
        {"10.0.0.1", "1.1.1.1, 2.2.2.2", "2.2.2.2:0", "2.2.2.2:0"},
        {"10.0.0.1", "1.1.1.1, 10.0.0.2", "10.0.0.2:0", "1.1.1.1:0"},
        {"10.0.0.1", "1.1.1.1,10.0.0.2,10.0.0.3", "10.0.0.3:0", "1.1.1.1:0"},
        {"10.0.0.1", "10.0.0.4, 10.0.0.2 ,,", "10.0.0.2:0", "10.0.0.4:0"},
        {"10.0.0.1", "nonsense, 10.0.0.2", "10.0.0.2:0", "10.0.0.2:0"},
        {"10.0.0.1", "1.1.1.1, nonsense", NULL, NULL},
        {"10.0.0.1", "", NULL, NULL},
        {"10.0.0.1", " , ", NULL, NULL},
        {"11.0.0.1", "1.1.1.1", NULL, NULL},
        {"10.0.0.1", "1.2.3.4:99", "1.2.3.4:99", "1.2.3.4:99"},
        {"10.0.0.1", "[2001:db8::1]:99", "[2001:db8::1]:99", "[2001:db8::1]:99"},
        {"10.0.0.1", "2001:db8::1", "[2001:db8::1]:0", "[2001:db8::1]:0"},
        {"fe80::1", "::2", "[::2]:0", "[::2]:0"},
        {"10.0.0.1", "[::2]", NULL, NULL},
        {"10.0.0.1", "[1.2.3.4]:80", "1.2.3.4:80", "1.2.3.4:80"}, // as nginx
        {"10.0.0.1", "255.255.255.255", NULL, NULL},
        {"10.0.0.1", "1.2.3.4:0", NULL, NULL},
        {"10.0.0.1", "1.2.3.4:65536", NULL, NULL},
        {"10.0.0.1", "1.2.3.4:", NULL, NULL},
        {"10.0.0.1", "1.2.3", NULL, NULL},
        {"10.0.0.1", "unix:", NULL, NULL},
    };
    struct trusted t = trusted();
    struct arena arena;
    arena_init(&arena, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int recursive = 0; recursive < 2; recursive++) {
            struct addr a;
            EXPECT(addr_parse_ip(&a, str_c(cases[i].peer)));
            struct addr before = a;
            const char *want = recursive ? cases[i].recursive : cases[i].last;
            EXPECT_INT(forwarded_by_value(&a, str_c(cases[i].value), &t, recursive), want != NULL);
            if (want != NULL)
                EXPECT_STR(text_of(&a, &arena), str_c(want));
            else
                EXPECT(addr_eq(&a.sa, &before.sa));
        }
    }
    arena_done(&arena);
}

TEST(forwarded_by_field_goes_on_in_the_line_before) {
    struct arena arena;
    arena_init(&arena, NULL);
    struct head h;
    head_init(&h, &arena);
    head_add(&h, FIELD_X_FORWARDED_FOR, STR("X-Forwarded-For"), STR("1.1.1.1"));
    head_add(&h, FIELD_X_FORWARDED_FOR, STR("x-forwarded-for"), STR("10.0.0.9"));
    struct trusted t = trusted();
    struct addr a;
    EXPECT(addr_parse_ip(&a, STR("10.0.0.1")));
    EXPECT(forwarded_by_field(&a, &h, STR("X-Forwarded-For"), &t, false));
    EXPECT_STR(text_of(&a, &arena), STR("10.0.0.9:0"));
    EXPECT(addr_parse_ip(&a, STR("10.0.0.1")));
    EXPECT(forwarded_by_field(&a, &h, STR("X-Forwarded-For"), &t, true));
    EXPECT_STR(text_of(&a, &arena), STR("1.1.1.1:0"));
    EXPECT(!forwarded_by_field(&a, &h, STR("Other"), &t, true));
    arena_done(&arena);
}

TEST(trusted_peers_of_unix_sockets) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct trusted t = trusted();
    EXPECT(!trusted_has(&t, (struct sockaddr *)&un));
    nets[2] = (struct cidr){.family = AF_UNIX};
    t.n = 3;
    EXPECT(trusted_has(&t, (struct sockaddr *)&un));
    struct addr a = {.sa.sa_family = AF_UNIX};
    EXPECT(forwarded_by_value(&a, STR("1.2.3.4"), &t, false));
    EXPECT_INT(a.sa.sa_family, AF_INET);
}
