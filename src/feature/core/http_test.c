// Configurations and requests through the whole of http/ without sockets: which server, which location, which answer. What
// is expected here was seen from nginx 1.22 with the same text.
#include "feature/test_site.h"
#include "http/route.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct ask {
    const char *target, *fields, *want; // the answer's first line and its body: "200 OK|body"
};

// Status line and body, and the Location between them where there is one.
static struct str brief(struct site *s, struct str answer) {
    ssize_t line = str_chr(answer, '\n'), end = str_find(answer, STR("\n\n")), at = str_find(answer, STR("\nLocation: "));
    if (line < 0 || end < 0)
        return answer;
    struct str body = str_from(answer, (size_t)end + 2), place = STR("");
    if (at >= 0 && at < end) {
        place = str_from(answer, (size_t)at + 11);
        place = str_head(place, (size_t)str_chr(place, '\n'));
    }
    if (str_starts(body, STR("<html>")))
        body = STR("page");
    return arena_printf(&s->arena, STR_FMT "|" STR_FMT "%s" STR_FMT, STR_ARG(str_head(answer, (size_t)line)),
                        STR_ARG(place), place.n ? "|" : "", STR_ARG(body));
}

static void expect_all(struct site *s, const struct ask *asks, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct str got = brief(s, site_get(s, asks[i].target, asks[i].fields ? asks[i].fields : ""));
        if (!str_eq(got, str_c(asks[i].want)))
            test_fail(__FILE__, __LINE__, "%s (%s): got \"%.*s\", want \"%s\"", asks[i].target,
                      asks[i].fields ? asks[i].fields : "", STR_ARG(got), asks[i].want);
    }
}

static void expect_site_at(const char *prefix, const char *text, const struct ask *asks, size_t n) {
    struct site s;
    site_open(&s, str_c(prefix), str_c(text));
    EXPECT_STR(site_errors(&s), STR(""));
    EXPECT(s.conf != NULL);
    log_set_default(&(struct log){.level = LOG_STDERR}); // quiet
    expect_all(&s, asks, n);
    log_set_default(NULL);
    site_close(&s);
}
#define EXPECT_SITE(text, ...)                                                                                         \
    expect_site_at("/nonexistent/", text, (const struct ask[]){__VA_ARGS__},                                            \
                   sizeof((const struct ask[]){__VA_ARGS__}) / sizeof(struct ask))

TEST(kinds_of_locations) {
    EXPECT_SITE("events {} http { server {"
                "location / { return 200 root; }"
                "location = / { return 200 exact; }"
                "location /images/ { return 200 prefix; }"
                "location ^~ /static/ { return 200 final; }"
                "location ~ \\.php$ { return 200 php; }"
                "location ~* \\.(gif|jpg)$ { return 200 nocase-$1; }"
                "location ~ ^/v/(?<name>[a-z]+)$ { return 200 $name; }"
                "location /images/deep/ { return 200 deep; }"
                "} }",
                {"/", NULL, "200 OK|exact"}, {"/x", NULL, "200 OK|root"}, {"/images/", NULL, "200 OK|prefix"},
                {"/images", NULL, "200 OK|root"}, {"/images/x.GIF", NULL, "200 OK|nocase-GIF"},
                {"/static/x.php", NULL, "200 OK|final"}, {"/x.php", NULL, "200 OK|php"}, {"/x.PHP", NULL, "200 OK|root"},
                {"/v/abc", NULL, "200 OK|abc"}, {"/images/deep/er", NULL, "200 OK|deep"},
                {"/images/dee", NULL, "200 OK|prefix"}, {"/images/../v/x", NULL, "200 OK|x"});
}

TEST(nested_locations) {
    EXPECT_SITE("events {} http { server {"
                "location /a/ { return 200 a; location /a/b/ { return 200 ab; location ~ \\.x$ { return 200 abx; }"
                "    location = /a/b/e.x { return 200 exact; } } location ~ \\.x$ { return 200 ax; } }"
                "location ^~ /q/ { location ~ \\.x$ { return 200 qx; } return 200 q; }"
                "location ~ ^/r/ { return 200 r; location ~ \\.x$ { return 200 rx; } }"
                "location ~ \\.x$ { return 200 x; } location ~ \\.y$ { return 200 y; } } }",
                {"/a/z", NULL, "200 OK|a"}, {"/a/b/z", NULL, "200 OK|ab"}, {"/a/b/z.x", NULL, "200 OK|abx"},
                {"/a/b/e.x", NULL, "200 OK|exact"}, {"/a/z.x", NULL, "200 OK|ax"}, {"/a/b/z.y", NULL, "200 OK|y"},
                {"/q/z.x", NULL, "200 OK|qx"}, {"/q/z.y", NULL, "200 OK|q"}, {"/r/z.x", NULL, "200 OK|rx"},
                {"/r/z.y", NULL, "200 OK|r"}, {"/z.x", NULL, "200 OK|x"}, {"/z", NULL, "404 Not Found|page"});
}

// All locations of the site are a gateway's.
static void mark_gateways(struct scope *s) {
    if (s->place == IN_LOCATION)
        ((struct location *)s->data)->auto_redirect = true;
    for (struct scope *c = s->children; c != NULL; c = c->next)
        mark_gateways(c);
}

TEST(gateways_redirect_to_their_slash) {
    struct site s;
    site_open(&s, STR("/x"), STR("events {} http { server { absolute_redirect off;"
                                 "location /dir/ { return 200 dir; } location /both/ { return 200 both/; }"
                                 "location /both { return 200 both; } location = /exact/ { return 200 exact; }"
                                 "location /dir/sub/ { return 200 sub; } location ~ dir { return 200 regex; } } }"));
    EXPECT(s.conf != NULL);
    mark_gateways(s.conf->root);
    static const struct ask asks[] = {
        {"/dir", NULL, "301 Moved Permanently|/dir/|page"},   {"/dir?a=b", NULL, "301 Moved Permanently|/dir/?a=b|page"},
        {"/both", NULL, "200 OK|both"},                       {"/exact", NULL, "301 Moved Permanently|/exact/|page"},
        {"/dir/sub", NULL, "301 Moved Permanently|/dir/sub/|page"}, {"/di", NULL, "404 Not Found|page"},
        {"/dir/", NULL, "200 OK|regex"},                      {"/dirx", NULL, "200 OK|regex"}};
    expect_all(&s, asks, ARRAY_LEN(asks));
    site_close(&s);
}

TEST(many_locations) {
    struct sbuf text;
    sbuf_init_heap(&text, 4 << 20);
    sbuf_lit(&text, "events {} http { server { ");
    for (unsigned i = 0; i < 20000; i++)
        sbuf_printf(&text, "location /app/%u/ { return 200 %u; }\n", i, i);
    sbuf_lit(&text, "} }");
    struct site s;
    site_open(&s, STR("/x"), sbuf_view(&text));
    EXPECT(s.conf != NULL);
    for (unsigned i = 0; i < 20000; i += 777) {
        char target[64], want[64];
        snprintf(target, sizeof(target), "/app/%u/x", i);
        snprintf(want, sizeof(want), "200 OK|%u", i);
        EXPECT_STR(brief(&s, site_get(&s, target, "")), str_c(want));
    }
    EXPECT_STR(brief(&s, site_get(&s, "/app/20000/", "")), STR("404 Not Found|page"));
    site_close(&s);
    sbuf_done(&text);
}

TEST(server_names) {
    EXPECT_SITE("events {} http { server { server_name first; return 200 first; }"
                "server { server_name a.test; return 200 exact; } server { server_name *.a.test; return 200 head; }"
                "server { server_name .b.test; return 200 dot; } server { server_name www.c.*; return 200 tail; }"
                "server { server_name *.x.a.test; return 200 longer; }"
                "server { server_name ~^(?<sub>r.+)\\.d\\.test$; return 200 re-$sub; }"
                "server { server_name ~^Q; return 200 upper; } server { server_name \"\"; return 200 none; }"
                "server { listen 80 default_server; server_name mail.*; return 200 \"$server_name\"; } }",
                {"/", "Host: A.test\r\n", "200 OK|exact"}, {"/", "Host: x.a.test\r\n", "200 OK|head"},
                {"/", "Host: y.x.a.test\r\n", "200 OK|longer"}, {"/", "Host: b.test\r\n", "200 OK|dot"},
                {"/", "Host: q.b.test\r\n", "200 OK|dot"}, {"/", "Host: www.c.co.uk\r\n", "200 OK|tail"},
                {"/", "Host: www.c\r\n", "200 OK|mail.*"}, {"/", "Host: r1.d.test\r\n", "200 OK|re-r1"},
                {"/", "Host: qq\r\n", "200 OK|upper"}, {"/", "Host: a.test.:80\r\n", "200 OK|exact"},
                {"/", "Host: mail.a.test\r\n", "200 OK|head"}, {"/", "Host: zz\r\n", "200 OK|mail.*"},
                {"/", "Host: first\r\n", "200 OK|first"});
}

TEST(pages_of_errors) {
    EXPECT_SITE("events {} http { server { error_page 404 /e4; error_page 403 =200 /e3; error_page 500 502 = /e5;"
                "error_page 410 @named; error_page 401 http://x/l; error_page 402 =301 http://x/; error_page 409 /e9?a=b;"
                "location /e4 { return 200 \"e4 $uri\"; } location /e3 { return 200 e3; } location /e5 { return 503 e5; }"
                "location /e9 { return 201 $args; } location @named { return 200 \"named $uri\"; }"
                "location /404 { return 404; } location /403 { return 403; } location /500 { return 500; }"
                "location /410 { return 410; } location /401 { return 401; } location /402 { return 402; }"
                "location /409 { return 409; } location /in { internal; }"
                "location /loop { recursive_error_pages on; error_page 404 /loop; return 404; } } }",
                {"/404", NULL, "404 Not Found|e4 /e4"}, {"/403", NULL, "200 OK|e3"},
                {"/500", NULL, "503 Service Temporarily Unavailable|e5"}, {"/410", NULL, "410 Gone|named /410"},
                {"/401", NULL, "302 Moved Temporarily|http://x/l|page"}, {"/402", NULL, "301 Moved Permanently|http://x/|page"},
                {"/409", NULL, "409 Conflict|a=b"}, {"/in", NULL, "404 Not Found|e4 /e4"},
                {"/loop", NULL, "500 Internal Server Error|page"});
}

// --- files -----------------------------------------------------------------------------------------------------------------

static char dir[64];

static void put_file(const char *name, const char *text) {
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    EXPECT(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void make_dir(void) {
    snprintf(dir, sizeof(dir), "/tmp/weir-site-XXXXXX");
    EXPECT(mkdtemp(dir) != NULL);
    char path[128];
    static const char *const dirs[] = {"sub", "bare"};
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, dirs[i]);
        EXPECT_INT(mkdir(path, 0755), 0);
    }
    put_file("index.html", "index");
    put_file("hello.txt", "0123456789");
    put_file("empty", "");
    put_file("sub/index.html", "sub");
}

static void drop_dir(void) {
    static const char *const names[] = {"index.html", "hello.txt", "empty", "sub/index.html", "sub", "bare", ""};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        EXPECT_INT(remove(path), 0);
    }
}

#define EXPECT_FILES(text, ...)                                                                                        \
    do {                                                                                                               \
        make_dir();                                                                                                    \
        expect_site_at(dir, text, (const struct ask[]){__VA_ARGS__},                                                    \
                       sizeof((const struct ask[]){__VA_ARGS__}) / sizeof(struct ask));                                 \
        drop_dir();                                                                                                    \
    } while (0)

TEST(files) {
    EXPECT_FILES("events {} http { absolute_redirect off; server { root .;"
                 "location /al/ { alias ./; } location ~ ^/re/(.*)$ { alias ./$1; }"
                 "location /idx/ { alias ./; index nope sub/index.html; } location /abs/ { index nope /hello.txt; alias ./; }"
                 "} }",
                 {"/", NULL, "200 OK|index"}, {"/hello.txt", NULL, "200 OK|0123456789"}, {"/empty", NULL, "200 OK|"},
                 {"/sub", NULL, "301 Moved Permanently|/sub/|page"}, {"/sub?a", NULL, "301 Moved Permanently|/sub/?a|page"},
                 {"/sub/", NULL, "200 OK|sub"}, {"/bare/", NULL, "403 Forbidden|page"}, {"/no", NULL, "404 Not Found|page"},
                 {"/no/", NULL, "404 Not Found|page"}, {"/hello.txt/", NULL, "404 Not Found|page"},
                 {"/al/hello.txt", NULL, "200 OK|0123456789"}, {"/re/sub/index.html", NULL, "200 OK|sub"},
                 {"/idx/", NULL, "200 OK|sub"}, {"/abs/", NULL, "200 OK|0123456789"});
}

TEST(parts_of_files) {
    EXPECT_FILES("events {} http { server { root .; location /one/ { alias ./; max_ranges 1; }"
                 "location /none/ { alias ./; max_ranges 0; } } }",
                 {"/hello.txt", "Range: bytes=2-4\r\n", "206 Partial Content|234"},
                 {"/hello.txt", "Range: bytes=-3\r\n", "206 Partial Content|789"},
                 {"/hello.txt", "Range: bytes=8-\r\n", "206 Partial Content|89"},
                 {"/hello.txt", "Range: bytes=10-\r\n", "416 Requested Range Not Satisfiable|page"},
                 {"/one/hello.txt", "Range: bytes=0-0,2-2\r\n", "200 OK|0123456789"},
                 {"/none/hello.txt", "Range: bytes=0-0\r\n", "200 OK|0123456789"},
                 {"/hello.txt", "Range: bytes=0-0\r\nIf-Range: \"x\"\r\n", "200 OK|0123456789"},
                 {"/hello.txt", "If-None-Match: *\r\n", "304 Not Modified|"},
                 {"/hello.txt", "If-Match: \"x\"\r\n", "412 Precondition Failed|page"});
}

TEST(several_parts) {
    make_dir();
    struct site s;
    site_open(&s, str_c(dir), STR("events {} http { server { root .; } }"));
    struct str answer = site_get(&s, "/hello.txt", "Range: bytes=8-9,0-1\r\n");
    static const char *const want[] = {"206 Partial Content\n", "Content-Type: multipart/byteranges; boundary=",
                                       "Content-Range: bytes 8-9/10\r\n\r\n89\r\n--", "Content-Range: bytes 0-1/10\r\n\r\n01\r\n--"};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        if (str_find(answer, str_c(want[i])) < 0)
            test_fail(__FILE__, __LINE__, "no \"%s\" in \"%.*s\"", want[i], STR_ARG(answer));
    }
    // What was promised as the length is what came.
    ssize_t at = str_find(answer, STR("Content-Length: ")), end = str_find(answer, STR("\n\n"));
    EXPECT(at >= 0 && end > at);
    struct str promised = str_from(answer, (size_t)at + 16);
    ssize_t digits = str_find(promised, STR("\n"));
    uint64_t length;
    EXPECT(digits > 0 && str_u64(str_head(promised, (size_t)digits), UINT32_MAX, &length));
    EXPECT_INT(length, answer.n - (size_t)end - 2);
    site_close(&s);
    drop_dir();
}

TEST(trying_files) {
    EXPECT_FILES("events {} http { absolute_redirect off; server { root .;"
                 "location / { try_files $uri $uri/ /fall?from=$uri; } location /fall { return 200 $args; }"
                 "location /c { try_files /no =418; } location /named { try_files /no @n; } location @n { return 200 \"n $uri\"; }"
                 "location /al/ { alias ./; try_files $uri /fall; } } }",
                 {"/hello.txt", NULL, "200 OK|0123456789"}, {"/sub/", NULL, "200 OK|sub"},
                 {"/sub", NULL, "301 Moved Permanently|/sub/|page"}, {"/no", NULL, "200 OK|from=/no"}, {"/c", NULL, "418 |"},
                 {"/named", NULL, "200 OK|n /named"}, {"/al/hello.txt", NULL, "200 OK|0123456789"}, {"/al/no?q", NULL, "200 OK|"});
}

// --- fields ----------------------------------------------------------------------------------------------------------------

static void expect_fields(const char *text, const char *target, const char *want, bool there) {
    struct site s;
    site_open(&s, STR("/x"), str_c(text));
    EXPECT_STR(site_errors(&s), STR(""));
    struct str answer = site_get(&s, target, "");
    if ((str_find(answer, str_c(want)) >= 0) != there)
        test_fail(__FILE__, __LINE__, "%s: \"%s\" %s in \"%.*s\"", target, want, there ? "is not" : "is", STR_ARG(answer));
    site_close(&s);
}

TEST(added_fields) {
    static const char text[] = "events {} http { server { add_header X outer; expires 1h;"
                               "location /a { return 200 a; } location /b { add_header Y $uri; expires off; return 200 b; }"
                               "location /c { return 404; } location /d { add_header Z z always; return 404; }"
                               "location /e { add_header Cache-Control public; return 200 e; }"
                               "location /t { add_trailer T $uri; return 200 t; } location /m { expires max; return 200 m; } } }";
    expect_fields(text, "/a", "\nX: outer\n", true);
    expect_fields(text, "/a", "\nCache-Control: max-age=3600\n", true);
    expect_fields(text, "/b", "\nY: /b\n", true);
    expect_fields(text, "/b", "X: outer", false);
    expect_fields(text, "/b", "Cache-Control", false);
    expect_fields(text, "/c", "X: outer", false);
    expect_fields(text, "/d", "\nZ: z\n", true);
    expect_fields(text, "/e", "\nCache-Control: max-age=3600\nCache-Control: public\n", true);
    expect_fields(text, "/t", "\n\nt\nT: /t", true);
    expect_fields(text, "/t", "Content-Length", false);
    expect_fields(text, "/m", "\nExpires: Thu, 31 Dec 2037 23:55:55 GMT\n", true);
}

TEST(access_by_address) {
    struct site s;
    site_open(&s, STR("/x"), STR("events {} http { server { location /x { deny 10.0.0.1; allow 10.0.0.0/8; deny all; }"
                                 "location /any { satisfy any; allow 10.0.0.2; deny all; } error_page 404 =200 /ok;"
                                 "location /ok { return 200 ok; } } }"));
    EXPECT_STR(site_errors(&s), STR(""));
    log_set_default(&(struct log){.level = LOG_STDERR});
    static const struct {
        uint32_t from;
        const char *target, *want;
    } cases[] = {{0x0a000001, "/x", "403 Forbidden|page"}, {0x0a000002, "/x", "200 OK|ok"}, {0x0b000001, "/x", "403 Forbidden|page"},
                 {0x0a000002, "/any", "200 OK|ok"},        {0x0a000001, "/any", "403 Forbidden|page"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(cases[i].from)};
        struct str answer = site_ask_from(&s, (struct sockaddr *)&from,
                                          arena_printf(&s.arena, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", cases[i].target));
        EXPECT_STR(brief(&s, answer), str_c(cases[i].want));
    }
    log_set_default(NULL);
    site_close(&s);
}

// --- errors of the configuration ----------------------------------------------------------------------------------------------

TEST(errors_in_the_words_of_nginx) {
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"server { server_name *x.com; }", "server name \"*x.com\" is invalid in F:1\n"},
        {"server { server_name a; } server { server_name A; }",
         "warn: conflicting server name \"a\" on 0.0.0.0:80, ignored\n"},
        {"server { listen 80; listen 80; }", "a duplicate listen 0.0.0.0:80 in F:1\n"},
        {"server { listen 80 default; } server { listen *:80 default_server; }",
         "a duplicate default server for 0.0.0.0:80 in F:1\n"},
        {"server { listen 80 backlog=1; } server { listen *:80 backlog=2; }",
         "duplicate listen options for 0.0.0.0:80 in F:1\n"},
        {"server { listen 80 so_keepalive=::; }", "invalid so_keepalive value: \"::\" in F:1\n"},
        {"server { listen 99999; }", "invalid port in \"99999\" of the \"listen\" directive in F:1\n"},
        {"server { location = /x { location /x/y {} } }",
         "location \"/x/y\" cannot be inside the exact location \"/x\" in F:1\n"},
        {"server { location /x { location /y {} } }", "location \"/y\" is outside location \"/x\" in F:1\n"},
        {"server { location /x { location @y {} } }", "named location \"@y\" can be on the server level only in F:1\n"},
        {"server { location zz /x {} }", "invalid location modifier \"zz\" in F:1\n"},
        {"server { location /x {} location ^~ /x {} }", "duplicate location \"/x\" in F:1\n"},
        {"server { location ~ \"a)(\" {} }",
         "pcre2_compile() failed: unmatched closing parenthesis in \"a)(\" at \")(\" in F:1\n"},
        {"error_page 200 /x;", "value \"200\" must be between 300 and 599 in F:1\n"},
        {"server { location /x { root /a; alias /b; } }",
         "\"alias\" directive is duplicate, \"root\" directive was specified earlier in F:1\n"},
        {"types { a/b c; d/e C; }",
         "warn: duplicate extension \"c\", content type: \"d/e\", previous content type: \"a/b\" in F:1\n"},
        {"server { return abc; }", "invalid return code \"abc\" in F:1\n"},
        {"server { try_files /x =abc; }", "invalid code \"=abc\" in F:1\n"},
        {"allow 1.2.3.4/8;", "warn: low address bits of 1.2.3.4/8 are meaningless in F:1\n"},
        {"expires modified @1h;",
         "\"expires\" directive daily time cannot be used with \"modified\" parameter in F:1\n"},
        {"server { listen 80 ssl; }", "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive in F:1\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct site s;
        char text[512];
        snprintf(text, sizeof(text), "events {} http { %s }", cases[i].text);
        site_open(&s, STR("/x"), str_c(text));
        struct str got = site_errors(&s);
        struct sbuf b;
        sbuf_init_arena(&b, &s.arena, 256, 4096);
        for (ssize_t at; (at = str_find(got, STR("/test/weir.conf"))) >= 0; got = str_from(got, (size_t)at + 15)) {
            sbuf_str(&b, str_head(got, (size_t)at));
            sbuf_chr(&b, 'F');
        }
        sbuf_str(&b, got);
        EXPECT_STR(sbuf_view(&b), str_c(cases[i].want));
        site_close(&s);
    }
}
