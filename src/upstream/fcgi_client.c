// FastCGI towards applications (FastCGI 1.0). The application's standard output is a CGI response: its head is read here, its
// body is what follows until the record that ends the request. Its standard error goes to the error log.
#include "upstream/fcgi_client.h"
#include "io/loop.h"
#include "upstream/cgi_response.h"
#include "wire/fastcgi.h"

enum { ROOM_MIN = 16 << 10, STDERR_LINE = 2048, PARAMS_MAX = 1 << 20 };

static const char reading_head[] = "reading response header from upstream", reading_body[] = "reading upstream";

// What is read of one try: records, received and not parsed yet.
struct fcgi_reader {
    struct exchange *x;
    struct fcgi_parse parse;
    struct chain raw;
    const char *phase;
    struct sbuf line;   // of standard error, so far
    bool caught;        // catch_stderr
    bool over;          // END_REQUEST was read
    size_t ended;       // bytes of END_REQUEST's content seen
};

// --- the request ---------------------------------------------------------------------------------------------------------------

static bool put_head(struct exchange *x, struct sbuf *to) {
    const struct fcgi_request *f = x->protocol_conf;
    struct sbuf params;
    sbuf_init_arena(&params, &x->r->arena, 1024, PARAMS_MAX);
    f->put_params(x, &params);
    if (params.overflow)
        return false;
    x->keepalive = f->keep_conn;
    fcgi_put_begin(to, f->keep_conn);
    fcgi_put_stream(to, FCGI_PARAMS, sbuf_view(&params));
    if (!x->has_body)
        fcgi_put_stream(to, FCGI_STDIN, STR_NONE);
    return true;
}

static void put_record(struct chain *to, struct chain *from, size_t n) {
    char head[FCGI_HEAD];
    fcgi_put_head(head, FCGI_STDIN, n);
    chain_add_copy(to, str_n(head, FCGI_HEAD));
    chain_move(to, from, n);
}

static void frame(struct exchange *x, struct chain *bytes, bool last) {
    struct chain framed;
    chain_init(&framed, bytes->pool);
    while (!chain_empty(bytes))
        put_record(&framed, bytes, MIN(bytes->bytes, (size_t)FCGI_CONTENT_MAX));
    if (last)
        put_record(&framed, bytes, 0);
    chain_append(bytes, &framed);
}

// --- standard error --------------------------------------------------------------------------------------------------------------

static void log_line(struct fcgi_reader *f) {
    struct str line = sbuf_view(&f->line);
    while (line.n != 0 && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r' || line.p[line.n - 1] == ' '))
        line.n--;
    if (line.n == 0)
        return;
    exchange_log(f->x, LOG_ERR, 0, f->phase, NULL, "FastCGI sent in stderr: \"" STR_FMT "\"", STR_ARG(line));
    const struct fcgi_request *conf = f->x->protocol_conf;
    conf_list_each(const struct str, caught, conf->catch_stderr) f->caught |= str_find(line, *caught) >= 0;
}

// One record's worth: the log shows what came in one record as one line, as nginx does.
static void take_stderr(struct fcgi_reader *f, struct str bytes, bool record_ends) {
    if (f->line.p == NULL)
        sbuf_init_arena(&f->line, &f->x->r->arena, 256, STDERR_LINE);
    sbuf_put(&f->line, bytes.p, MIN(bytes.n, (size_t)STDERR_LINE - f->line.n));
    if (!record_ends)
        return;
    log_line(f);
    f->line.n = 0;
}

// --- records ---------------------------------------------------------------------------------------------------------------------

static struct fcgi_reader *reader_of(struct exchange *x) { return x->protocol_state; }

static void forget_reader(void *arg) { chain_done(&((struct fcgi_reader *)arg)->raw); }

static struct fcgi_reader *reader_new(struct exchange *x) {
    struct fcgi_reader *f = x->protocol_state;
    if (f == NULL) {
        x->protocol_state = f = arena_new(&x->r->arena, struct fcgi_reader);
        chain_init(&f->raw, loop_blocks(x->r->loop));
        arena_cleanup(&x->r->arena, forget_reader, f);
    }
    chain_done(&f->raw);
    *f = (struct fcgi_reader){.x = x, .raw = f->raw, .phase = reading_head};
    fcgi_parse_init(&f->parse);
    return f;
}

// Takes records from f->raw until content of standard output stands at its front: > 0, how much of it is there. 0: more must be
// received, or the request is over (f->over). -EPROTO.
static ssize_t next_output(struct fcgi_reader *f) {
    while (!chain_empty(&f->raw) && !f->over) {
        struct piece *p = f->raw.head;
        if (f->parse.state != FCGI_IN_CONTENT) {
            chain_drop(&f->raw, fcgi_parse(&f->parse, p->p, p->n));
            if (f->parse.state == FCGI_BAD) {
                exchange_log(f->x, LOG_ERR, 0, f->phase, NULL, "upstream sent %s", f->parse.why);
                return -EPROTO;
            }
            if (f->parse.state == FCGI_IN_CONTENT && f->parse.left == 0)
                fcgi_content(&f->parse, 0);
            continue;
        }
        size_t n = MIN((size_t)f->parse.left, p->n);
        if (f->parse.type == FCGI_STDOUT)
            return (ssize_t)n;
        if (f->parse.type == FCGI_STDERR)
            take_stderr(f, str_n(p->p, n), n == f->parse.left);
        else
            f->over = (f->ended += n) == FCGI_END_BODY;
        fcgi_content(&f->parse, n);
        chain_drop(&f->raw, n);
    }
    return 0;
}

static ssize_t receive(struct fcgi_reader *f, size_t room, enum body_wait wait) {
    struct exchange *x = f->x;
    uint64_t timeout = x->gw->read_timeout;
    ssize_t n;
    do
        n = wait == BODY_WAIT ? link_read(x->link, &f->raw, room, timeout) : link_try_read(x->link, &f->raw, room);
    while (n == -ETIMEDOUT && (timeout = exchange_read_grace(x)) != 0);
    if (n > 0)
        x->any_received = true;
    return n;
}

// --- the head ----------------------------------------------------------------------------------------------------------------------

// Standard output that is there, to the end of the block: how many bytes.
static size_t take_output(struct fcgi_reader *f, struct incoming *in, size_t n) {
    n = MIN(n, incoming_room(in));
    chain_peek(&f->raw, in->block->data + in->n, n);
    chain_drop(&f->raw, n);
    fcgi_content(&f->parse, n);
    in->n += n;
    return n;
}

static int ended_early(struct fcgi_reader *f) {
    exchange_log(f->x, LOG_ERR, 0, reading_head, NULL, "upstream closed prematurely FastCGI stdout");
    return -EPROTO;
}

static int take_head(struct fcgi_reader *f, struct incoming *in, size_t end) {
    struct exchange *x = f->x;
    if (f->caught)
        return -EPROTO;
    int err = cgi_find_length(x);
    if (err != 0)
        return err;
    size_t n = in->n - end;
    f->phase = reading_body;
    chain_add_block(&x->early, in->block, in->block->data + end, n);
    return 0;
}

static int read_head(struct exchange *x) {
    struct fcgi_reader *f = reader_new(x);
    struct incoming in;
    struct http1_parse ps = {0};
    incoming_begin(&in, x);
    for (;;) {
        ssize_t n = next_output(f);
        if (n < 0)
            return (int)n;
        if (n == 0 && f->over)
            return ended_early(f);
        if (n == 0) {
            ssize_t got = receive(f, ROOM_MIN, BODY_WAIT);
            if (got <= 0)
                return got == 0 ? -EPIPE : (int)got;
            continue;
        }
        take_output(f, &in, (size_t)n);
        size_t end = 0;
        int more = cgi_parse_head(&in, &ps, false, &end);
        if (more != 1)
            return more != 0 ? more : take_head(f, &in, end);
    }
}

// --- the body ------------------------------------------------------------------------------------------------------------------------

struct fcgi_body {
    struct body body;
    struct exchange *x;
    int error;
    bool ended;
    int64_t left; // of Content-Length; -1: not given
};

static ssize_t fail(struct fcgi_body *b, int err) {
    if (b->error == 0)
        b->error = err == -EPROTO ? err : exchange_body_failed(b->x, err, "upstream sent invalid FastCGI record");
    if (err == -EPROTO)
        exchange_done(b->x, false);
    return b->error;
}

// Bytes of output are no more than Content-Length said: 0 when there was nothing left to give.
static size_t give(struct fcgi_body *b, struct chain *to, struct chain *from, size_t n) {
    size_t given = b->left < 0 ? n : (size_t)MIN((uint64_t)n, (uint64_t)b->left);
    chain_move(to, from, given);
    if (given < n) {
        if (b->x->keepalive)
            exchange_log(b->x, LOG_WARN, 0, reading_body, NULL, "upstream sent more data than specified in \"Content-Length\" header");
        b->x->keepalive = false;
        chain_drop(from, n - given);
    }
    if (b->left >= 0)
        b->left -= (int64_t)given;
    b->x->attempts[b->x->nattempts - 1].response_length += given;
    return given;
}

static void end(struct fcgi_body *b) {
    struct fcgi_reader *f = reader_of(b->x);
    b->ended = true;
    if (!chain_empty(&f->raw) && fcgi_between(&f->parse))
        b->x->keepalive = false; // bytes behind the end
    exchange_done(b->x, fcgi_between(&f->parse));
}

static ssize_t read_body(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct fcgi_body *b = container_of(body, struct fcgi_body, body);
    struct fcgi_reader *f = reader_of(b->x);
    if (b->error != 0 || b->ended)
        return b->error;
    for (size_t got = 0;;) {
        if (!chain_empty(&b->x->early))
            got = give(b, to, &b->x->early, MIN(room, b->x->early.bytes));
        while (got < room && chain_empty(&b->x->early)) {
            ssize_t n = next_output(f);
            if (n < 0 && got == 0)
                return fail(b, (int)n);
            if (n <= 0)
                break;
            n = (ssize_t)MIN((size_t)n, room - got);
            fcgi_content(&f->parse, (size_t)n);
            got += give(b, to, &f->raw, (size_t)n);
        }
        // The last byte of a known length: the end of the request is mostly there too.
        if (b->left == 0 && chain_empty(&b->x->early) && !f->over && next_output(f) != 0)
            b->x->keepalive = false;
        if (f->over)
            end(b);
        if (got > 0) {
            body->length = b->left >= 0 ? b->left : -1;
            return (ssize_t)got;
        }
        if (b->ended)
            return 0;
        ssize_t n = receive(f, MAX(room, (size_t)ROOM_MIN), wait);
        if (n == -EAGAIN)
            return n;
        if (n <= 0)
            return fail(b, n == 0 ? -EPIPE : (int)n);
    }
}

static void free_body(struct body *body) {
    struct fcgi_body *b = container_of(body, struct fcgi_body, body);
    chain_done(&reader_of(b->x)->raw);
    if (!b->ended)
        exchange_done(b->x, false);
}

static const struct body_ops body_ops = {"upstream FastCGI", read_body, NULL, free_body};

static struct body *make_body(struct exchange *x) {
    if (method_from(x->method) == METHOD_HEAD || status_has_no_body(x->head.status)) {
        exchange_done(x, false);
        return NULL;
    }
    struct fcgi_body *b = arena_new(&x->r->arena, struct fcgi_body);
    b->x = x;
    b->left = x->body_length;
    body_init(&b->body, &body_ops, x->body_length);
    return &b->body;
}

const struct protocol fcgi_client = {"fastcgi", put_head, frame, read_head, make_body};
