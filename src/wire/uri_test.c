#include "base/test.h"
#include "wire/uri.h"
#include <stdlib.h>

static struct arena arena;

static const char *error_name(enum uri_error e) {
    static const char *const names[] = {"OK", "BAD", "BAD_ESCAPE", "NUL", "ABOVE_ROOT", "FRAGMENT"};
    return names[e];
}

// The tables of paths were answered by nginx 1.22: `return 200 $uri`, merge_slashes on and off. NULL stands for 400.
static const struct {
    const char *target;
    enum uri_error error;
    const char *merged, *separate;
} paths[] = {
    {"/", URI_OK, "/", "/"},
    {"/a/b", URI_OK, "/a/b", "/a/b"},
    {"/a/b/", URI_OK, "/a/b/", "/a/b/"},
    {"//", URI_OK, "/", "//"},
    {"///a//b", URI_OK, "/a/b", "///a//b"},
    {"/a//", URI_OK, "/a/", "/a//"},
    {"/.", URI_OK, "/", "/"},
    {"/./", URI_OK, "/", "/"},
    {"/a/.", URI_OK, "/a/", "/a/"},
    {"/a/./b", URI_OK, "/a/b", "/a/b"},
    {"/a/..", URI_OK, "/", "/"},
    {"/a/../", URI_OK, "/", "/"},
    {"/a/b/..", URI_OK, "/a/", "/a/"},
    {"/a/b/../c", URI_OK, "/a/c", "/a/c"},
    {"/a//../b", URI_OK, "/b", "/a/b"},
    {"/a/...", URI_OK, "/a/...", "/a/..."},
    {"/a/..b", URI_OK, "/a/..b", "/a/..b"},
    {"/.a", URI_OK, "/.a", "/.a"},
    {"/a/..;x/", URI_OK, "/a/..;x/", "/a/..;x/"},
    {"/a/%2e%2e/b", URI_OK, "/b", "/b"},
    {"/a/%2E./b", URI_OK, "/b", "/b"},
    {"/a/%2e", URI_OK, "/a/", "/a/"},
    {"/a%2e", URI_OK, "/a.", "/a."},
    {"/a/..%2f", URI_OK, "/", "/"},
    {"/%2f", URI_OK, "/", "//"},
    {"/a%2f%2Fb", URI_OK, "/a/b", "/a//b"},
    {"/%25", URI_OK, "/%", "/%"},
    {"/%2525", URI_OK, "/%25", "/%25"},
    {"/%252e%252e/", URI_OK, "/%2e%2e/", "/%2e%2e/"},
    {"/%3f%23", URI_OK, "/?#", "/?#"},
    {"/a%20b", URI_OK, "/a b", "/a b"},
    {"/%01%0a%7F", URI_OK, "/\x01\n\x7f", "/\x01\n\x7f"},
    {"/%c3%A9", URI_OK, "/\xc3\xa9", "/\xc3\xa9"},
    {"/\xe9", URI_OK, "/\xe9", "/\xe9"},
    {"/a\\b", URI_OK, "/a\\b", "/a\\b"},
    {"/a+b", URI_OK, "/a+b", "/a+b"},
    {"/a/..?/../..", URI_OK, "/", "/"},
    {"/?%00", URI_OK, "/", "/"},
    {"/..", URI_ABOVE_ROOT, NULL, NULL},
    {"/../a", URI_ABOVE_ROOT, NULL, NULL},
    {"/a/../..", URI_ABOVE_ROOT, NULL, NULL},
    {"/a/../../b", URI_ABOVE_ROOT, NULL, NULL},
    {"/%2e%2e", URI_ABOVE_ROOT, NULL, NULL},
    {"/..?x", URI_ABOVE_ROOT, NULL, NULL},
    {"//..", URI_ABOVE_ROOT, NULL, "/"},
    {"/%2F..%2fa", URI_ABOVE_ROOT, NULL, "/a"},
    {"/%", URI_BAD_ESCAPE, NULL, NULL},
    {"/%2", URI_BAD_ESCAPE, NULL, NULL},
    {"/%zz", URI_BAD_ESCAPE, NULL, NULL},
    {"/%2g", URI_BAD_ESCAPE, NULL, NULL},
    {"/a%2?0", URI_BAD_ESCAPE, NULL, NULL},
    {"/%00", URI_NUL, NULL, NULL},
    {"/a%00b", URI_NUL, NULL, NULL},
};

TEST(uri_paths) {
    arena_init(&arena, NULL);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        for (int merge = 0; merge < 2; merge++) {
            struct uri_target t;
            const char *want = merge ? paths[i].merged : paths[i].separate;
            char *exact = xmalloc(strlen(paths[i].target)); // a read past the end is seen
            memcpy(exact, paths[i].target, strlen(paths[i].target));
            enum uri_error e = uri_parse_target(&t, str_n(exact, strlen(paths[i].target)), false, merge, &arena);
            enum uri_error want_error = want != NULL ? URI_OK : paths[i].error;
            if (e != want_error)
                test_fail(__FILE__, __LINE__, "%s: got %s, want %s", paths[i].target, error_name(e),
                          error_name(want_error));
            if (want != NULL)
                EXPECT_STR(t.path, str_c(want));
            free(exact);
        }
    arena_done(&arena);
}

TEST(uri_targets) {
    static const struct {
        const char *target, *parts; // form scheme|host|port|raw_path|args|path
    } cases[] = {
        {"/a", "0 |||/a|-|/a"},
        {"/a?", "0 |||/a||/a"},
        {"/a?b?c", "0 |||/a|b?c|/a"},
        {"/%61?%61", "0 |||/%61|%61|/a"},
        {"http://b/c", "1 http|b||/c|-|/c"},
        {"HTTP://B.x:81/c?d", "1 HTTP|B.x|81|/c|d|/c"},
        {"http://b", "1 http|b|||-|/"},
        {"http://b?x=1", "1 http|b|||x=1|/"},
        {"http://b:/c", "1 http|b||/c|-|/c"},
        {"h2-x.+0://b/c", "1 h2-x.+0|b||/c|-|/c"},
        {"http://[::1]:80/x", "1 http|[::1]|80|/x|-|/x"},
        {"http://b/a//b/../c", "1 http|b||/a//b/../c|-|/a/c"},
        {"*", "3 |||*|-|*"},
        {"", "BAD"},
        {"a", "BAD"},
        {"?a", "BAD"},
        {"**", "BAD"},
        {"://b", "BAD"},
        {"2://b", "BAD"},
        {"http:/b", "BAD"},
        {"http://", "BAD"},
        {"http:///x", "BAD"},
        {"http://:80/x", "BAD"},
        {"http://u@b/c", "BAD"},
        {"http://b:x/c", "BAD"},
        {"http://b_c/", "BAD"},
        {"http://b%20c/", "BAD"},
        {"http://[::1/x", "BAD"},
        {"http://[]/x", "BAD"},
        {"http://[::1]x/x", "BAD"},
        {"http://[a/b]/x", "BAD"},
        {"http://b*", "BAD"},
        {"/a b", "BAD"},
        {"/a\x7f", "BAD"},
        {"/a\tb", "BAD"},
        {"/?a\x01", "BAD"},
        {"/#", "FRAGMENT"},
        {"/a?b#c", "FRAGMENT"},
        {"http://b#c", "FRAGMENT"},
        {"http://b/../c", "ABOVE_ROOT"},
        {"b:443", "BAD"},
    };
    arena_init(&arena, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct uri_target t;
        enum uri_error e = uri_parse_target(&t, str_c(cases[i].target), false, true, &arena);
        struct str got = str_c(error_name(e));
        if (e == URI_OK)
            got = arena_printf(&arena, "%d %.*s|%.*s|%.*s|%.*s|%.*s|%.*s", t.form, STR_ARG(t.scheme), STR_ARG(t.host),
                               STR_ARG(t.port), STR_ARG(t.raw_path), STR_ARG(t.has_args ? t.args : STR("-")),
                               STR_ARG(t.path));
        EXPECT_STR(got, str_c(cases[i].parts));
    }
    arena_done(&arena);
}

TEST(uri_target_of_connect) {
    static const struct {
        const char *target, *host, *port;
    } cases[] = {
        {"b:443", "b", "443"},
        {"1.1.1.1:443", "1.1.1.1", "443"},
        {"[::1]:443", "[::1]", "443"},
        {"b", NULL, NULL},
        {"b:", NULL, NULL},
        {":443", NULL, NULL},
        {"/", NULL, NULL},
        {"b:443/", NULL, NULL},
        {"u@b:443", NULL, NULL},
        {"b:4x", NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct uri_target t;
        enum uri_error e = uri_parse_target(&t, str_c(cases[i].target), true, true, NULL);
        EXPECT_INT(e, cases[i].host != NULL ? URI_OK : URI_BAD);
        if (e == URI_OK) {
            EXPECT_INT(t.form, URI_AUTHORITY);
            EXPECT_STR(t.host, str_c(cases[i].host));
            EXPECT_STR(t.port, str_c(cases[i].port));
        }
    }
}

TEST(uri_flags_and_no_copy) {
    static const struct {
        const char *target;
        bool encoded, plus;
    } cases[] = {
        {"/a/b.c?d%20", false, false}, {"/a+b", false, true}, {"/a%2fb", true, false},  {"/a//b", true, false},
        {"/a/./b", true, false},       {"/%2b", true, false}, {"/a?b+c", false, false}, {"/%41+", true, true},
    };
    arena_init(&arena, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct uri_target t;
        EXPECT_INT(uri_parse_target(&t, str_c(cases[i].target), false, true, &arena), URI_OK);
        EXPECT_INT(t.encoded, cases[i].encoded);
        EXPECT_INT(t.plus, cases[i].plus);
        EXPECT_INT(t.path.p == cases[i].target, !cases[i].encoded);
    }
    arena_done(&arena);
}

// nginx 1.22: the type that `types` gave to each of these.
TEST(uri_extensions) {
    static const struct {
        const char *target, *exten;
    } cases[] = {
        {"/a.txt", "txt"},         {"/.txt", ""},           {"/a.", ""},
        {"/a.txt.foo", "foo"},     {"/a.b/c", ""},          {"/a.txt/", ""},
        {"/a%2etxt", "txt"},       {"/a..txt", "txt"},      {"/x.y/..txt", ""},
        {"/.a.txt", "txt"},        {"/...txt", ""},         {"/....txt", "txt"},
        {"/a...txt", "txt"},       {"/%2etxt", ""},         {"/%2e%2etxt", ""},
        {"/..txt.foo", "foo"},     {"/a.txt/.", ""},        {"/a.txt/b/..", ""},
        {"/.txt/../a.txt", "txt"}, {"/a.txt?b.foo", "txt"}, {"/", ""},
    };
    arena_init(&arena, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct uri_target t;
        EXPECT_INT(uri_parse_target(&t, str_c(cases[i].target), false, true, &arena), URI_OK);
        EXPECT_STR(t.exten, str_c(cases[i].exten));
    }
    arena_done(&arena);
}

TEST(uri_normalises) {
    static const struct {
        const char *path, *merged, *separate;
    } cases[] = {
        {"/a/../b", "/b", "/b"},
        {"/a//b/./c", "/a/b/c", "/a//b/c"},
        {"/%2e%2e/a", "/%2e%2e/a", "/%2e%2e/a"},
        {"/a?b/../c", "/c", "/c"},
        {"/..", NULL, NULL},
        {"//..", NULL, "/"},
        {"a", NULL, NULL},
        {"", NULL, NULL},
    };
    arena_init(&arena, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int merge = 0; merge < 2; merge++) {
            struct str path = str_c(cases[i].path);
            const char *want = merge ? cases[i].merged : cases[i].separate;
            EXPECT_INT(uri_normalise(&path, merge, &arena), want != NULL);
            EXPECT_STR(path, str_c(want != NULL ? want : cases[i].path));
        }
    arena_done(&arena);
}

// nginx 1.22's sets, asked byte by byte. What is listed is escaped besides control bytes, SP, DEL and, but for
// memcached, all bytes above.
TEST(uri_escapes) {
    static const struct {
        enum uri_escape how;
        const char *listed;
        bool high;
    } cases[] = {
        {URI_ESCAPE_PATH, "\"#%<>?\\^`{|}", true},
        {URI_ESCAPE_ARGS, "\"#%&+;<>?\\^`{|}", true},
        {URI_ESCAPE_COMPONENT, "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}", true},
        {URI_ESCAPE_REFRESH, "\"'<>\\^`{|~", true},
        {URI_ESCAPE_MEMCACHED, "%", false},
    };
    arena_init(&arena, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (unsigned c = 0; c < 256; c++) {
            bool above = c >= 0x7f;
            bool escaped = c <= 0x20 || (above ? cases[i].high : c != 0 && strchr(cases[i].listed, (int)c) != NULL);
            char in[3] = {'a', (char)c, 'b'};
            struct str got = uri_escape(str_n(in, 3), cases[i].how, &arena);
            struct str want = escaped ? arena_printf(&arena, "a%%%02Xb", c) : str_n(in, 3);
            EXPECT_STR(got, want);
            EXPECT(escaped || got.p == in);
            EXPECT_STR(uri_unescape(got, false, &arena), c == '%' && !escaped ? got : str_n(in, 3));
        }
    EXPECT_STR(uri_escape(STR("a&b<\"c\">'"), URI_ESCAPE_HTML, &arena), STR("a&amp;b&lt;&quot;c&quot;&gt;'"));
    EXPECT_STR(uri_escape(STR(""), URI_ESCAPE_PATH, &arena), STR(""));
    arena_done(&arena);
}

TEST(uri_unescapes) {
    static const struct {
        const char *in, *want, *with_plus;
    } cases[] = {
        {"a%20b+c", "a b+c", "a b c"},
        {"%", "%", "%"},
        {"%2", "%2", "%2"},
        {"%2g%41", "%2gA", "%2gA"},
        {"%%41", "%A", "%A"},
        {"%e9%E9", "\xe9\xe9", "\xe9\xe9"},
        {"+", "+", " "},
        {"%2b", "+", "+"},
        {"", "", ""},
    };
    arena_init(&arena, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        EXPECT_STR(uri_unescape(str_c(cases[i].in), false, &arena), str_c(cases[i].want));
        EXPECT_STR(uri_unescape(str_c(cases[i].in), true, &arena), str_c(cases[i].with_plus));
    }
    EXPECT_STR(uri_unescape(STR("%00"), false, &arena), STR("\0"));
    arena_done(&arena);
}

// The words are those of nginx -t.
TEST(uri_urls) {
    static const struct {
        const char *text, *parts; // scheme|host|port|path and '/' when there is a URI part
    } cases[] = {
        {"http://a", "http|a||"},
        {"HTTP://127.0.0.1:080/", "HTTP|127.0.0.1|080|/"},
        {"http://a:1/b?c", "http|a|1|/b?c"},
        {"http://a?x", "http|a||?x"},
        {"http://[::1]", "http|[::1]||"},
        {"https://[::1]:80/a", "https|[::1]|80|/a"},
        {"http://a_b#c", "http|a_b#c||"},
        {"127.0.0.1:9000", "|127.0.0.1|9000|"},
        {"unix:/run/php.sock", "|/run/php.sock||"},
        {"http://unix:/a", "http|/a||"},
        {"http://unix:/a:", "http|/a||"},
        {"http://unix:/a:/b", "http|/a||/b"},
        {"http://unix:rel:/b", "http|rel||/b"},
        {"http://a/x://y", "http|a||/x://y"},
        {"", "no host"},
        {"http://", "no host"},
        {"http:///x", "no host"},
        {"http://:80", "no host"},
        {"http://[]:80", "no host"},
        {"http://[::1", "invalid host"},
        {"http://[::1]x", "invalid host"},
        {"http://a:", "invalid port"},
        {"http://a:/", "invalid port"},
        {"http://a:0", "invalid port"},
        {"http://a:65536", "invalid port"},
        {"http://a:x", "invalid port"},
        {"http://a:80:90", "invalid port"},
        {"http://[::1]:", "invalid port"},
        {"http://unix:", "no path in the unix domain socket"},
        {"http://unix::/b", "no path in the unix domain socket"},
    };
    arena_init(&arena, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct uri_url u;
        const char *why = "";
        if (uri_parse_url(&u, str_c(cases[i].text), &why)) {
            EXPECT_STR(arena_printf(&arena, "%.*s|%.*s|%.*s|%.*s", STR_ARG(u.scheme), STR_ARG(u.host), STR_ARG(u.port),
                                    STR_ARG(u.path)),
                       str_c(cases[i].parts));
            EXPECT_INT(u.has_path, u.path.n != 0);
            EXPECT_INT(u.is_unix, str_find(str_c(cases[i].text), STR("unix:")) >= 0);
        } else {
            EXPECT_STR(str_c(why), str_c(cases[i].parts));
        }
    }
    arena_done(&arena);
}

TEST(uri_hosts) {
    static const struct {
        struct str value;
        const char *host, *port; // NULL: refused
    } cases[] = {
        {STR_INIT("a"), "a", ""},
        {STR_INIT("A.B."), "a.b", ""},
        {STR_INIT("a.:80"), "a", "80"},
        {STR_INIT("a:"), "a", ""},
        {STR_INIT("a:65535"), "a", "65535"},
        {STR_INIT("a_b-c.1"), "a_b-c.1", ""},
        {STR_INIT("[::A]:8"), "[::a]", "8"},
        {STR_INIT("[::ffff:1.2.3.4]"), "[::ffff:1.2.3.4]", ""},
        {STR_INIT("%41!$&'()*+,;=~"), "%41!$&'()*+,;=~", ""},
        {STR_INIT("\xc3\xa9"), "\xc3\xa9", ""},
        {STR_INIT(""), NULL, NULL},
        {STR_INIT("."), NULL, NULL},
        {STR_INIT(".a"), NULL, NULL},
        {STR_INIT("a..b"), NULL, NULL},
        {STR_INIT("a.."), NULL, NULL},
        {STR_INIT(":80"), NULL, NULL},
        {STR_INIT("::1"), NULL, NULL},
        {STR_INIT("a:65536"), NULL, NULL},
        {STR_INIT("a:80x"), NULL, NULL},
        {STR_INIT("a:1:2"), NULL, NULL},
        {STR_INIT("a b"), NULL, NULL},
        {STR_INIT("a/b"), NULL, NULL},
        {STR_INIT("a\\b"), NULL, NULL},
        {STR_INIT("u@a"), NULL, NULL},
        {STR_INIT("a?b"), NULL, NULL},
        {STR_INIT("a#b"), NULL, NULL},
        {STR_INIT("a<"), NULL, NULL},
        {STR_INIT("a\tb"), NULL, NULL},
        {STR_INIT("a\x7f"), NULL, NULL},
        {STR_INIT("a\0"), NULL, NULL},
        {STR_INIT("a]"), NULL, NULL},
        {STR_INIT("[]"), NULL, NULL},
        {STR_INIT("[::1"), NULL, NULL},
        {STR_INIT("[::1]."), NULL, NULL},
        {STR_INIT("[::1]x"), NULL, NULL},
        {STR_INIT("[a/b]"), NULL, NULL},
    };
    arena_init(&arena, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str host, port;
        bool ok = uri_parse_host(cases[i].value, &host, &port, &arena);
        if (ok != (cases[i].host != NULL))
            test_fail(__FILE__, __LINE__, "\"%.*s\": %s", STR_ARG(cases[i].value), ok ? "accepted" : "refused");
        if (ok) {
            EXPECT_STR(host, str_c(cases[i].host));
            EXPECT_STR(port, str_c(cases[i].port));
        }
    }
    arena_done(&arena);
}

TEST(uri_args) {
    static const struct {
        const char *args, *name, *value; // NULL: not there
    } cases[] = {
        {"a=1&a=2", "a", "1"},  {"A=1", "a", "1"},         {"xa=1&a=2", "a", "2"}, {"a&a=3", "a", "3"},
        {"a", "a", NULL},       {"a=", "a", ""},           {"&&a=4", "a", "4"},    {"b_c=5", "b_c", "5"},
        {"b-c=5", "b_c", NULL}, {"a=%20+x", "a", "%20+x"}, {"?a=1", "a", NULL},    {"a==", "a", "="},
        {"ab=1", "a", NULL},    {"", "a", NULL},           {"=1", "", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str value;
        bool found = uri_arg(str_c(cases[i].args), str_c(cases[i].name), &value);
        EXPECT_INT(found, cases[i].value != NULL);
        if (found)
            EXPECT_STR(value, str_c(cases[i].value));
    }
}
