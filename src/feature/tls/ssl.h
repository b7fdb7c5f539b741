// TLS towards clients. ssl.c: the directives; ssl_server.c: what becomes of them for each server, and the judgement over
// clients' certificates; ssl_dynamic.c: certificates that depend on the connection.
#pragma once
#include "http/https.h"

// ssl_certificate_cache, proxy_ssl_certificate_cache. Zeroed: nothing was said.
struct ssl_cert_cache {
    bool off;
    int64_t max; // 0: none was asked for
    int64_t inactive_s, valid_s;
};

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
    struct ssl_cert_cache cert_cache;
    struct log_file *key_log;     // of the snapshot; NULL: none
};

extern struct feature feature_ssl;

// Makes the server's https from its settings; nginx's errors.
bool ssl_server_make(struct conf_cx *cx, struct server *s, const struct ssl_conf *conf);
bool ssl_bind(struct conf_cx *cx, struct scope *s, void *conf); // puts the judgement over connections into servers' plans
// nginx's check that each TLS port has a certificate.
bool ssl_check_listens(struct conf_cx *cx, const struct http_world *w);
// A file name of the configuration, or "data:..." as it is, with a NUL behind.
struct str ssl_file(struct conf_cx *cx, struct str name);
// The first argument as the name of a file that may hold variables. NULL: an error was reported.
struct tmpl *ssl_name(struct conf_cx *cx, const struct conf_node *node);
// *_password_file: each line is a struct str of the list.
bool ssl_add_passwords(struct conf_cx *cx, const struct conf_row *row, struct conf_list *list, const struct conf_node *node);
// *_key_log. With -t *file is NULL.
bool ssl_open_key_log(struct conf_cx *cx, const struct conf_node *node, struct log_file **file);
