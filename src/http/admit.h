// Every refusal of a malformed or ambiguous request, in one place, for all protocols.
#pragma once
#include "http/req.h"

// Looks at r->in and fills target, host, content_length, chunked_in, method, uri. 0, or the status that refuses it, logged
// at info with the reason in nginx's words. RFC 9112 section 3 to 7, RFC 9110 section 7.2.
unsigned admit_request(struct req *r);
// When the server is known: drops fields whose names it does not want (ignore_invalid_headers, underscores_in_headers). 0, or the
// status that refuses a name which is none.
unsigned admit_names(struct req *r);
// Of a head that is refused for one of its later lines: takes what the whole lines before it say of target and host, so that the
// server that was meant answers, and logs.
void admit_partial(struct req *r, struct str lines);
