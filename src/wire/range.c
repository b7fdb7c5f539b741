// Byte ranges.
#include "wire/range.h"
#include "base/date.h"

static void skip_spaces(struct str *s) {
    while (s->n != 0 && s->p[0] == ' ')
        *s = str_from(*s, 1);
}

// Digits and the spaces around them off the front. False without digits, or above 2^63-1.
static bool take_number(struct str *s, uint64_t *number) {
    skip_spaces(s);
    size_t n = 0;
    while (n < s->n && ascii_is_digit((unsigned char)s->p[n]))
        n++;
    if (!str_u64(str_head(*s, n), INT64_MAX, number))
        return false;
    *s = str_from(*s, n);
    skip_spaces(s);
    return true;
}

// One range off the front of *s and the comma behind it, as [first, end) within size; empty when nothing of it exists.
static bool take_range(struct str *s, uint64_t size, struct range *r) {
    uint64_t first, last;
    skip_spaces(s);
    if (s->n != 0 && s->p[0] == '-') { // the last bytes
        *s = str_from(*s, 1);
        if (!take_number(s, &last))
            return false;
        *r = (struct range){size - MIN(last, size), size};
    } else {
        if (!take_number(s, &first) || s->n == 0 || s->p[0] != '-')
            return false;
        *s = str_from(*s, 1);
        skip_spaces(s);
        if (s->n == 0 || s->p[0] == ',') {
            last = INT64_MAX;
        } else if (!take_number(s, &last)) {
            return false;
        }
        *r = (struct range){first, last >= size ? size : last + 1};
    }
    return s->n == 0 || s->p[0] == ',';
}

enum range_result range_parse(struct str value, uint64_t size, size_t max_ranges, struct range **ranges, size_t *count,
                              struct arena *arena) {
    size_t found = 0, cap = 0;
    uint64_t bytes = 0;
    struct range *at = NULL, r;
    if (max_ranges == 0 || value.n < 7 || !str_istarts(value, STR("bytes=")))
        return RANGE_WHOLE;
    struct str rest = str_from(value, 6);
    for (bool more = true; more;) {
        if (!take_range(&rest, size, &r))
            return RANGE_UNSATISFIABLE;
        more = rest.n != 0;
        if (more)
            rest = str_from(rest, 1);
        if (r.first >= r.end) {
            if (r.first == 0) // of an empty representation
                return RANGE_WHOLE;
            continue;
        }
        // More bytes than there are: overlapping ranges that ask us to repeat ourselves.
        bytes += r.end - r.first;
        if (found == max_ranges || bytes > size)
            return RANGE_WHOLE;
        if (found == cap) {
            struct range *grown = arena_alloc(arena, (cap != 0 ? cap * 2 : 4) * sizeof(*at));
            if (found != 0)
                memcpy(grown, at, found * sizeof(*at));
            at = grown;
            cap = cap != 0 ? cap * 2 : 4;
        }
        at[found++] = r;
    }
    if (found == 0)
        return RANGE_UNSATISFIABLE;
    *ranges = at;
    *count = found;
    return RANGE_SOME;
}

bool range_if_range(struct str if_range, struct str etag, int64_t last_modified, int64_t now_s) {
    int64_t date;
    if (if_range.n != 0 && if_range.p[0] == '"')
        return str_eq(if_range, etag);
    return last_modified >= 0 && date_parse(if_range, now_s, &date) && date == last_modified;
}
