// TLS of virtual servers: what connections and requests need of it. What users say of it is in feature/tls/.
#pragma once
#include "http/vhost.h"
#include "io/tls.h"

// Of one server block.
struct https {
    struct tls_config *config; // NULL: handshakes are refused, or `choose` says
    bool reject;               // ssl_reject_handshake
    enum tls_verify verify;
    uint64_t policy;           // tells whether a connection that was made with one server may ask another
    const void *conf;          // of the feature
    // Certificates that depend on the connection: a config for this one, counted, or NULL (logged). Waits.
    struct tls_config *(*choose)(const struct https *h, struct req *r);
    // Behind each handshake: a last look at the client's certificate (link_tls_distrust). NULL: none. Waits.
    void (*inspect)(const struct https *h, struct conn *c);
    const void *inspect_conf;
};

// The name that the client asked for in its ClientHello; "" when none, or no TLS.
struct str https_server_name(const struct conn *c);
