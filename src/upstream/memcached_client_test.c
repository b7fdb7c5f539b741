// Replies of a memcached server over a memory link, cut at every byte, and values pulled in every small room.
#include "upstream/memcached_client.h"
#include "upstream/world_test.h"

struct reply {
    const char *bytes;
    unsigned status;  // 0: refused
    const char *body;
    int end;          // what the body ends with
    bool keep;        // the connection may be used again, wherever the reply was cut
    bool close;       // the server ends the connection behind the bytes
    const char *method;
};

static const struct reply replies[] = {
    {"VALUE k 0 5\r\nhello\r\nEND\r\n", 200, "hello", 0, true, false, "GET"},
    {"VALUE k 0 1\r\nx\r\nEND\r\n", 200, "x", 0, true, false, "GET"},
    {"VALUE k 0 14\r\n\r\nEND\r\n\r\nEND\r\n\r\nEND\r\n", 200, "\r\nEND\r\n\r\nEND\r\n", 0, true, false, "GET"},
    {"VALUE k 0 5\r\nhello\r\nENDx\r\n", 200, "hello", 0, false, false, "GET"},
    {"VALUE k 0 5\r\nhello world\r\nEND\r\n", 200, "hello", 0, false, false, "GET"},
    {"VALUE k 0 5\r\nhello\r\nEN", 200, "hello", 0, false, true, "GET"},
    {"VALUE k 0 5\r\nhello", 200, "hello", 0, false, true, "GET"},
    {"VALUE k 0 9\r\nhello", 200, "hello", -ECONNRESET, false, true, "GET"},
    {"VALUE k 0 0\r\n", 200, "", 0, false, false, "GET"},
    {"VALUE k 0 5\r\nhel", 200, "", 0, false, false, "HEAD"},
    {"END\r\n", 404, "", 0, true, false, "GET"},
    {"ERROR\r\n", 0, NULL, 0, false, false, "GET"},
    {"VALUE other 0 5\r\nhello\r\nEND\r\n", 0, NULL, 0, false, false, "GET"},
    {"VALUE k 0 5x\r\nhello\r\nEND\r\n", 0, NULL, 0, false, false, "GET"},
    {"VALUE k x 5\r\nhello\r\nEND\r\n", 0, NULL, 0, false, false, "GET"},
};

struct trial {
    struct world *w;
    const struct reply *reply;
    size_t cut, room;
};
struct far_end {
    struct link *link;
    const struct trial *t;
};

static void write_all(struct link *l, const char *p, size_t n) {
    struct chain c;
    chain_init(&c, loop_blocks(link_loop(l)));
    chain_add_const(&c, p, n);
    EXPECT(link_write(l, &c, 1000) == (ssize_t)n);
}

static void server_task(void *arg) {
    const struct far_end *end = arg;
    const char *bytes = end->t->reply->bytes;
    size_t n = strlen(bytes);
    write_all(end->link, bytes, end->t->cut);
    task_yield();
    task_yield();
    if (end->t->cut < n)
        write_all(end->link, bytes + end->t->cut, n - end->t->cut);
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
        check(t, (size_t)n <= t->room && b->length == x->body_length - (int64_t)c.bytes, "a piece", "");
    char text[256] = "";
    text[chain_peek(&c, text, sizeof(text) - 1)] = '\0';
    check(t, strcmp(text, t->reply->body) == 0, "body", text);
    check(t, n == t->reply->end, "end", strerror((int)-n));
    if (b != NULL)
        check(t, body_read(b, &c, 1, BODY_NOWAIT) == n, "the end again", "");
    chain_done(&c);
    body_free(b);
}

static struct exchange *make_exchange(struct req *r) {
    struct exchange *x = world_exchange(r);
    struct memcached_get *get = arena_new(&r->arena, struct memcached_get);
    get->key = STR("k");
    get->wants_flags = true;
    x->protocol = &memcached_client;
    x->protocol_conf = get;
    x->family = "memcached";
    chain_init(&x->early, loop_blocks(r->loop));
    chain_init(&x->out, loop_blocks(r->loop));
    x->attempts = &x->first;
    x->nattempts = 1;
    x->request_sent = x->keepalive = x->released = true;
    x->link_since = loop_now(r->loop);
    x->keep_ms = UINT64_MAX;
    x->peer = &x->group->peers[0];
    return x;
}

static void trial_task(void *arg) {
    struct trial *t = arg;
    struct req *r = world_request(t->w, t->reply->method, "/", "", NULL);
    struct exchange *x = make_exchange(r);
    struct group_state *s = x->group->state;
    struct far_end end = {.t = t};
    EXPECT(link_pair(&x->link, &end.link, 4096));
    struct task *task = task_new_joinable(server_task, &end, "server");
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

TEST(memcached_client_every_cut) {
    struct world w;
    world_begin(&w, "server 127.0.0.1:1;", "");
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        for (size_t cut = 1; cut <= strlen(replies[i].bytes); cut++) {
            for (size_t room = 1; room <= 8; room++)
                world_run(&w, trial_task, &(struct trial){&w, &replies[i], cut, room < 8 ? room : 4096});
        }
    }
    world_end(&w);
}

// All has come at once: then the connection is kept where nobody reads (HEAD, an empty value) too, and not with more behind it.
TEST(memcached_client_whole_replies) {
    static const struct reply whole[] = {
        {"VALUE k 0 5\r\nhello\r\nEND\r\n", 200, "", 0, true, false, "HEAD"},
        {"VALUE k 0 0\r\n\r\nEND\r\n", 200, "", 0, true, false, "GET"},
        {"VALUE k 0 0\r\n\r\nEND\r\nx", 200, "", 0, false, false, "GET"},
        {"VALUE k 0 5\r\nhello\r\nEND\r\nmore", 200, "hello", 0, false, false, "GET"},
        {"END\r\nx", 404, "", 0, false, false, "GET"},
    };
    struct world w;
    world_begin(&w, "server 127.0.0.1:1;", "");
    for (size_t i = 0; i < ARRAY_LEN(whole); i++)
        world_run(&w, trial_task, &(struct trial){&w, &whole[i], strlen(whole[i].bytes), 4096});
    world_end(&w);
}
