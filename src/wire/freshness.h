// How long a response may be kept: X-Accel-Expires, Cache-Control, Expires (nginx's rules, those since 1.23, where the order of
// the fields does not count; RFC 9111 where nginx is silent). Pure.
#pragma once
#include "wire/head.h"

enum freshness_ignore { // bits: fields that are not looked at
    FRESHNESS_NO_ACCEL = 1,
    FRESHNESS_NO_CACHE_CONTROL = 2,
    FRESHNESS_NO_EXPIRES = 4,
};

enum freshness_kind {
    FRESHNESS_UNSAID, // no field says anything: the configuration decides
    FRESHNESS_NEVER,  // it must not be kept
    FRESHNESS_UNTIL,  // `until` holds
};

struct freshness {
    enum freshness_kind kind;
    bool by_origin;  // Cache-Control or Expires said so: what HTTP itself has for caches, not X-Accel-Expires
    int64_t until;   // unix seconds
    // RFC 5861, seconds behind `until`; 0: not said
    int64_t while_revalidate, if_error;
    int64_t age;     // what the response's Age said (RFC 9111 5.1), with by_origin
};

// now_s: when the response came.
void freshness_of(const struct head *response, unsigned ignore, int64_t now_s, struct freshness *out);

// Seconds as Cache-Control has them (RFC 9111 1.2.2): digits; what is larger than 2^31 counts as that. -1 when malformed.
int64_t freshness_seconds(struct str text);
