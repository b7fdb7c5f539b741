// Heads and bodies of responses over a memory link, cut at every byte, and pulled in every small room.
#include "upstream/world_test.h"

struct reply {
    const char *bytes;
    unsigned status; // 0: refused
    const char *body;
    int end;         // what the body ends with
    bool keep;       // the connection may be used again
    bool close;      // the peer ends the connection behind the bytes
    const char *trailer;
};

static const struct reply replies[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", 0, true, false, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", 200, "hello", 0, false, false, NULL},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello", 200, "hello", 0, true, false, NULL},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", 0, false, false, NULL},
    {"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n", 200, "hello world", 0, true,
     false, NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nTrailer: X\r\n\r\n5\r\nhello\r\n0\r\nX: trailing\r\n\r\n", 200, "hello", 0,
     true, false, "trailing"},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 P\r\nA: b\r\n\r\nHTTP/1.1 201 Made\r\nContent-Length: 2\r\n\r\nok", 201, "ok", 0, true,
     false, NULL},
    {"HTTP/1.1 204 No Content\r\n\r\n", 204, "", 0, true, false, NULL},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", 304, "", 0, true, false, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", 0, true, false, NULL},
    {"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end", 0, false, true, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", 200, "hello", -ECONNRESET, false, true, NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", 200, "hello", -ECONNRESET, false, true, NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nbad trailer\r\n\r\n", 200, "hello", -EPROTO, false, false,
     NULL},
    {"HTTP/1.1 101 Switching Protocols\r\n\r\n", 0, NULL, 0, false, false, NULL},
    {"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n", 0, NULL, 0, false, false, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 0, NULL, 0, false, false, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", 0, NULL, 0, false, false, NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 0, NULL, 0, false, false, NULL},
};

struct trial {
    struct world *w;
    const struct reply *reply;
    size_t cut, room;
};

static void write_all(struct link *l, const char *p, size_t n) {
    struct chain c;
    chain_init(&c, loop_blocks(link_loop(l)));
    chain_add_const(&c, p, n);
    EXPECT(link_write(l, &c, 1000) == (ssize_t)n);
}

struct far_end {
    struct link *link;
    const struct trial *t;
};

static void peer_task(void *arg) {
    struct far_end *end = arg;
    size_t n = strlen(end->t->reply->bytes);
    write_all(end->link, end->t->reply->bytes, end->t->cut);
    task_yield();
    task_yield();
    if (end->t->cut < n)
        write_all(end->link, end->t->reply->bytes + end->t->cut, n - end->t->cut);
    if (end->t->reply->close)
        link_shutdown_write(end->link);
}

static void check(const struct trial *t, bool ok, const char *what, const char *got) {
    if (!ok)
        test_fail(__FILE__, __LINE__, "%s: %s (cut at %zu, room %zu): got \"%s\"", t->reply->bytes, what, t->cut, t->room, got);
}

static void check_body(const struct trial *t, struct exchange *x) {
    struct body *b = x->protocol->body(x);
    struct chain c;
    chain_init(&c, loop_blocks(x->r->loop));
    ssize_t n = 0;
    while (b != NULL && (n = body_read(b, &c, t->room, BODY_WAIT)) > 0)
        check(t, (size_t)n <= t->room, "more than the room", "");
    char text[256] = "";
    text[chain_peek(&c, text, sizeof(text) - 1)] = '\0';
    check(t, strcmp(text, t->reply->body) == 0, "body", text);
    check(t, n == t->reply->end, "end", strerror((int)-n));
    if (b != NULL)
        check(t, body_read(b, &c, 1, BODY_NOWAIT) == n, "the end again", "");
    if (t->reply->trailer != NULL)
        check(t, b->trailers != NULL && b->trailers->count == 1 && str_eq(b->trailers->at[0].value, str_c(t->reply->trailer)),
              "trailer", "");
    chain_done(&c);
    body_free(b);
}

static void trial_task(void *arg) {
    struct trial *t = arg;
    struct req *r = world_request(t->w, "GET", "/", "", NULL);
    struct exchange *x = world_exchange(r);
    struct group_state *s = x->group->state;
    struct far_end end = {.t = t};
    chain_init(&x->early, loop_blocks(r->loop));
    chain_init(&x->out, loop_blocks(r->loop));
    x->attempts = &x->first;
    x->nattempts = 1;
    x->request_sent = x->keepalive = true;
    x->link_since = loop_now(r->loop);
    x->released = true;
    x->peer = &x->group->peers[0];
    EXPECT(link_pair(&x->link, &end.link, 4096));
    struct task *task = task_new_joinable(peer_task, &end, "peer");
    EXPECT(task != NULL);
    int err = x->protocol->read_head(x);
    check(t, err == 0 ? x->head.status == t->reply->status : t->reply->status == 0 && err == -EPROTO, "status", strerror(-err));
    if (err == 0)
        check_body(t, x);
    else
        exchange_done(x, false);
    check(t, s->idle == t->reply->keep, "kept", "");
    task_join(task);
    if (s->idle > 0)
        link_free(pool_take(x->group, x->peer, false));
    link_free(end.link);
    block_unref(x->head_block);
    req_free(r);
}

TEST(h1_client_every_cut) {
    struct world w;
    world_begin(&w, "server 127.0.0.1:1;", "");
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        for (size_t cut = 1; cut <= strlen(replies[i].bytes); cut++) {
            struct trial t = {&w, &replies[i], cut, cut % 3 == 0 ? 1 : cut % 3 == 1 ? 3 : 4096};
            world_run(&w, trial_task, &t);
        }
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
