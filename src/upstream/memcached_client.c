// memcached towards its servers: a get, and the value that comes back, with the line behind it that says whether it was whole.
#include "upstream/memcached_client.h"
#include "io/loop.h"
#include "upstream/response_head.h"
#include "wire/memcached.h"

enum { ROOM_MIN = 16 << 10, ROOM_MAX = 256 << 10 };

static const char reading_head[] = "reading response header from upstream", reading_body[] = "reading upstream",
                  bad_trailer[] = "memcached sent invalid trailer";

static bool put_head(struct exchange *x, struct sbuf *to) {
    const struct memcached_get *get = x->protocol_conf;
    memcached_put_get(to, get->key);
    x->keepalive = x->group->keepalive != 0;
    return true;
}

// --- the first line ------------------------------------------------------------------------------------------------------------

static int refuse(struct exchange *x, const struct memcached_reply *reply, const char *what) {
    const struct memcached_get *get = x->protocol_conf;
    if (what == NULL) {
        x->hint = "is that the port of a memcached server?";
        exchange_log(x, LOG_ERR, 0, reading_head, NULL, "memcached sent invalid response: \"" STR_FMT "\"", STR_ARG(reply->line));
    } else {
        exchange_log(x, LOG_ERR, 0, reading_head, NULL,
                     "memcached sent invalid %s in response \"" STR_FMT "\" for key \"" STR_FMT "\"", what, STR_ARG(reply->line),
                     STR_ARG(get->key));
    }
    return -EPROTO;
}

static int too_long(const struct incoming *in) {
    struct exchange *x = in->x;
    x->hint = "a key may have 250 bytes: is that the port of a memcached server?";
    exchange_log(x, LOG_ERR, 0, reading_head, exchange_note(x, "buffer_size", x->gw->buffer_size, ""), "upstream sent too big header");
    return -EPROTO;
}

// What came behind the line is the value's.
static int take_reply(struct incoming *in, const struct memcached_reply *reply, unsigned status) {
    struct exchange *x = in->x;
    head_init(&x->head, &x->r->arena);
    x->head.version = 11;
    x->head.status = status;
    x->head.reason = STR_NONE;
    x->body_length = reply->length;
    x->chunked = false;
    chain_add_block(&x->early, in->block, in->block->data + reply->end, in->n - reply->end);
    return 0;
}

static int take_value(struct incoming *in, const struct memcached_reply *reply) {
    struct memcached_get *get = in->x->protocol_conf;
    get->flags = 0;
    if (get->wants_flags && !memcached_flags(reply, &get->flags))
        return refuse(in->x, reply, "flags");
    return take_reply(in, reply, 200);
}

static int not_found(struct incoming *in, const struct memcached_reply *reply) {
    struct exchange *x = in->x;
    const struct memcached_get *get = x->protocol_conf;
    exchange_log(x, LOG_INFO, 0, reading_head, NULL, "key: \"" STR_FMT "\" was not found by memcached", STR_ARG(get->key));
    return take_reply(in, reply, 404);
}

// 1: more is needed.
static int parse(struct incoming *in) {
    const struct memcached_get *get = in->x->protocol_conf;
    struct memcached_reply reply;
    enum memcached_reply_kind kind = memcached_parse(&reply, in->block->data, in->n, get->key);
    if ((kind == MEMCACHED_MORE ? in->n : reply.end) > in->limit)
        return too_long(in);
    switch (kind) {
    case MEMCACHED_VALUE:
        return take_value(in, &reply);
    case MEMCACHED_NOT_FOUND:
        return not_found(in, &reply);
    case MEMCACHED_BAD_REPLY:
        return refuse(in->x, &reply, NULL);
    case MEMCACHED_BAD_KEY:
        return refuse(in->x, &reply, "key");
    case MEMCACHED_BAD_LENGTH:
        return refuse(in->x, &reply, "length");
    case MEMCACHED_MORE:
        break;
    }
    return 1;
}

static int read_head(struct exchange *x) {
    struct incoming in;
    incoming_begin(&in, x);
    for (;;) {
        int err = incoming_more(&in);
        if (err < 0)
            return err;
        err = parse(&in);
        if (err != 1)
            return err;
    }
}

// --- the value -------------------------------------------------------------------------------------------------------------------

// Received bytes are told apart at once: the value's, and those behind it.
//
//   | given to the reader | value |      to_come      | trailer |
struct memcached_body {
    struct body body;
    struct exchange *x;
    struct chain value;
    uint64_t to_come;                 // bytes of the value that were not received
    char trailer[MEMCACHED_TRAILER + 1]; // one byte more than there should be
    size_t have;                      // of the trailer
    size_t room;                      // of the next receive
    int error;
    bool alone;                       // nothing more can be had of the server
    bool ended;
};

static void count(struct memcached_body *b, size_t n) { b->x->attempts[b->x->nattempts - 1].response_length += n; }

static bool trailer_is_whole(const struct memcached_body *b) {
    return b->have == MEMCACHED_TRAILER && memcached_is_trailer(b->trailer, b->have);
}

// Takes all of *in.
static void sort_out(struct memcached_body *b, struct chain *in) {
    count(b, in->bytes);
    b->to_come -= chain_move(&b->value, in, (size_t)MIN((uint64_t)in->bytes, b->to_come));
    size_t n = MIN(in->bytes, sizeof(b->trailer) - b->have);
    chain_peek(in, b->trailer + b->have, n);
    b->have += n;
    chain_done(in);
}

// The server has no more to say about this key: all of the trailer is here, or something else.
static bool is_over(struct memcached_body *b) {
    if (b->alone)
        return true;
    if (b->to_come != 0 || (b->have < MEMCACHED_TRAILER && memcached_is_trailer(b->trailer, b->have)))
        return false;
    if (!trailer_is_whole(b))
        exchange_log(b->x, LOG_ERR, 0, reading_body, NULL, bad_trailer);
    b->alone = true;
    return true;
}

static ssize_t receive(struct memcached_body *b, size_t room, enum body_wait wait) {
    struct exchange *x = b->x;
    struct chain in;
    chain_init(&in, b->value.pool);
    // With room for a byte more than there should be: a receive that is not filled tells the link that nothing follows.
    room = (size_t)MIN((uint64_t)MAX(MIN(room, b->room), (size_t)ROOM_MIN), b->to_come + sizeof(b->trailer) - b->have);
    ssize_t n = wait == BODY_WAIT ? link_read(x->link, &in, room, x->gw->read_timeout) : link_try_read(x->link, &in, room);
    if (n == (ssize_t)room)
        b->room = MIN(b->room * 2, (size_t)ROOM_MAX);
    sort_out(b, &in);
    return n;
}

// A value that is whole goes to the client whatever becomes of the trailer; that failed is in the log.
static ssize_t failed(struct memcached_body *b, int err) {
    err = exchange_body_failed(b->x, err, bad_trailer);
    b->alone = true;
    if (b->to_come == 0 && err != -ECANCELED)
        return 0;
    b->error = err;
    return err;
}

// The last byte waits for the trailer, which mostly is there too: with it the connection is free for the next request.
static size_t to_give(struct memcached_body *b, size_t room) {
    size_t n = b->value.bytes;
    if (n == (uint64_t)b->body.length && !is_over(b))
        n--;
    return MIN(n, room);
}

static ssize_t read_value(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct memcached_body *b = container_of(body, struct memcached_body, body);
    for (;;) {
        if (b->error != 0 || b->ended)
            return b->error;
        size_t n = to_give(b, room);
        if (n != 0) {
            chain_move(to, &b->value, n);
            body->length -= (int64_t)n;
            b->ended = body->length == 0;
            if (b->ended)
                exchange_done(b->x, trailer_is_whole(b));
            return (ssize_t)n;
        }
        ssize_t got = receive(b, room, wait);
        if (got == -EAGAIN)
            return got;
        if (got <= 0)
            got = failed(b, got == 0 ? -EPIPE : (int)got);
    }
}

// All that the server has to say has come, whether or not somebody has read it (HEAD, Range): the connection is good for more.
static bool is_clean(struct memcached_body *b) { return b->error == 0 && is_over(b) && trailer_is_whole(b); }

static void free_body(struct body *body) {
    struct memcached_body *b = container_of(body, struct memcached_body, body);
    chain_done(&b->value);
    if (!b->ended)
        exchange_done(b->x, is_clean(b));
}

static const struct body_ops value_ops = {"upstream memcached", read_value, NULL, free_body};

static struct body *make_body(struct exchange *x) {
    struct memcached_body *b = arena_new(&x->r->arena, struct memcached_body);
    b->x = x;
    b->to_come = (uint64_t)x->body_length;
    b->room = ROOM_MIN;
    body_init(&b->body, &value_ops, x->body_length);
    chain_init(&b->value, loop_blocks(x->r->loop));
    if (x->head.status != 200) {
        exchange_done(x, true); // with bytes behind the line it is not kept
        return NULL;
    }
    sort_out(b, &x->early);
    bool head_only = method_from(x->method) == METHOD_HEAD;
    if (head_only)
        x->attempts[x->nattempts - 1].response_length = 0;
    if (!head_only && x->body_length != 0)
        return &b->body;
    free_body(&b->body);
    return NULL;
}

const struct protocol memcached_client = {"memcached", put_head, NULL, read_head, make_body};
