#include "wire/addr_map.h"
#include "base/test.h"

static char values[64];

static struct addr_network network(const char *text, size_t value) {
    struct addr_network n = {.value = values + value};
    bool truncated;
    EXPECT(cidr_parse(&n.net, str_c(text), &truncated));
    EXPECT(!truncated);
    return n;
}

static long find(const struct addr_map *m, const char *address) {
    struct addr a;
    EXPECT(addr_parse_ip(&a, str_c(address)));
    char *v = addr_map_find(m, &a.sa);
    return v != NULL ? v - values : -1;
}

TEST(addr_map_longest_network_counts) {
    struct arena arena;
    arena_init(&arena, NULL);
    struct addr_network nets[] = {
        network("10.0.0.0/8", 1),     network("10.1.0.0/16", 2), network("10.1.2.0/24", 3), network("10.1.2.3", 4),
        network("10.255.255.255", 5), network("0.0.0.0", 6),     network("255.255.255.255", 7),
        network("2001:db8::/32", 8),  network("2001:db8::1", 9), network("::/0", 10),  network("ffff::/16", 11),
    };
    struct addr_map m;
    addr_map_of_networks(&m, nets, ARRAY_LEN(nets), &arena);
    static const struct {
        const char *address;
        long value;
    } cases[] = {{"10.0.0.0", 1},   {"10.0.255.255", 1}, {"10.1.0.0", 2}, {"10.1.1.255", 2},   {"10.1.2.2", 3}, {"10.1.2.3", 4},
                 {"10.1.2.4", 3},   {"10.1.3.0", 2},     {"10.2.0.0", 1}, {"10.255.255.255", 5}, {"10.255.255.254", 1},
                 {"9.255.255.255", -1}, {"11.0.0.0", -1}, {"0.0.0.0", 6}, {"0.0.0.1", -1}, {"255.255.255.255", 7},
                 {"2001:db8::", 8}, {"2001:db8::1", 9}, {"2001:db8::2", 8}, {"2001:db9::", 10}, {"::", 10}, {"fffe::", 10},
                 {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 11}, {"::ffff:10.1.2.3", 4}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        EXPECT_INT(find(&m, cases[i].address), cases[i].value);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    EXPECT(addr_map_find(&m, (struct sockaddr *)&un) == values + 7);
    arena_done(&arena);
}

// Against a search through all networks.
TEST(addr_map_agrees_with_a_plain_search) {
    struct arena arena;
    arena_init(&arena, NULL);
    uint64_t seed = 12345;
    for (int round = 0; round < 200; round++) {
        struct addr_network nets[20];
        size_t n = 0;
        for (int i = 0; i < 20; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            unsigned bits = (unsigned)(seed >> 60) + 17, word = (unsigned)(seed >> 32) & 0xff;
            struct addr_network one = network(arena_printf(&arena, "%u.0.0.0/8", 1 + word % 2).p, (size_t)i + 1);
            one.net.bits = (uint8_t)bits;
            one.net.bytes[2] = (uint8_t)(word & (0xff00 >> (bits > 24 ? 8 : bits - 16)) & 0xff);
            one.net.bytes[3] = bits > 24 ? (uint8_t)((seed >> 20) & (0xff00u >> (bits - 24)) & 0xff) : 0;
            bool again = false;
            for (size_t k = 0; k < n; k++)
                again |= memcmp(&nets[k].net, &one.net, sizeof(one.net)) == 0;
            if (!again)
                nets[n++] = one;
        }
        struct addr_map m;
        addr_map_of_networks(&m, nets, n, &arena);
        for (unsigned a = 0; a < 400; a++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            struct sockaddr_in in = {.sin_family = AF_INET};
            in.sin_addr.s_addr = htonl((unsigned)(1 + a % 2) << 24 | ((unsigned)(seed >> 40) & 0xffff));
            void *want = NULL;
            int best = -1;
            for (size_t k = 0; k < n; k++) {
                if (cidr_has(&nets[k].net, (struct sockaddr *)&in) && nets[k].net.bits > best) {
                    best = nets[k].net.bits;
                    want = nets[k].value;
                }
            }
            EXPECT(addr_map_find(&m, (struct sockaddr *)&in) == want);
        }
    }
    arena_done(&arena);
}

TEST(addr_map_ranges) {
    struct arena arena;
    arena_init(&arena, NULL);
    const struct addr_range ranges[] = {{0, 5, values + 1}, {6, 6, values + 2}, {100, 200, values + 3}, {UINT32_MAX, UINT32_MAX, values + 4}};
    struct addr_map m;
    addr_map_of_ranges(&m, ranges, ARRAY_LEN(ranges), &arena);
    static const struct {
        const char *address;
        long value;
    } cases[] = {{"0.0.0.0", 1}, {"0.0.0.5", 1}, {"0.0.0.6", 2}, {"0.0.0.7", -1}, {"0.0.0.99", -1}, {"0.0.0.100", 3}, {"0.0.0.200", 3},
                 {"0.0.0.201", -1}, {"255.255.255.254", -1}, {"255.255.255.255", 4}, {"::1", -1}, {"::ffff:0.0.0.6", 2}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        EXPECT_INT(find(&m, cases[i].address), cases[i].value);
    addr_map_of_ranges(&m, NULL, 0, &arena);
    EXPECT_INT(find(&m, "1.2.3.4"), -1);
    arena_done(&arena);
}
