// Addresses: which of them have sockets, and which server answers at which.
#include "feature/test_site.h"

static struct sockaddr *at(struct addr_full *a, const char *text) {
    const char *why;
    EXPECT(addr_parse(a, str_c(text), 80, true, &why));
    return &a->sa;
}

static const struct vhosts *entry(const struct http_world *w, const char *text) {
    struct addr_full a;
    at(&a, text);
    for (unsigned i = 0; i < w->count; i++) {
        if (addr_eq(&w->at[i]->addr.sa, &a.sa))
            return w->at[i];
    }
    test_fail(__FILE__, __LINE__, "no address %s", text);
}

TEST(addresses_share_a_wildcard_socket) {
    struct site s;
    site_open(&s, STR("/x"), STR("events {} http {"
                                 "server { listen 8080; server_name any; } server { listen 127.0.0.1:8080; server_name local; }"
                                 "server { listen 127.0.0.2:8080 bind; server_name own; } server { listen 127.0.0.1:81; }"
                                 "server { listen [::]:8080; server_name six; } server { listen [::1]:8080; server_name six1; }"
                                 "server { listen unix:/tmp/x.sock; server_name unix; } server { listen 9000-9002; } }"));
    EXPECT_STR(site_errors(&s), STR(""));
    const struct http_world *w = http_world(s.conf);
    EXPECT_INT(w->count, 10);
    EXPECT(vhosts_own_socket(w, entry(w, "*:8080")));
    EXPECT(!vhosts_own_socket(w, entry(w, "127.0.0.1:8080")));
    EXPECT(vhosts_own_socket(w, entry(w, "127.0.0.2:8080")));
    EXPECT(vhosts_own_socket(w, entry(w, "127.0.0.1:81")));
    EXPECT(!vhosts_own_socket(w, entry(w, "[::1]:8080")));
    EXPECT(vhosts_own_socket(w, entry(w, "unix:/tmp/x.sock")));
    struct addr_full bound, local;
    EXPECT(vhosts_need_local(w, at(&bound, "*:8080")));
    EXPECT(!vhosts_need_local(w, at(&bound, "127.0.0.1:81")));
    EXPECT(!vhosts_need_local(w, at(&bound, "*:9000")));
    static const char *const cases[][3] = {
        {"*:8080", "127.0.0.1:8080", "local"}, {"*:8080", "127.0.0.9:8080", "any"},      {"*:8080", NULL, "any"},
        {"[::]:8080", "[::1]:8080", "six1"},   {"127.0.0.2:8080", NULL, "own"},          {"[::]:8080", "[::2]:8080", "six"},
        {"unix:/tmp/x.sock", NULL, "unix"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct vhosts *v =
            vhosts_at(w, at(&bound, cases[i][0]), cases[i][1] != NULL ? at(&local, cases[i][1]) : NULL);
        EXPECT(v != NULL);
        EXPECT_STR(v->fallback->name, str_c(cases[i][2]));
    }
    EXPECT(vhosts_at(w, at(&bound, "1.2.3.4:80"), NULL) == NULL);
    site_close(&s);
}

TEST(parameters_of_listen) {
    struct site s;
    site_open(&s, STR("/x"), STR("events {} http { server { listen 80 backlog=7 rcvbuf=8k sndbuf=1m fastopen=3 deferred reuseport "
                                 "so_keepalive=30m::10 default_server; } server { listen 80; server_name b; } }"));
    EXPECT_STR(site_errors(&s), STR(""));
    const struct vhosts *v = entry(http_world(s.conf), "*:80");
    EXPECT_INT(v->opts.backlog, 7);
    EXPECT_INT(v->opts.rcvbuf, 8192);
    EXPECT_INT(v->opts.sndbuf, 1 << 20);
    EXPECT_INT(v->opts.fastopen, 3);
    EXPECT(v->opts.deferred && v->opts.reuseport && v->opts.bind);
    EXPECT_INT(v->opts.keepalive, 1);
    EXPECT_INT(v->opts.keepidle, 1800);
    EXPECT_INT(v->opts.keepintvl, 0);
    EXPECT_INT(v->opts.keepcnt, 10);
    EXPECT_INT(v->nservers, 2);
    site_close(&s);
}
