// Configurations inside the program, in the language that users write.
#include "app/embedded.h"
#include "base/sbuf.h"
#include <stdio.h>

static const char head[] = "daemon off;\n"
                           "worker_processes auto;\n"
                           "pid " "%.*s" "/weir.pid;\n"
                           "error_log stderr warn;\n"
                           "events {}\n"
                           "http {\n"
                           "    log_format short '$remote_addr \"$request\" $status $body_bytes_sent $request_time s';\n"
                           "    access_log /dev/stdout short;\n"
                           "    proxy_set_header Host $host:$server_port;\n"
                           "    proxy_set_header X-Real-IP $remote_addr;\n"
                           "    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n"
                           "    proxy_set_header X-Forwarded-Proto $scheme;\n"
                           "    client_max_body_size 0;\n";

struct str embedded_default(struct arena *a, struct str dir) {
    struct sbuf b;
    sbuf_init_arena(&b, a, 4096, 64 << 10);
    sbuf_printf(&b, head, STR_ARG(dir));
    sbuf_printf(&b,
                "    upstream demo { server unix:" STR_FMT "/demo.sock; }\n"
                "    server {\n"
                "        listen 8080;\n"
                "        location / { proxy_pass http://demo; }\n"
                "        location = /hello { default_type text/plain; return 200 \"hello from weir itself\\n\"; }\n"
                "    }\n"
                "    # The demo back end: it answers with what it was asked.\n"
                "    server {\n"
                "        listen unix:" STR_FMT "/demo.sock;\n"
                "        access_log off;\n"
                "        default_type text/plain;\n"
                "        location / {\n"
                "            return 200 \"This is the demo back end. weir asked it on your behalf:\n\n"
                "    $request_method $request_uri\n"
                "    Host: $http_host\n"
                "    X-Real-IP: $http_x_real_ip\n"
                "    X-Forwarded-For: $http_x_forwarded_for\n"
                "    X-Forwarded-Proto: $http_x_forwarded_proto\n\";\n"
                "        }\n"
                "        location = /missing { return 404; }\n"
                "    }\n"
                "}\n",
                STR_ARG(dir), STR_ARG(dir));
    return sbuf_view(&b);
}

// Text that may stand unquoted in a configuration.
static bool plain(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || strchr(";{}\"'\\$#", c) != NULL)
            return false;
    }
    return s.n != 0;
}

static bool digits(struct str s) {
    uint64_t n;
    return str_u64(s, 65535, &n);
}

struct str embedded_proxy(struct arena *a, struct str listen, struct str backend, struct str dir) {
    if (listen.n > 1 && listen.p[0] == ':')
        listen = str_from(listen, 1);
    struct str url = backend;
    if (backend.n > 1 && backend.p[0] == ':')
        url = str_from(backend, 1);
    if (digits(url))
        url = arena_printf(a, "127.0.0.1:" STR_FMT, STR_ARG(url));
    if (!str_starts(url, STR("http://")))
        url = arena_printf(a, "http://" STR_FMT, STR_ARG(url));
    if (!plain(listen) || !plain(url)) {
        fputs("nginx: usage: weir proxy LISTEN BACKEND, as in: weir proxy :8080 127.0.0.1:3000\n", stderr);
        return STR_NONE;
    }
    struct sbuf b;
    sbuf_init_arena(&b, a, 4096, 64 << 10);
    sbuf_printf(&b, head, STR_ARG(dir));
    sbuf_printf(&b,
                "    server {\n"
                "        listen " STR_FMT ";\n"
                "        location / { proxy_pass " STR_FMT "; }\n"
                "    }\n"
                "}\n",
                STR_ARG(listen), STR_ARG(url));
    return sbuf_view(&b);
}
