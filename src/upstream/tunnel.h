// What a connection becomes after 101 Switching Protocols: bytes both ways between the client's link and the back end's, until
// both have ended. The client's side may be a stream of HTTP/2 (RFC 8441). A quiet tunnel is this object, its two links and what
// is kept of its request: no task, no stack, no buffer.
#pragma once
#include "upstream/exchange.h"

// The exchange has got a 101 that was asked for: the answer is made ready (the caller has filled r->out's fields), and when its
// head is out the tunnel begins. It ends by itself: with a line in the access log, as any request does.
//
// One side's end is passed on as an end (half-close); the other direction goes on. *_read_timeout bounds how long nothing may
// come from either side, *_send_timeout and send_timeout how long a side may take nothing.
enum step tunnel_answer(struct req *r, struct exchange *x);
