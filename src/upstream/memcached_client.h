// memcached: `struct protocol` for memcached_pass. One key is asked for; its value is the body of the response, whose head has a
// status and nothing else: 200, or 404 when the server does not have the key.
#pragma once
#include "upstream/exchange.h"

extern const struct protocol memcached_client;

// What is asked: exchange->protocol_conf. Lives as long as the request.
struct memcached_get {
    struct str key;   // escaped
    bool wants_flags; // a reply whose flags are no number is invalid
    uint64_t flags;   // of the reply; 0 unless wanted
};
