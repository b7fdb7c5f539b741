#include "base/test.h"
#include "wire/http1.h"
#include <stdlib.h>

static const struct http1_limits roomy = {
    .max_line = 8192, .max_head = 32768, .max_fields = 1000, .ignore_invalid = true};

typedef enum http1_result parse_fn(struct http1_parse *ps, struct head *h, const char *p, size_t n,
                                   const struct http1_limits *lim);

// What a parse says, as text: "GET /x 11|Host=a|" with the bytes left over, "200 OK 11|...", or the name of the error.
static void describe(struct sbuf *b, enum http1_result r, const struct http1_parse *ps, const struct head *h,
                     size_t n) {
    static const char *const names[] = {"OK",          "MORE",   "LINE",    "METHOD",    "VERSION",
                                        "UNSUPPORTED", "TARGET", "FIELD",   "LINE_LONG", "FIELD_LONG",
                                        "HEAD_LONG",   "MANY",   "NOT_HTTP"};
    if (r != HTTP1_OK) {
        sbuf_str(b, str_c(names[r]));
        return;
    }
    if (h->status != 0)
        sbuf_printf(b, "%u %.*s %u|", h->status, STR_ARG(h->reason), h->version);
    else if (h->target.p != NULL)
        sbuf_printf(b, "%.*s %.*s %u|", STR_ARG(h->method_text), STR_ARG(h->target), h->version);
    head_each(f, h) {
        if (f->id != field_id_of(f->name))
            sbuf_lit(b, "WRONG ID ");
        sbuf_str(b, f->name);
        sbuf_chr(b, '=');
        sbuf_str(b, f->value);
        sbuf_chr(b, '|');
    }
    if (ps->ignored != 0)
        sbuf_printf(b, "-%u", ps->ignored);
    if (ps->end != n)
        sbuf_printf(b, "+%zu", n - ps->end);
}

static void parse_whole(struct sbuf *b, parse_fn *parse, struct str in, const struct http1_limits *lim) {
    struct arena arena;
    struct head h;
    struct http1_parse ps = {0};
    arena_init(&arena, NULL);
    head_init(&h, &arena);
    char *p = xmalloc(in.n + 1);
    memcpy(p, in.p, in.n);
    char *exact = xrealloc(p, in.n != 0 ? in.n : 1);
    enum http1_result r = parse(&ps, &h, exact, in.n, lim);
    describe(b, r, &ps, &h, in.n);
    arena_done(&arena);
    free(exact);
}

// One byte more at each call, at another address each time, until it says something.
static void parse_bytewise(struct sbuf *b, parse_fn *parse, struct str in, const struct http1_limits *lim) {
    struct arena arena;
    struct head h;
    struct http1_parse ps = {0};
    enum http1_result r = HTTP1_MORE;
    char *old = NULL;
    arena_init(&arena, NULL);
    head_init(&h, &arena);
    for (size_t n = 0; n <= in.n && r == HTTP1_MORE; n++) {
        char *p = xmalloc(n != 0 ? n : 1);
        memcpy(p, in.p, n);
        r = parse(&ps, &h, p, n, lim);
        free(old);
        old = p;
        if (r == HTTP1_OK)
            EXPECT_INT(ps.end, n);
    }
    describe(b, r, &ps, &h, in.n);
    arena_done(&arena);
    free(old);
}

static void expect_parse(parse_fn *parse, struct str in, const struct http1_limits *lim, const char *want) {
    char text[2][2048];
    struct sbuf whole, bytewise;
    sbuf_init_fixed(&whole, text[0], sizeof(text[0]));
    sbuf_init_fixed(&bytewise, text[1], sizeof(text[1]));
    parse_whole(&whole, parse, in, lim);
    if (!str_eq(sbuf_view(&whole), str_c(want)))
        test_fail(__FILE__, __LINE__, "%.*s: got \"%.*s\", want \"%s\"", STR_ARG(in), STR_ARG(sbuf_view(&whole)), want);
    parse_bytewise(&bytewise, parse, in, lim);
    if (!str_eq(sbuf_view(&bytewise), sbuf_view(&whole)))
        test_fail(__FILE__, __LINE__, "%.*s: byte by byte \"%.*s\", whole \"%.*s\"", STR_ARG(in),
                  STR_ARG(sbuf_view(&bytewise)), STR_ARG(sbuf_view(&whole)));
}

struct parse_case {
    struct str in;
    const char *want;
};
#define H "Host: a\r\n\r\n"
#define C(in, want) \
    { STR_INIT(in), want }

static void expect_requests(const struct parse_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++)
        expect_parse(http1_parse_request, cases[i].in, &roomy, cases[i].want);
}

TEST(http1_request_lines) {
    static const struct parse_case cases[] = {
        C("GET / HTTP/1.1\r\n" H, "GET / 11|Host=a|"),
        C("GET /a/b?c=d&e HTTP/1.0\r\n\r\n", "GET /a/b?c=d&e 10|"),
        C("G_E-T / HTTP/1.1\r\n" H, "G_E-T / 11|Host=a|"),
        C("-GET / HTTP/1.1\r\n" H, "-GET / 11|Host=a|"),
        C("GET  /   HTTP/1.1  \r\n" H, "GET / 11|Host=a|"),
        C("GET / HTTP/1.1\nHost: a\n\n", "GET / 11|Host=a|"),
        C("GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / 11|Host=a|"),
        C("\r\n\n\r\rGET / HTTP/1.1\r\n" H, "GET / 11|Host=a|"),
        C("GET / HTTP/1.2\r\n" H, "GET / 11|Host=a|"),
        C("GET / HTTP/1.9\r\n" H, "GET / 11|Host=a|"),
        C("GET http://b/c HTTP/1.1\r\n" H, "GET http://b/c 11|Host=a|"),
        C("OPTIONS * HTTP/1.1\r\n" H, "OPTIONS * 11|Host=a|"),
        C("CONNECT b:443 HTTP/1.1\r\n" H, "CONNECT b:443 11|Host=a|"),
        C("GET /\x80\xff{}|\\^`\"<> HTTP/1.1\r\n" H, "GET /\x80\xff{}|\\^`\"<> 11|Host=a|"),
        C("PRIX / HTTP/1.1\r\n" H, "PRIX / 11|Host=a|"),
        C("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", "POST / 11|Content-Length=5|+5"),
        C("", "MORE"),
        C("\r\n", "MORE"),
        C("GET / HTTP/1.1\r\n", "MORE"),
        C("GET / HTTP/1.1\r\nHost: a\r\n", "MORE"),
        C("GET / HTTP/1.1\r\nHost: a\r\n\r", "MORE"),
    };
    expect_requests(cases, ARRAY_LEN(cases));
}

TEST(http1_method_bytes) {
    for (unsigned c = 0; c < 256; c++) {
        char text[] = "Gx / HTTP/1.1\r\n\r\n";
        bool good = (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
        text[1] = (char)c;
        if (c == ' ') // two spaces
            continue;
        struct arena arena;
        struct head h;
        struct http1_parse ps = {0};
        arena_init(&arena, NULL);
        head_init(&h, &arena);
        EXPECT_INT(http1_parse_request(&ps, &h, text, sizeof(text) - 1, &roomy), good ? HTTP1_OK : HTTP1_BAD_METHOD);
        arena_done(&arena);
    }
}

// What is wrong is said at its byte: nothing here ends with a line feed that would have brought it out.
TEST(http1_bad_request_lines) {
    static const struct parse_case cases[] = {
        C("\x16", "NOT_HTTP"),
        C("\x16\x03\x01", "NOT_HTTP"),
        C("PRI * HTTP/2.0", "NOT_HTTP"),
        C("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "NOT_HTTP"),
        C("PRI * HTTP/1.1\r\n" H, "PRI * 11|Host=a|"),
        C("PRI * HTTP/2", "MORE"),
        C("g", "METHOD"),
        C(" GET", "METHOD"),
        C("GEt", "METHOD"),
        C("G1", "METHOD"),
        C("GET\t", "METHOD"),
        C("GET\r", "METHOD"),
        C("GET:", "METHOD"),
        C("\xff", "METHOD"),
        C("\0", "METHOD"),
        C("GET \r", "LINE"),
        C("GET \n", "LINE"),
        C("GET \t", "TARGET"),
        C("GET /a\x01", "TARGET"),
        C("GET /a\x7f", "TARGET"),
        C("GET /a\0", "TARGET"),
        C("GET /?a\t", "TARGET"),
        C("GET /a b", "TARGET"),
        C("GET / h", "TARGET"),
        C("GET / x HTTP/1.1\r\n", "TARGET"),
        C("GET / Hb", "VERSION"),
        C("GET / HTTX", "VERSION"),
        C("GET / HTTP/\r", "VERSION"),
        C("GET / HTTP/a", "VERSION"),
        C("GET / HTTP/0", "VERSION"),
        C("GET / HTTP/1\r", "VERSION"),
        C("GET / HTTP/1.\r", "VERSION"),
        C("GET / HTTP/1.x", "VERSION"),
        C("GET / HTTP/1.10", "VERSION"),
        C("GET / HTTP/1.01", "VERSION"),
        C("GET / HTTP/2", "UNSUPPORTED"),
        C("GET / HTTP/3.0\r\n", "UNSUPPORTED"),
        C("GET / HTTP/12", "UNSUPPORTED"),
        C("GET / HTTP/1.1\t", "LINE"),
        C("GET / HTTP/1.1x", "LINE"),
        C("GET / HTTP/1.1 x", "LINE"),
        C("GET / HTTP/1.1\r\r", "LINE"),
        C("GET / HTTP/1.1\rH", "LINE"),
    };
    expect_requests(cases, ARRAY_LEN(cases));
}

TEST(http09_requests) {
    static const struct parse_case cases[] = {
        C("GET /a\r\n", "GET /a 9|"), C("GET /\n", "GET / 9|"),
        C("GET /  \r\n", "GET / 9|"), C("GET /\r\nHost: a\r\n\r\n", "GET / 9|+11"),
        C("GET /\r", "MORE"),         C("GET /\rx", "LINE"),
        C("POST /\r\n", "LINE"),      C("GETS /\n", "LINE"),
    };
    expect_requests(cases, ARRAY_LEN(cases));
}

TEST(http1_fields) {
    static const struct parse_case cases[] = {
        C("GET / HTTP/1.1\r\nX-Test:\r\n" H, "GET / 11|X-Test=|Host=a|"),
        C("GET / HTTP/1.1\r\nX-Test:  \t \r\n" H, "GET / 11|X-Test=|Host=a|"),
        C("GET / HTTP/1.1\r\nX-Test: \ta b\tc \t\r\n" H, "GET / 11|X-Test=a b\tc|Host=a|"),
        C("GET / HTTP/1.1\r\nX-Test:a:b\n" H, "GET / 11|X-Test=a:b|Host=a|"),
        C("GET / HTTP/1.1\r\nX-Test: \x80\xff~\r\n" H, "GET / 11|X-Test=\x80\xff~|Host=a|"),
        C("GET / HTTP/1.1\r\nhOST: b\r\nHOST: c\r\n\r\n", "GET / 11|hOST=b|HOST=c|"),
        C("GET / HTTP/1.1\r\nX_T: a\r\nX.T: b\r\nX!: c\r\n(): d\r\n\xc3\xa9: e\r\n" H, "GET / 11|Host=a|-5"),
        C("GET / HTTP/1.1\r\n: x\r\n", "FIELD"),
        C("GET / HTTP/1.1\r\n \r\n", "FIELD"),
        C("GET / HTTP/1.1\r\n Host: a\r\n", "FIELD"),
        C("GET / HTTP/1.1\r\nX-Test : x\r\n", "FIELD"),
        C("GET / HTTP/1.1\r\nX-Test\t: x\r\n", "FIELD"),
        C("GET / HTTP/1.1\r\nX!Test : x\r\n", "FIELD"),
        C("GET / HTTP/1.1\r\nX Test: x\r\n", "FIELD"),
        C("GET / HTTP/1.1\r\nX-Test\r\n", "FIELD"),
        C("GET / HTTP/1.1\r\nX!\r\n", "FIELD"),
        C("GET / HTTP/1.1\r\nX-Test: a\r\n b\r\n", "FIELD"),
        C("GET / HTTP/1.1\r\nX-Test: a\r\n\tb\r\n", "FIELD"),
        C("GET / HTTP/1.1\r\nX-Test: a\x01"
          "b\r\n",
          "FIELD"),
        C("GET / HTTP/1.1\r\nX-Test: a\0b\r\n", "FIELD"),
        C("GET / HTTP/1.1\r\nX-Test: a\x7f\r\n", "FIELD"),
        C("GET / HTTP/1.1\r\nX_Test: a\x7f\r\n", "FIELD"),
        C("GET / HTTP/1.1\r\nX-Test: a\rb\r\n", "FIELD"),
        C("GET / HTTP/1.1\r\nX-Test: a\r\r\n", "FIELD"),
        C("GET / HTTP/1.1\r\nX\x01: a\r\n", "FIELD"),
        C("GET / HTTP/1.1\r\nX\x7f: a\r\n", "FIELD"),
        C("GET / HTTP/1.1\r\nX\0: a\r\n", "FIELD"),
        C("GET / HTTP/1.1\r\nX\r: a\r\n", "FIELD"),
        C("GET / HTTP/1.1\r\nHost: a\r\n\rX\n", "FIELD"),
    };
    expect_requests(cases, ARRAY_LEN(cases));
}

TEST(http1_names) {
    static const struct str in = STR_INIT("GET / HTTP/1.1\r\nX_T: a\r\nX.T: b\r\n" H);
    static const struct str odd = STR_INIT("GET / HTTP/1.1\r\n(X): a\r\n");
    struct http1_limits lim = roomy;
    lim.underscores = true;
    expect_parse(http1_parse_request, in, &lim, "GET / 11|X_T=a|Host=a|-1");
    lim.ignore_invalid = false;
    expect_parse(http1_parse_request, in, &lim, "GET / 11|X_T=a|X.T=b|Host=a|");
    expect_parse(http1_parse_request, odd, &lim, "FIELD");
    lim.underscores = false;
    expect_parse(http1_parse_request, in, &lim, "GET / 11|X_T=a|X.T=b|Host=a|");
    lim.ignore_invalid = lim.keep_invalid = true; // who asks so judges later
    expect_parse(http1_parse_request, in, &lim, "GET / 11|X_T=a|X.T=b|Host=a|");
    expect_parse(http1_parse_request, (struct str)STR_INIT("GET / HTTP/1.1\r\n(X): a\r\n" H), &lim, "GET / 11|(X)=a|Host=a|");
    expect_parse(http1_parse_request, (struct str)STR_INIT("GET / HTTP/1.1\r\nX Y: a\r\n" H), &lim, "FIELD");
}

TEST(http1_limits) {
    struct http1_limits lim = {.max_line = 20, .max_head = 60, .max_fields = 3, .ignore_invalid = true};
    static const struct parse_case cases[] = {
        C("GET /aaaa HTTP/1.1\r\n\r\n", "GET /aaaa 11|"),
        C("GET /aaaaa HTTP/1.1\r\n\r\n", "LINE_LONG"),
        C("GET /aaaaa HTTP/1.1\r", "MORE"), // 20 bytes, but surely more to come: told at the next
        C("GET /aaaaaaaaaaaaaaaa", "LINE_LONG"),
        C("GET / HTTP/1.1\r\nX: aaaaaaaaaaaaaaa\r\n\r\n", "GET / 11|X=aaaaaaaaaaaaaaa|"),
        C("GET / HTTP/1.1\r\nX: aaaaaaaaaaaaaaaa\r\n\r\n", "FIELD_LONG"),
        C("GET / HTTP/1.1\r\nX: aaaaaaaaaaaaaaaaaa", "FIELD_LONG"),
        C("GET / HTTP/1.1\r\nX_: aaaaaaaaaaaaaaaaa\r\n\r\n", "FIELD_LONG"),
        C("GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n", "GET / 11|A=1|B=2|C=3|"),
        C("GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n", "MANY"),
        C("GET / HTTP/1.1\r\nA: 1\r\nB_: 2\r\nC: 3\r\nD: 4\r\n\r\n", "GET / 11|A=1|C=3|D=4|-1"),
        C("GET / HTTP/1.1\r\nA: aaaaaaaaaaaaa\r\nB: bbbbbbbbbbbbb\r\nC: c\r\n\r\n",
          "GET / 11|A=aaaaaaaaaaaaa|B=bbbbbbbbbbbbb|C=c|"),
        C("GET / HTTP/1.1\r\nA: aaaaaaaaaaaaa\r\nB: bbbbbbbbbbbbb\r\nC: ccc\r\n\r\n", "HEAD_LONG"),
        C("GET / HTTP/1.1\r\nA: aaaaaaaaaaaaa\r\nB: bbbbbbbbbbbbb\r\nC: cccccc", "HEAD_LONG"),
        C("\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"
          "\n\n\n\n\n\n\n",
          "HEAD_LONG"),
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_parse(http1_parse_request, cases[i].in, &lim, cases[i].want);
}

TEST(http1_many_fields) {
    char text[16384];
    struct sbuf b;
    struct arena arena;
    struct head h;
    struct http1_parse ps = {0};
    struct http1_limits lim = roomy;
    sbuf_init_fixed(&b, text, sizeof(text));
    arena_init(&arena, NULL);
    head_init(&h, &arena);
    sbuf_lit(&b, "GET / HTTP/1.1\r\n");
    for (unsigned i = 0; i < 500; i++)
        sbuf_printf(&b, "X-%u: value %u\r\n", i, i);
    sbuf_lit(&b, "\r\n");
    EXPECT(!b.overflow);
    EXPECT_INT(http1_parse_request(&ps, &h, b.p, b.n, &lim), HTTP1_OK);
    EXPECT_INT(h.count, 500);
    EXPECT_STR(h.at[499].name, STR("X-499"));
    EXPECT_STR(h.at[77].value, STR("value 77"));
    lim.max_fields = 499;
    ps = (struct http1_parse){0};
    h.count = 0;
    EXPECT_INT(http1_parse_request(&ps, &h, b.p, b.n, &lim), HTTP1_TOO_MANY_FIELDS);
    EXPECT_STR(ps.line, STR("X-499: value 499"));
    arena_done(&arena);
}

// Where and what was wrong, for the log.
TEST(http1_error_places) {
    static const struct {
        struct str in, line;
        size_t at;
    } cases[] = {
        {STR_INIT("GET / HTTP/9.1\r\n" H), STR_INIT("GET / HTTP/9.1"), 11},
        {STR_INIT("\r\nGET /a\x01z HTTP/1.1\r\n" H), STR_INIT("GET /a\x01z HTTP/1.1"), 8},
        {STR_INIT("GET / HTTP/1.1\r\nA: b\r\nC : d\r\nE: f\r\n\r\n"), STR_INIT("C : d"), 23},
        {STR_INIT("GET / HTTP/1.1\r\nA: b\r\nC: \x02\r\nE: f\r\n\r\n"), STR_INIT("C: \x02"), 25},
        {STR_INIT("get"), STR_INIT("get"), 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct head h;
        struct http1_parse ps = {0};
        arena_init(&arena, NULL);
        head_init(&h, &arena);
        EXPECT(http1_parse_request(&ps, &h, cases[i].in.p, cases[i].in.n, &roomy) > HTTP1_MORE);
        EXPECT_STR(ps.line, cases[i].line);
        EXPECT_INT(ps.at, cases[i].at);
        arena_done(&arena);
    }
}

TEST(http1_details_of_requests) {
    static const char in[] = "\r\nPUT  /x HTTP/1.1 \r\nHost: a\r\n\r\nbody";
    struct arena arena;
    struct head h;
    struct http1_parse ps = {0};
    arena_init(&arena, NULL);
    head_init(&h, &arena);
    EXPECT_INT(http1_parse_request(&ps, &h, in, sizeof(in) - 1, &roomy), HTTP1_OK);
    EXPECT_STR(ps.line, STR("PUT  /x HTTP/1.1 "));
    EXPECT_INT(h.method, METHOD_PUT);
    EXPECT_STR(head_value(&h, FIELD_HOST), STR("a"));
    ps = (struct http1_parse){0};
    EXPECT_INT(http1_parse_request(&ps, &h, "\x16\x03", 2, &roomy), HTTP1_NOT_HTTP);
    EXPECT_INT(ps.seen, HTTP1_SEEN_TLS);
    ps = (struct http1_parse){0};
    EXPECT_INT(http1_parse_request(&ps, &h, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24, &roomy), HTTP1_NOT_HTTP);
    EXPECT_INT(ps.seen, HTTP1_SEEN_H2_PREFACE);
    arena_done(&arena);
}

TEST(http1_responses) {
    static const struct parse_case cases[] = {
        C("HTTP/1.1 200 OK\r\nServer: x\r\n\r\nbody", "200 OK 11|Server=x|+4"),
        C("HTTP/1.0 404 Not Found\n\n", "404 Not Found 10|"),
        C("HTTP/1.1 200 \r\n\r\n", "200  11|"),
        C("HTTP/1.1 200\r\n\r\n", "200  11|"),
        C("HTTP/1.1  200 Fine \xe9\t.\r\n\r\n", "200 Fine \xe9\t. 11|"),
        C("HTTP/1.7 999 x\r\n\r\n", "999 x 11|"),
        C("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "100 Continue 11|+19"),
        C("HTTP/1.1 200 OK\r\nX_T: a\r\n\r\n", "200 OK 11|-1"),
        C("", "MORE"),
        C("HTTP/1.1 200 OK", "MORE"),
        C("HTTP/1.1 200 OK\r\nServer: x\r\n\r", "MORE"),
        C("h", "LINE"),
        C("\r\n", "LINE"),
        C("<html>", "LINE"),
        C("HTTP/1.1x", "LINE"),
        C("HTTP/1.1\r", "LINE"),
        C("HTTP/1.1 \r", "LINE"),
        C("HTTP/1.1 099", "LINE"),
        C("HTTP/1.1 20\r", "LINE"),
        C("HTTP/1.1 2000", "LINE"),
        C("HTTP/1.1 200OK", "LINE"),
        C("HTTP/1.1 -20", "LINE"),
        C("HTTP/1.1 200 O\rK\r\n\r\n", "LINE"),
        C("HTTP/1.1 200 O\0K\r\n\r\n", "LINE"),
        C("HTTP/1.10", "VERSION"),
        C("HTTP/2 200", "UNSUPPORTED"),
        C("HTTP/1.1 200 OK\r\nServer\r\n", "FIELD"),
        C("HTTP/1.1 200 OK\r\n: x\r\n", "FIELD"),
        C("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n", "FIELD"),
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_parse(http1_parse_response, cases[i].in, &roomy, cases[i].want);
}

TEST(http1_trailers) {
    static const struct parse_case cases[] = {
        C("\r\n", ""),
        C("\n", ""),
        C("\r\nGET", "+3"),
        C("A: b\r\n\r\n", "A=b|"),
        C("A: b\nC: d\n\nx", "A=b|C=d|+1"),
        C("", "MORE"),
        C("\r", "MORE"),
        C("A: b\r\n", "MORE"),
        C("A: b\r\n\r", "MORE"),
        C("\rx\n", "FIELD"),
        C("A\r\n", "FIELD"),
        C(" \r\n", "FIELD"),
        C("A: b\r\n c\r\n\r\n", "FIELD"),
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_parse(http1_parse_trailers, cases[i].in, &roomy, cases[i].want);
}

TEST(http1_content_lengths) {
    static const struct {
        const char *value;
        int64_t strict, lenient;
    } cases[] = {
        {"0", 0, 0},
        {"42", 42, 42},
        {"007", 7, 7},
        {"9223372036854775807", INT64_MAX, INT64_MAX},
        {"9223372036854775808", -1, -1},
        {"99999999999999999999999999", -1, -1},
        {"", -1, -1},
        {" 5", -1, 5},
        {"+5", -1, -1},
        {"-5", -1, -1},
        {"5 5", -1, -1},
        {"0x5", -1, -1},
        {"5,", -1, -1},
        {",5", -1, -1},
        {"5,5", -1, 5},
        {"5, 5 ,5", -1, 5},
        {"5, 6", -1, -1},
        {"5;5", -1, -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        EXPECT_INT(http1_content_length(str_c(cases[i].value), false), cases[i].strict);
        EXPECT_INT(http1_content_length(str_c(cases[i].value), true), cases[i].lenient);
    }
    EXPECT_INT(http1_content_length(STR("5\0"), false), -1);
}

TEST(http1_transfer_codings) {
    static const struct {
        const char *first, *second;
        enum http1_coding want;
    } cases[] = {
        {NULL, NULL, HTTP1_CODING_NONE},
        {"chunked", NULL, HTTP1_CODING_CHUNKED},
        {"Chunked", NULL, HTTP1_CODING_CHUNKED},
        {"", NULL, HTTP1_CODING_UNKNOWN},
        {"identity", NULL, HTTP1_CODING_UNKNOWN},
        {"gzip, chunked", NULL, HTTP1_CODING_UNKNOWN},
        {"chunked, chunked", NULL, HTTP1_CODING_UNKNOWN},
        {"chunked;x=y", NULL, HTTP1_CODING_UNKNOWN},
        {"xchunked", NULL, HTTP1_CODING_UNKNOWN},
        {"chunked", "chunked", HTTP1_CODING_UNKNOWN},
        {"gzip", "chunked", HTTP1_CODING_UNKNOWN},
        {"chunked", "", HTTP1_CODING_UNKNOWN},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct head h;
        arena_init(&arena, NULL);
        head_init(&h, &arena);
        if (cases[i].first != NULL)
            head_add_known(&h, FIELD_TRANSFER_ENCODING, str_c(cases[i].first));
        if (cases[i].second != NULL)
            head_add_known(&h, FIELD_TRANSFER_ENCODING, str_c(cases[i].second));
        EXPECT_INT(http1_transfer_coding(&h), cases[i].want);
        arena_done(&arena);
    }
}

TEST(http1_writes_start_lines) {
    char text[256];
    struct sbuf b;
    sbuf_init_fixed(&b, text, sizeof(text));
    EXPECT(http1_put_request_line(&b, STR("GET"), STR("/a?b"), 11));
    EXPECT(http1_put_request_line(&b, STR("M-SEARCH"), STR("/\xc3\xa9"), 10));
    EXPECT(!http1_put_request_line(&b, STR("POST"), STR("/a b"), 11));
    EXPECT(!http1_put_request_line(&b, STR("POST"), STR("/a\r\nX: y"), 11));
    EXPECT(!http1_put_request_line(&b, STR("POST"), STR("/\x7f"), 11));
    EXPECT(!http1_put_request_line(&b, STR("BAD\r\n"), STR("/"), 11));
    EXPECT(!http1_put_request_line(&b, STR("A B"), STR("/"), 11));
    EXPECT(!http1_put_request_line(&b, STR(""), STR("/"), 11));
    EXPECT(!http1_put_request_line(&b, STR("GET"), STR(""), 11));
    EXPECT_STR(sbuf_view(&b), STR("GET /a?b HTTP/1.1\r\nM-SEARCH /\xc3\xa9 HTTP/1.0\r\n"));
    sbuf_init_fixed(&b, text, 10);
    EXPECT(http1_put_request_line(&b, STR("GET"), STR("/a?b"), 11) && b.overflow);
    sbuf_init_fixed(&b, text, sizeof(text));
    http1_put_status_line(&b, 11, 200, STR("OK"));
    http1_put_status_line(&b, 10, 999, STR(""));
    http1_put_status_line(&b, 20, 100, STR("a\r\nb"));
    EXPECT_STR(sbuf_view(&b), STR("HTTP/1.1 200 OK\r\nHTTP/1.0 999 \r\nHTTP/1.1 100 \r\n"));
}

TEST(http1_writes_fields) {
    static const struct {
        struct str name, value, want;
    } cases[] = {
        {STR_INIT("Host"), STR_INIT("a"), STR_INIT("Host: a\r\n")},
        {STR_INIT("X_!.~"), STR_INIT(""), STR_INIT("X_!.~: \r\n")},
        {STR_INIT("A"), STR_INIT("\t\x01\x7f\xff"), STR_INIT("A: \t\x01\x7f\xff\r\n")},
        {STR_INIT("A-Name-Of-More-Than-16-Bytes"), STR_INIT("a value of more than sixteen bytes"),
         STR_INIT("A-Name-Of-More-Than-16-Bytes: a value of more than sixteen bytes\r\n")},
        {STR_INIT(""), STR_INIT("a"), STR_INIT("")},
        {STR_INIT("A B"), STR_INIT("a"), STR_INIT("")},
        {STR_INIT("A:"), STR_INIT("a"), STR_INIT("")},
        {STR_INIT("A\r\nB"), STR_INIT("a"), STR_INIT("")},
        {STR_INIT("A"), STR_INIT("a\rb"), STR_INIT("")},
        {STR_INIT("A"), STR_INIT("a\nb"), STR_INIT("")},
        {STR_INIT("A"), STR_INIT("a value long enough\0"), STR_INIT("")},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[128];
        struct sbuf b;
        sbuf_init_fixed(&b, text, sizeof(text));
        EXPECT_INT(http1_put_field(&b, cases[i].name, cases[i].value), cases[i].want.n == 0);
        EXPECT_STR(sbuf_view(&b), cases[i].want);
    }
    char tiny[8];
    struct sbuf b;
    sbuf_init_fixed(&b, tiny, sizeof(tiny));
    EXPECT_INT(http1_put_field(&b, STR("Host"), STR("abc")), 1);
    EXPECT(b.n == 0 && b.overflow);
}
