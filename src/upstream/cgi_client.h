// SCGI and uwsgi: `struct protocol` for scgi_pass and uwsgi_pass. One request a connection; the response is a CGI response, or
// begins with a status line, and ends with the connection or its Content-Length.
#pragma once
#include "upstream/exchange.h"

extern const struct protocol scgi_client, uwsgi_client;

// What they ask of the gateway: exchange->protocol_conf.
struct cgi_request {
    // Puts all parameters with `put`.
    void (*put_params)(struct exchange *x, struct sbuf *to, void (*put)(struct sbuf *to, struct str name, struct str value));
    int64_t modifier1, modifier2; // uwsgi
    struct tmpl *string;          // uwsgi_string: what follows the parameters, in their place in the packet; NULL: nothing
};
