// Certificates whose names hold variables, towards clients and towards back ends: one tls_config for each value, kept as
// ssl_certificate_cache and its like say.
#pragma once
#include "feature/tls/ssl.h"

bool ssl_set_cert_cache(struct conf_cx *cx, struct ssl_cert_cache *cache, const struct conf_node *node);

struct ssl_dynamic_opts {        // all of it lives as long as the snapshot
    struct conf_list certs, keys; // struct ssl_name, as many keys as certificates
    const struct ssl_cert_cache *cache;
    void (*fill)(const void *conf, struct tls_settings *s); // everything but pairs and id
    const void *conf;
    struct str id;               // tls_settings.id
};
struct ssl_dynamic *ssl_dynamic_new(struct conf_cx *cx, const struct ssl_dynamic_opts *o);
bool ssl_is_dynamic(struct conf_list certs, struct conf_list keys); // whether a variable is in a name
// The config for this request, counted, or NULL (logged). *hash (may be NULL) tells it from others of this ssl_dynamic. Waits.
struct tls_config *ssl_dynamic_get(struct ssl_dynamic *d, struct req *r, uint64_t *hash);
