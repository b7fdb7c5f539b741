// Scopes: what a block inherits, shares and copies, and in which order things happen.
#include "conf/fake.h"

static struct scope *load(struct fake_load *l, const char *text) {
    fake_load(l, text);
    EXPECT_STR(l->said, STR(""));
    EXPECT(l->conf != NULL);
    return l->conf->root;
}

static void expect_items(struct scope *s, const char *want) {
    char text[200] = "";
    struct sbuf b;
    sbuf_init_fixed(&b, text, sizeof(text));
    conf_list_each(struct str, item, FAKE(s)->items) sbuf_printf(&b, "%s" STR_FMT, b.n ? " " : "", STR_ARG(*item));
    EXPECT_STR(sbuf_view(&b), str_c(want));
}

TEST(conf_defaults) {
    struct fake_load l;
    struct fake *f = FAKE(load(&l, ""));
    EXPECT(f->daemon && !f->flag && f->tmpl == NULL);
    EXPECT_INT(f->num, 3);
    EXPECT_INT(f->size, 1024);
    EXPECT_INT(f->time, 60000);
    EXPECT_STR(f->text, STR("none"));
    EXPECT_INT(f->mode, 2);
    EXPECT_INT(f->bufs.count, 8);
    EXPECT_INT(f->bufs.size, 4096);
    EXPECT_INT(f->derived, 6); // finish ran on the defaults
    expect_items(l.conf->root, "first");
    fake_done(&l);
}

TEST(conf_inherits_scalars) {
    struct fake_load l;
    struct scope *root = load(&l, "http { num 4; server { num 5; location / { flag on; location /a { num 6; } } }\n"
                                  "server { location / { } } }");
    struct scope *http = fake_inner(root, 0), *one = fake_inner(http, 0), *two = fake_inner(http, 1);
    struct scope *slash = fake_inner(one, 0), *a = fake_inner(slash, 0);
    EXPECT_INT(FAKE(root)->num, 3);
    EXPECT_INT(FAKE(http)->num, 4);
    EXPECT_INT(FAKE(one)->num, 5);
    EXPECT_INT(FAKE(slash)->num, 5);
    EXPECT_INT(FAKE(a)->num, 6);
    EXPECT(!FAKE(one)->flag && FAKE(slash)->flag && FAKE(a)->flag);
    EXPECT_INT(FAKE(two)->num, 4);
    EXPECT_INT(FAKE(fake_inner(two, 0))->num, 4);
    EXPECT_INT(FAKE(a)->derived, 12);
    EXPECT_INT(FAKE(two)->derived, 8);
    EXPECT(a->place == IN_LOCATION && a->outer == slash && one->next == two);
    fake_done(&l);
}

// The outer block's later rows reach an inner block that stands before them.
TEST(conf_inherits_what_comes_later) {
    struct fake_load l;
    struct scope *root = load(&l, "http { server { item x; } num 9; item y; item z; } num 2;");
    struct scope *http = fake_inner(root, 0), *server = fake_inner(http, 0);
    EXPECT_INT(FAKE(root)->num, 2);
    EXPECT_INT(FAKE(server)->num, 9);
    expect_items(http, "y z");
    expect_items(server, "x");
    fake_done(&l);
}

TEST(conf_lists) {
    struct fake_load l;
    struct scope *root =
        load(&l, "item a;\n"
                 "http { item b; item c; server { location / { item d; item e; item f; item g; item h; item i;"
                 "item j; item k; item l; } location /2 { num 1; } } server { item m; } }");
    struct scope *http = fake_inner(root, 0), *one = fake_inner(http, 0);
    expect_items(root, "a"); // replaces the default
    expect_items(http, "b c");
    expect_items(one, "b c");
    expect_items(fake_inner(one, 0), "d e f g h i j k l");
    expect_items(fake_inner(one, 1), "b c");
    expect_items(fake_inner(http, 1), "m");
    EXPECT(FAKE(fake_inner(one, 1))->items.at == FAKE(http)->items.at); // shared, though the struct is not
    fake_done(&l);
}

TEST(conf_shares_until_used) {
    struct fake_load l;
    struct scope *root = load(&l, "http { server { other_num 1; } server { } server { flag on; } }");
    struct scope *http = fake_inner(root, 0);
    struct scope *one = fake_inner(http, 0), *two = fake_inner(http, 1), *three = fake_inner(http, 2);
    EXPECT(http->conf == root->conf && http->owned == NULL);
    EXPECT(FAKE(one) == FAKE(root) && OTHER(one) != OTHER(root));
    EXPECT(two->conf == root->conf);
    EXPECT(FAKE(three) != FAKE(root) && OTHER(three) == OTHER(root));
    EXPECT_INT(OTHER(one)->num, 1);
    EXPECT_INT(OTHER(two)->num, 7);
    EXPECT_INT(FAKE(root)->finishes, 1); // nobody's finish ran on the shared struct
    EXPECT_INT(FAKE(three)->finishes, 2);
    fake_done(&l);
}

// An opener that writes to the outer block's struct writes to that block's own copy, not to one shared further out.
TEST(conf_opener_owns_outer) {
    struct fake_load l;
    struct scope *root = load(&l, "http { server { location /a { } location /b { } } server { location /c { } } }");
    struct scope *http = fake_inner(root, 0);
    EXPECT_INT(OTHER(fake_inner(http, 0))->opened, 2);
    EXPECT_INT(OTHER(fake_inner(http, 1))->opened, 1);
    EXPECT_INT(OTHER(http)->opened, 0);
    fake_done(&l);
}

TEST(conf_order_of_events) {
    struct fake_load l;
    struct scope *root = load(&l, "http { server { location / { item a; location /in { item b; } item c; } } }");
    struct scope *slash = fake_inner(fake_inner(fake_inner(root, 0), 0), 0);
    // Rows in order, finish, and bind when the tree is whole. The inner block began as a copy without its notes.
    EXPECT_STR(str_c(FAKE(slash)->order), STR("iiFB"));
    EXPECT_STR(str_c(FAKE(fake_inner(slash, 0))->order), STR("iFB"));
    EXPECT(slash->plan == slash);
    fake_done(&l);
}

TEST(conf_one_name_in_two_places) {
    struct fake_load l;
    struct scope *root = load(&l, "http { upstream u { server a:1; server b:2 down; } server { } }");
    EXPECT_INT(fake_inner(fake_inner(root, 0), 0)->place, IN_UPSTREAM);
    EXPECT_INT(fake_inner(fake_inner(root, 0), 1)->place, IN_SERVER);
    fake_done(&l);
}

TEST(conf_families) {
    struct fake_load l;
    struct scope *root = load(&l, "http { proxy_tries 5; server { fastcgi_tries 2; } }");
    struct scope *http = fake_inner(root, 0), *server = fake_inner(http, 0);
    EXPECT_INT(((struct fake_other *)scope_conf(server, &fake_proxy))->num, 5);
    EXPECT_INT(((struct fake_other *)scope_conf(server, &fake_fastcgi))->num, 2);
    EXPECT_INT(((struct fake_other *)scope_conf(http, &fake_fastcgi))->num, 1);
    fake_done(&l);
    fake_load(&l, "http { proxy_tries 1; fastcgi_tries 1; proxy_tries 2; memcached_tries 1; }");
    EXPECT_STR(l.said, STR("\"proxy_tries\" directive is duplicate in F:1\n"
                           "unknown directive \"memcached_tries\" in F:1\n"));
    fake_done(&l);
}

TEST(conf_duplicates_are_of_a_block) {
    struct fake_load l;
    load(
        &l,
        "num 1; http { num 1; server { num 1; location / { num 1; location /a { num 1; } } location /b { num 1; } } }");
    fake_done(&l);
    fake_load(&l, "http { server { location / { num 1; } num 2; num 3; location /b { num 1; num 1; } } num 1; }");
    EXPECT_INT(l.errors.errors, 2);
    fake_done(&l);
}

// A large configuration costs what it says, not what it inherits.
TEST(conf_many_servers) {
    enum { SERVERS = 2000, LOCATIONS = 10 };
    struct sbuf text;
    sbuf_init_heap(&text, 16 << 20);
    sbuf_lit(&text, "http {\n");
    for (int i = 0; i < SERVERS; i++) {
        sbuf_printf(&text, "server {\n other_num %d;\n", i);
        for (int k = 0; k < LOCATIONS; k++)
            sbuf_printf(&text, "  location /%d {%s }\n", k, k == 0 ? " proxy_tries 3;" : "");
        sbuf_lit(&text, "}\n");
    }
    sbuf_lit(&text, "}\n");
    struct fake_load l;
    struct scope *http = fake_inner(load(&l, sbuf_cstr(&text)), 0);
    size_t servers = 0, locations = 0, core = 0, other = 0, proxy = 0, fastcgi = 0;
    for (struct scope *s = http->children; s != NULL; s = s->next, servers++) {
        EXPECT_INT(OTHER(s)->num, servers);
        core += FAKE(s) != FAKE(http);
        other += OTHER(s) != OTHER(http);
        for (struct scope *loc = s->children; loc != NULL; loc = loc->next, locations++) {
            core += FAKE(loc) != FAKE(s); // opened by core: always
            other += OTHER(loc) != OTHER(s);
            proxy += scope_conf(loc, &fake_proxy) != scope_conf(s, &fake_proxy);
            fastcgi += scope_conf(loc, &fake_fastcgi) != scope_conf(s, &fake_fastcgi);
        }
    }
    EXPECT_INT(servers, SERVERS);
    EXPECT_INT(locations, SERVERS * LOCATIONS);
    EXPECT_INT(core, locations);
    EXPECT_INT(other, SERVERS);
    EXPECT_INT(proxy, SERVERS);
    EXPECT_INT(fastcgi, 0);
    // Bytes: the text, its nodes, a scope, an array of pointers and core's struct for each location; some slack for
    // chunks.
    size_t each = sizeof(struct scope) + sizeof(struct conf_node) + 3 * sizeof(struct str) + sizeof(struct fake) +
                  FAKE_FEATURES * sizeof(void *) + 64;
    EXPECT(l.conf->arena.total < (servers + locations) * (each + each / 4) + 2 * text.n + (1 << 20));
    fake_done(&l);
    sbuf_done(&text);
}

TEST(conf_text_and_refs) {
    features_register(fake_features, FAKE_FEATURES);
    struct arena arena;
    arena_init(&arena, NULL);
    struct conf_errors errors;
    struct zones *zones = zones_new();
    struct conf_load load = {.path = STR("/etc/w/weir.conf"),
                             .text = STR("num 4;"),
                             .prefix = STR("/usr/w"),
                             .features = fake_features,
                             .nfeatures = FAKE_FEATURES,
                             .zones = zones};
    struct conf *c = conf_load(&load, &arena, &errors);
    EXPECT(c != NULL && c->magic == CONF_MAGIC);
    EXPECT_INT(FAKE(c->root)->num, 4);
    EXPECT_INT(c->generation, 1);
    struct conf_cx cx = {.conf = c, .arena = &arena};
    EXPECT_STR(conf_full_path(&cx, STR("logs/x"), false), STR("/usr/w/logs/x"));
    EXPECT_STR(conf_full_path(&cx, STR("mime.types"), true), STR("/etc/w/mime.types"));
    EXPECT_STR(conf_full_path(&cx, STR("/x"), true), STR("/x"));
    EXPECT(conf_ref(c) == c);
    conf_unref(c);
    load.text = STR("include other;");
    EXPECT(conf_load(&load, &arena, &errors) == NULL);
    EXPECT_STR(errors.head->text, STR("open() \"/etc/w/other\" failed (2: No such file or directory)"));
    conf_unref(c);
    conf_unref(NULL);
    zones_free(zones);
    arena_done(&arena);
}
