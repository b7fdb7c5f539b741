#include "base/test.h"
#include "wire/http2_head.h"
#include <stdlib.h>

// A peer in text: frames are "TYPE:FLAGS:STREAM:HEX", separated by spaces; "@" is the preface; "o" opens every new stream that
// a HEADERS event brings (else only the first three of the test do).
struct side {
    struct blocks *pool;
    struct chain out;
    struct h2_session s;
    struct h2_stream streams[8];
    unsigned nstreams;
    struct sbuf events;
};

static void open_side(struct side *x, bool server) {
    memset(x, 0, sizeof *x);
    x->pool = blocks_new();
    chain_init(&x->out, x->pool);
    struct h2_limits lim = {.max_streams = 10, .initial_window = 65535, .max_block = 1000};
    h2_init(&x->s, server, &lim, &x->out, 1000);
    sbuf_init_heap(&x->events, 65536);
    chain_drop(&x->out, x->out.bytes);
}

static void close_side(struct side *x) {
    h2_done(&x->s);
    chain_done(&x->out);
    blocks_free(x->pool);
    sbuf_done(&x->events);
}

static void take_block(struct side *x, const struct h2_event *ev) {
    struct arena a;
    struct head h;
    struct h2_head head;
    struct h2_head_limits lim = {.max_field = 400, .max_head = 600, .max_fields = 20, .ignore_invalid = true};
    arena_init(&a, NULL);
    head_init(&h, &a);
    enum h2_head_result r = ev->stream != NULL && x->s.server ? h2_read_trailers(&x->s, &h, &head, &lim)
                            : x->s.server                     ? h2_read_request(&x->s, &h, &head, &lim)
                                                              : h2_read_response(&x->s, &h, &head, &lim);
    if (r == H2_HEAD_BROKEN) {
        struct h2_event fail;
        h2_fail(&x->s, &fail, H2_COMPRESSION_ERROR, "x");
        sbuf_lit(&x->events, "broken ");
    } else if (r != H2_HEAD_OK) {
        sbuf_printf(&x->events, "[%s] ", r == H2_HEAD_MALFORMED ? head.why : "too large");
    }
    arena_done(&a);
}

static void on_event(struct side *x, const struct h2_event *ev) {
    switch (ev->kind) {
    case H2_EV_HEADERS:
        sbuf_printf(&x->events, "H%u%s ", ev->id, ev->end_stream ? "$" : "");
        take_block(x, ev);
        if (ev->stream == NULL && x->nstreams < ARRAY_LEN(x->streams))
            h2_stream_open(&x->s, &x->streams[x->nstreams++], ev->id, ev->end_stream);
        break;
    case H2_EV_DATA:
        for (size_t i = 0; i < ev->n; i++)
            sbuf_printf(&x->events, "%c", ev->p[i]);
        if (ev->end_stream)
            sbuf_printf(&x->events, "$%u ", ev->id);
        h2_consumed(&x->s, ev->stream, ev->n);
        break;
    case H2_EV_RESET:
        sbuf_printf(&x->events, "R%u ", ev->id);
        break;
    case H2_EV_STREAM_ERROR:
        sbuf_printf(&x->events, "E%u:%s ", ev->id, h2_error_name(ev->code));
        break;
    case H2_EV_WINDOW:
        sbuf_printf(&x->events, "W%u ", ev->id);
        break;
    case H2_EV_GOAWAY:
        sbuf_printf(&x->events, "G%u ", ev->last);
        break;
    case H2_EV_PRIORITY:
        sbuf_printf(&x->events, "P%u:%u ", ev->id, ev->stream->urgency);
        break;
    case H2_EV_PONG:
        sbuf_lit(&x->events, "pong ");
        break;
    case H2_EV_ACKED:
        sbuf_lit(&x->events, "acked ");
        break;
    case H2_EV_ERROR:
        sbuf_printf(&x->events, "!%s ", h2_error_name(ev->code));
        break;
    case H2_EV_MORE:
        break;
    }
}

static void feed(struct side *x, struct str bytes, size_t step) {
    for (size_t at = 0; at < bytes.n && !x->s.failed;) {
        size_t n = MIN(step, bytes.n - at), used = 0, done = 0;
        char *copy = xmalloc(n); // so that a sanitizer sees whoever looks beyond
        memcpy(copy, bytes.p + at, n);
        for (;;) {
            struct h2_event ev;
            h2_input(&x->s, copy + done, n - done, &used, &ev, 1000);
            EXPECT(used <= n - done);
            done += used;
            on_event(x, &ev);
            if (ev.kind == H2_EV_MORE || x->s.failed)
                break;
        }
        EXPECT(x->s.failed || done == n);
        free(copy);
        at += n;
    }
}

static void put_frames(struct sbuf *to, struct str text) {
    struct str word;
    while (str_split(&text, ' ', &word)) {
        if (word.n == 0)
            continue;
        if (str_eq(word, STR("@"))) {
            sbuf_lit(to, H2_PREFACE);
            continue;
        }
        uint64_t v[3];
        struct str part;
        for (unsigned i = 0; i < 3; i++) {
            EXPECT(str_split(&word, ':', &part));
            EXPECT(str_hex_u64(part, UINT32_MAX, &v[i]));
        }
        struct str hex = word.p != NULL ? word : STR("");
        unsigned char head[9];
        h2_frame_put(head, (uint32_t)(hex.n / 2), (unsigned)v[0], (unsigned)v[1], (uint32_t)v[2]);
        sbuf_put(to, head, sizeof head);
        for (size_t i = 0; i + 1 < hex.n; i += 2) {
            uint64_t byte = 0;
            EXPECT(str_hex_u64(str_n(hex.p + i, 2), 255, &byte));
            sbuf_chr(to, (char)byte);
        }
    }
}

// What was put for the peer: "RST 1 PROTOCOL_ERROR" and the like; acknowledgements and windows are left out.
static void show_out(struct side *x) {
    char *all = xmalloc(x->out.bytes + 1);
    size_t n = chain_peek(&x->out, all, x->out.bytes);
    for (size_t at = 0; at + 9 <= n;) {
        struct h2_frame f = h2_frame_parse((unsigned char *)all + at);
        const unsigned char *p = (unsigned char *)all + at + 9;
        if (f.type == H2_RST_STREAM)
            sbuf_printf(&x->events, "<RST%u:%s ", f.stream, h2_error_name(p[3]));
        else if (f.type == H2_GOAWAY)
            sbuf_printf(&x->events, "<GOAWAY%u:%s ", p[3], h2_error_name(p[7]));
        else if (f.type == H2_PING)
            sbuf_printf(&x->events, "<PONG%02x ", p[7]);
        at += 9 + f.length;
        EXPECT(at <= n);
    }
    free(all);
}

#define S "@ 4:0:0: "
#define GET "828684410161" // GET http / with :authority "a"
#define POST "838684410161"

static const struct {
    const char *in, *want;
} judged[] = {
    {S, "W0 "},
    {S "4:1:0:", "W0 acked "},
    {"4:0:0:", "!PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {"@ 6:0:0:0000000000000001", "!PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {"@ 4:1:0:", "!PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    // requests
    {S "1:5:1:" GET, "W0 H1$ "},
    {S "1:4:1:" POST " 0:0:1:6162 0:1:1:63", "W0 H1 abc$1 "},
    {S "1:4:1:" POST " 0:1:1:", "W0 H1 $1 "},
    {S "1:0:1:" POST " 9:0:1: 9:4:1:", "W0 H1 "},
    {S "1:4:1:" POST " 0:8:1:0261620000 0:9:1:01636400", "W0 H1 abcd$1 "}, // padded
    {S "1:4:1:" POST " 1:5:1:00017401762000", "W0 H1 H1$ broken <GOAWAY1:COMPRESSION_ERROR "},
    {S "1:4:1:" POST " 1:5:1:0001740176", "W0 H1 H1$ "},
    {S "1:2c:1:02" "0000000000" GET "0000", "W0 H1 "}, // padded, with priority
    {S "1:5:1:" GET " 1:5:3:" GET " 1:5:7:" GET, "W0 H1$ H3$ H7$ "},
    // what is wrong with streams
    {S "1:5:5:" GET " 1:5:3:" GET, "W0 H5$ !PROTOCOL_ERROR <GOAWAY5:PROTOCOL_ERROR "},
    {S "1:5:2:" GET, "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "1:5:0:" GET, "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "1:5:1:" GET " 1:5:1:" GET, "W0 H1$ !STREAM_CLOSED <GOAWAY1:STREAM_CLOSED "},
    {S "1:5:1:" GET " 0:0:1:61", "W0 H1$ E1:STREAM_CLOSED <RST1:STREAM_CLOSED "},
    {S "1:5:1:" GET " 0:1:1:", "W0 H1$ E1:STREAM_CLOSED <RST1:STREAM_CLOSED "},
    {S "1:5:1:" GET " 3:0:1:00000008 0:0:1:61", "W0 H1$ R1 <RST1:STREAM_CLOSED "},
    {S "1:5:1:" GET " 3:0:1:00000008 1:5:1:" GET, "W0 H1$ R1 !STREAM_CLOSED <GOAWAY1:STREAM_CLOSED "},
    {S "0:0:0:61", "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "0:0:1:61", "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "0:0:2:61", "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "1:4:1:" POST " 0:8:1:0561620000", "W0 H1 !PROTOCOL_ERROR <GOAWAY1:PROTOCOL_ERROR "},
    {S "1:4:1:" POST " 0:8:1:", "W0 H1 !FRAME_SIZE_ERROR <GOAWAY1:FRAME_SIZE_ERROR "},
    {S "1:c:1:10" POST, "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "1:24:1:0000", "W0 !FRAME_SIZE_ERROR <GOAWAY0:FRAME_SIZE_ERROR "},
    {S "1:25:1:0000000100" GET, "W0 !PROTOCOL_ERROR <GOAWAY1:PROTOCOL_ERROR "},
    {S "1:5:1:ff", "W0 H1$ broken <GOAWAY1:COMPRESSION_ERROR "},
    // CONTINUATION
    {S "9:4:1:" GET, "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "1:1:1:" GET " 6:0:0:0000000000000001", "W0 !PROTOCOL_ERROR <GOAWAY1:PROTOCOL_ERROR "},
    {S "1:1:1:" GET " 9:4:3:", "W0 !PROTOCOL_ERROR <GOAWAY1:PROTOCOL_ERROR "},
    {S "1:1:1:" GET " 30:0:0:", "W0 !PROTOCOL_ERROR <GOAWAY1:PROTOCOL_ERROR "},
    // PRIORITY
    {S "2:0:1:0000000310", "W0 "},
    {S "2:0:0:0000000310", "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "1:4:1:" POST " 2:0:1:0000000110", "W0 H1 E1:PROTOCOL_ERROR <RST1:PROTOCOL_ERROR "},
    {S "1:4:1:" POST " 2:0:1:00000003", "W0 H1 E1:FRAME_SIZE_ERROR <RST1:FRAME_SIZE_ERROR "},
    // RST_STREAM
    {S "1:4:1:" POST " 3:0:1:00000008", "W0 H1 R1 "},
    {S "3:0:0:00000008", "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "3:0:1:00000008", "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "1:4:1:" POST " 3:0:1:000008", "W0 H1 !FRAME_SIZE_ERROR <GOAWAY1:FRAME_SIZE_ERROR "},
    // SETTINGS
    {S "4:0:1:", "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "4:1:0:000300000001", "W0 !FRAME_SIZE_ERROR <GOAWAY0:FRAME_SIZE_ERROR "},
    {S "4:0:0:0003000000", "W0 !FRAME_SIZE_ERROR <GOAWAY0:FRAME_SIZE_ERROR "},
    {S "4:0:0:000200000002", "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "4:0:0:000480000000", "W0 !FLOW_CONTROL_ERROR <GOAWAY0:FLOW_CONTROL_ERROR "},
    {S "4:0:0:000500003fff", "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "4:0:0:000501000000", "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "4:0:0:000800000002", "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "4:0:0:00aa00000002", "W0 W0 "},
    // PING
    {S "6:0:0:0000000000000007", "W0 <PONG07 "},
    {S "6:1:0:0000000000000007", "W0 pong "},
    {S "6:0:1:0000000000000007", "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "6:0:0:00000000000007", "W0 !FRAME_SIZE_ERROR <GOAWAY0:FRAME_SIZE_ERROR "},
    // GOAWAY
    {S "7:0:0:0000000500000000", "W0 G5 "},
    {S "7:0:1:0000000500000000", "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "7:0:0:00000005", "W0 !FRAME_SIZE_ERROR <GOAWAY0:FRAME_SIZE_ERROR "},
    // WINDOW_UPDATE
    {S "8:0:0:00000001", "W0 W0 "},
    {S "8:0:0:00000000", "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "8:0:0:7fffffff", "W0 !FLOW_CONTROL_ERROR <GOAWAY0:FLOW_CONTROL_ERROR "},
    {S "8:0:0:000001", "W0 !FRAME_SIZE_ERROR <GOAWAY0:FRAME_SIZE_ERROR "},
    {S "8:0:1:00000001", "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "1:4:1:" POST " 8:0:1:00000001", "W0 H1 W1 "},
    {S "1:4:1:" POST " 8:0:1:00000000", "W0 H1 E1:PROTOCOL_ERROR <RST1:PROTOCOL_ERROR "},
    {S "1:4:1:" POST " 8:0:1:7fffffff", "W0 H1 E1:FLOW_CONTROL_ERROR <RST1:FLOW_CONTROL_ERROR "},
    {S "1:4:1:" POST " 8:0:1:7fff0000 4:0:0:0004000fffff", "W0 H1 W1 !FLOW_CONTROL_ERROR <GOAWAY1:FLOW_CONTROL_ERROR "},
    // others
    {S "5:4:1:00000002" GET, "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "30:ff:0:aabbcc", "W0 "},
    {S "10:0:0:00000001753d31", "W0 "},
    {S "1:4:1:" POST " 10:0:0:00000001753d31", "W0 H1 P1:1 "},
    {S "10:0:1:00000001753d31", "W0 !PROTOCOL_ERROR <GOAWAY0:PROTOCOL_ERROR "},
    {S "10:0:0:000000", "W0 !FRAME_SIZE_ERROR <GOAWAY0:FRAME_SIZE_ERROR "},
};

TEST(http2_server_judges_frames) {
    static const size_t steps[] = {SIZE_MAX, 1, 7};
    for (size_t i = 0; i < ARRAY_LEN(judged); i++) {
        for (size_t k = 0; k < ARRAY_LEN(steps); k++) {
            struct side x;
            struct sbuf in;
            open_side(&x, true);
            sbuf_init_heap(&in, 65536);
            put_frames(&in, str_c(judged[i].in));
            feed(&x, sbuf_view(&in), steps[k]);
            show_out(&x);
            if (!str_eq(sbuf_view(&x.events), str_c(judged[i].want)))
                test_fail(__FILE__, __LINE__, "%s in steps of %zu: got %s, want %s", judged[i].in, steps[k], sbuf_cstr(&x.events),
                          judged[i].want);
            sbuf_done(&in);
            close_side(&x);
        }
    }
}

// A field as a literal without index.
static void put_literal(struct sbuf *b, const char *name, const char *value) {
    sbuf_chr(b, 0);
    sbuf_chr(b, (char)strlen(name));
    sbuf_put(b, name, strlen(name));
    sbuf_chr(b, (char)strlen(value));
    sbuf_put(b, value, strlen(value));
}

TEST(http2_heads_of_requests) {
    static const struct {
        const char *fields[8][2];
        const char *want; // "host=... | what is wrong"
    } cases[] = {
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "/x"}, {":authority", "a"}}, "host: a|"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "/x"}, {"host", "b"}}, "host: b|"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "/x"}, {":authority", "a"}, {"host", "A"}}, "host: a|"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "/x"}, {":authority", "a"}, {"host", "b"}},
         "host: a|\"host\" header that differs from :authority"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"cookie", "a=1"}, {"x", "y"}, {"cookie", "b=2"}},
         "x: y|cookie: a=1; b=2|"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"te", "trailers"}}, "te: trailers|"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"te", "gzip"}}, "connection-specific header"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"connection", "close"}}, "connection-specific header"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"transfer-encoding", "chunked"}}, "connection-specific header"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"upgrade", "x"}}, "connection-specific header"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"X", "y"}}, "invalid header"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"a b", "y"}}, "invalid header"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"a", "x\ny"}}, "invalid header"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"a_b", "y"}, {"c", "d"}}, "c: d|"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"a", "b"}, {":authority", "a"}}, "a: b|pseudo-header after a regular one"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":path", "/"}}, "duplicate pseudo-header"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":status", "200"}}, "unknown pseudo-header"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":x", "200"}}, "unknown pseudo-header"},
        {{{":scheme", "http"}, {":path", "/"}}, "no :method header"},
        {{{":method", "G T"}, {":scheme", "http"}, {":path", "/"}}, "invalid method"},
        {{{":method", "GET"}, {":path", "/"}}, "no :scheme header"},
        {{{":method", "GET"}, {":scheme", "http"}}, "no :path header"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", ""}}, "no :path header"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "x"}}, "invalid :path header"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "http://a/"}}, "invalid :path header"},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "*"}}, "invalid :path header"},
        {{{":method", "OPTIONS"}, {":scheme", "http"}, {":path", "*"}}, ""},
        {{{":method", "CONNECT"}, {":authority", "a:1"}}, "host: a:1|"},
        {{{":method", "CONNECT"}, {":scheme", "http"}, {":path", "/"}, {":authority", "a:1"}}, "host: a:1|invalid CONNECT request"},
        {{{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "http"}, {":path", "/"}, {":authority", "a"}}, "host: a|"},
        {{{":method", "GET"}, {":protocol", "websocket"}, {":scheme", "http"}, {":path", "/"}}, "invalid :protocol header"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct side x;
        struct sbuf block, got;
        struct arena a;
        struct head h;
        struct h2_head out;
        struct h2_head_limits lim = {.max_field = 400, .max_head = 600, .max_fields = 20, .ignore_invalid = true};
        open_side(&x, true);
        sbuf_init_heap(&block, 4096);
        sbuf_init_heap(&got, 4096);
        arena_init(&a, NULL);
        head_init(&h, &a);
        for (size_t k = 0; k < 8 && cases[i].fields[k][0] != NULL; k++)
            put_literal(&block, cases[i].fields[k][0], cases[i].fields[k][1]);
        x.s.fields = block.p;
        x.s.fields_end = block.p + block.n;
        hpack_block_begin(&x.s.decoder);
        enum h2_head_result r = h2_read_request(&x.s, &h, &out, &lim);
        head_each(f, &h) sbuf_printf(&got, STR_FMT ": " STR_FMT "|", STR_ARG(f->name), STR_ARG(f->value));
        if (r != H2_HEAD_OK)
            sbuf_printf(&got, "%s", out.why);
        EXPECT_INT(r, out.why != NULL ? H2_HEAD_MALFORMED : H2_HEAD_OK);
        EXPECT_STR(sbuf_view(&got), str_c(cases[i].want));
        arena_done(&a);
        sbuf_done(&got);
        sbuf_done(&block);
        close_side(&x);
    }
}

// A peer that repeats one thing is cut, and time gives the budget back.
TEST(http2_floods_are_cut) {
    static const struct {
        const char *before, *frame;
        unsigned most; // repetitions that must not pass
    } cases[] = {
        {S, "6:0:0:0000000000000001 ", 4001},
        {S, "4:0:0: ", 1001},
        {S, "8:0:0:00000001 ", 4001},
        {S, "2:0:1:0000000310 ", 4001},
        {S "1:4:1:" POST " ", "0:0:1: ", 2001},
        {S "1:0:1:" POST " ", "9:0:1: ", 65},
        {S, "30:0:0: ", 4001},
        {S, "10:0:0:00000001753d31 ", 4001},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct side x;
        struct sbuf in;
        open_side(&x, true);
        sbuf_init_heap(&in, 1 << 20);
        put_frames(&in, str_c(cases[i].before));
        feed(&x, sbuf_view(&in), SIZE_MAX);
        in.n = 0;
        put_frames(&in, str_c(cases[i].frame));
        unsigned n = 0;
        while (!x.s.failed && n <= cases[i].most) {
            feed(&x, sbuf_view(&in), SIZE_MAX);
            chain_drop(&x.out, x.out.bytes - MIN(x.out.bytes, 17u));
            n++;
        }
        EXPECT(x.s.failed);
        EXPECT(n > 20);
        EXPECT(str_ends(sbuf_view(&x.events), STR("!ENHANCE_YOUR_CALM ")));
        sbuf_done(&in);
        close_side(&x);
    }
}

TEST(http2_resets_cost_whoever_causes_them) {
    for (unsigned kind = 0; kind < 2; kind++) {
        struct side x;
        struct sbuf in;
        open_side(&x, true);
        sbuf_init_heap(&in, 1 << 20);
        put_frames(&in, STR(S));
        feed(&x, sbuf_view(&in), SIZE_MAX);
        unsigned n = 0;
        for (; n < 1000 && !x.s.failed; n++) {
            char text[128];
            struct sbuf t;
            sbuf_init_fixed(&t, text, sizeof text);
            // The client resets; or it makes us reset by a broken rule.
            sbuf_printf(&t, kind == 0 ? "1:5:%x:" GET " 3:0:%x:00000008" : "1:4:%x:" POST " 8:0:%x:00000000", 2 * n + 1, 2 * n + 1);
            in.n = 0;
            x.nstreams = 0;
            put_frames(&in, sbuf_view(&t));
            feed(&x, sbuf_view(&in), SIZE_MAX);
            chain_done(&x.out);
        }
        EXPECT(n > 100 && n < 500);
        EXPECT(x.s.open <= 1);
        sbuf_done(&in);
        close_side(&x);
    }
}

TEST(http2_windows) {
    struct side x;
    struct sbuf in;
    open_side(&x, true);
    sbuf_init_heap(&in, 1 << 20);
    put_frames(&in, STR(S "4:0:0:000400000064 1:5:1:" GET " 1:5:3:" GET));
    feed(&x, sbuf_view(&in), SIZE_MAX);
    struct h2_stream *one = &x.streams[0], *three = &x.streams[1];
    EXPECT_INT(h2_room(&x.s, one), 100);
    struct chain body;
    chain_init(&body, x.pool);
    static const char zeros[100000];
    chain_add_const(&body, zeros, sizeof zeros);
    h2_put_data(&x.s, one, &body, 60, false);
    EXPECT_INT(h2_room(&x.s, one), 40);
    EXPECT_INT(x.s.send_window, 65535 - 60);
    in.n = 0;
    put_frames(&in, STR("4:0:0:000400000010")); // 16: the window is 84 too far then
    feed(&x, sbuf_view(&in), SIZE_MAX);
    EXPECT_INT(one->send_window, -44);
    EXPECT_INT(h2_room(&x.s, one), 0);
    EXPECT_INT(h2_room(&x.s, three), 16);
    in.n = 0;
    put_frames(&in, STR("8:0:1:0001ffff"));
    feed(&x, sbuf_view(&in), SIZE_MAX);
    EXPECT_INT(h2_room(&x.s, one), 65535 - 60); // now the connection's is the smaller one
    size_t before = x.out.bytes;
    h2_put_data(&x.s, one, &body, 40000, false);
    EXPECT_INT(x.out.bytes - before, 40000 + 3 * 9); // frames of at most 16384
    h2_put_data(&x.s, one, &body, 65535 - 60 - 40000, true);
    EXPECT_INT(one->state, H2_CLOSED);
    EXPECT_INT(h2_room(&x.s, three), 0);
    EXPECT(h2_stream_find(&x.s, 1) == NULL && h2_stream_find(&x.s, 3) == three);
    chain_done(&body);
    sbuf_done(&in);
    close_side(&x);
}

// RFC 9113 6.9 and 6.8: the peer counted it, whatever became of it here.
TEST(http2_data_counts_wherever_it_goes) {
    static const struct {
        const char *what, *in;
        int bytes;
    } cases[] = {
        {"open", "1:4:1:" POST " 0:0:1:0102", 2},
        {"padded", "1:4:1:" POST " 0:8:1:0201020000", 5},
        {"half-closed", "1:5:1:" GET " 0:0:1:010203", 3},
        {"reset by the peer", "1:4:1:" POST " 3:0:1:00000008 0:0:1:0102", 2},
        {"reset by us", "1:4:1:" POST " 8:0:1:00000000 0:0:1:0102 0:8:1:0100", 4},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct side x;
        struct sbuf in;
        open_side(&x, true);
        sbuf_init_heap(&in, 1 << 16);
        put_frames(&in, STR(S));
        put_frames(&in, str_c(cases[i].in));
        feed(&x, sbuf_view(&in), SIZE_MAX);
        EXPECT(!x.s.failed);
        EXPECT_INT(H2_WINDOW_MAX - x.s.recv_window, cases[i].bytes);
        x.s.goaway_sent = true; // behind GOAWAY
        in.n = 0;
        put_frames(&in, STR("0:0:1:01"));
        feed(&x, sbuf_view(&in), SIZE_MAX);
        EXPECT_INT(H2_WINDOW_MAX - x.s.recv_window, cases[i].bytes + 1);
        sbuf_done(&in);
        close_side(&x);
    }
}

// A client and a server of ours talk to each other, in pieces of every size.
TEST(http2_both_sides) {
    for (size_t step = 1; step < 40; step += 6) {
        struct side c, s;
        open_side(&s, true);
        open_side(&c, false);
        struct h2_limits lim = {.initial_window = 65535, .max_block = 1000};
        h2_done(&c.s);
        h2_init(&c.s, false, &lim, &c.out, 1000);
        EXPECT(h2_may_open(&c.s));
        struct h2_stream *up = &c.streams[0], *down = &s.streams[0];
        h2_stream_open(&c.s, up, 0, false);
        struct sbuf b;
        sbuf_init_heap(&b, 1000);
        hpack_put_begin(&c.s.encoder, &b);
        hpack_put(&c.s.encoder, &b, PSEUDO_METHOD, STR(":method"), STR("POST"), HPACK_MAY_INDEX);
        hpack_put(&c.s.encoder, &b, PSEUDO_SCHEME, STR(":scheme"), STR("http"), HPACK_MAY_INDEX);
        hpack_put(&c.s.encoder, &b, PSEUDO_PATH, STR(":path"), STR("/"), HPACK_NO_INDEX);
        h2_put_headers(&c.s, up, sbuf_view(&b), false);
        struct chain body;
        chain_init(&body, c.pool);
        chain_add_const(&body, "hello", 5);
        h2_put_data(&c.s, up, &body, 5, true);
        EXPECT_INT(up->state, H2_HALF_LOCAL);
        char wire[4096];
        size_t n = chain_peek(&c.out, wire, sizeof wire);
        feed(&s, str_n(wire, n), step);
        EXPECT_STR(sbuf_view(&s.events), STR("W0 W0 H1 hello$1 "));
        b.n = 0;
        hpack_put_begin(&s.s.encoder, &b);
        hpack_put_status(&s.s.encoder, &b, 204);
        h2_put_headers(&s.s, down, sbuf_view(&b), true);
        EXPECT_INT(down->state, H2_CLOSED);
        char settings[9];
        h2_frame_put((unsigned char *)settings, 0, H2_SETTINGS, 0, 0);
        feed(&c, str_n(settings, 9), step);
        n = chain_peek(&s.out, wire, sizeof wire);
        feed(&c, str_n(wire, n), step);
        EXPECT_STR(sbuf_view(&c.events), STR("W0 acked H1$ "));
        EXPECT_INT(up->state, H2_CLOSED);
        EXPECT_INT(c.s.open + s.s.open, 0);
        sbuf_done(&b);
        close_side(&c);
        close_side(&s);
    }
}

TEST(http2_priorities) {
    static const struct {
        const char *value;
        unsigned urgency;
        bool incremental;
    } cases[] = {
        {"u=0", 0, false}, {"u=7, i", 7, true}, {"i", 3, true},       {"i=?0", 3, false},   {"u=8", 3, false},
        {"", 3, false},    {"u=1;x", 1, false}, {"x=y,u=2", 2, false}, {"u=5,u=6", 6, false}, {"u=-1", 3, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t urgency = 3;
        bool incremental = false;
        h2_parse_priority(str_c(cases[i].value), &urgency, &incremental);
        EXPECT_INT(urgency, cases[i].urgency);
        EXPECT_INT(incremental, cases[i].incremental);
    }
}

TEST(http2_streams_move) {
    struct side x;
    struct h2_stream moved;
    open_side(&x, true);
    for (uint32_t i = 0; i < 5; i++) // 1 and 65 share a bucket
        h2_stream_open(&x.s, &x.streams[i], i == 4 ? 1 + 2 * H2_BUCKETS : 1 + 2 * i, false);
    h2_stream_move(&x.s, &x.streams[0], &moved);
    memset(&x.streams[0], 0xff, sizeof x.streams[0]);
    EXPECT(h2_stream_find(&x.s, 1) == &moved && moved.state == H2_OPEN && moved.id == 1);
    EXPECT(h2_stream_find(&x.s, 1 + 2 * H2_BUCKETS) == &x.streams[4]);
    h2_stream_forget(&x.s, &moved);
    EXPECT(h2_stream_find(&x.s, 1) == NULL && x.s.open == 4);
    for (unsigned i = 1; i < 5; i++)
        h2_stream_forget(&x.s, &x.streams[i]);
    close_side(&x);
}
