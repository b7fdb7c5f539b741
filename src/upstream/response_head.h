// Reading the head of a response, whatever the protocol: bytes received into one block, its limits, and what the error log says
// when it is none. Private to the clients in upstream/.
#pragma once
#include "upstream/exchange.h"
#include "wire/http1.h"

enum { RESPONSE_FIELDS_MAX = 1000 };

// What is being read: block->data[0..n). x->head_block is the same block; NULL before the first receive, so that waiting for an
// answer costs none.
struct incoming {
    struct exchange *x;
    struct block *block;
    size_t n, limit; // limit: bytes that a head may have
};

void incoming_begin(struct incoming *in, struct exchange *x);
// Free room behind the n bytes, at least 1: a larger block takes the place of a full one, or there is one at last.
size_t incoming_room(struct incoming *in);
// One receive. >0, or the error; the end of the stream is -EPIPE. Waits.
int incoming_more(struct incoming *in);
void incoming_limits(const struct incoming *in, struct http1_limits *lim);

// A line of the error log; -EPROTO.
int response_refuse(struct exchange *x, const char *why);
int response_too_big(struct incoming *in);
int response_malformed(struct incoming *in, enum http1_result res, const struct http1_parse *ps);
