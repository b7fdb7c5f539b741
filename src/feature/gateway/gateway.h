// What the gateways (proxy, fastcgi...) share beside their settings.
#pragma once
#include "upstream/gateway.h"
#include "upstream/exchange.h"

// The rows "*_connect_timeout" and so on under the family "proxy": its struct is struct gateway_conf.
extern struct feature feature_gateway_proxy;

// Whether a field of a response is not passed to the client (hide_header, pass_header, and what is hidden by default).
bool gateway_hides(const struct gateway_conf *gw, const struct field *f);
// The limits of the tape that buffers a response.
struct tape_limits;
void gateway_tape_limits(const struct gateway_conf *gw, struct req *r, struct tape_limits *lim);
