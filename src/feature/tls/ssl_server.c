// What the ssl_* directives mean for each server, and the judgement over connections when a request comes.
#include "feature/tls/ssl_dynamic.h"
#include "base/hash.h"
#include "http/answer.h"
#include "http/conn.h"

// --- settings ----------------------------------------------------------------------------------------------------------------

static void ssl_settings(const void *conf, struct tls_settings *s) {
    const struct ssl_conf *c = conf;
    *s = (struct tls_settings){
        .server = true,
        .passwords = c->passwords.at,
        .npasswords = c->passwords.count,
        .protocols = c->protocols,
        .ciphers = c->ciphers,
        .curves = c->curves,
        .dhparam = c->dhparam,
        .client_ca = c->client_certificate,
        .trusted_ca = c->trusted_certificate,
        .crl = c->crl,
        .verify = (enum tls_verify)c->verify,
        .depth = c->verify_depth,
        .prefer_server_ciphers = c->prefer_server_ciphers,
        .tickets = c->tickets,
        .early_data = c->early_data,
        .session_off = c->session_off,
        .builtin = c->builtin,
        .builtin_size = c->builtin_size,
        .cache = c->cache != NULL ? c->cache->state : NULL,
        .timeout_s = c->session_timeout,
        .ticket_keys = c->ticket_keys,
        .commands = c->commands.at,
        .ncommands = c->commands.count,
        .record = (size_t)c->buffer_size,
        .stapling = c->stapling,
        .stapling_verify = c->stapling_verify,
        .stapling_file = c->stapling ? c->stapling_file : STR(""),
        .responder = c->responder,
        .key_log = c->key_log,
    };
}

// The i-th certificate and key as they are written; evaluated only when constant.
static struct tls_pair pair_at(const struct ssl_conf *c, size_t i) {
    return (struct tls_pair){((const struct ssl_name *)c->certs.at)[i].tmpl->text, ((const struct ssl_name *)c->keys.at)[i].tmpl->text};
}

// What tells this server's sessions from others': its names, and how it trusts clients.
static struct str make_id(struct conf_cx *cx, const struct server *s, const struct ssl_conf *c) {
    struct sbuf b;
    sbuf_init_arena(&b, cx->arena, 256, 1 << 20);
    sbuf_printf(&b, "weir %d %lld", c->verify, (long long)c->verify_depth);
    conf_list_each(const struct server_name, n, s->names) sbuf_printf(&b, " " STR_FMT, STR_ARG(n->text));
    const struct str files[] = {c->client_certificate, c->trusted_certificate, c->crl};
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        sbuf_printf(&b, "\n" STR_FMT, STR_ARG(files[i]));
    return sbuf_view(&b);
}

static void unref_config(void *config) { tls_config_unref(config); }

// --- a server ----------------------------------------------------------------------------------------------------------------

static bool has_keys(struct conf_cx *cx, const struct ssl_conf *c) {
    if (c->keys.count >= c->certs.count)
        return true;
    struct str name = ((const struct ssl_name *)c->certs.at)[c->certs.count - 1].tmpl->source;
    return conf_err(cx, NULL, "no \"ssl_certificate_key\" is defined for certificate \"" STR_FMT "\"", STR_ARG(name));
}

static struct tls_config *choose(const struct https *h, struct req *r) {
    return ssl_dynamic_get((struct ssl_dynamic *)(uintptr_t)h->conf, r, NULL);
}

static bool make_config(struct conf_cx *cx, struct https *h, const struct ssl_conf *c, struct str id) {
    if (ssl_is_dynamic(c->certs, c->keys)) {
        const struct ssl_dynamic_opts o = {c->certs, c->keys, &c->cert_cache, ssl_settings, c, id};
        h->choose = choose;
        h->conf = ssl_dynamic_new(cx, &o);
        return true;
    }
    struct tls_settings s;
    ssl_settings(c, &s);
    struct tls_pair *pairs = arena_array(cx->arena, struct tls_pair, c->certs.count);
    for (size_t i = 0; i < c->certs.count; i++)
        pairs[i] = pair_at(c, i);
    s.pairs = pairs;
    s.npairs = c->certs.count;
    s.id = id;
    s.watched = true;
    struct sbuf why;
    sbuf_init_arena(&why, cx->arena, 256, 8192);
    h->config = tls_config_new(&s, &why);
    if (h->config == NULL)
        return conf_err(cx, NULL, STR_FMT, STR_ARG(sbuf_view(&why)));
    arena_cleanup(cx->arena, unref_config, h->config);
    for (size_t i = 0; c->stapling && i < s.npairs; i++) {
        const char *problem = tls_staple_problem(h->config, i);
        if (problem != NULL)
            conf_warn(cx, NULL, "\"ssl_stapling\" ignored, %s \"" STR_FMT "\"", problem, STR_ARG(pairs[i].cert));
    }
    return true;
}

bool ssl_server_make(struct conf_cx *cx, struct server *s, const struct ssl_conf *c) {
    if (c->certs.count == 0 && !c->reject_handshake)
        return true;
    if (!has_keys(cx, c))
        return false;
    if (c->verify != TLS_VERIFY_OFF && c->verify != TLS_VERIFY_OPTIONAL_NO_CA && c->client_certificate.n == 0 &&
        c->trusted_certificate.n == 0)
        return conf_err(cx, NULL, "no ssl_client_certificate for ssl_verify_client");
    struct https *h = arena_new(cx->arena, struct https);
    struct str id = make_id(cx, s, c);
    h->reject = c->reject_handshake;
    h->verify = (enum tls_verify)c->verify;
    h->policy = hash_str(id, 0);
    s->https = h;
    return c->certs.count == 0 || make_config(cx, h, c, id);
}

bool ssl_check_listens(struct conf_cx *cx, const struct http_world *w) {
    bool ok = true;
    for (unsigned i = 0; i < w->count; i++) {
        const struct server *s = w->at[i]->fallback;
        if (w->at[i]->ssl && s->https == NULL)
            ok = conf_err(cx, s->node, "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive");
    }
    return ok;
}

// --- requests ------------------------------------------------------------------------------------------------------------------

// Errors that optional_no_ca lets pass: the certificate is what it is, only nobody known vouches for it.
static bool is_about_trust(long result) {
    switch (result) {
    case 0:
    case 18: // a self-signed certificate
    case 19: // one in its chain
    case 20: // no issuer at hand
    case 21: // the first certificate cannot be verified
    case 27: // not trusted for this purpose
        return true;
    default:
        return false;
    }
}

static enum step misdirected(struct req *r, const struct https *h) {
    if (h->verify == TLS_VERIFY_ON && link_tls_server_name(r->conn->link).n == 0) {
        log_msg(LOG_INFO, 0, "client sent no required SSL certificate");
        return answer_status(r, 496);
    }
    log_msg(LOG_INFO, 0, "client attempted to request the server name different from the one that was negotiated");
    r->keepalive = false;
    return answer_status(r, 421);
}

// nginx judges here, not in the handshake, so that error_page can explain.
static enum step judge(struct req *r, const void *conf) {
    const struct https *h = conf;
    struct conn *c = r->conn;
    if (c == NULL)
        return STEP_NEXT;
    if (!link_is_tls(c->link)) {
        if (!c->vhosts->ssl)
            return STEP_NEXT;
        log_msg(LOG_INFO, 0, "client sent plain HTTP request to HTTPS port");
        return answer_status(r, 497);
    }
    if (h == NULL || h->verify == TLS_VERIFY_OFF)
        return STEP_NEXT;
    if (c->tls_policy != h->policy)
        return misdirected(r, h);
    bool present;
    const char *text;
    long result = link_tls_verify_result(c->link, &present, &text);
    if (result != 0 && !(h->verify == TLS_VERIFY_OPTIONAL_NO_CA && is_about_trust(result))) {
        log_msg(LOG_INFO, 0, "client SSL certificate verify error: (%ld:%s)", result, text);
        return answer_status(r, 495);
    }
    if (h->verify == TLS_VERIFY_ON && !present) {
        log_msg(LOG_INFO, 0, "client sent no required SSL certificate");
        return answer_status(r, 496);
    }
    if (result == 0 && text != NULL) {
        log_msg(LOG_INFO, 0, "client SSL certificate verify error: %s", text);
        return answer_status(r, 495);
    }
    return STEP_NEXT;
}

static bool has_tls_port(const struct http_world *w, const struct server *s) {
    conf_list_each(const struct listen_conf, l, s->listens) {
        const struct vhosts *v = vhosts_at(w, &l->addr.sa, NULL);
        if (v != NULL && v->ssl)
            return true;
    }
    return false;
}

bool ssl_bind(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct server *server = s->place == IN_SERVER ? s->data : NULL;
    if (server != NULL && has_tls_port(http_world(cx->conf), server))
        plan_add(cx, s, STAGE_POST_READ, -10, judge, server->https, "ssl");
    return true;
}
