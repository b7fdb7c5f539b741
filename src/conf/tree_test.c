// nginx's language: broken texts, and what Debian's nginx -t says of each (1.22, asked for every row of the first
// table; its error stops the reading there, so only the first is compared).
#include "conf/fake.h"

struct wording {
    const char *text, *first; // "": no error of the language
};

static const struct wording as_nginx[] = {
    {"daemon off", "unexpected end of file, expecting \";\" or \"}\" in F:1"},
    {"daemon off\n\n", "unexpected end of file, expecting \";\" or \"}\" in F:3"},
    {"daemon off }", "unexpected \"}\" in F:1"},
    {"daemon {", "directive \"daemon\" is not terminated by \";\" in F:1"},
    {"events {", "unexpected end of file, expecting \"}\" in F:1"},
    {"events { worker_connections 10", "unexpected end of file, expecting \";\" or \"}\" in F:1"},
    {"events { worker_connections 10;", "unexpected end of file, expecting \"}\" in F:1"},
    {"events { } }", "unexpected \"}\" in F:1"},
    {"}", "unexpected \"}\" in F:1"},
    {";", "unexpected \";\" in F:1"},
    {"{", "unexpected \"{\" in F:1"},
    {"events { ; }", "unexpected \";\" in F:1"},
    {"events { { } }", "unexpected \"{\" in F:1"},
    {"daemon \"off", "unexpected end of file, expecting \";\" or \"}\" in F:1"},
    {"daemon \"off\n\n;\n", "unexpected end of file, expecting \";\" or \"}\" in F:4"},
    {"daemon 'off\n\n;\n", "unexpected end of file, expecting \";\" or \"}\" in F:4"},
    {"daemon \"off\"x;", "unexpected \"x\" in F:1"},
    {"daemon \"off\"{}", "directive \"daemon\" is not terminated by \";\" in F:1"},
    {"daemon \"off\" ;", ""},
    {"daemon \"off\"\n;", ""},
    {"daemon off#x;", "invalid value \"off#x\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon off #x;\n;", ""},
    {"#only comment", ""},
    {"daemon of\\;f;", "invalid value \"of\\;f\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon \"a\\\"b\";", "invalid value \"a\"b\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon \"a\\tb\";", "invalid value \"a\tb\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon a\\tb;", "invalid value \"a\tb\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon a\\nb;", "invalid value \"a\nb\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon \"a\\qb\";", "invalid value \"a\\qb\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon a\\\\b;", "invalid value \"a\\b\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon a\\ b;", "invalid value \"a\\ b\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon a\\\"b;", "invalid value \"a\"b\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon 'a\\'b';", "invalid value \"a'b\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon \"a\\$b\";", "invalid value \"a\\$b\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon \\\"a\\\";", "invalid value \"\"a\"\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon \\#a;", "invalid value \"\\#a\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon a${x}b;", "invalid value \"a${x}b\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon a${x;", "invalid value \"a${x\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon ${a}${b};", "invalid value \"${a}${b}\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon $;", "invalid value \"$\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon \"${a b}\";", "invalid value \"${a b}\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon a}b;", "invalid value \"a}b\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon (a);", "invalid value \"(a)\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"daemon a${x y}b;", "invalid number of arguments in \"daemon\" directive in F:1"},
    {"daemon a\"b c\"d;", "invalid number of arguments in \"daemon\" directive in F:1"},
    {"daemon \"a\")x;", "invalid number of arguments in \"daemon\" directive in F:1"},
    {"daemon ${x}{", "directive \"daemon\" is not terminated by \";\" in F:1"},
    {"daemon $x{", "directive \"daemon\" is not terminated by \";\" in F:1"},
    {"daemon a{b;", "directive \"daemon\" is not terminated by \";\" in F:1"},
    {"daemon \\${a;", "directive \"daemon\" is not terminated by \";\" in F:1"},
    {"daemon ${a{b}c;", "directive \"daemon\" is not terminated by \";\" in F:1"},
    {"daemon }b;", "unexpected \"}\" in F:1"},
    {"daemon \"\"a;", "unexpected \"a\" in F:1"},
    {"daemon \"a\"\"b\";", "unexpected \"\"\" in F:1"},
    {"daemon 'a'};", "unexpected \"}\" in F:1"},
    {"daemon 'a'#;", "unexpected \"#\" in F:1"},
    {"daemon \\\\\\", "unexpected end of file, expecting \";\" or \"}\" in F:1"},
    {"daemon \r\n off;", ""},
    {"\r\ndaemon x;\r", "invalid value \"x\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:2"},
    {"daemon\t\r\non;\r\nfoo\r\n;", "unknown directive \"foo\" in F:4"},
    {"\"\" x;", "unknown directive \"\" in F:1"},
    {"\"daemon\" x;", "invalid value \"x\" in \"daemon\" directive, it must be \"on\" or \"off\" in F:1"},
    {"\xef\xbb\xbf"
     "daemon on;",
     "unknown directive \"\xef\xbb\xbf"
     "daemon\" in F:1"},
    {"daemon;", "invalid number of arguments in \"daemon\" directive in F:1"},
    {"daemon on off;", "invalid number of arguments in \"daemon\" directive in F:1"},
    {"daemon on; daemon on;", "\"daemon\" directive is duplicate in F:1"},
    {"events x { }", "invalid number of arguments in \"events\" directive in F:1"},
    {"events;", "directive \"events\" has no opening \"{\" in F:1"},
    {"daemon on { }", "directive \"daemon\" is not terminated by \";\" in F:1"},
    {"events { }\nhttp { daemon on; }", "\"daemon\" directive is not allowed here in F:2"},
    {"foo bar;", "unknown directive \"foo\" in F:1"},
    {"foo { bar; }", "unknown directive \"foo\" in F:1"},
    {"foo\nbar\n;", "unknown directive \"foo\" in F:3"},
    {"include nope.conf;", "open() \"/etc/w/nope.conf\" failed (2: No such file or directory) in F:1"},
    {"include /nope/x.conf;", "open() \"/nope/x.conf\" failed (2: No such file or directory) in F:1"},
    {"include nope*.conf;", ""},
    {"include;", "invalid number of arguments in \"include\" directive in F:1"},
    {"include a b;", "invalid number of arguments in \"include\" directive in F:1"},
    {"include x {}", "directive \"include\" is not terminated by \";\" in F:1"},
    {"events {}\nhttp { server { time 80", "unexpected end of file, expecting \";\" or \"}\" in F:2"},
    {"events {}\nhttp { server { time 80 }", "unexpected \"}\" in F:2"},
    {"http { map $x $y { a b", "unexpected end of file, expecting \";\" or \"}\" in F:1"},
    {"http { map $x $y { a b; c { } }", "unexpected \"{\" in F:1"},
    {"http { map $x $y { a; } }", "invalid number of the map parameters in F:1"},
    {"http { map $x $y { include nope; } }", "open() \"/etc/w/nope\" failed (2: No such file or directory) in F:1"},
    {"http { map $x $y { include a b; } }", "invalid number of the map parameters in F:1"},
    {"http { server { server { } } }", "\"server\" directive is not allowed here in F:1"},
    {"http { server; }", "directive \"server\" has no opening \"{\" in F:1"},
    {"http { upstream a { server 127.0.0.1 { } } }", "directive \"server\" is not terminated by \";\" in F:1"},
    {"http { tmpl ${foo; }", "the closing bracket in \"foo\" variable is missing in F:1"},
    {"http { tmpl \"${a-b}\"; }", "the closing bracket in \"a\" variable is missing in F:1"},
    {"http { tmpl \"a$\"; }", "invalid variable name in F:1"},
    {"http { tmpl \"$-a\"; }", "invalid variable name in F:1"},
    {"http { tmpl \"${}\"; }", "invalid variable name in F:1"},
    {"http { tmpl \"$$\"; }", "invalid variable name in F:1"},
    {"http { server { set $scheme x; } }", "the duplicate \"scheme\" variable in F:1"},
    {"http { server { set host x; } }", "invalid variable name \"host\" in F:1"},
};

static struct str first_line(struct str said) {
    ssize_t nl = str_chr(said, '\n');
    said = nl < 0 ? said : str_head(said, (size_t)nl);
    ssize_t hint = str_find(said, STR(" ["));
    return hint < 0 ? said : str_head(said, (size_t)hint);
}

TEST(conf_wording_as_nginx) {
    for (size_t i = 0; i < ARRAY_LEN(as_nginx); i++) {
        struct fake_load l;
        fake_load(&l, as_nginx[i].text);
        struct str got = l.said, want = str_c(as_nginx[i].first);
        bool newline = str_chr(want, '\n') >= 0;
        got = newline ? str_head(got, want.n) : first_line(got);
        if (!str_eq(got, want))
            test_fail(__FILE__, __LINE__, "%s\n got: %.*s\nwant: %s", as_nginx[i].text, STR_ARG(got),
                      as_nginx[i].first);
        EXPECT((l.conf != NULL) == (want.n == 0));
        fake_done(&l);
    }
}

// Lengths at which nginx says that a parameter is too long, measured on both sides of the edge.
static void expect_long(const char *before, size_t n, const char *after, const char *want) {
    char *text = xmalloc(n + 100);
    size_t at = strlen(before);
    memcpy(text, before, at);
    memset(text + at, 'x', n);
    memcpy(text + at + n, after, strlen(after) + 1);
    struct fake_load l;
    fake_load(&l, text);
    struct str got = first_line(l.said);
    if (!str_starts(got, str_c(want)))
        test_fail(__FILE__, __LINE__, "%s %zu: got %.*s", before, n, STR_ARG(got));
    EXPECT_INT(l.errors.errors, 1);
    fake_done(&l);
    free(text);
}

TEST(conf_too_long_parameter) {
    expect_long("", 4095, ";", "unknown directive \"xxx");
    expect_long("", 4096, ";", "too long parameter \"xxxxxxxxxx...\" started in F:1");
    expect_long("daemon ", 4095, ";", "invalid value \"xxx");
    expect_long("daemon ", 4096, ";", "too long parameter \"xxxxxxxxxx...\" started in F:1");
    expect_long("daemon \n\n", 5000, ";", "too long parameter \"xxxxxxxxxx...\" started in F:3");
    expect_long("daemon \"", 4094, "\";", "invalid value \"xxx");
    expect_long("daemon \"", 4095, "\";", "too long parameter \"xxxxxxxxxx...\" started in F:1");
    expect_long("daemon \"", 4096, "\";", "too long parameter, probably missing terminating \"\"\" character in F:1");
    expect_long("daemon '", 5000, "", "too long parameter, probably missing terminating \"'\" character in F:1");
}

// All errors of a text, each once, with its hint.
static const struct wording all_errors[] = {
    // A forgotten ';' is one error, and the directive behind it counts.
    {"http {\n num 4\n flag on;\n mode bad;\n}\n",
     "invalid number of arguments in \"num\" directive in F:3 [a ; may be missing at the end of line 2]\n"
     "invalid value \"bad\" in F:4 [it may be: fast slow]\n"},
    {"http {\n num 4\n server {\n  foo;\n }\n}\n",
     "directive \"num\" is not terminated by \";\" in F:3 [a ; may be missing at the end of line 2]\n"
     "unknown directive \"foo\" in F:4\n"},
    {"http {\n server {\n  num 4\n }\n num x;\n}\n",
     "unexpected \"}\" in F:4 [a ; may be missing at the end of line 3]\n"
     "\"num\" directive invalid number in F:5\n"},
    {"daemon on\n",
     "unexpected end of file, expecting \";\" or \"}\" in F:2 [a ; may be missing at the end of line 1]\n"},
    // A forgotten quote ends with its line.
    {"http {\n text \"a;\n text \"b\";\n num x;\n}\n",
     "unexpected \"b\" in F:3 [the quote in line 2 may not be closed]\n"
     "\"num\" directive invalid number in F:4\n"},
    {"http {\n text 'a;\n num x;\n}\n",
     "unexpected end of file, expecting \";\" or \"}\" in F:5 [the quote in line 2 may not be closed]\n"
     "\"num\" directive invalid number in F:3\n"},
    // One '}' too many, one too few.
    {"http {\n }\n server {\n  num 1;\n }\n server { }\n}\n",
     "\"server\" directive is not allowed here in F:3 [one \"}\" too many before this line may have ended the block "
     "too "
     "early]\n"
     "unexpected \"}\" in F:7 [one \"}\" too many, or a block before it ends too early]\n"},
    {"http {\n server {\n num 1;\n}\n",
     "unexpected end of file, expecting \"}\" in F:5 [the block \"http\" of line 1 is not closed]\n"},
    // What is inside an unknown block is not looked at; inside a bad one it is.
    {"foo { num 1; } bar { x; }", "unknown directive \"foo\" in F:1\nunknown directive \"bar\" in F:1\n"},
    {"http { server { location bad { nmu 3; num 10; location / { foo; } } } }",
     "bad location in F:1\nunknown directive \"nmu\" in F:1 [did you mean \"num\"?]\nunknown directive \"foo\" in "
     "F:1\n"},
    // Variables: unknown ones have the place of their first use; one that a broken directive would have made is
    // excused.
    {"http { tmpl $nope;\n server { tmpl a$nope$Other; } }",
     "unknown \"nope\" variable in F:1\nunknown \"other\" variable in F:2\n"},
    {"http { server { set $a b c; tmpl $a; } }", "invalid number of arguments in \"set\" directive in F:1\n"},
    {"http { server { tmpl ${1}$2$12; } }", "unknown \"1\" variable in F:1\nunknown \"2\" variable in F:1\n"},
    // Hints.
    {"deamon on;", "unknown directive \"deamon\" in F:1 [did you mean \"daemon\"?]\n"},
    {"http { dav_methods PUT; }", "unknown directive \"dav_methods\" in F:1 [weir does not have it yet (nginx: "
                                  "ngx_http_dav_module): see weir help dav_methods]\n"},
    {"daemon on;\n\"\r\" x;",
     "unknown directive \"\r\" in F:2 [the file may have DOS line ends, or a quoted \"\" stands where "
     "a directive is expected]\n"},
    {"num 0;", "value must be between 1 and 9 in F:1\n"},
    {"bits fast FAST;", "warning: duplicate value \"FAST\" in F:1\n"},
    {"http { daemon on; }", "\"daemon\" directive is not allowed here in F:1 [it may stand in: main]\n"},
};

TEST(conf_all_errors) {
    for (size_t i = 0; i < ARRAY_LEN(all_errors); i++) {
        struct fake_load l;
        fake_load(&l, all_errors[i].text);
        if (!str_eq(l.said, str_c(all_errors[i].first)))
            test_fail(__FILE__, __LINE__, "%s\n got: %.*s\nwant: %s", all_errors[i].text, STR_ARG(l.said),
                      all_errors[i].first);
        fake_done(&l);
    }
}

TEST(conf_errors_are_bounded) {
    struct sbuf text;
    sbuf_init_heap(&text, 1 << 20);
    for (int i = 0; i < 5000; i++)
        sbuf_lit(&text, "foo; }\n");
    struct fake_load l;
    fake_load(&l, sbuf_cstr(&text));
    EXPECT_INT(l.errors.errors, CONF_MAX_ERRORS);
    fake_done(&l);
    sbuf_done(&text);
}

TEST(conf_deep_blocks) {
    struct sbuf text;
    sbuf_init_heap(&text, 1 << 20);
    for (int i = 0; i < 5000; i++)
        sbuf_lit(&text, "http {");
    struct fake_load l;
    fake_load(&l, sbuf_cstr(&text));
    EXPECT(str_find(l.said, STR("blocks are nested more than 64 deep in F:1")) >= 0);
    fake_done(&l);
    sbuf_done(&text);
}

TEST(conf_includes) {
    static const struct fake_file files[] = {
        {"/etc/w/weir.conf",
         "include a.conf;\nhttp {\n include conf.d/*.conf;\n map { include pairs; z 3; }\n}\nfoo;\n"},
        {"/etc/w/a.conf", "daemon off;\n"},
        {"/etc/w/conf.d/1.conf", "item one;\n\nnum x;\n"},
        {"/etc/w/conf.d/2.conf", "server { item two; }\n}\n"},
        {"/etc/w/pairs", "a 1;\nb 2;\n"},
    };
    struct fake_load l;
    fake_load_files(&l, files, ARRAY_LEN(files), NULL);
    EXPECT_STR(l.said,
               STR("\"num\" directive invalid number in /etc/w/conf.d/1.conf:3\n"
                   "unexpected \"}\" in /etc/w/conf.d/2.conf:2 [one \"}\" too many, or a block before it ends too "
                   "early]\n"
                   "unknown directive \"foo\" in /etc/w/weir.conf:6\n"));
    fake_done(&l);
}

TEST(conf_include_order_and_files) {
    static const struct fake_file files[] = {
        {"/etc/w/weir.conf", "item a; include sub/x;\nitem c; include sub/x; http { map { include pairs; z 3; } }"},
        {"/etc/w/sub/x", "item b;"},
        {"/etc/w/pairs", "a 1;\nb 2;\n"},
    };
    struct fake_load l;
    fake_load_files(&l, files, ARRAY_LEN(files), "item first;");
    EXPECT_STR(l.said, STR(""));
    struct sbuf items;
    sbuf_init_arena(&items, &l.arena, 64, 1024);
    conf_list_each(struct str, s, FAKE(l.conf->root)->items) sbuf_printf(&items, STR_FMT " ", STR_ARG(*s));
    EXPECT_STR(sbuf_view(&items), STR("first a b c b "));
    EXPECT_INT(FAKE(fake_inner(l.conf->root, 0))->pairs.count, 3);
    size_t count = 0;
    for (const struct conf_file *f = l.conf->tree.files; f != NULL; f = f->next)
        EXPECT_STR(f->path, str_c(files[count++].path)); // each once, in the order of opening
    EXPECT_INT(count, 3);
    fake_done(&l);
}

TEST(conf_include_of_itself) {
    static const struct fake_file files[] = {{"/etc/w/weir.conf", "item a;\ninclude weir.conf;\n"}};
    struct fake_load l;
    fake_load_files(&l, files, 1, NULL);
    EXPECT_STR(l.said,
               STR("includes of \"/etc/w/weir.conf\" are nested too deep in /etc/w/weir.conf:2 [a file seems to "
                   "include itself]\n"));
    fake_done(&l);
    fake_load_files(&l, &(struct fake_file){"/etc/w/none.conf", NULL}, 0, NULL);
    EXPECT_STR(l.said, STR("open() \"/etc/w/none.conf\" failed (2: No such file or directory)\n"));
    fake_done(&l);
}

static const struct wording command_lines[] = {
    {"foo;", "unknown directive \"foo\" in command line\n"},
    {"daemon on", "unexpected end of parameter, expecting \";\" in command line\n"},
    {"daemon on;", ""},
    {"daemon \"on", "unexpected end of parameter, expecting \";\" in command line"},
    {"events {", "block directives are not supported in -g option in command line\n"},
    {"}", "unexpected \"}\" in command line"},
    {"daemon\non\nx;", "invalid number of arguments in \"daemon\" directive in command line\n"},
};

TEST(conf_command_line) {
    for (size_t i = 0; i < ARRAY_LEN(command_lines); i++) {
        struct fake_file file = {"F", ""};
        struct fake_load l;
        fake_load_files(&l, &file, 1, command_lines[i].text);
        if (!str_starts(l.said, str_c(command_lines[i].first)) || (command_lines[i].first[0] == 0) != (l.said.n == 0))
            test_fail(__FILE__, __LINE__, "%s: got %.*s", command_lines[i].text, STR_ARG(l.said));
        EXPECT(l.errors.errors <= 1);
        fake_done(&l);
    }
}
