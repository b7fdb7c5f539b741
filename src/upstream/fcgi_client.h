// The FastCGI client: `struct protocol` for fastcgi_pass. One request at a time on a connection.
#pragma once
#include "upstream/exchange.h"

extern const struct protocol fcgi_client;

// What fcgi_client asks of the gateway: exchange->protocol_conf.
struct fcgi_request {
    bool keep_conn;                // fastcgi_keep_conn
    struct conf_list catch_stderr; // struct str: an answer whose standard error holds one of them is none
    // Puts all parameters, by fcgi_put_param.
    void (*put_params)(struct exchange *x, struct sbuf *to);
};
