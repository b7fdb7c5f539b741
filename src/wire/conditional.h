// Conditional requests (RFC 9110 13): what the If-... fields of a request say about a representation. Pure.
#pragma once
#include "wire/head.h"

enum conditional {
    CONDITIONAL_GO_ON,        // answer as if there were no condition
    CONDITIONAL_NOT_MODIFIED, // 304
    CONDITIONAL_FAILED,       // 412
};

// nginx if_modified_since: how If-Modified-Since is compared.
enum if_modified_since { IF_MODIFIED_SINCE_OFF, IF_MODIFIED_SINCE_EXACT, IF_MODIFIED_SINCE_BEFORE };

// In the order of RFC 9110 13.2.2: If-Match, or without it If-Unmodified-Since; then If-None-Match, or without it
// If-Modified-Since. (nginx looks at all four, so that a stale date spoils a tag that matches.) Dates that cannot be
// parsed and dates without a Last-Modified to compare with do not count. etag: empty when there is none;
// last_modified: seconds, -1 when unknown; now_s as for date_parse.
enum conditional conditional_check(const struct head *request, struct str etag, int64_t last_modified,
                                   enum if_modified_since how, int64_t now_s);

// RFC 9110 8.8.3.2. Strong: both are strong and equal. Weak: equal but for W/.
bool etag_eq_strong(struct str a, struct str b);
bool etag_eq_weak(struct str a, struct str b);
// Takes the next entity tag off a list of them ("a", W/"b"); false at its end or where it is malformed.
bool etag_next(struct str *rest, struct str *etag);
