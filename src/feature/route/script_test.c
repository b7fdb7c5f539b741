// The machine of the rewrite stage: order of steps, what values do with captures and queries, where a run ends.
#include "feature/test_site.h"

static void open_site(struct site *s, const char *conf) {
    static char text[4096]; // lives as long as the site
    snprintf(text, sizeof(text), "events {} http { access_log off; default_type text/plain; server { listen 80; %s } }", conf);
    *s = (struct site){0};
    site_open(s, STR("/test"), str_c(text));
}

// Status and body of an answer.
static void expect(const char *conf, const char *target, unsigned status, const char *body) {
    struct site s;
    open_site(&s, conf);
    EXPECT(s.conf != NULL);
    struct str got = site_get(&s, target, "");
    char begin[8];
    snprintf(begin, sizeof(begin), "%u ", status);
    EXPECT(str_starts(got, str_c(begin)));
    ssize_t end = str_find(got, STR("\n\n"));
    EXPECT(end >= 0);
    EXPECT_STR(str_from(got, (size_t)end + 2), str_c(body));
    site_close(&s);
}

static void expect_error(const char *conf, const char *error) {
    struct site s;
    open_site(&s, conf);
    EXPECT(s.conf == NULL);
    EXPECT_STR(site_errors(&s), str_c(error));
    site_close(&s);
}

#define SAY "return 200 \"$uri|$args|$1|$2\";"

TEST(steps_run_in_the_order_of_the_text) {
    expect("set $a 1; set $a \"${a}2\"; if ($a = 12) { set $a \"${a}3\"; } set $a \"${a}4\"; return 200 $a; set $a no;", "/", 200, "1234");
    expect("set $a 1; if ($uri ~ x) { set $a 2; return 201 \"$a\"; } return 200 $a;", "/x", 201, "2");
    expect("set $a 1; if ($uri ~ x) { set $a 2; break; set $a 3; } set $a 4; location / { return 200 $a; }", "/x", 200, "2");
    expect("location / { if ($uri) { set $a 1; } if ($uri) { set $a \"${a}2\"; } return 200 $a; }", "/", 200, "12");
}

TEST(captures_are_those_of_the_last_match) {
    expect("if ($uri ~ ^/(.)(.)) { set $a $1$2; } if ($uri ~ (.)$) { set $b $1; } return 200 \"$a $b $2\";", "/xyz", 200, "xy z ");
    expect("set $a none; if ($uri ~ ^/(.)) { set $a $1; } if ($uri ~ ^(q)) { set $a q; } return 200 \"$a [$1]\";", "/xyz", 200, "x []");
    expect("rewrite ^/(a)(b)?(c) /$1-$2-$3; location / { " SAY " }", "/ac", 200, "/a--c||a|");
    expect("rewrite ^/(?<word>\\w+)/(.*) /$word$2; location / { return 200 \"$uri $word\"; }", "/one/two", 200, "/onetwo one");
}

TEST(a_rewritten_uri_is_routed_again_unless_it_breaks) {
    expect("location /a { rewrite ^ /b; return 200 \"on: $uri\"; } location /b { return 200 no; }", "/a?x", 200, "on: /b");
    expect("location /a { rewrite ^ /b; } location /b { " SAY " }", "/a?x", 200, "/b|x||");
    expect("location /a { rewrite ^ /b last; return 200 no; } location /b { " SAY " }", "/a?x", 200, "/b|x||");
    expect("location /a { rewrite ^ /b break; return 200 no; } location /b { return 200 no; } error_page 404 =404 @lost; "
           "location @lost { return 404 \"lost $uri\"; }", "/a?x", 404, "lost /b");
}

TEST(the_query_of_a_replacement) {
    expect("location /a { rewrite ^ /b?y last; } location /b { " SAY " }", "/a?x", 200, "/b|y&x||");
    expect("location /a { rewrite ^ /b?y? last; } location /b { " SAY " }", "/a?x", 200, "/b|y||");
    expect("location /a { rewrite ^ /b? last; } location /b { " SAY " }", "/a?x", 200, "/b|||");
    expect("location /a { rewrite ^/a/(.*) /b?q=$1 last; } location /b { return 200 $args; }", "/a/x%20y%26z", 200, "q=x%20y%26z");
    expect("location /a { rewrite ^/a/(.*) /b/$1 last; } location /b { return 200 $uri; }", "/a/x%20y", 200, "/b/x y");
}

TEST(rewriting_ends_after_ten_rounds) {
    expect("location / { rewrite ^/(.*) /x$1; }", "/", 500,
           "<html>\r\n<head><title>500 Internal Server Error</title></head>\r\n<body>\r\n<center><h1>500 Internal Server Error</h1></center>\r\n"
           "<hr><center>weir/" WEIR_VERSION "</center>\r\n</body>\r\n</html>\r\n");
    expect("location / { set $n \"${n}x\"; if ($n != xxxxxxxx) { rewrite ^ /again last; } return 200 $n; }", "/", 200, "xxxxxxxx");
}

TEST(a_value_is_bounded) {
    char conf[1024];
    size_t n = (size_t)snprintf(conf, sizeof(conf), "set $a 0123456789abcdef;");
    for (int i = 0; i < 17; i++) // 2 MiB, above TMPL_MAX
        n += (size_t)snprintf(conf + n, sizeof(conf) - n, "set $a $a$a;");
    snprintf(conf + n, sizeof(conf) - n, "return 200 ok;");
    struct site s;
    open_site(&s, conf);
    EXPECT(str_starts(site_get(&s, "/", ""), STR("500 ")));
    site_close(&s);
}

TEST(malformed_scripts_are_refused) {
    expect_error("rewrite ( /b;", "pcre2_compile() failed: missing closing parenthesis in \"(\" in /test/weir.conf:1\n");
    expect_error("set a b;", "invalid variable name \"a\" in /test/weir.conf:1\n");
    expect_error("if ($a { }", "invalid condition \"$a\" in /test/weir.conf:1\n");
    expect_error("return 200 $nosuch;", "unknown \"nosuch\" variable in /test/weir.conf:1\n");
}
