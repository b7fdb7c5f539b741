// HTTP/1.x towards clients (RFC 9112): reads heads, frames bodies, keeps the connection or ends it.
#pragma once
#include "http/conn.h"

// Serves requests on the connection from its first readable moment until it is idle (parked again) or closed and freed.
// Waits. Runs as a task of its own.
void h1_serve(struct conn *c);
extern const struct codec h1_codec;

// The body of a request on a link: Content-Length or chunked. Sends 100 Continue before the first byte is asked for, when
// `expects`. Counts into r->body_bytes_in. Limits: client_max_body_size for chunked bodies, client_body_timeout.
struct body *h1_request_body(struct req *r, bool expects);
// The answer is there, and what is left of the body is only read to find its end: no 100 any more, and no limit.
void h1_request_body_unwanted(struct body *b);
// Whether the body was read to its end.
bool h1_request_body_ended(const struct body *b);
