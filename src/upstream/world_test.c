// See world_test.h.
#include "upstream/world_test.h"
#include "http/answer.h"
#include "http/tape.h"
#include "http/vhost.h"
#include "io/inbox.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern struct feature feature_main, feature_events, feature_http, feature_server, feature_location, feature_listen,
    feature_server_name, feature_proxy, feature_gateway_proxy, feature_resolver; // of feature/: only their names are known here
static struct feature *const features[] = {
    &feature_main,        &feature_error_log, &feature_events,   &feature_http,     &feature_http_core,
    &feature_server,      &feature_server_name, &feature_listen, &feature_location, &feature_exchange,
    &feature_exchange_order,
    &feature_upstream,    &feature_resolver,    &feature_gateway_proxy, &feature_proxy,
};

void world_begin(struct world *w, const char *servers, const char *directives) {
    static bool registered;
    if (!registered)
        features_register(features, ARRAY_LEN(features));
    registered = true;
    *w = (struct world){.zones = zones_new()};
    helpers_start(1);
    arena_init(&w->arena, NULL);
    struct str text = arena_printf(&w->arena,
                                   "events {} http { client_body_temp_path /tmp; proxy_temp_path /tmp; upstream back { %s }"
                                   " server { listen 127.0.0.1:1; location / { proxy_pass http://back; %s } } }",
                                   servers, directives);
    struct conf_errors errors;
    conf_errors_init(&errors, &w->arena);
    struct conf_load load = {.path = STR("test.conf"), .text = text, .prefix = STR("/tmp/"), .error_log = STR("/dev/null"), .features = features,
                             .nfeatures = ARRAY_LEN(features), .zones = w->zones, .seed = 1};
    w->conf = conf_load(&load, &w->arena, &errors);
    if (w->conf == NULL)
        test_fail(__FILE__, __LINE__, "configuration: " STR_FMT, STR_ARG(errors.head->text));
    w->loop = loop_new(0);
    EXPECT(w->loop != NULL);
}

void world_end(struct world *w) {
    pools_close();
    conf_unref(w->conf);
    for (int i = 0; i < 10; i++)
        loop_turn(w->loop, 0);
    helpers_stop(); // before the loop that they post to
    loop_free(w->loop);
    zones_free(w->zones);
    arena_done(&w->arena);
}

struct req *world_request(struct world *w, const char *method, const char *uri, const char *fields, const char *body) {
    const struct server *s = http_world(w->conf)->servers[0];
    struct req *r = req_new(w->loop, NULL, w->conf, s, NULL);
    for (struct scope *i = s->scope->children; i != NULL; i = i->next)
        r->scope = i;
    r->method_text = str_c(method);
    r->method = method_from(r->method_text);
    r->uri = r->unparsed_uri = r->target.raw_path = str_c(uri);
    r->valid_unparsed_uri = true;
    r->client_text = STR("127.0.0.9");
    struct str rest = str_c(fields), line;
    while (rest.n != 0 && str_split(&rest, '\n', &line)) {
        ssize_t colon = str_chr(line, ':');
        if (colon < 0)
            continue;
        struct str name = str_head(line, (size_t)colon), value = str_from(line, (size_t)colon + 1);
        if (value.n != 0 && value.p[value.n - 1] == '\r')
            value.n--;
        head_add(&r->in, field_id_of(name), name, str_trim(value));
    }
    if (body != NULL) {
        r->content_length = (int64_t)strlen(body);
        r->body = body_of_text(&r->arena, str_c(body));
    }
    return r;
}

struct exchange *world_exchange(struct req *r) {
    static struct h1_request_conf rc = {.version = 11};
    h1_request_conf_ready(&rc);
    struct exchange *x = arena_new(&r->arena, struct exchange);
    x->r = r;
    x->gw = req_conf(r, &feature_gateway_proxy);
    x->protocol = &h1_client;
    x->protocol_conf = &rc;
    x->group = group_find(r->conf, STR("back"));
    x->scheme = STR("http://");
    x->family = "proxy";
    x->host = STR("back");
    x->method = r->method_text;
    x->uri = r->unparsed_uri;
    return x;
}

struct run {
    void (*fn)(void *arg);
    void *arg;
    bool ended;
};
static void run_task(void *arg) {
    struct run *run = arg;
    run->fn(run->arg);
    run->ended = true;
}

void world_run(struct world *w, void (*fn)(void *arg), void *arg) {
    struct run run = {fn, arg, false};
    EXPECT(task_new(run_task, &run, "test") != NULL);
    for (int i = 0; i < 100000 && !run.ended; i++)
        loop_turn(w->loop, 100);
    EXPECT(run.ended);
}

// --- back ends ---------------------------------------------------------------------------------------------------------------------

// One request: its head, and a body by Content-Length or chunks. False at the end of the connection.
static bool take_request(struct backend *b, int fd) {
    size_t start = b->seen_n;
    for (;;) {
        struct str got = str_n(b->seen + start, b->seen_n - start);
        ssize_t end = str_find(got, STR("\r\n\r\n")), cl = str_ifind(got, STR("content-length: "));
        if (end >= 0 && str_ifind(str_head(got, (size_t)end), STR("transfer-encoding: chunked")) >= 0) {
            if (str_ends(got, STR("0\r\n\r\n")))
                return true;
        } else if (end >= 0) {
            size_t want = (size_t)end + 4;
            if (cl >= 0 && cl < end)
                want += (size_t)strtoul(got.p + cl + 16, NULL, 10);
            if (got.n >= want)
                return true;
        }
        ssize_t n = recv(fd, b->seen + b->seen_n, sizeof(b->seen) - b->seen_n - 1, 0);
        if (n <= 0)
            return false;
        b->seen_n += (size_t)n;
        b->seen[b->seen_n] = '\0';
    }
}

static void play(struct backend *b, int fd, const struct script *s) {
    for (unsigned i = 0; i < ARRAY_LEN(s->answers) && s->answers[i] != NULL; i++) {
        if (!s->early && !take_request(b, fd))
            break;
        (void)!send(fd, s->answers[i], strlen(s->answers[i]), MSG_NOSIGNAL);
    }
    if (s->answers[0] == NULL && !s->early)
        take_request(b, fd);
    struct linger reset = {1, 0};
    if (s->end == SCRIPT_RESET)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    if (s->end == SCRIPT_HOLD)
        b->held[b->nheld++] = fd;
    else
        close(fd);
}

static void *backend_main(void *arg) {
    struct backend *b = arg;
    for (; b->accepted < b->count; b->accepted++) {
        int fd = accept(b->fd, NULL, NULL);
        if (fd < 0)
            break;
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        play(b, fd, &b->scripts[b->accepted]);
    }
    return NULL;
}

void backend_begin(struct backend *b, const struct script *scripts, unsigned count) {
    *b = (struct backend){.scripts = scripts, .count = count};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    b->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(bind(b->fd, (struct sockaddr *)&at, len) == 0 && listen(b->fd, 64) == 0);
    EXPECT(getsockname(b->fd, (struct sockaddr *)&at, &len) == 0);
    b->port = ntohs(at.sin_port);
    EXPECT(pthread_create(&b->thread, NULL, backend_main, b) == 0);
}

void backend_end(struct backend *b) {
    shutdown(b->fd, SHUT_RDWR);
    pthread_join(b->thread, NULL);
    close(b->fd);
    for (unsigned i = 0; i < b->nheld; i++)
        close(b->held[i]);
}

// --- replies -----------------------------------------------------------------------------------------------------------------

struct trial {
    struct world *w;
    const struct reply *reply;
    size_t cut, room;
    void (*prepare)(struct exchange *x);
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
        check(t, (size_t)n <= t->room && (x->body_length < 0 || b->length == x->body_length - (int64_t)c.bytes), "a piece", "");
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
    struct req *r = world_request(t->w, t->reply->method != NULL ? t->reply->method : "GET", "/", "", NULL);
    struct exchange *x = world_exchange(r);
    struct group_state *s = x->group->state;
    struct far_end end = {.t = t};
    chain_init(&x->early, loop_blocks(r->loop));
    chain_init(&x->out, loop_blocks(r->loop));
    x->attempts = &x->first;
    x->nattempts = 1;
    x->request_sent = x->keepalive = x->released = true;
    x->link_since = loop_now(r->loop);
    x->peer = &x->group->peers[0];
    if (t->prepare != NULL)
        t->prepare(x);
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

void world_reply(struct world *w, const struct reply *reply, size_t cut, size_t room, void (*prepare)(struct exchange *x)) {
    world_run(w, trial_task, &(struct trial){w, reply, cut, room, prepare});
}
