// The answer of an HTTP/1 request as bytes: head, framing of the body, and the pump that pulls the body to the client.
#pragma once
#include "http/req.h"

enum { DISCARD_MAX = 1 << 20 }; // bytes of an unread request body that are eaten to keep the connection

int h1_send(struct req *r); // struct codec.send
