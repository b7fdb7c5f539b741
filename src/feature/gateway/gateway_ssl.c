#include "feature/gateway/gateway_ssl.h"
#include "base/hash.h"
#include "feature/tls/ssl_dynamic.h"

// --- setters -----------------------------------------------------------------------------------------------------------------

static bool set_file(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    *(struct str *)((char *)conf + row->offset) = ssl_file(cx, node->args[1]);
    return true;
}

static bool set_name(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct tmpl *t = ssl_name(cx, node);
    *(struct tmpl **)((char *)conf + row->offset) = t;
    return t != NULL;
}

static bool set_text(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    *(struct str *)((char *)conf + row->offset) = arena_dup(cx->arena, node->args[1]);
    return true;
}

static bool set_command(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct tls_command *to = conf_list_add(cx, row, &((struct gateway_ssl *)conf)->commands, sizeof *to);
    *to = (struct tls_command){arena_dup(cx->arena, node->args[1]), arena_dup(cx->arena, node->args[2])};
    return true;
}

static bool set_passwords(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return ssl_add_passwords(cx, row, &((struct gateway_ssl *)conf)->passwords, node);
}

static bool set_cert_cache(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return ssl_set_cert_cache(cx, &((struct gateway_ssl *)conf)->cert_cache, node);
}

static bool set_key_log(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    return ssl_open_key_log(cx, node, &((struct gateway_ssl *)conf)->key_log);
}

// --- settings become a config ------------------------------------------------------------------------------------------------------

static void unref_config(void *config) { tls_config_unref(config); }

// Connections that were made with these settings may be used by others with the same, also of the next configuration.
static uint64_t tag_of(struct conf_cx *cx, const struct gateway_ssl *g) {
    struct sbuf b;
    sbuf_init_arena(&b, cx->arena, 512, 1 << 20);
    struct str cert = g->certificate != NULL ? g->certificate->source : STR(""), key = g->key != NULL ? g->key->source : STR("");
    const struct str texts[] = {cert, key, g->ciphers, g->trusted_certificate, g->crl};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        sbuf_str(&b, texts[i]);
        sbuf_chr(&b, '\0');
    }
    sbuf_printf(&b, "%u %d %lld", g->protocols, g->verify, (long long)g->verify_depth);
    conf_list_each(const struct tls_command, c, g->commands) sbuf_printf(&b, " %s=%s", c->name.p, c->value.p);
    return hash_bytes(b.p, b.n, 0) | 1;
}

static bool has_name(const struct tmpl *t) { return t != NULL && (!t->constant || t->text.n != 0); }

static bool check(struct conf_cx *cx, const struct feature *f, const struct gateway_ssl *g) {
    if (g->verify && g->trusted_certificate.n == 0)
        return conf_err(cx, NULL, "no %s_ssl_trusted_certificate for %s_ssl_verify", f->family, f->family);
    if (has_name(g->certificate) && g->key == NULL)
        return conf_err(cx, NULL, "no \"%s_ssl_certificate_key\" is defined for certificate \"" STR_FMT "\"", f->family,
                        STR_ARG(g->certificate->constant ? g->certificate->text : g->certificate->source));
    return true;
}

// Everything but pairs.
static void fill(const void *conf, struct tls_settings *s) {
    const struct gateway_ssl *g = conf;
    *s = (struct tls_settings){
        .passwords = g->passwords.at,
        .npasswords = g->passwords.count,
        .protocols = g->protocols,
        .ciphers = g->ciphers,
        .trusted_ca = g->verify ? g->trusted_certificate : STR(""),
        .crl = g->verify ? g->crl : STR(""),
        .depth = g->verify_depth,
        .commands = g->commands.at,
        .ncommands = g->commands.count,
        .record = 16 << 10,
        .key_log = g->key_log,
        .watched = true,
    };
}

static void make_dynamic(struct conf_cx *cx, struct gateway_ssl *g) {
    struct ssl_name *names = arena_array(cx->arena, struct ssl_name, 2);
    names[0].tmpl = g->certificate;
    names[1].tmpl = g->key;
    const struct ssl_dynamic_opts o = {
        .certs = {.at = names, .count = 1}, .keys = {.at = names + 1, .count = 1}, .cache = &g->cert_cache, .fill = fill, .conf = g,
    };
    if (ssl_is_dynamic(o.certs, o.keys))
        g->dynamic = ssl_dynamic_new(cx, &o);
}

bool gateway_ssl_ready(struct conf_cx *cx, const struct feature *f, struct scope *s) {
    struct gateway_ssl *g = scope_conf(s, f);
    if (g->config != NULL)
        return true;
    if (!check(cx, f, g))
        return false;
    struct tls_settings settings;
    fill(g, &settings);
    if (has_name(g->certificate)) {
        make_dynamic(cx, g);
        struct tls_pair *pair = arena_new(cx->arena, struct tls_pair);
        *pair = (struct tls_pair){g->certificate->text, g->key->text};
        settings.pairs = pair;
        settings.npairs = g->dynamic == NULL;
    }
    struct sbuf why;
    sbuf_init_arena(&why, cx->arena, 256, 8192);
    g->config = tls_config_new(&settings, &why);
    if (g->config == NULL)
        return conf_err(cx, NULL, STR_FMT, STR_ARG(sbuf_view(&why)));
    arena_cleanup(cx->arena, unref_config, g->config);
    g->tag = tag_of(cx, g);
    return true;
}

// --- requests --------------------------------------------------------------------------------------------------------------------

// "name:port", "[::1]:port": without the port and the brackets.
static struct str bare_name(struct str name) {
    if (name.n != 0 && name.p[0] == '[') {
        ssize_t end = str_chr(name, ']');
        return end > 0 ? str_n(name.p + 1, (size_t)end - 1) : name;
    }
    ssize_t colon = str_chr(name, ':');
    return colon >= 0 ? str_head(name, (size_t)colon) : name;
}

static const struct upstream_tls *for_peer(struct exchange *x) {
    return str_eq(x->tls->alpn, STR("")) ? gateway_ssl_for(x->r, x->tls->feature, x->tls->host)
                                         : gateway_ssl_for_h2(x->r, x->tls->feature, x->tls->host);
}

static struct upstream_tls *make(struct req *r, const struct feature *f, struct str host, struct str alpn) {
    const struct gateway_ssl *g = req_conf(r, f);
    struct tls_config *config = g->config;
    uint64_t tag = g->tag;
    if (g->dynamic != NULL) {
        uint64_t hash;
        config = ssl_dynamic_get(g->dynamic, r, &hash);
        if (config == NULL)
            return NULL;
        arena_cleanup(&r->arena, unref_config, config);
        tag ^= hash;
    }
    struct str name = STR("");
    bool named = g->server_name || g->verify;
    if (named)
        name = arena_dup(&r->arena, bare_name(g->name != NULL ? req_eval(r, g->name) : host));
    struct upstream_tls *u = arena_new(&r->arena, struct upstream_tls);
    *u = (struct upstream_tls){
        .for_peer = named && g->name != NULL && !g->name->constant ? for_peer : NULL,
        .feature = f,
        .host = host,
        .config = config,
        .server_name = g->server_name ? name : STR(""),
        .verify_name = g->verify ? name : STR(""),
        .alpn = alpn,
        .reuse = g->session_reuse,
        .tag = hash_str(name, tag + g->server_name) | 1,
    };
    return u;
}

const struct upstream_tls *gateway_ssl_for(struct req *r, const struct feature *f, struct str host) {
    return make(r, f, host, STR(""));
}

const struct upstream_tls *gateway_ssl_for_h2(struct req *r, const struct feature *f, struct str host) {
    return make(r, f, host, STR("\x02h2"));
}

// --- rows ------------------------------------------------------------------------------------------------------------------------

static const struct conf_word protocol_words[] = {
    {"SSLv2", TLS_SSL2}, {"SSLv3", TLS_SSL3}, {"TLSv1", TLS_1_0}, {"TLSv1.1", TLS_1_1}, {"TLSv1.2", TLS_1_2}, {"TLSv1.3", TLS_1_3},
    {NULL, 0},
};

#define G struct gateway_ssl
#define ROW_TEXT(n, fn, f, d, h, syn) {n, IN_HTTP_ALL, 1, 1, 0, 0, fn, NULL, FIELD_AT(G, f, struct str), d, 0, 0, NULL, h, syn}
#define ROW_NAME(n, f, h) {n, IN_HTTP_ALL, 1, 1, 0, 0, set_name, NULL, FIELD_AT(G, f, struct tmpl *), NULL, 0, 0, NULL, h, "file | data:text"}
static const struct conf_row rows[] = {
    ROW_NAME("*_ssl_certificate", certificate, "A certificate that servers are shown; variables are possible."),
    ROW_NAME("*_ssl_certificate_key", key, "Its key; variables are possible."),
    ROW_FNS("*_ssl_certificate_cache", IN_HTTP_ALL, 1, 3, 0, set_cert_cache, NULL, "off | max=N [inactive=time] [valid=time]",
            "Certificates with variables are kept so long without a look at their files; else each request looks for changes."),
    ROW_FNS("*_ssl_key_log", IN_HTTP_ALL, 1, 1, 0, set_key_log, NULL, "path",
            "Keys of connections to servers are written there (SSLKEYLOGFILE), so that tools can read what was captured."),
    ROW_FNS("*_ssl_password_file", IN_HTTP_ALL, 1, 1, 0, set_passwords, NULL, "file",
            "Pass phrases of the key, one on each line, tried in turn."),
    ROW_BITS("*_ssl_protocols", IN_HTTP_ALL, G, protocols, "TLSv1.2 TLSv1.3", protocol_words,
             "Versions of TLS to be spoken with servers."),
    ROW_TEXT("*_ssl_ciphers", set_text, ciphers, "DEFAULT", "Ciphers up to TLS 1.2, in OpenSSL's words.", "ciphers"),
    ROW_TEXT("*_ssl_trusted_certificate", set_file, trusted_certificate, NULL,
             "Authorities that servers' certificates must come from.", "file"),
    ROW_TEXT("*_ssl_crl", set_file, crl, NULL, "Certificates that were revoked.", "file"),
    ROW_TMPL("*_ssl_name", IN_HTTP_ALL, G, name, NULL,
             "The name that a server's certificate must be for and that it is asked for; the host of the address by default."),
    ROW_FLAG("*_ssl_server_name", IN_HTTP_ALL, G, server_name, "off", "Whether servers are told the name (SNI)."),
    ROW_FLAG("*_ssl_session_reuse", IN_HTTP_ALL, G, session_reuse, "on", "Whether sessions are resumed."),
    ROW_FLAG("*_ssl_verify", IN_HTTP_ALL, G, verify, "off", "Whether servers' certificates are verified."),
    ROW_NUM("*_ssl_verify_depth", IN_HTTP_ALL, G, verify_depth, "1", 0, 100,
            "Authorities between a server's certificate and one that is trusted."),
    ROW_FNS("*_ssl_conf_command", IN_HTTP_ALL, 2, 2, ROW_LISTED, set_command, NULL, "name value",
            "A command of OpenSSL's configuration."),
};
#undef G

static bool finish(struct conf_cx *cx, struct scope *s, void *conf) {
    struct gateway_ssl *g = conf;
    g->dynamic = NULL;
    g->config = NULL; // of the outer block, whose settings these are not
    return true;
}

#define FAMILY(word)                                                                                                   \
    struct feature feature_gateway_ssl_##word = {                                                                      \
        .name = #word " over TLS",                                                                                     \
        .family = #word,                                                                                               \
        .rows = rows,                                                                                                  \
        .nrows = ARRAY_LEN(rows),                                                                                      \
        .conf_size = sizeof(struct gateway_ssl),                                                                       \
        .finish = finish,                                                                                              \
    }
FAMILY(proxy);
FAMILY(grpc);
FAMILY(uwsgi);
