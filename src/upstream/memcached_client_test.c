// Replies of a memcached server over a memory link, cut at every byte, and values pulled in every small room.
#include "upstream/memcached_client.h"
#include "upstream/world_test.h"

static const struct reply replies[] = {
    {"VALUE k 0 5\r\nhello\r\nEND\r\n", 200, "hello", 0, true, false},
    {"VALUE k 0 1\r\nx\r\nEND\r\n", 200, "x", 0, true, false},
    {"VALUE k 0 14\r\n\r\nEND\r\n\r\nEND\r\n\r\nEND\r\n", 200, "\r\nEND\r\n\r\nEND\r\n", 0, true, false},
    {"VALUE k 0 5\r\nhello\r\nENDx\r\n", 200, "hello", 0, false, false},
    {"VALUE k 0 5\r\nhello world\r\nEND\r\n", 200, "hello", 0, false, false},
    {"VALUE k 0 5\r\nhello\r\nEN", 200, "hello", 0, false, true},
    {"VALUE k 0 5\r\nhello", 200, "hello", 0, false, true},
    {"VALUE k 0 9\r\nhello", 200, "hello", -ECONNRESET, false, true},
    {"VALUE k 0 0\r\n", 200, "", 0, false, false},
    {"VALUE k 0 5\r\nhel", 200, "", 0, false, false, "HEAD"},
    {"END\r\n", 404, "", 0, true, false},
    {"ERROR\r\n", 0, NULL, 0, false, false},
    {"VALUE other 0 5\r\nhello\r\nEND\r\n", 0, NULL, 0, false, false},
    {"VALUE k 0 5x\r\nhello\r\nEND\r\n", 0, NULL, 0, false, false},
    {"VALUE k x 5\r\nhello\r\nEND\r\n", 0, NULL, 0, false, false},
};

static void ask_memcached(struct exchange *x) {
    struct memcached_get *get = arena_new(&x->r->arena, struct memcached_get);
    get->key = STR("k");
    get->wants_flags = true;
    x->protocol = &memcached_client;
    x->protocol_conf = get;
    x->family = "memcached";
    x->keep_ms = UINT64_MAX;
}

TEST(memcached_client_every_cut) {
    struct world w;
    world_begin(&w, "server 127.0.0.1:1;", "");
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        for (size_t cut = 1; cut <= strlen(replies[i].bytes); cut++) {
            for (size_t room = 1; room <= 8; room++)
                world_reply(&w, &replies[i], cut, room < 8 ? room : 4096, ask_memcached);
        }
    }
    world_end(&w);
}

// All has come at once: then the connection is kept where nobody reads (HEAD, an empty value) too, and not with more behind it.
TEST(memcached_client_whole_replies) {
    static const struct reply whole[] = {
        {"VALUE k 0 5\r\nhello\r\nEND\r\n", 200, "", 0, true, false, "HEAD"},
        {"VALUE k 0 0\r\n\r\nEND\r\n", 200, "", 0, true, false},
        {"VALUE k 0 0\r\n\r\nEND\r\nx", 200, "", 0, false, false},
        {"VALUE k 0 5\r\nhello\r\nEND\r\nmore", 200, "hello", 0, false, false},
        {"END\r\nx", 404, "", 0, false, false},
    };
    struct world w;
    world_begin(&w, "server 127.0.0.1:1;", "");
    for (size_t i = 0; i < ARRAY_LEN(whole); i++)
        world_reply(&w, &whole[i], strlen(whole[i].bytes), 4096, ask_memcached);
    world_end(&w);
}
