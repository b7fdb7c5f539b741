// The HTTP/2 session, of either side: the same bytes whole and in pieces must give the same events and the same answers. The first byte
// chooses side and size of the pieces; a preface and SETTINGS are put in front.
#include "wire/http2_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STREAMS = 32 };

struct side {
    struct blocks *pool;
    struct chain out;
    struct h2_session s;
    struct h2_stream streams[STREAMS];
    unsigned opened;
    uint64_t digest; // of the events
};

static void note(struct side *x, const void *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        x->digest = (x->digest ^ ((const unsigned char *)p)[i]) * 1099511628211u;
}

static void take_block(struct side *x, const struct h2_event *ev) {
    struct arena a;
    struct head h;
    struct h2_head out;
    struct h2_head_limits lim = {.max_field = 1000, .max_head = 4000, .max_fields = 50, .ignore_invalid = true};
    arena_init(&a, NULL);
    head_init(&h, &a);
    enum h2_head_result r = ev->stream != NULL && x->s.server ? h2_read_trailers(&x->s, &h, &out, &lim)
                            : x->s.server                     ? h2_read_request(&x->s, &h, &out, &lim)
                                                              : h2_read_response(&x->s, &h, &out, &lim);
    note(x, &r, sizeof r);
    head_each(f, &h) note(x, f->value.p, f->value.n);
    if (r == H2_HEAD_BROKEN || r == H2_HEAD_BOMB) {
        struct h2_event end;
        h2_fail(&x->s, &end, H2_COMPRESSION_ERROR, "");
    } else if (ev->stream == NULL) {
        if (x->opened < STREAMS)
            h2_stream_open(&x->s, &x->streams[x->opened++], ev->id, ev->end_stream);
        else
            h2_refuse(&x->s, ev->id, H2_REFUSED_STREAM);
    } else {
        ev->stream->head_seen = true;
    }
    arena_done(&a);
}

static void feed(struct side *x, const char *p, size_t n, size_t step) {
    for (size_t at = 0; at < n && !x->s.failed;) {
        size_t part = MIN(step, n - at), done = 0;
        struct h2_event ev = {.kind = H2_EV_MORE};
        do {
            size_t used;
            h2_input(&x->s, p + at + done, part - done, &used, &ev, 1);
            CHECK(used <= part - done);
            done += used;
            if (ev.kind == H2_EV_DATA) {
                CHECK(ev.p >= p && ev.p + ev.n <= p + n);
                note(x, ev.p, ev.n);
                h2_consumed(&x->s, ev.stream, ev.n);
            } else if (ev.kind != H2_EV_MORE) {
                note(x, &ev.kind, sizeof ev.kind);
                note(x, &ev.id, sizeof ev.id);
            }
            if (ev.kind == H2_EV_HEADERS)
                take_block(x, &ev);
        } while (ev.kind != H2_EV_MORE && !x->s.failed);
        CHECK(x->s.failed || done == part);
        CHECK(x->s.open <= STREAMS && h2_memory(&x->s) < 200000);
        at += part;
    }
}

static void run(struct side *x, bool server, const char *p, size_t n, size_t step) {
    memset(x, 0, sizeof *x);
    x->pool = blocks_new();
    chain_init(&x->out, x->pool);
    struct h2_limits lim = {.max_streams = 10, .initial_window = 1000, .max_block = 5000};
    h2_init(&x->s, server, &lim, &x->out, 1);
    if (!server) {
        for (; x->opened < 4; x->opened++)
            h2_stream_open(&x->s, &x->streams[x->opened], 0, false);
    }
    feed(x, p, n, step);
}

static void end(struct side *x) {
    h2_done(&x->s);
    chain_done(&x->out);
    blocks_free(x->pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char begin[] = H2_PREFACE "\0\0\0\4\0\0\0\0\0";
    if (size < 1 || size > 1u << 16)
        return 0;
    bool server = data[0] & 1;
    struct sbuf all;
    sbuf_init_heap(&all, 1 << 17);
    sbuf_put(&all, server ? begin : begin + 24, sizeof(begin) - 1 - (server ? 0 : 24));
    sbuf_put(&all, data + 1, size - 1);
    static struct side whole, pieces;
    run(&whole, server, all.p, all.n, SIZE_MAX);
    run(&pieces, server, all.p, all.n, 1 + (data[0] >> 1));
    CHECK(whole.digest == pieces.digest && whole.s.failed == pieces.s.failed && whole.s.open == pieces.s.open);
    CHECK(whole.out.bytes == pieces.out.bytes);
    end(&whole);
    end(&pieces);
    sbuf_done(&all);
    return 0;
}
