// Lines and errors of the log directives. What is expected here was seen from nginx 1.22 with the same text.
#include "base/date.h"
#include "feature/log/error_log.h"
#include "feature/log/log_format.h"
#include "feature/test_site.h"
#include <stdlib.h>
#include <sys/stat.h>

static char dir[] = "/tmp/weir-log-XXXXXX";

static struct str slurp(struct site *s, const char *name) {
    log_files_flush();
    struct str path = arena_printf(&s->arena, "%s/logs/%s", dir, name);
    FILE *f = fopen(path.p, "r");
    if (f == NULL)
        return STR("(no file)");
    char *text = arena_bytes(&s->arena, 65536);
    size_t n = fread(text, 1, 65536, f);
    fclose(f);
    return str_n(text, n);
}

// In a fresh directory with logs/.
static void open_in(struct site *s, const char *text) {
    static bool made;
    if (!made) {
        EXPECT(mkdtemp(dir) != NULL);
        char logs[64];
        snprintf(logs, sizeof logs, "%s/logs", dir);
        EXPECT_INT(mkdir(logs, 0755), 0);
    }
    made = true;
    site_open(s, str_c(dir), str_c(text));
}

static void begin(struct site *s, const char *text) {
    open_in(s, text);
    EXPECT_STR(site_errors(s), STR(""));
}

static void end(struct site *s) {
    site_close(s);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    EXPECT_INT(system(command), 0);
}

static void expect_escaped(struct str value, struct str plain, struct str json) {
    // At each place in a word of eight, with clean bytes before and behind.
    for (size_t pad = 0; pad < 20; pad++) {
        char text[1024], storage[4096], want[4096];
        memset(text, 'a', sizeof text);
        memcpy(text + pad, value.p, value.n);
        struct str all = str_n(text, pad + value.n + (20 - pad));
        struct sbuf line;
        for (int how = LOG_ESCAPE_DEFAULT; how <= LOG_ESCAPE_NONE; how++) {
            struct str to = how == LOG_ESCAPE_DEFAULT ? plain : how == LOG_ESCAPE_JSON ? json : value;
            memset(want, 'a', sizeof want);
            memcpy(want + pad, to.p, to.n);
            sbuf_init_fixed(&line, storage, sizeof storage);
            log_escape(&line, all, (enum log_escape)how);
            EXPECT_STR(sbuf_view(&line), str_n(want, to.n + 20));
        }
    }
}

TEST(log_escaping) {
    expect_escaped(STR("\x01\x08\t\n\x0b\f\r\x1f"), STR("\\x01\\x08\\x09\\x0A\\x0B\\x0C\\x0D\\x1F"),
                   STR("\\u0001\\b\\t\\n\\u000B\\f\\r\\u001F"));
    expect_escaped(STR("\"\\"), STR("\\x22\\x5C"), STR("\\\"\\\\"));
    expect_escaped(STR(" !#[]^~"), STR(" !#[]^~"), STR(" !#[]^~"));
    expect_escaped(STR("\x7f"), STR("\\x7F"), STR("\x7f"));
    expect_escaped(STR("\xc3\xa9\xff\x80"), STR("\\xC3\\xA9\\xFF\\x80"), STR("\xc3\xa9\xff\x80"));
    expect_escaped(STR(""), STR(""), STR(""));
}

TEST(log_escaping_of_each_byte) {
    for (int c = 0; c < 256; c++) {
        char byte = (char)c, plain[8], json[8];
        bool special = c == '"' || c == '\\' || c < 0x20;
        snprintf(plain, sizeof plain, special || c > 0x7e ? "\\x%02X" : "%c", c);
        const char *letter = c != 0 && c < 0x20 ? strchr("\bb\tt\nn\ff\rr", c) : NULL;
        if (letter != NULL)
            snprintf(json, sizeof json, "\\%c", letter[1]);
        else
            snprintf(json, sizeof json, c < 0x20 ? "\\u%04X" : special ? "\\%c" : "%c", c);
        expect_escaped(str_n(&byte, 1), str_c(plain), str_c(json));
    }
}

TEST(access_log_default_line) {
    struct site s;
    begin(&s, "events {} http { access_log logs/a; server { location / { return 200 'hi'; } } }");
    site_get(&s, "/?b=x%22y\"z", "User-Agent: \xc3\xa9\"q\\\r\nAuthorization: Basic dXNlcjpwYXNz\r\n");
    struct str got = slurp(&s, "a");
    ssize_t open = str_chr(got, '['), close = str_chr(got, ']');
    EXPECT(open > 0 && close == open + DATE_LOG_LEN + 1);
    EXPECT_STR(str_head(got, (size_t)open), STR("127.0.0.1 - user "));
    EXPECT_STR(str_n(got.p + open + 12, 1), STR(":")); // 23/Nov/2026:
    EXPECT_STR(str_from(got, (size_t)close),
               STR("] \"GET /?b=x%22y\\x22z HTTP/1.1\" 200 0 \"-\" \"\\xC3\\xA9\\x22q\\x5C\"\n"));
    end(&s);
}

TEST(log_format_missing_and_empty_values) {
    struct site s;
    begin(&s, "events {} http {"
              "log_format d '[$http_a][$arg_b][$upstream_addr][${remote_user}]$status' ' $Request_Method';"
              "log_format j escape=json '{\"a\":\"$http_a\",\"b\":\"$arg_b\",\"u\":\"$upstream_addr\"}';"
              "log_format n escape=none '[$http_a][$arg_b][$upstream_addr]';"
              "log_format r '[$http_referer][$http_host][$http_user_agent]';"
              "log_format e escape=json;"
              "access_log logs/d d; access_log logs/j j; access_log logs/n n; access_log logs/r r; access_log logs/e e;"
              "server { return 404; } }");
    site_get(&s, "/?b=\"\\", "A:\r\nReferer:\r\n");
    site_get(&s, "/", "A: x\r\nA: \xe9 \xff\r\nReferer: 1\r\nReferer: 2\r\nUser-Agent: u\r\n");
    EXPECT_STR(slurp(&s, "d"), STR("[][\\x22\\x5C][-][-]404 GET\n[x, \\xE9 \\xFF][-][-][-]404 GET\n"));
    EXPECT_STR(slurp(&s, "j"), STR("{\"a\":\"\",\"b\":\"\\\"\\\\\",\"u\":\"\"}\n{\"a\":\"x, \xe9 \xff\",\"b\":\"\",\"u\":\"\"}\n"));
    EXPECT_STR(slurp(&s, "n"), STR("[][\"\\][]\n[x, \xe9 \xff][][]\n"));
    EXPECT_STR(slurp(&s, "r"), STR("[][a.test][-]\n[1, 2][a.test][u]\n"));
    EXPECT_STR(slurp(&s, "e"), STR("\n\n"));
    end(&s);
}

// A line longer than the stack's part moves to the arena whole.
TEST(access_log_long_line) {
    struct site s;
    begin(&s, "events {} http { log_format l '<$http_a>'; access_log logs/a l; server { return 204; } }");
    char fields[3100] = "A: ";
    memset(fields + 3, '\xff', 3000);
    memcpy(fields + 3003, "\r\n", 3);
    site_get(&s, "/", fields);
    struct str got = slurp(&s, "a");
    EXPECT_INT(got.n, 3000 * 4 + 3);
    EXPECT(str_starts(got, STR("<\\xFF\\xFF")) && str_ends(got, STR("\\xFF>\n")));
    end(&s);
}

TEST(access_log_inheritance) {
    struct site s;
    begin(&s, "events {} http { log_format f '$uri'; access_log logs/h f; server {"
              "location / { return 200; }"
              "location /off { access_log off; return 200; location /off/on { access_log logs/h f; return 200; } }"
              "location /own { access_log logs/x f; access_log logs/y f; return 200; }"
              "location /both1 { access_log logs/h f; access_log off; return 200; }"
              "location /both2 { access_log off; access_log logs/h f; return 200; }"
              "location /if { access_log logs/h f if=$arg_l; return 200; }"
              "location /none { access_log logs/h f if=; return 200; }"
              "location /444 { return 444; } } }");
    static const char *const asked[] = {"/", "/off", "/off/on", "/own", "/both1", "/both2", "/if?l=", "/if?l=0", "/if", "/none",
                                        "/if?l=00", "/444"};
    for (size_t i = 0; i < ARRAY_LEN(asked); i++)
        site_get(&s, asked[i], "");
    EXPECT_STR(slurp(&s, "h"), STR("/\n/off/on\n/if\n/444\n"));
    EXPECT_STR(slurp(&s, "x"), STR("/own\n"));
    EXPECT_STR(slurp(&s, "y"), STR("/own\n"));
    end(&s);
}

TEST(access_log_default_is_opened_only_when_used) {
    struct site s;
    open_in(&s, "events {} http { access_log off; server { return 204; } }");
    EXPECT_STR(site_errors(&s), STR(""));
    EXPECT_STR(slurp(&s, "access.log"), STR("(no file)"));
    end(&s);
}

// A buffer holds lines back until it is full; lines of the same file without buffer= wait with them.
TEST(access_log_buffer) {
    struct site s;
    begin(&s, "events {} http { log_format f '$uri'; access_log logs/b f buffer=1k flush=1h; server { return 204; } }");
    site_get(&s, "/one", "");
    for (int i = 0; i < 3; i++)
        loop_turn(s.loop, 10);
    struct stat st;
    struct str path = arena_printf(&s.arena, "%s/logs/b", dir);
    EXPECT(stat(path.p, &st) == 0 && st.st_size == 0);
    EXPECT_STR(slurp(&s, "b"), STR("/one\n"));
    end(&s);
}

static void expect_error(const char *inside, const char *want) {
    struct site s;
    char conf[1024];
    snprintf(conf, sizeof conf, "events {} http { %s server { } }", inside);
    site_open(&s, STR("/nonexistent"), str_c(conf));
    EXPECT(s.conf == NULL);
    struct str got = site_errors(&s), w = str_c(want);
    if (!str_starts(got, w) || got.p[w.n] != '\n')
        test_fail(__FILE__, __LINE__, "%s: got \"%.*s\", want \"%s\"", inside, STR_ARG(got), want);
    site_close(&s);
}

#define AT " in /test/weir.conf:1"
TEST(access_log_errors) {
    expect_error("access_log /nonexistent/x;", "open() \"/nonexistent/x\" failed (2: No such file or directory)");
    expect_error("access_log a nofmt;", "unknown log format \"nofmt\"" AT);
    expect_error("access_log a buffer=1k;", "unknown log format \"buffer=1k\"" AT);
    expect_error("access_log off foo;", "invalid parameter \"foo\"" AT);
    expect_error("access_log a combined foo=1;", "invalid parameter \"foo=1\"" AT);
    expect_error("access_log a combined buffer=0;", "invalid buffer size \"0\"" AT);
    expect_error("access_log a combined buffer=foo;", "invalid buffer size \"foo\"" AT);
    expect_error("access_log a combined buffer=1k flush=0;", "invalid flush time \"0\"" AT);
    expect_error("access_log a combined flush=1s;", "no buffer is defined for access_log \"a\"" AT);
    expect_error("access_log a combined buffer=1k; access_log a combined buffer=2k;",
                 "access_log \"a\" already defined with conflicting parameters" AT);
    expect_error("access_log a combined gzip=0;", "invalid compression level \"0\"" AT);
    expect_error("access_log syslog:server=;", "no host in syslog server \"\"" AT);
    expect_error("access_log /$host combined buffer=1k;", "buffered logs cannot have variables in name" AT);
}

TEST(log_format_errors) {
    expect_error("log_format a 'x'; log_format a 'y';", "duplicate \"log_format\" name \"a\"" AT);
    expect_error("log_format combined 'y';", "duplicate \"log_format\" name \"combined\"" AT);
    expect_error("log_format a;", "invalid number of arguments in \"log_format\" directive" AT);
    expect_error("log_format a escape=foo 'x';", "unknown log format escaping \"foo\"" AT);
    expect_error("log_format a '$x_y_z';", "unknown \"x_y_z\" variable" AT);
    expect_error("log_format a 'x${status';", "the closing bracket in \"status\" variable is missing" AT);
    expect_error("log_format a '${sta tus}';", "the closing bracket in \"sta\" variable is missing" AT);
    expect_error("log_format a 'x$ y';", "invalid parameter \"$ y\"" AT);
    expect_error("log_format a '${}';", "invalid parameter \"${}\"" AT);
    expect_error("log_format a 'x$';", "invalid parameter \"$\"" AT);
}

TEST(error_log_errors) {
    expect_error("error_log /nonexistent/x;", "open() \"/nonexistent/x\" failed (2: No such file or directory)");
    expect_error("error_log a foo;", "invalid log level \"foo\"" AT);
    expect_error("error_log a INFO;", "invalid log level \"INFO\"" AT);
    expect_error("error_log a stderr;", "invalid log level \"stderr\"" AT);
    expect_error("error_log a debug_foo;", "invalid log level \"debug_foo\"" AT);
    expect_error("error_log a info debug;", "duplicate log level \"debug\"" AT);
    expect_error("error_log a debug_http info;", "duplicate log level \"info\"" AT);
    expect_error("error_log a info debug_http;", "invalid log level \"debug_http\"" AT);
    expect_error("error_log syslog:tag=x;", "no syslog server specified" AT);
    expect_error("error_log memory:0 debug;", "invalid buffer size \"0\"" AT);
}

// Lines that hold `part`.
static unsigned lines_with(struct str text, struct str part) {
    unsigned n = 0;
    for (ssize_t end; (end = str_chr(text, '\n')) >= 0; text = str_from(text, (size_t)end + 1))
        n += str_find(str_head(text, (size_t)end), part) >= 0;
    return n;
}

// Each scope's own targets, each target's own level; outer ones are inherited where a scope names none.
TEST(error_log_scopes) {
    struct site s;
    begin(&s, "error_log logs/m; error_log stderr emerg; events {} http { access_log off; server { root /nonexistent;"
              "location /own { error_log logs/o1 debug_http debug_event; error_log logs/o2 crit; }"
              "location /two { error_log logs/t1 info; error_log logs/t2; } } }");
    site_get(&s, "/main", "");
    site_get(&s, "/own", "");
    site_get(&s, "/two", "");
    EXPECT_INT(lines_with(slurp(&s, "m"), STR("")), 1);
    EXPECT(str_find(slurp(&s, "m"), STR("request: \"GET /main HTTP/1.1\"")) > 0);
    EXPECT_INT(lines_with(slurp(&s, "o1"), STR("[error]")), 1);
    EXPECT(lines_with(slurp(&s, "o1"), STR("[debug]")) > 1);
    EXPECT_STR(slurp(&s, "o2"), STR(""));
    EXPECT_INT(lines_with(slurp(&s, "t1"), STR("")), 1);
    EXPECT_STR(slurp(&s, "t1"), slurp(&s, "t2"));
    const struct log *main_log = error_log_main(s.conf);
    EXPECT(main_log != NULL && main_log->level == LOG_ERR && main_log->next->level == LOG_EMERG);
    EXPECT_STR(str_c(log_file_path(main_log->next->file)), STR("stderr"));
    end(&s);
}
