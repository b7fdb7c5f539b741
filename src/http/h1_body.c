// The body of an HTTP/1 request, pulled from the client's link: by Content-Length or by chunks (RFC 9112 6.3, 7.1).
#include "http/h1_server.h"
#include "io/loop.h"
#include "wire/chunked.h"
#include "wire/http1.h"

enum { OVERHEAD_MAX = 16 << 10, // bytes of chunk framing without data: more is an attack
       TRAILER_MAX = 32 << 10 };

struct h1_body {
    struct body body;
    struct req *r;
    struct chunked chunked;
    bool expects, ended, unwanted;
    int error;
    struct sbuf trailer; // section read so far
    struct http1_parse trailer_parse;
};

static int fail(struct h1_body *b, int err) {
    if (err == -EAGAIN)
        return err;
    if (b->error == 0)
        b->error = err;
    req_ended(b->r, err == -ETIMEDOUT ? 'c' : err == -EFBIG || err == -EPROTO ? 'P' : 'C', 'R');
    if (err == -ETIMEDOUT)
        log_msg(LOG_INFO, ETIMEDOUT, "client timed out (client_body_timeout %llu ms)",
                (unsigned long long)req_core(b->r)->client_body_timeout);
    return err;
}

// Behind the answer's head it would be taken for the next answer.
static int continue_100(struct h1_body *b) {
    if (!b->expects)
        return 0;
    b->expects = false;
    if (b->r->head_sent)
        return 0;
    return b->r->codec->interim(b->r, 100, NULL);
}

// Bytes from the link; the end of the stream is an error here, as the body is not whole.
static ssize_t from_link(struct h1_body *b, struct chain *to, size_t room, enum body_wait wait) {
    struct link *l = b->r->conn->link;
    ssize_t n = wait == BODY_WAIT ? link_read(l, to, room, req_core(b->r)->client_body_timeout) : link_try_read(l, to, room);
    if (n == 0) {
        log_msg(LOG_INFO, 0, "client prematurely closed connection");
        b->r->client_gone = true;
        return fail(b, -EPIPE);
    }
    if (n < 0)
        return fail(b, (int)n);
    return n;
}

static ssize_t read_length(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct h1_body *b = container_of(body, struct h1_body, body);
    if (b->error != 0 || body->length == 0) {
        b->ended = b->error == 0;
        return b->error;
    }
    int err = continue_100(b);
    if (err != 0)
        return fail(b, err);
    ssize_t n = from_link(b, to, (size_t)MIN((uint64_t)room, (uint64_t)body->length), wait);
    if (n > 0) {
        body->length -= n;
        b->r->body_bytes_in += (uint64_t)n;
        b->ended = body->length == 0;
    }
    return n;
}

// Feeds framing bytes that stand at the front of the link's data to the parser. The link gives them as slices; what
// belongs to data or to the next request goes back.
static int parse_framing(struct h1_body *b, struct chain *in) {
    while (in->head != NULL && b->chunked.state != CHUNKED_DATA) {
        struct piece *p = in->head;
        if (b->chunked.state == CHUNKED_TRAILER) {
            size_t had = b->trailer.n;
            sbuf_put(&b->trailer, p->p, MIN(p->n, (size_t)TRAILER_MAX - had)); // the next requests may follow
            struct http1_limits lim = {.max_line = 8192, .max_head = TRAILER_MAX, .max_fields = 100, .ignore_invalid = true};
            struct head *h = b->body.trailers;
            if (h == NULL) {
                h = arena_new(&b->r->arena, struct head);
                head_init(h, &b->r->arena);
            }
            enum http1_result res = http1_parse_trailers(&b->trailer_parse, h, b->trailer.p, b->trailer.n, &lim);
            if (res != HTTP1_OK && (res != HTTP1_MORE || b->trailer.n == TRAILER_MAX))
                return -EPROTO;
            if (res == HTTP1_MORE) {
                chain_drop(in, b->trailer.n - had);
                continue;
            }
            if (h->count != 0)
                b->body.trailers = h;
            chain_drop(in, b->trailer_parse.end - had);
            b->chunked.state = CHUNKED_DONE;
            return 0;
        }
        size_t used = chunked_parse(&b->chunked, p->p, p->n);
        chain_drop(in, used);
        if (b->chunked.state == CHUNKED_BAD || b->chunked.overhead > OVERHEAD_MAX || b->chunked.left > INT64_MAX)
            return -EPROTO;
    }
    return 0;
}

static ssize_t read_chunked(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct h1_body *b = container_of(body, struct h1_body, body);
    if (b->error != 0 || b->ended)
        return b->error;
    int err = continue_100(b);
    if (err != 0)
        return fail(b, err);
    struct chain in;
    chain_init(&in, to->pool);
    size_t got = 0;
    while (got == 0 && !b->ended) {
        ssize_t n = from_link(b, &in, MAX(room, (size_t)4096), wait);
        if (n < 0)
            return n;
        // All data of these bytes, framing taken out.
        while (!chain_empty(&in) && !b->ended && (err = parse_framing(b, &in)) == 0) {
            b->ended = b->chunked.state == CHUNKED_DONE;
            if (b->chunked.state != CHUNKED_DATA)
                continue;
            size_t take = (size_t)MIN((uint64_t)MIN(in.bytes, room - got), b->chunked.left);
            if (take == 0)
                break;
            chain_move(to, &in, take);
            chunked_data(&b->chunked, take);
            got += take;
        }
        if (err != 0) {
            chain_done(&in);
            log_msg(LOG_INFO, 0, "client sent invalid chunked body");
            return fail(b, err);
        }
        if (!chain_empty(&in))
            link_unread(b->r->conn->link, &in);
    }
    b->r->body_bytes_in += got;
    uint64_t max = req_core(b->r)->client_max_body_size;
    uint64_t announced = b->chunked.state == CHUNKED_DATA ? b->chunked.left : 0;
    if (max != 0 && !b->unwanted && b->r->body_bytes_in + announced > max) {
        b->r->hint = "a larger client_max_body_size in this location, its server or http allows it";
        log_msg(LOG_ERR, 0, "client intended to send too large chunked body: %llu bytes (limit: client_max_body_size %llu)",
                (unsigned long long)(b->r->body_bytes_in + announced), (unsigned long long)max);
        b->r->hint = NULL;
        return fail(b, -EFBIG);
    }
    return (ssize_t)got;
}

static void free_body(struct body *body) {
    struct h1_body *b = container_of(body, struct h1_body, body);
    sbuf_done(&b->trailer);
}

static const struct body_ops length_ops = {"client length", read_length, NULL, free_body};
static const struct body_ops chunked_ops = {"client chunked", read_chunked, NULL, free_body};

struct body *h1_request_body(struct req *r, bool expects) {
    if (!r->chunked_in && r->content_length <= 0)
        return NULL;
    struct h1_body *b = arena_new(&r->arena, struct h1_body);
    body_init(&b->body, r->chunked_in ? &chunked_ops : &length_ops, r->chunked_in ? -1 : r->content_length);
    b->r = r;
    b->expects = expects;
    chunked_init(&b->chunked);
    sbuf_init_heap(&b->trailer, TRAILER_MAX);
    return &b->body;
}

void h1_request_body_unwanted(struct body *body) {
    struct h1_body *b = container_of(body, struct h1_body, body);
    b->unwanted = true;
    b->expects = false;
}

bool h1_request_body_ended(const struct body *body) { return container_of(body, struct h1_body, body)->ended; }
