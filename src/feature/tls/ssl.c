// The ssl_* directives of servers.
#include "feature/tls/ssl_dynamic.h"
#include "feature/core/blocks.h"
#include "feature/log/log_open.h"
#include "io/broker.h"
#include <fcntl.h>
#include <unistd.h>

struct str ssl_file(struct conf_cx *cx, struct str name) {
    bool is_name = name.n != 0 && !str_starts(name, STR("data:")) && !str_starts(name, STR("engine:"));
    return is_name ? conf_full_path(cx, name, true) : arena_dup(cx->arena, name);
}

// --- lists -------------------------------------------------------------------------------------------------------------------

struct tmpl *ssl_name(struct conf_cx *cx, const struct conf_node *node) {
    struct str text = node->args[1];
    struct tmpl *t = tmpl_has_var(text) ? tmpl_compile(cx, text, node) : tmpl_const(cx->arena, ssl_file(cx, text));
    if (t != NULL)
        t->source = text; // for messages
    if (t != NULL && !t->constant)
        conf_reach_tmpl(cx, t, cx->conf->conf_prefix, false, false);
    return t;
}

static bool add_template(struct conf_cx *cx, const struct conf_row *row, struct conf_list *list, const struct conf_node *node) {
    struct tmpl *t = ssl_name(cx, node);
    if (t == NULL)
        return false;
    *(struct ssl_name *)conf_list_add(cx, row, list, sizeof(struct ssl_name)) = (struct ssl_name){t};
    return true;
}

static bool set_certificate(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return add_template(cx, row, &((struct ssl_conf *)conf)->certs, node);
}

static bool set_key(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    if (str_starts(node->args[1], STR("engine:")))
        return conf_err_hint(cx, node, STR("name a file, or give the key itself behind data:"),
                             "loading \"engine:...\" certificate keys is not supported");
    return add_template(cx, row, &((struct ssl_conf *)conf)->keys, node);
}

static bool set_command(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct ssl_conf *c = conf;
    struct tls_command *to = conf_list_add(cx, row, &c->commands, sizeof *to);
    *to = (struct tls_command){arena_dup(cx->arena, node->args[1]), arena_dup(cx->arena, node->args[2])};
    return true;
}

static bool set_ticket_key(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct ssl_conf *c = conf;
    *(struct str *)conf_list_add(cx, row, &c->ticket_files, sizeof(struct str)) = ssl_file(cx, node->args[1]);
    return true;
}

bool ssl_add_passwords(struct conf_cx *cx, const struct conf_row *row, struct conf_list *list, const struct conf_node *node) {
    struct str path = ssl_file(cx, node->args[1]);
    char text[4096];
    int fd = broker_open(path.p, NULL);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : -1;
    int err = errno;
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return conf_err(cx, node, "open() \"" STR_FMT "\" failed (%d: %s)", STR_ARG(path), err, strerror(err));
    struct str rest = str_n(text, (size_t)n), line;
    while (rest.n != 0 && str_split(&rest, '\n', &line)) {
        if (line.n != 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n != 0)
            *(struct str *)conf_list_add(cx, row, list, sizeof(struct str)) = arena_dup(cx->arena, line);
    }
    explicit_bzero(text, sizeof text);
    return true;
}

static bool set_password_file(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return ssl_add_passwords(cx, row, &((struct ssl_conf *)conf)->passwords, node);
}

// --- names of files, and texts for OpenSSL ---------------------------------------------------------------------------------------

static bool set_file(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    *(struct str *)((char *)conf + row->offset) = node->args[1].n != 0 ? ssl_file(cx, node->args[1]) : STR("");
    return true;
}

static bool set_text(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    *(struct str *)((char *)conf + row->offset) = arena_dup(cx->arena, node->args[1]);
    return true;
}

// --- sessions ------------------------------------------------------------------------------------------------------------------

static void *make_cache(const void *size) { return tls_cache_new((size_t)*(const uint64_t *)size); }
static void free_cache(void *cache) { tls_cache_free(cache); }
static bool cache_fits(const void *cache, const void *size) {
    return *(const uint64_t *)size == 0 || tls_cache_size(cache) == *(const uint64_t *)size;
}
static const struct zone_kind cache_kind = {"ssl_session_cache", make_cache, free_cache, cache_fits};
static void unref_zone(void *zone) { zone_unref(zone); }

// "shared:NAME:SIZE".
static bool take_shared(struct conf_cx *cx, struct ssl_conf *c, const struct conf_node *node, struct str word) {
    struct str rest = str_from(word, 7);
    ssize_t colon = str_chr(rest, ':');
    uint64_t size = 0;
    if (colon <= 0 || !conf_parse_size(str_from(rest, (size_t)colon + 1), &size))
        return conf_err(cx, node, "invalid session cache \"" STR_FMT "\"", STR_ARG(word));
    if (size < 8 * 4096)
        return conf_err(cx, node, "session cache \"" STR_FMT "\" is too small", STR_ARG(word));
    if (cx->conf->zones == NULL)
        return true;
    c->cache = zone_get(cx->conf->zones, &cache_kind, str_head(rest, (size_t)colon), &size, NULL);
    arena_cleanup(cx->arena, unref_zone, c->cache);
    return true;
}

static bool set_session_cache(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct ssl_conf *c = conf;
    c->session_off = c->builtin = false;
    c->builtin_size = 0;
    c->cache = NULL;
    for (unsigned i = 1; i < node->nargs; i++) {
        struct str w = node->args[i];
        if (str_eq(w, STR("off"))) {
            c->session_off = true;
        } else if (str_eq(w, STR("none"))) {
            continue;
        } else if (str_eq(w, STR("builtin"))) {
            c->builtin = true;
        } else if (str_starts(w, STR("builtin:"))) {
            c->builtin = true;
            if (!conf_parse_num(str_from(w, 8), &c->builtin_size) || c->builtin_size > INT_MAX)
                return conf_err(cx, node, "invalid session cache \"" STR_FMT "\"", STR_ARG(w));
        } else if (str_starts(w, STR("shared:"))) {
            if (!take_shared(cx, c, node, w))
                return false;
        } else {
            return conf_err(cx, node, "invalid session cache \"" STR_FMT "\"", STR_ARG(w));
        }
    }
    return true;
}

// --- what else has a setter ----------------------------------------------------------------------------------------------------

static bool set_cert_cache(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return ssl_set_cert_cache(cx, &((struct ssl_conf *)conf)->cert_cache, node);
}

// Who reads the keys of connections reads all that they carry: the file is made for its owner alone.
bool ssl_open_key_log(struct conf_cx *cx, const struct conf_node *node, struct log_file **file) {
    struct str path = ssl_file(cx, node->args[1]);
    if (!cx->test && path.n != 0 && path.p[0] == '/') {
        int fd = open(path.p, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        if (fd >= 0)
            close(fd);
    }
    return log_open(cx, path, file);
}

static bool set_key_log(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return ssl_open_key_log(cx, node, &((struct ssl_conf *)conf)->key_log);
}

static bool set_compression(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    if (str_eq(node->args[1], STR("on")))
        conf_warn(cx, node, "\"ssl_certificate_compression\" ignored, OpenSSL before 3.2 cannot compress certificates");
    else if (!str_eq(node->args[1], STR("off")))
        return conf_err(cx, node, "invalid value \"" STR_FMT "\" in \"" STR_FMT "\" directive, it must be \"on\" or \"off\"",
                        STR_ARG(node->args[1]), STR_ARG(node->args[0]));
    return true;
}

static void free_tickets(void *t) { tls_tickets_free(t); }

static bool finish(struct conf_cx *cx, struct scope *s, void *conf) {
    struct ssl_conf *c = conf;
    const struct ssl_conf *outer = s->outer != NULL ? scope_conf(s->outer, &feature_ssl) : NULL;
    if (c->ticket_files.count == 0 || (outer != NULL && outer->ticket_files.at == c->ticket_files.at))
        return true;
    struct sbuf why;
    sbuf_init_arena(&why, cx->arena, 128, 1024);
    c->ticket_keys = tls_tickets_of_files(c->ticket_files.at, c->ticket_files.count, &why);
    if (c->ticket_keys == NULL)
        return conf_err(cx, NULL, STR_FMT, STR_ARG(sbuf_view(&why)));
    arena_cleanup(cx->arena, free_tickets, c->ticket_keys);
    return true;
}

// --- rows ------------------------------------------------------------------------------------------------------------------------

static const struct conf_word protocol_words[] = {
    {"SSLv2", TLS_SSL2}, {"SSLv3", TLS_SSL3}, {"TLSv1", TLS_1_0}, {"TLSv1.1", TLS_1_1}, {"TLSv1.2", TLS_1_2}, {"TLSv1.3", TLS_1_3},
    {NULL, 0},
};
static const struct conf_word verify_words[] = {
    {"off", TLS_VERIFY_OFF}, {"on", TLS_VERIFY_ON}, {"optional", TLS_VERIFY_OPTIONAL},
    {"optional_no_ca", TLS_VERIFY_OPTIONAL_NO_CA}, {NULL, 0},
};

#define S struct ssl_conf
#define HERE (IN_HTTP | IN_SERVER)
#define ROW_FILE(n, f, h) {n, HERE, 1, 1, 0, 0, set_file, NULL, FIELD_AT(S, f, struct str), NULL, 0, 0, NULL, h, "file"}
static const struct conf_row rows[] = {
    ROW_FNS("ssl_certificate", HERE, 1, 1, ROW_LISTED, set_certificate, NULL, "file | data:text",
            "A certificate in PEM with its chain behind it; several for several types of keys; variables are possible."),
    ROW_FNS("ssl_certificate_key", HERE, 1, 1, ROW_LISTED, set_key, NULL, "file | data:text",
            "The key of the certificate in the same place of the order."),
    ROW_FNS("ssl_certificate_cache", HERE, 1, 3, 0, set_cert_cache, NULL, "off | max=N [inactive=time] [valid=time]",
            "Certificates with variables are kept so long without a look at their files; else each handshake looks for changes."),
    ROW_FNS("ssl_certificate_compression", HERE, 1, 1, 0, set_compression, "off", "on | off",
            "Accepted for nginx's sake: OpenSSL before 3.2 cannot compress certificates."),
    ROW_FNS("ssl_key_log", HERE, 1, 1, 0, set_key_log, NULL, "path",
            "Keys of connections are written there (SSLKEYLOGFILE), so that tools can read what was captured; only for tests."),
    ROW_FNS("ssl_password_file", HERE, 1, 1, 0, set_password_file, NULL, "file",
            "Pass phrases of keys, one on each line, tried in turn."),
    ROW_BITS("ssl_protocols", HERE, S, protocols, "TLSv1.2 TLSv1.3", protocol_words, "Versions of TLS that clients may speak."),
    {"ssl_ciphers", HERE, 1, 1, 0, 0, set_text, NULL, FIELD_AT(S, ciphers, struct str), "HIGH:!aNULL:!MD5", 0, 0, NULL,
     "Ciphers up to TLS 1.2, in OpenSSL's words.", "ciphers"},
    ROW_FLAG("ssl_prefer_server_ciphers", HERE, S, prefer_server_ciphers, "on", "The server's order of ciphers counts, not the client's."),
    {"ssl_ecdh_curve", HERE, 1, 1, 0, 0, set_text, NULL, FIELD_AT(S, curves, struct str), "auto", 0, 0, NULL,
     "Groups for the exchange of keys, in the order of preference.", "auto | curve:curve..."},
    ROW_FILE("ssl_dhparam", dhparam, "Parameters for DHE ciphers."),
    ROW_FILE("ssl_client_certificate", client_certificate,
             "Authorities that clients' certificates must come from; clients are told their names."),
    ROW_FILE("ssl_trusted_certificate", trusted_certificate, "Further authorities, whose names clients are not told."),
    ROW_FILE("ssl_crl", crl, "Certificates that were revoked."),
    ROW_ENUM("ssl_verify_client", HERE, S, verify, "off", verify_words,
             "Whether clients must, or may, show a certificate. Bad ones are answered with 400 (495, 496 for error_page)."),
    ROW_NUM("ssl_verify_depth", HERE, S, verify_depth, "1", 0, 100, "Authorities between a client's certificate and one that is trusted."),
    ROW_FNS("ssl_session_cache", HERE, 1, 2, 0, set_session_cache, "none", "off | none | [builtin[:size]] [shared:name:size]",
            "Where sessions are kept for clients that resume them without tickets."),
    ROW_FLAG("ssl_session_tickets", HERE, S, tickets, "on", "Sessions are given to the clients, sealed."),
    ROW_FNS("ssl_session_ticket_key", HERE, 1, 1, ROW_LISTED, set_ticket_key, NULL, "file",
            "A key of tickets, 48 or 80 bytes, the first for new ones; without it weir makes keys and changes them every hour."),
    ROW_SEC("ssl_session_timeout", HERE, S, session_timeout, "5m", 0, 0, "How long a session may be resumed."),
    ROW_SIZE("ssl_buffer_size", HERE, S, buffer_size, NULL, 512, 16384,
             "Plain bytes in a record; unless it is said, small records begin an answer and large ones follow."),
    ROW_FLAG("ssl_stapling", HERE, S, stapling, "off", "OCSP responses of the authority go with handshakes."),
    ROW_FLAG("ssl_stapling_verify", HERE, S, stapling_verify, "off", "They must be signed by somebody whom ssl_trusted_certificate knows."),
    ROW_FILE("ssl_stapling_file", stapling_file, "The OCSP response (DER), instead of asking the authority."),
    {"ssl_stapling_responder", HERE, 1, 1, 0, 0, set_text, NULL, FIELD_AT(S, responder, struct str), NULL, 0, 0, NULL,
     "URL of the OCSP responder, instead of the certificate's.", "url"},
    ROW_FLAG("ssl_early_data", HERE, S, early_data, "off", "Accepts TLS 1.3 early data, which may be replayed: see $ssl_early_data."),
    ROW_FNS("ssl_conf_command", HERE, 2, 2, ROW_LISTED, set_command, NULL, "name value", "A command of OpenSSL's configuration."),
    ROW_FLAG("ssl_reject_handshake", HERE, S, reject_handshake, "off", "Refuses handshakes: for names that no server has."),
};
#undef S

static bool link_ssl(struct conf_cx *cx, struct scope *root) {
    struct http_world *w = http_world(cx->conf);
    bool ok = true;
    for (unsigned i = 0; w != NULL && i < w->nservers; i++)
        ok &= ssl_server_make(cx, w->servers[i], scope_conf(w->servers[i]->scope, &feature_ssl));
    return ok && (w == NULL || ssl_check_listens(cx, w));
}

struct feature feature_ssl = {
    .name = "ssl",
    .rows = rows,
    .nrows = ARRAY_LEN(rows),
    .conf_size = sizeof(struct ssl_conf),
    .finish = finish,
    .link = link_ssl,
    .bind = ssl_bind,
};
