// TLS towards clients. ssl.c: the directives; ssl_server.c: what becomes of them for each server, and the judgement over
// clients' certificates; ssl_dynamic.c: certificates that depend on the connection.
#pragma once
#include "http/https.h"

struct ssl_name { // of a file, or the text itself
    struct tmpl *tmpl;
};

struct ssl_conf {
    struct conf_list certs, keys; // struct ssl_name
    struct conf_list passwords;   // struct str
    struct conf_list commands;    // struct tls_command
    unsigned protocols;           // bits
    struct str ciphers, curves, dhparam, client_certificate, trusted_certificate, crl;
    int verify;                   // enum tls_verify
    int64_t verify_depth;
    bool prefer_server_ciphers, tickets, early_data, reject_handshake;
    uint64_t buffer_size;         // 0: dynamic
    int64_t session_timeout;      // s
    bool session_off, builtin;
    int64_t builtin_size;
    struct zone *cache;
    struct conf_list ticket_files; // struct str
    struct tls_tickets *ticket_keys; // of these
    bool stapling, stapling_verify;
    struct str stapling_file, responder;
    bool cert_cache_off;
    int64_t cert_cache_max, cert_cache_inactive, cert_cache_valid; // s
};

extern struct feature feature_ssl;

// Makes the server's https from its settings; nginx's errors.
bool ssl_server_make(struct conf_cx *cx, struct server *s, const struct ssl_conf *conf);
bool ssl_bind(struct conf_cx *cx, struct scope *s, void *conf); // puts the judgement over connections into servers' plans
// nginx's check that each TLS port has a certificate.
bool ssl_check_listens(struct conf_cx *cx, const struct http_world *w);
// A file name of the configuration, or "data:..." as it is, with a NUL behind.
struct str ssl_file(struct conf_cx *cx, struct str name);
// The settings of a server without its certificates.
void ssl_settings(const struct ssl_conf *c, struct tls_settings *s);
// For struct https: the config for certificates with variables in their names.
struct ssl_dynamic;
struct ssl_dynamic *ssl_dynamic_new(struct conf_cx *cx, const struct ssl_conf *conf, struct str id);
struct tls_config *ssl_dynamic_choose(const struct https *h, struct req *r);
