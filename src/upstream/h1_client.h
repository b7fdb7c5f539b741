// The HTTP/1.x client: `struct protocol` for proxy_pass http://. Strict with what back ends send (RFC 9112): garbage, status
// below 100 or above 999, unasked 101, a broken first chunk are -EPROTO, which is 502.
#pragma once
#include "upstream/exchange.h"

extern const struct protocol h1_client;

// What h1_client asks of the gateway's configuration: lives in exchange->protocol_conf of proxy.
struct h1_request_conf {
    unsigned version;           // 10 or 11: proxy_http_version
    struct conf_list set_headers; // struct h1_set_header; Host and Connection have defaults when they are not among them
    uint64_t replaced[2];       // bit per known field that is set: by h1_request_conf_ready
};
struct h1_set_header {
    struct str name;            // as written
    uint16_t id;
    struct tmpl *value;         // empty value: not sent
};
// Looks at set_headers; to be called when they are complete.
void h1_request_conf_ready(struct h1_request_conf *rc);

// Private to h1_client.c, h1_response.c and h1_response_body.c.
int h1_read_head(struct exchange *x);
struct body *h1_response_body(struct exchange *x);
