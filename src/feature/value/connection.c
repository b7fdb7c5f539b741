// Variables of the connection, the server and the process: $remote_addr, $server_port, $connection, $msec, $hostname...
#include "http/conn.h"
#include "http/vhost.h"
#include "io/loop.h"
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static struct req *req_of(struct eval *e) { return e->req; }

static bool found(struct str *out, struct str value) {
    *out = value;
    return value.p != NULL;
}
static bool number(struct eval *e, uint64_t n, struct str *out) {
    *out = arena_printf(e->arena, "%llu", (unsigned long long)n);
    return true;
}

static bool get_remote_addr(struct eval *e, const struct var *v, struct str *out) {
    return found(out, req_client_text(req_of(e)));
}
static bool get_binary_remote_addr(struct eval *e, const struct var *v, struct str *out) {
    return found(out, addr_bytes(&req_of(e)->client_addr.sa));
}
static bool get_remote_port(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e);
    unsigned port = addr_port(&r->client_addr.sa);
    if (port == 0) // of a Unix socket, or not told by a trusted proxy
        return found(out, STR(""));
    return number(e, port, out);
}

static bool local_addr(struct req *r, struct addr_full *a) { return r->conn != NULL && link_local(r->conn->link, a); }

static bool get_server_addr(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e);
    struct addr_full a;
    if (!local_addr(r, &a))
        return false;
    struct sbuf b;
    sbuf_init_arena(&b, &r->arena, 48, ADDR_TEXT_MAX);
    if (a.sa.sa_family == AF_UNIX)
        addr_put(&b, &a.sa, false);
    else
        addr_put_ip(&b, &a.sa);
    return found(out, sbuf_view(&b));
}
static bool get_server_port(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e);
    const struct addr_full *bound = r->conn != NULL ? &r->conn->vhosts->addr : NULL;
    if (bound == NULL || bound->sa.sa_family == AF_UNIX)
        return found(out, STR(""));
    return number(e, addr_port(&bound->sa), out);
}
static bool get_server_name(struct eval *e, const struct var *v, struct str *out) {
    return found(out, req_of(e)->server->name);
}
static bool get_server_protocol(struct eval *e, const struct var *v, struct str *out) {
    switch (req_of(e)->in.version) {
    case 9:
        return found(out, STR("HTTP/0.9"));
    case 10:
        return found(out, STR("HTTP/1.0"));
    case 20:
        return found(out, STR("HTTP/2.0"));
    case 30:
        return found(out, STR("HTTP/3.0"));
    default:
        return found(out, STR("HTTP/1.1"));
    }
}
static bool is_tls(struct req *r) { return r->conn != NULL && link_is_tls(r->conn->link); }
static bool get_scheme(struct eval *e, const struct var *v, struct str *out) {
    return found(out, is_tls(req_of(e)) ? STR("https") : STR("http"));
}
static bool get_https(struct eval *e, const struct var *v, struct str *out) {
    return found(out, is_tls(req_of(e)) ? STR("on") : STR(""));
}

static bool get_connection(struct eval *e, const struct var *v, struct str *out) {
    return number(e, req_of(e)->log.connection, out);
}
static bool get_connection_requests(struct eval *e, const struct var *v, struct str *out) {
    struct conn *c = req_of(e)->conn;
    return number(e, c != NULL ? c->requests : 0, out);
}
static bool get_connection_time(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e);
    uint64_t ms = r->conn != NULL ? loop_now(r->loop) - r->conn->start_ms : 0;
    return found(out, arena_printf(e->arena, "%llu.%03u", (unsigned long long)(ms / 1000), (unsigned)(ms % 1000)));
}
static bool get_pipe(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e);
    return found(out, r->pipelined ? STR("p") : STR("."));
}

static bool get_tcpinfo(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = req_of(e);
    struct tcp_info ti;
    socklen_t len = sizeof ti;
    if (r->conn == NULL || link_fd(r->conn->link) < 0 ||
        getsockopt(link_fd(r->conn->link), IPPROTO_TCP, TCP_INFO, &ti, &len) != 0)
        return false;
    return number(e, *(uint32_t *)((char *)&ti + v->data), out);
}

static bool get_msec(struct eval *e, const struct var *v, struct str *out) {
    uint64_t ms = loop_wall_ms(req_of(e)->loop);
    return found(out, arena_printf(e->arena, "%llu.%03u", (unsigned long long)(ms / 1000), (unsigned)(ms % 1000)));
}
static bool get_time_local(struct eval *e, const struct var *v, struct str *out) {
    return found(out, arena_dup(e->arena, str_c(loop_text_log(req_of(e)->loop))));
}
static bool get_time_iso(struct eval *e, const struct var *v, struct str *out) {
    return found(out, arena_dup(e->arena, str_c(loop_text_iso(req_of(e)->loop))));
}
static bool get_hostname(struct eval *e, const struct var *v, struct str *out) {
    char name[256];
    if (gethostname(name, sizeof name) != 0)
        return false;
    name[sizeof name - 1] = '\0';
    *out = arena_lower(e->arena, str_c(name));
    return true;
}
static bool get_pid(struct eval *e, const struct var *v, struct str *out) { return number(e, (uint64_t)getpid(), out); }
static bool get_version(struct eval *e, const struct var *v, struct str *out) { return found(out, STR("1.31.5")); }

static const struct var_def variables[] = {
    {"remote_addr", false, VAR_CHEAP, get_remote_addr, NULL, 0, "The client's address."},
    {"binary_remote_addr", false, VAR_CHEAP, get_binary_remote_addr, NULL, 0, "The client's address, 4 or 16 bytes."},
    {"remote_port", false, 0, get_remote_port, NULL, 0, "The client's port."},
    {"server_addr", false, 0, get_server_addr, NULL, 0, "The address that the client connected to (one system call)."},
    {"server_port", false, 0, get_server_port, NULL, 0, "The port that the client connected to."},
    {"server_name", false, VAR_CHEAP, get_server_name, NULL, 0, "The first name of the server that answers."},
    {"server_protocol", false, VAR_CHEAP, get_server_protocol, NULL, 0, "HTTP/1.0, HTTP/1.1, HTTP/2.0 or HTTP/3.0."},
    {"scheme", false, VAR_CHEAP, get_scheme, NULL, 0, "http or https."},
    {"https", false, VAR_CHEAP, get_https, NULL, 0, "\"on\" over TLS, else empty."},
    {"connection", false, 0, get_connection, NULL, 0, "Number of the connection."},
    {"connection_requests", false, 0, get_connection_requests, NULL, 0, "Requests on this connection so far."},
    {"connection_time", false, VAR_VOLATILE | VAR_LIVE, get_connection_time, NULL, 0, "Seconds since the connection was made, in milliseconds."},
    {"pipe", false, VAR_CHEAP, get_pipe, NULL, 0, "\"p\" when the request was pipelined, else \".\"."},
    {"tcpinfo_rtt", false, VAR_VOLATILE, get_tcpinfo, NULL, offsetof(struct tcp_info, tcpi_rtt), "Round-trip time in microseconds."},
    {"tcpinfo_rttvar", false, VAR_VOLATILE, get_tcpinfo, NULL, offsetof(struct tcp_info, tcpi_rttvar), "Its variance in microseconds."},
    {"tcpinfo_snd_cwnd", false, VAR_VOLATILE, get_tcpinfo, NULL, offsetof(struct tcp_info, tcpi_snd_cwnd), "Congestion window, segments."},
    {"tcpinfo_rcv_space", false, VAR_VOLATILE, get_tcpinfo, NULL, offsetof(struct tcp_info, tcpi_rcv_space), "Receive space, bytes."},
    {"msec", false, VAR_VOLATILE | VAR_LIVE, get_msec, NULL, 0, "Seconds since 1970, in milliseconds."},
    {"time_local", false, VAR_VOLATILE | VAR_LIVE, get_time_local, NULL, 0, "Local time in the Common Log Format."},
    {"time_iso8601", false, VAR_VOLATILE | VAR_LIVE, get_time_iso, NULL, 0, "Local time in ISO 8601."},
    {"hostname", false, 0, get_hostname, NULL, 0, "Name of the host."},
    {"pid", false, VAR_CHEAP, get_pid, NULL, 0, "Process id of the worker."},
    {"nginx_version", false, VAR_CHEAP, get_version, NULL, 0, "The version of nginx whose language is spoken."},
};

struct feature feature_connection_variables = {
    .name = "connection variables",
    .vars = variables,
    .nvars = ARRAY_LEN(variables),
};
