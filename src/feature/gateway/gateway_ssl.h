// TLS towards back ends, as rows of a family: proxy_ssl_verify, grpc_ssl_verify... A gateway that wants them gets a
// feature of its own family at the end of gateway_ssl.c, calls gateway_ssl_ready when a block that it binds speaks TLS, and
// gives each exchange what gateway_ssl_for makes.
#pragma once
#include "feature/tls/ssl.h"
#include "upstream/exchange.h"

struct gateway_ssl {
    struct tmpl *certificate, *key;   // files or data:; NULL: none
    struct ssl_cert_cache cert_cache;
    struct log_file *key_log;         // of the snapshot; NULL: none
    struct conf_list passwords;       // struct str
    struct conf_list commands;        // struct tls_command
    unsigned protocols;
    struct str ciphers, trusted_certificate, crl;
    struct tmpl *name;                // NULL: the host of the address
    bool server_name, session_reuse, verify;
    int64_t verify_depth;
    struct tls_config *config;        // made by gateway_ssl_ready; with variables in names: that without a certificate
    struct ssl_dynamic *dynamic;      // with them
    uint64_t tag;                     // of these settings
};

extern struct feature feature_gateway_ssl_proxy, feature_gateway_ssl_grpc, feature_gateway_ssl_uwsgi;

// While binding: loads what the block's settings name, once for all blocks that share them; nginx's errors.
bool gateway_ssl_ready(struct conf_cx *cx, const struct feature *f, struct scope *s);
// For one request, NULL (logged: the answer is 500) when its certificate cannot be loaded; may wait for that. `host` is where the address says it goes, and perhaps a port.
const struct upstream_tls *gateway_ssl_for(struct req *r, const struct feature *f, struct str host);
// The same for HTTP/2, which says so by ALPN.
const struct upstream_tls *gateway_ssl_for_h2(struct req *r, const struct feature *f, struct str host);
