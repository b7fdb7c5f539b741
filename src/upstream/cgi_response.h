// Heads as CGI programs write them (RFC 3875 6): fields, among them Status, then an empty line. FastCGI, SCGI and uwsgi share
// them. Private to the clients in upstream/.
#pragma once
#include "upstream/response_head.h"

// Parses in->block->data[0..n): 1 when more is needed, 0 with x->head filled and *end behind it, or -EPROTO (logged). `ps` is
// zeroed before the first call. With `status_line` a head that begins with "HTTP/" is taken as one of HTTP.
int cgi_parse_head(struct incoming *in, struct http1_parse *ps, bool status_line, size_t *end);
// x->body_length from Content-Length; -EPROTO when it is malformed.
int cgi_find_length(struct exchange *x);
