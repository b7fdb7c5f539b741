// The manual, and the table of what nginx has.
#include "conf/build.h"
#include "conf/fake.h"

static struct str help(struct arena *arena, const char *name) {
    struct sbuf out;
    sbuf_init_arena(&out, arena, 512, 1 << 16);
    if (!manual_directive(fake_features, FAKE_FEATURES, str_c(name), &out))
        return STR("unknown");
    return sbuf_view(&out);
}

TEST(manual_of_a_directive) {
    struct arena a;
    arena_init(&a, NULL);
    EXPECT_STR(help(&a, "num"), STR("Syntax:   num number;\n"
                                    "Default:  num 3;\n"
                                    "Context:  main, http, server, location\n"
                                    "Range:    1 to 9\n"
                                    "Feature:  core\n\n"
                                    "A number.\n"));
    EXPECT_STR(help(&a, "proxy_tries"), STR("Syntax:   proxy_tries number;\n"
                                            "Default:  proxy_tries 1;\n"
                                            "Context:  http, server, location\n"
                                            "Feature:  proxy\n\n"
                                            "How often to try.\n"
                                            "Likewise: fastcgi_tries\n"));
    EXPECT(str_starts(help(&a, "mode"), STR("Syntax:   mode fast | slow;\n")));
    EXPECT(str_starts(help(&a, "bits"), STR("Syntax:   bits fast | slow ...;\nDefault:  -\n")));
    EXPECT(str_starts(help(&a, "location"), STR("Syntax:   location value [value] { ... }\n")));
    EXPECT(str_find(help(&a, "server"), STR("Syntax:   server { ... }\n")) == 0); // both of that name
    EXPECT(str_find(help(&a, "server"), STR("\n\nSyntax:   server value ...;\n")) > 0);
    EXPECT(str_find(help(&a, "worker_rlimit_nofile"), STR("it has no effect")) > 0);
    EXPECT(str_find(help(&a, "item"), STR("May be given several times")) > 0);
    EXPECT_STR(help(&a, "dav_methods"),
               STR("\"dav_methods\" is a directive of nginx's ngx_http_dav_module. weir does not have it yet.\n"));
    EXPECT_STR(help(&a, "nonsense"), STR("unknown"));
    arena_done(&a);
}

TEST(manual_of_variables) {
    struct sbuf out;
    sbuf_init_heap(&out, 1 << 16);
    EXPECT(manual_variable(fake_features, FAKE_FEATURES, STR("$http_user_agent"), &out));
    EXPECT_STR(sbuf_view(&out), STR("$http_name\n\nA request header field.\nFeature:  core\n"));
    out.n = 0;
    EXPECT(manual_variable(fake_features, FAKE_FEATURES, STR("args"), &out));
    EXPECT_STR(sbuf_view(&out), STR("$args\n\nThe arguments. It may be set.\nFeature:  core\n"));
    EXPECT(!manual_variable(fake_features, FAKE_FEATURES, STR("arg"), &out));
    sbuf_done(&out);
}

TEST(manual_in_markdown) {
    struct sbuf out;
    sbuf_init_heap(&out, 1 << 20);
    manual_markdown(fake_features, FAKE_FEATURES, &out);
    struct str text = sbuf_view(&out);
    for (size_t i = 0; i < FAKE_FEATURES; i++)
        for (size_t k = 0; k < fake_features[i]->nrows; k++)
            EXPECT(str_find(text, str_c(fake_features[i]->rows[k].help)) > 0);
    EXPECT(str_find(text, STR("## fastcgi\n\n### fastcgi_tries\n")) > 0);
    EXPECT(str_find(text, STR("| Syntax | `flag on \\| off;` |\n")) > 0);
    EXPECT(str_find(text, STR("| `$http_*name*` | A request header field. |\n")) > 0);
    EXPECT(str_ends(text, STR("Likewise: proxy_tries.\n\n")));
    sbuf_done(&out);
}

TEST(manual_near_names) {
    static const struct {
        const char *name, *want;
    } cases[] = {
        {"nmu", "\"num\""},
        {"NUM", "\"num\""},
        {"loaction", "\"location\""},
        {"locatio", "\"location\""},
        {"sever", "\"server\""},
        {"proxytries", "\"proxy_tries\""},
        {"zzzzzz", ""},
        {"", ""},
        {"tim", "\"time\""},
    };
    struct arena a;
    arena_init(&a, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str got = manual_similar(fake_features, FAKE_FEATURES, str_c(cases[i].name), &a);
        if (!str_eq(got, str_c(cases[i].want)))
            test_fail(__FILE__, __LINE__, "%s: got %.*s", cases[i].name, STR_ARG(got));
    }
    arena_done(&a);
}

TEST(known_directives_are_in_order) {
    size_t count = 0;
    for (const char *name, *last = ""; (name = known_name(count)) != NULL; last = name, count++) {
        if (strcmp(last, name) >= 0 || known_module(str_c(name)) == NULL)
            test_fail(__FILE__, __LINE__, "%s", name);
    }
    EXPECT(count > 800);
    EXPECT_STR(str_c(known_module(STR("tunnel_pass"))), STR("ngx_http_tunnel_module"));
    EXPECT_STR(str_c(known_module(STR("proxy_pass"))), STR("ngx_http_proxy_module"));
    EXPECT_STR(str_c(known_module(STR("zone_sync"))), STR("ngx_stream_zone_sync_module"));
    EXPECT(known_module(STR("nonsense")) == NULL);
}
