// Freshness of responses.
#include "wire/freshness.h"
#include "base/date.h"

static const int64_t SECONDS_MAX = (int64_t)1 << 31;

int64_t freshness_seconds(struct str s) {
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"') // RFC 9111 5.2: recipients accept both forms
        s = str_n(s.p + 1, s.n - 2);
    if (s.n == 0)
        return -1;
    int64_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (!ascii_is_digit((unsigned char)s.p[i]))
            return -1;
        n = MIN(n * 10 + (s.p[i] - '0'), SECONDS_MAX);
    }
    return n;
}

// "@time", or seconds from now; 0 forbids. Something else says nothing (nginx).
static bool by_accel(struct str value, int64_t now_s, struct freshness *out) {
    bool absolute = value.n != 0 && value.p[0] == '@';
    uint64_t n;
    if (!str_u64(absolute ? str_from(value, 1) : value, INT64_MAX / 4, &n))
        return false;
    out->kind = n == 0 ? FRESHNESS_NEVER : FRESHNESS_UNTIL;
    out->until = absolute ? (int64_t)n : now_s + (int64_t)n;
    return true;
}

// --- Cache-Control -------------------------------------------------------------------------------------------------------

struct control {
    bool never;
    int64_t max_age, s_maxage; // -1: not said
    int64_t while_revalidate, if_error;
};

static void directive(struct control *c, struct str name, struct str value) {
    static const struct {
        struct str name;
        size_t field;
    } numbers[] = {
        {STR_INIT("max-age"), offsetof(struct control, max_age)},
        {STR_INIT("s-maxage"), offsetof(struct control, s_maxage)},
        {STR_INIT("stale-while-revalidate"), offsetof(struct control, while_revalidate)},
        {STR_INIT("stale-if-error"), offsetof(struct control, if_error)},
    };
    if (str_ieq(name, STR("no-cache")) || str_ieq(name, STR("no-store")) || str_ieq(name, STR("private"))) {
        c->never = true;
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (!str_ieq(name, numbers[i].name))
            continue;
        int64_t n = freshness_seconds(value), *to = (int64_t *)((char *)c + numbers[i].field);
        if (n < 0 && i < 2)
            c->never = true; // an age that cannot be read is no permission
        else if (n >= 0 && (*to < 0 || i >= 2 || n < *to))
            *to = n; // of several the shortest
    }
}

static void read_control(const struct head *h, struct control *c) {
    *c = (struct control){.max_age = -1, .s_maxage = -1};
    for (const struct field *f = head_find(h, FIELD_CACHE_CONTROL); f != NULL; f = head_find_next(h, f)) {
        struct str rest = f->value, one;
        while (rest.n != 0 && list_next(&rest, &one)) {
            ssize_t eq = str_chr(one, '=');
            directive(c, str_trim(eq < 0 ? one : str_head(one, (size_t)eq)),
                      eq < 0 ? STR_NONE : str_trim(str_from(one, (size_t)eq + 1)));
        }
    }
}

static void until(struct freshness *out, int64_t when, int64_t now_s) {
    out->kind = when > now_s ? FRESHNESS_UNTIL : FRESHNESS_NEVER;
    out->until = when;
    out->by_origin = true;
}

// -------------------------------------------------------------------------------------------------------------------------

static int64_t age_of(const struct head *h) {
    int64_t n = head_has(h, FIELD_AGE) ? freshness_seconds(head_value(h, FIELD_AGE)) : 0;
    return n > 0 ? n : 0;
}

void freshness_of(const struct head *h, unsigned ignore, int64_t now_s, struct freshness *out) {
    *out = (struct freshness){.kind = FRESHNESS_UNSAID};
    struct control c = {.max_age = -1, .s_maxage = -1};
    if (head_has(h, FIELD_CACHE_CONTROL) && (ignore & FRESHNESS_NO_CACHE_CONTROL) == 0) {
        read_control(h, &c);
        out->while_revalidate = c.while_revalidate;
        out->if_error = c.if_error;
    }
    if (head_has(h, FIELD_X_ACCEL_EXPIRES) && (ignore & FRESHNESS_NO_ACCEL) == 0 &&
        by_accel(head_value(h, FIELD_X_ACCEL_EXPIRES), now_s, out))
        return;
    if (c.never) {
        out->kind = FRESHNESS_NEVER;
        return;
    }
    int64_t age = c.s_maxage >= 0 ? c.s_maxage : c.max_age;
    if (age >= 0) {
        out->age = age_of(h);
        until(out, now_s + age - out->age, now_s);
        return;
    }
    int64_t when;
    if (!head_has(h, FIELD_EXPIRES) || (ignore & FRESHNESS_NO_EXPIRES) != 0)
        return;
    if (!date_parse(head_value(h, FIELD_EXPIRES), now_s, &when))
        when = 0; // RFC 9111 5.3: in the past
    out->age = age_of(h);
    until(out, when, now_s);
}
