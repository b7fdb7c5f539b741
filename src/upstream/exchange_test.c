// Exchanges with back ends that play a script on loopback: what the client would get, what the back end saw, how often it was
// asked, and what was counted.
#include "upstream/world_test.h"
#include "http/tape.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct ask {
    struct world *w;
    const char *method, *fields, *body;
    unsigned status;      // of exchange_run; 0: an answer
    unsigned answer;      // x->head.status
    char text[4096];
    size_t n;
    ssize_t end;          // what the body ended with
    unsigned attempts;
    bool reused;
};

static void ask_task(void *arg) {
    struct ask *a = arg;
    struct req *r = world_request(a->w, a->method, "/path?x=1", a->fields, a->body);
    struct exchange *x = world_exchange(r);
    a->status = exchange_run(x);
    a->n = 0;
    a->end = 0;
    if (a->status == 0) {
        a->answer = x->head.status;
        struct body *b = x->protocol->body(x);
        struct chain c;
        chain_init(&c, loop_blocks(r->loop));
        while (b != NULL && (a->end = body_read(b, &c, 1000, BODY_WAIT)) > 0)
            ;
        a->n = chain_peek(&c, a->text, sizeof(a->text) - 1);
        chain_done(&c);
        body_free(b);
    }
    a->text[a->n] = '\0';
    a->attempts = x->nattempts;
    a->reused = x->reused;
    req_free(r);
}

static void ask(struct world *w, struct ask *a) {
    a->w = w;
    if (a->fields == NULL)
        a->fields = "";
    world_run(w, ask_task, a);
}

static const char *servers_of(const struct backend *one, const struct backend *two) {
    static char text[200];
    if (two != NULL)
        snprintf(text, sizeof(text), "server 127.0.0.1:%u; server 127.0.0.1:%u;", one->port, two->port);
    else
        snprintf(text, sizeof(text), "server 127.0.0.1:%u;", one->port);
    return text;
}

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

TEST(exchange_get_and_reuse) {
    struct backend b;
    struct world w;
    backend_begin(&b, (struct script[]){{{OK, OK, OK}, SCRIPT_HOLD}}, 1);
    world_begin(&w, servers_of(&b, NULL), "");
    for (int i = 0; i < 3; i++) {
        struct ask a = {.method = "GET", .fields = "X-One: 1\r\nConnection: x-two\r\nX-Two: 2\r\n"};
        ask(&w, &a);
        EXPECT_INT(a.status, 0);
        EXPECT_STR(str_n(a.text, a.n), STR("hello"));
        EXPECT_INT(a.end, 0);
        EXPECT_INT(a.reused, i > 0);
    }
    backend_end(&b);
    EXPECT_STR(str_n(b.seen, b.seen_n / 3), STR("GET /path?x=1 HTTP/1.1\r\nHost: back\r\nX-One: 1\r\n\r\n"));
    world_end(&w);
}

TEST(exchange_post_in_one_piece) {
    struct backend b;
    struct world w;
    backend_begin(&b, (struct script[]){{{OK}, SCRIPT_HOLD}}, 1);
    world_begin(&w, servers_of(&b, NULL), "");
    struct ask a = {.method = "POST", .body = "abc"};
    ask(&w, &a);
    EXPECT_INT(a.status, 0);
    backend_end(&b);
    EXPECT_STR(str_n(b.seen, b.seen_n), STR("POST /path?x=1 HTTP/1.1\r\nHost: back\r\nContent-Length: 3\r\n\r\nabc"));
    world_end(&w);
}

struct fault {
    const char *name;
    struct script script;
    unsigned status; // of the exchange; 0: answered
    int end;         // of the body
};

// One peer, one try: what each way to fail gives.
static const struct fault faults[] = {
    {"closes at once", {{NULL}, SCRIPT_CLOSE}, 502, 0},
    {"closes in the head", {{"HTTP/1.1 200 OK\r\nCont"}, SCRIPT_CLOSE}, 502, 0},
    {"resets", {{NULL}, SCRIPT_RESET}, 502, 0},
    {"garbage", {{"hello there\r\n\r\n"}, SCRIPT_CLOSE}, 502, 0},
    {"status 000", {{"HTTP/1.1 000 OK\r\n\r\n"}, SCRIPT_CLOSE}, 502, 0},
    {"status 99", {{"HTTP/1.1 99 OK\r\n\r\n"}, SCRIPT_CLOSE}, 502, 0},
    {"status 1000", {{"HTTP/1.1 1000 OK\r\n\r\n"}, SCRIPT_CLOSE}, 502, 0},
    {"unasked 101", {{"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"}, SCRIPT_HOLD}, 502, 0},
    {"100 before the answer", {{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" OK}, SCRIPT_HOLD}, 0, 0},
    {"two lengths", {{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"}, SCRIPT_CLOSE}, 502, 0},
    {"length and chunks", {{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}, SCRIPT_CLOSE}, 502, 0},
    {"empty length", {{"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello"}, SCRIPT_CLOSE}, 502, 0},
    {"unknown coding", {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello"}, SCRIPT_CLOSE}, 502, 0},
    {"no colon", {{"HTTP/1.1 200 OK\r\nnocolon\r\n\r\nhello"}, SCRIPT_CLOSE}, 502, 0},
    {"bad first chunk", {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello"}, SCRIPT_CLOSE}, 502, 0},
    {"bad second chunk", {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5 5\r\nhello"}, SCRIPT_CLOSE}, 0, -EPROTO},
    {"good chunks", {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nA: b\r\n\r\n"}, SCRIPT_HOLD}, 0, 0},
    {"cut chunks", {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"}, SCRIPT_CLOSE}, 0, -ECONNRESET},
    {"cut length", {{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"}, SCRIPT_CLOSE}, 0, -ECONNRESET},
    {"until close", {{"HTTP/1.1 200 OK\r\n\r\nhello"}, SCRIPT_CLOSE}, 0, 0},
    {"version 1.0", {{"HTTP/1.0 200 OK\r\n\r\nhello"}, SCRIPT_CLOSE}, 0, 0},
    {"more than the length", {{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n"}, SCRIPT_HOLD}, 0, 0},
    {"silent", {{NULL}, SCRIPT_HOLD}, 504, 0},
    {"silent in the body", {{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"}, SCRIPT_HOLD}, 0, -ETIMEDOUT},
};

TEST(exchange_faults) {
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        struct backend b;
        struct world w;
        backend_begin(&b, &faults[i].script, 1);
        world_begin(&w, servers_of(&b, NULL), "proxy_read_timeout 100ms;");
        struct ask a = {.method = "GET"};
        ask(&w, &a);
        if (a.status != faults[i].status || a.end != faults[i].end ||
            (a.status == 0 && !str_eq(str_n(a.text, a.n), STR("hello"))))
            test_fail(__FILE__, __LINE__, "%s: status %u, end %zd, text \"%s\"", faults[i].name, a.status, a.end, a.text);
        world_end(&w);
        backend_end(&b);
    }
}

// A head of 7 KB is no error by default; one above all buffers is.
TEST(exchange_large_heads) {
    static char head[60000];
    for (int i = 0; i < 2; i++) {
        size_t n = (size_t)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nX-Large: ");
        size_t fill = i == 0 ? 7000 : 40000;
        memset(head + n, 'a', fill);
        static const char rest[] = "\r\nContent-Length: 5\r\n\r\nhello";
        memcpy(head + n + fill, rest, sizeof(rest));
        struct backend b;
        struct world w;
        backend_begin(&b, (struct script[]){{{head}, SCRIPT_CLOSE}}, 1);
        world_begin(&w, servers_of(&b, NULL), "");
        struct ask a = {.method = "GET"};
        ask(&w, &a);
        EXPECT_INT(a.status, i == 0 ? 0 : 502);
        EXPECT_INT(a.n, i == 0 ? 5 : 0);
        world_end(&w);
        backend_end(&b);
    }
}

struct next {
    const char *name, *method, *directives;
    struct script first;
    unsigned status, answer, attempts;
};
#define S503 "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno"
static const struct next nexts[] = {
    {"GET, closed", "GET", "", {{NULL}, SCRIPT_CLOSE}, 0, 200, 2},
    {"GET, closed, off", "GET", "proxy_next_upstream off;", {{NULL}, SCRIPT_CLOSE}, 502, 0, 1},
    {"POST, closed after it was sent", "POST", "", {{NULL}, SCRIPT_CLOSE}, 502, 0, 1},
    {"POST, closed, non_idempotent", "POST", "proxy_next_upstream error non_idempotent;", {{NULL}, SCRIPT_CLOSE}, 0, 200, 2},
    {"PUT, closed", "PUT", "", {{NULL}, SCRIPT_CLOSE}, 0, 200, 2},
    {"GET, garbage", "GET", "", {{"x\r\n\r\n"}, SCRIPT_CLOSE}, 502, 0, 1},
    {"GET, garbage, invalid_header", "GET", "proxy_next_upstream invalid_header;", {{"x\r\n\r\n"}, SCRIPT_CLOSE}, 0, 200, 2},
    {"GET, 503 passed", "GET", "", {{S503}, SCRIPT_CLOSE}, 0, 503, 1},
    {"GET, 503, http_503", "GET", "proxy_next_upstream http_503;", {{S503}, SCRIPT_CLOSE}, 0, 200, 2},
    {"POST, 503, http_503", "POST", "proxy_next_upstream http_503;", {{S503}, SCRIPT_CLOSE}, 0, 503, 1},
    {"GET, 503, one try", "GET", "proxy_next_upstream http_503; proxy_next_upstream_tries 1;", {{S503}, SCRIPT_CLOSE}, 0, 503, 1},
    {"GET, silent", "GET", "proxy_read_timeout 50ms;", {{NULL}, SCRIPT_HOLD}, 0, 200, 2},
    {"GET, silent, error only", "GET", "proxy_read_timeout 50ms; proxy_next_upstream error;", {{NULL}, SCRIPT_HOLD}, 504, 0, 1},
};

TEST(exchange_next_upstream) {
    for (size_t i = 0; i < ARRAY_LEN(nexts); i++) {
        struct backend one, two;
        struct world w;
        backend_begin(&one, &nexts[i].first, 1);
        backend_begin(&two, (struct script[]){{{OK}, SCRIPT_HOLD}}, 1);
        world_begin(&w, servers_of(&one, &two), nexts[i].directives);
        struct ask a = {.method = nexts[i].method, .body = nexts[i].method[0] == 'P' ? "abc" : NULL};
        ask(&w, &a);
        if (a.status != nexts[i].status || a.answer != nexts[i].answer || a.attempts != nexts[i].attempts)
            test_fail(__FILE__, __LINE__, "%s: status %u, answer %u, attempts %u", nexts[i].name, a.status, a.answer, a.attempts);
        world_end(&w);
        backend_end(&one);
        backend_end(&two);
    }
}

// An idle connection that the back end has closed costs no request; a POST whose bytes it had read is not repeated.
TEST(exchange_dead_idle_connection) {
    struct backend b;
    struct world w;
    backend_begin(&b, (struct script[]){{{OK}, SCRIPT_CLOSE}, {{OK}, SCRIPT_CLOSE}, {{OK}, SCRIPT_HOLD}}, 3);
    world_begin(&w, servers_of(&b, NULL), "");
    const char *methods[] = {"GET", "GET", "POST"};
    for (int i = 0; i < 3; i++) {
        struct ask a = {.method = methods[i], .body = i == 2 ? "abc" : NULL};
        usleep(20000); // the close has arrived, and no turn of the loop has seen it
        ask(&w, &a);
        EXPECT_INT(a.status, 0);
        EXPECT_INT(a.attempts, 1);
    }
    EXPECT_INT(group_find(w.conf, STR("back"))->peers[0].state->failures, 0);
    world_end(&w);
    backend_end(&b);

    backend_begin(&b, (struct script[]){{{OK, ""}, SCRIPT_CLOSE}, {{OK}, SCRIPT_HOLD}}, 2); // reads the second, then closes
    world_begin(&w, servers_of(&b, NULL), "");
    struct ask first = {.method = "GET"}, second = {.method = "POST", .body = "abc"};
    ask(&w, &first);
    group_find(w.conf, STR("back"))->peers[0].state->kept_ms = 10000; // so far it has kept its connections
    ask(&w, &second);
    EXPECT_INT(second.status, 502);
    world_end(&w);
    backend_end(&b);
    EXPECT_INT(b.accepted, 1);

    backend_begin(&b, (struct script[]){{{OK, ""}, SCRIPT_CLOSE}, {{OK}, SCRIPT_HOLD}}, 2);
    world_begin(&w, servers_of(&b, NULL), "");
    struct ask third = {.method = "GET"}, fourth = {.method = "GET"};
    ask(&w, &third);
    ask(&w, &fourth);
    EXPECT_INT(fourth.status, 0);
    EXPECT_INT(fourth.reused, 0);
    world_end(&w);
    backend_end(&b);
}

TEST(exchange_no_live_upstreams) {
    struct world w;
    world_begin(&w, "server 127.0.0.1:1 max_fails=1; server 127.0.0.1:1 down;", "");
    struct ask a = {.method = "GET"}, again = {.method = "GET"};
    ask(&w, &a);
    EXPECT_INT(a.status, 502);
    EXPECT_INT(a.attempts, 1);
    ask(&w, &again); // counted out by now
    EXPECT_INT(again.status, 502);
    EXPECT_INT(again.attempts, 1);
    EXPECT_INT(group_find(w.conf, STR("back"))->peers[0].state->failures, 1);
    EXPECT_INT(group_find(w.conf, STR("back"))->peers[0].state->active, 0);
    world_end(&w);
}

// A back end that answers before it has read a large body, which it never reads: the answer is passed on, the connection ends.
TEST(exchange_early_answer) {
    size_t n = 20 << 20;
    char *large = xmalloc(n + 1);
    memset(large, 'b', n);
    large[n] = '\0';
    struct backend b;
    struct world w;
    backend_begin(&b, (struct script[]){{{OK}, SCRIPT_HOLD, true}}, 1);
    world_begin(&w, servers_of(&b, NULL), "");
    struct ask a = {.method = "POST", .body = large};
    ask(&w, &a);
    EXPECT_INT(a.status, 0);
    EXPECT_INT(a.answer, 200);
    EXPECT_STR(str_n(a.text, a.n), STR("hello"));
    EXPECT_INT(group_find(w.conf, STR("back"))->state->idle, 0);
    world_end(&w);
    backend_end(&b);
    free(large);
}
