// The Range field of requests (RFC 9110 14.2) with nginx's rules and max_ranges. Pure.
#pragma once
#include "base/arena.h"

struct range {
    uint64_t first, end; // bytes [first, end), first < end <= size
};

enum range_result {
    RANGE_WHOLE,         // answer 200 with everything: no bytes unit, too many ranges, more bytes than the whole
    RANGE_SOME,          // answer 206
    RANGE_UNSATISFIABLE, // answer 416: nothing of it exists, or the value is malformed
};

// Reads a Range value for a representation of `size` bytes. On RANGE_SOME *ranges (in the arena, in the order asked
// for) and *count (1..max_ranges) are set; ranges that begin beyond the end are left out. max_ranges 0 switches ranges
// off.
enum range_result range_parse(struct str value, uint64_t size, size_t max_ranges, struct range **ranges, size_t *count,
                              struct arena *arena);

// RFC 9110 13.1.5: whether If-Range lets the Range count. A tag must be equal to `etag` and strong; a date must be
// equal to last_modified (-1: unknown). now_s as for date_parse.
bool range_if_range(struct str if_range, struct str etag, int64_t last_modified, int64_t now_s);
