// For tests: a configuration and requests that run through it in this process, without sockets. The answer comes as text.
// Not part of the product.
#pragma once
#include "base/test.h"
#include "feature/features.h"
#include "http/admit.h"
#include "http/answer.h"
#include "http/run.h"
#include "http/vhost.h"
#include "io/file.h"
#include "io/loop.h"
#include "wire/http1.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct site {
    struct arena arena; // of answers and errors
    struct loop *loop;
    struct zones *zones;
    struct conf *conf;
    struct conf_errors errors;
    struct log_file *access_log;
};

// "text in FILE:LINE", one line each, warnings with "warn: " in front.
static inline struct str site_errors(struct site *s) {
    struct sbuf b;
    sbuf_init_arena(&b, &s->arena, 256, 64 << 10);
    for (const struct conf_error *e = s->errors.head; e != NULL; e = e->next) {
        sbuf_printf(&b, "%s" STR_FMT, e->warning ? "warn: " : "", STR_ARG(e->text));
        if (e->file != NULL)
            sbuf_printf(&b, " in " STR_FMT ":%u", STR_ARG(e->file->path), e->line);
        sbuf_chr(&b, '\n');
    }
    return sbuf_view(&b);
}

// conf is NULL when the text has errors.
static inline void site_open(struct site *s, struct str prefix, struct str text) {
    static bool registered;
    if (!registered)
        features_register(all_features, all_features_count);
    registered = true;
    arena_init(&s->arena, NULL);
    s->loop = loop_new(0);
    EXPECT(s->loop != NULL);
    s->zones = zones_new();
    struct str log = arena_printf(&s->arena, STR_FMT "%slogs/access.log", STR_ARG(prefix), str_ends(prefix, STR("/")) ? "" : "/");
    s->access_log = log_file_adopt(log.p, open("/dev/null", O_WRONLY | O_CLOEXEC)); // of sites that name none
    struct conf_load load = {.path = STR("/test/weir.conf"),
                             .text = text,
                             .prefix = prefix,
                             .error_log = STR("/dev/null"),
                             .features = all_features,
                             .nfeatures = all_features_count,
                             .zones = s->zones,
                             .seed = 1};
    s->conf = conf_load(&load, &s->arena, &s->errors);
}

static inline void site_close(struct site *s) {
    conf_unref(s->conf);
    zones_free(s->zones);
    log_file_unref(s->access_log);
    loop_free(s->loop);
    arena_done(&s->arena);
}

struct site_request {
    struct site *site;
    struct str bytes;
    const struct sockaddr *client;
    struct sbuf answer;
    bool done;
};

static inline int site_send(struct req *r) {
    struct sbuf *to = &((struct site_request *)r->codec_state)->answer;
    sbuf_printf(to, "%u " STR_FMT "\n", r->out.status, STR_ARG(status_reason(r->out.status)));
    if (r->location.n != 0)
        sbuf_printf(to, "Location: " STR_FMT "\n", STR_ARG(answer_absolute(r, r->location)));
    if (r->out_length >= 0)
        sbuf_printf(to, "Content-Length: %lld\n", (long long)r->out_length);
    head_each(f, &r->out) sbuf_printf(to, STR_FMT ": " STR_FMT "\n", STR_ARG(f->name), STR_ARG(f->value));
    sbuf_chr(to, '\n');
    struct chain c;
    chain_init(&c, loop_blocks(r->loop));
    ssize_t n = 0;
    static const size_t rooms[] = {1, 1000, 7, 65536};
    static unsigned turn;
    size_t room_size = rooms[turn++ % ARRAY_LEN(rooms)]; // each request in pieces of another size
    while (r->out_body != NULL && (n = body_read(r->out_body, &c, room_size, BODY_WAIT)) > 0) {
        EXPECT(n <= (ssize_t)room_size);
        for (struct piece *p = c.head; p != NULL; p = p->next) {
            char *room = sbuf_room(to, p->n);
            EXPECT(room != NULL);
            if (p->kind == PIECE_MEM)
                memcpy(room, p->p, p->n);
            else
                EXPECT_INT(pread(p->file->fd, room, p->n, p->off), p->n);
            to->n += p->n;
        }
        chain_drop(&c, c.bytes);
    }
    chain_done(&c);
    if (n == 0 && r->out_body != NULL && r->out_body->trailers != NULL)
        head_each(f, r->out_body->trailers) sbuf_printf(to, "\n" STR_FMT ": " STR_FMT, STR_ARG(f->name), STR_ARG(f->value));
    return (int)n;
}

static const struct codec site_codec = {.name = "test", .send = site_send};

static inline void site_run(void *arg) {
    struct site_request *q = arg;
    struct http_world *w = http_world(q->site->conf);
    const struct vhosts *v = w->at[0];
    struct req *r = req_new(q->site->loop, NULL, q->site->conf, v->fallback, &site_codec);
    r->codec_state = q;
    if (q->client != NULL)
        memcpy(&r->client_addr, q->client, sizeof(struct sockaddr_in));
    else
        r->client_addr.in4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    log_set_context(&r->log);
    struct http1_parse parse = {0};
    struct http1_limits lim = {.max_line = 65536, .max_head = 1 << 20, .max_fields = 1000, .ignore_invalid = true};
    enum http1_result res = http1_parse_request(&parse, &r->in, q->bytes.p, q->bytes.n, &lim);
    EXPECT_INT(res, HTTP1_OK);
    r->request_line = parse.line;
    unsigned status = admit_request(r);
    struct server *s = vhost_find(v, r->host, r);
    if (s != r->server)
        req_set_server(r, s);
    if (status != 0)
        answer_status(r, status);
    run_and_send(r);
    if (r->outcome == OUTCOME_CLOSE)
        sbuf_printf(&q->answer, "closed %u", r->out.status);
    log_set_context(NULL);
    req_free(r);
    q->done = true;
}

// The answer as text: status and reason, fields, an empty line, the body. Lives as long as the site.
static inline struct str site_ask_from(struct site *s, const struct sockaddr *client, struct str bytes) {
    struct site_request q = {.site = s, .bytes = bytes, .client = client};
    sbuf_init_arena(&q.answer, &s->arena, 1024, 64 << 20);
    EXPECT(task_new(site_run, &q, "request") != NULL);
    for (int i = 0; i < 1000 && !q.done; i++)
        loop_turn(s->loop, 100);
    EXPECT(q.done);
    return sbuf_view(&q.answer);
}

static inline struct str site_get(struct site *s, const char *target, const char *fields) {
    return site_ask_from(s, NULL, arena_printf(&s->arena, "GET %s HTTP/1.1\r\n%s%s\r\n", target,
                                               strstr(fields, "Host:") == NULL ? "Host: a.test\r\n" : "", fields));
}
