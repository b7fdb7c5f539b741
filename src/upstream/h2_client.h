// The HTTP/2 client: `struct protocol` for proxy_pass with proxy_http_version 2 and for grpc_pass. Many requests share a
// connection (h2_link.h). Strict with what back ends send, as the HTTP/1 client is.
#pragma once
#include "upstream/h1_client.h"

extern const struct protocol h2_client;

// exchange->protocol_conf is a struct h1_request_conf: fields that are set, those that are replaced. `te: trailers` is passed on
// where the client says it (RFC 9110 10.1.4), as gRPC wants it.
