// Heads and bodies of responses over a memory link, cut at every byte, and pulled in every small room.
#include "upstream/world_test.h"

static const struct reply replies[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", 0, true, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", 200, "hello", 0, false, false},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello", 200, "hello", 0, true, false},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", 0, false, false},
    {"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n", 200, "hello world", 0, true,
     false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nTrailer: X\r\n\r\n5\r\nhello\r\n0\r\nX: trailing\r\n\r\n", 200, "hello", 0,
     true, false, .trailer = "trailing"},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 P\r\nA: b\r\n\r\nHTTP/1.1 201 Made\r\nContent-Length: 2\r\n\r\nok", 201, "ok", 0, true,
     false},
    {"HTTP/1.1 204 No Content\r\n\r\n", 204, "", 0, true, false},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", 304, "", 0, true, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", 0, true, false},
    {"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end", 0, false, true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", 200, "hello", -ECONNRESET, false, true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", 200, "hello", -ECONNRESET, false, true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nbad trailer\r\n\r\n", 200, "hello", -EPROTO, false, false},
    {"HTTP/1.1 101 Switching Protocols\r\n\r\n", 0, NULL, 0, false, false},
    {"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n", 0, NULL, 0, false, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 0, NULL, 0, false, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", 0, NULL, 0, false, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 0, NULL, 0, false, false},
};

TEST(h1_client_every_cut) {
    struct world w;
    world_begin(&w, "server 127.0.0.1:1;", "");
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        for (size_t cut = 1; cut <= strlen(replies[i].bytes); cut++)
            world_reply(&w, &replies[i], cut, cut % 3 == 0 ? 1 : cut % 3 == 1 ? 3 : 4096, NULL);
    }
    world_end(&w);
}

// --- requests ------------------------------------------------------------------------------------------------------------------------

struct written {
    const char *method, *fields, *body;
    const char *want;
};
static const struct written writtens[] = {
    {"GET", "", NULL, "GET /p HTTP/1.1\r\nHost: back\r\n\r\n"},
    {"GET", "Host: client\r\nConnection: keep-alive\r\nA: 1\r\nb: 2\r\n", NULL, "GET /p HTTP/1.1\r\nHost: back\r\nA: 1\r\nb: 2\r\n\r\n"},
    {"GET", "Connection: close, X-Hop\r\nX-Hop: 1\r\nX-Stays: 2\r\n", NULL, "GET /p HTTP/1.1\r\nHost: back\r\nX-Stays: 2\r\n\r\n"},
    {"GET", "Keep-Alive: 5\r\nTE: trailers\r\nUpgrade: x\r\nExpect: 100-continue\r\nProxy-Connection: x\r\nTransfer-Encoding: "
            "chunked\r\nContent-Length: 7\r\n",
     NULL, "GET /p HTTP/1.1\r\nHost: back\r\n\r\n"},
    {"POST", "Content-Type: t\r\n", "abc", "POST /p HTTP/1.1\r\nHost: back\r\nContent-Length: 3\r\nContent-Type: t\r\n\r\n"},
};

TEST(h1_client_request_heads) {
    struct world w;
    world_begin(&w, "server 127.0.0.1:1;", "");
    for (size_t i = 0; i < ARRAY_LEN(writtens); i++) {
        struct req *r = world_request(&w, writtens[i].method, "/p", writtens[i].fields, writtens[i].body);
        struct exchange *x = world_exchange(r);
        x->request_length = r->content_length;
        struct sbuf b;
        sbuf_init_arena(&b, &r->arena, 64, 4096);
        EXPECT(x->protocol->put_head(x, &b));
        EXPECT_STR(sbuf_view(&b), str_c(writtens[i].want));
        req_free(r);
    }
    world_end(&w);
}

TEST(h1_client_refuses_to_split_requests) {
    struct world w;
    world_begin(&w, "server 127.0.0.1:1;", "");
    const char *bad[] = {"/a b", "/a\r\nX: y", "/a\n", ""};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct req *r = world_request(&w, "GET", bad[i], "", NULL);
        struct sbuf b;
        sbuf_init_arena(&b, &r->arena, 64, 4096);
        EXPECT(!h1_client.put_head(world_exchange(r), &b));
        req_free(r);
    }
    world_end(&w);
}
