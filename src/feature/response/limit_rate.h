// limit_rate of an answer that is not the one of the exchange.
#pragma once
#include "upstream/exchange.h"

// Takes X-Accel-Limit-Rate of the response's head (x may be NULL) for what the request is answered with in the end, also elsewhere.
void limit_rate_note(struct req *r, const struct exchange *x);
