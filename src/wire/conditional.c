// Conditional requests: tags and dates compared.
#include "wire/conditional.h"
#include "base/date.h"

static bool is_weak(struct str etag) {
    return str_starts(etag, STR("W/"));
}

static struct str opaque(struct str etag) {
    return is_weak(etag) ? str_from(etag, 2) : etag;
}

bool etag_eq_strong(struct str a, struct str b) {
    return a.n != 0 && !is_weak(a) && str_eq(a, b);
}

bool etag_eq_weak(struct str a, struct str b) {
    return a.n != 0 && str_eq(opaque(a), opaque(b));
}

static bool is_space_or_comma(char c) {
    return c == ' ' || c == '\t' || c == ',';
}

bool etag_next(struct str *rest, struct str *etag) {
    while (rest->n != 0 && is_space_or_comma(rest->p[0]))
        *rest = str_from(*rest, 1);
    size_t quote = is_weak(*rest) ? 2 : 0;
    if (rest->n <= quote || rest->p[quote] != '"')
        return false;
    ssize_t n = str_chr(str_from(*rest, quote + 1), '"');
    if (n < 0)
        return false;
    *etag = str_head(*rest, quote + (size_t)n + 2);
    struct str after = str_from(*rest, etag->n);
    if (after.n != 0 && !is_space_or_comma(after.p[0]))
        return false;
    while (after.n != 0 && after.p[0] != ',' && is_space_or_comma(after.p[0]))
        after = str_from(after, 1);
    *rest = after.n == 0 || after.p[0] == ',' ? after : str_head(after, 0); // behind a missing comma nothing counts
    return true;
}

// Whether a line of the list names the tag; "*" names every representation that exists, and this one does.
static bool any_matches(const struct head *h, const struct field *f, struct str etag,
                        bool (*eq)(struct str a, struct str b)) {
    for (; f != NULL; f = head_find_next(h, f)) {
        struct str rest = f->value, one;
        if (str_eq(rest, STR("*")))
            return true;
        while (etag_next(&rest, &one))
            if (eq(etag, one))
                return true;
    }
    return false;
}

static bool unmodified_since(const struct field *f, int64_t last_modified, int64_t now_s) {
    int64_t date;
    return last_modified < 0 || !date_parse(f->value, now_s, &date) || last_modified <= date;
}

static bool modified_since(const struct field *f, int64_t last_modified, enum if_modified_since how, int64_t now_s) {
    int64_t date;
    if (how == IF_MODIFIED_SINCE_OFF || last_modified < 0 || !date_parse(f->value, now_s, &date))
        return true;
    return how == IF_MODIFIED_SINCE_EXACT ? date != last_modified : date < last_modified;
}

enum conditional conditional_check(const struct head *request, struct str etag, int64_t last_modified,
                                   enum if_modified_since how, int64_t now_s) {
    const struct field *f;
    bool reads = request->method == METHOD_GET || request->method == METHOD_HEAD;
    if ((f = head_find(request, FIELD_IF_MATCH)) != NULL) {
        if (!any_matches(request, f, etag, etag_eq_strong))
            return CONDITIONAL_FAILED;
    } else if ((f = head_find(request, FIELD_IF_UNMODIFIED_SINCE)) != NULL) {
        if (!unmodified_since(f, last_modified, now_s))
            return CONDITIONAL_FAILED;
    }
    if ((f = head_find(request, FIELD_IF_NONE_MATCH)) != NULL) {
        if (any_matches(request, f, etag, etag_eq_weak))
            return reads ? CONDITIONAL_NOT_MODIFIED : CONDITIONAL_FAILED;
    } else if (reads && (f = head_find(request, FIELD_IF_MODIFIED_SINCE)) != NULL) {
        if (!modified_since(f, last_modified, how, now_s))
            return CONDITIONAL_NOT_MODIFIED;
    }
    return CONDITIONAL_GO_ON;
}
