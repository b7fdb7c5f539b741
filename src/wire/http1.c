// HTTP/1 heads from bytes (RFC 9112). The start line is read first, so that garbage is refused at its first bytes; then
// the end of the head is searched; only a complete head is cut into fields, in one pass. No bytes are copied.
#include "wire/http1.h"
#include "wire/vec.h"

static const char *const result_names[] = {
    [HTTP1_OK] = "ok",
    [HTTP1_MORE] = "incomplete head",
    [HTTP1_BAD_LINE] = "malformed start line",
    [HTTP1_BAD_METHOD] = "invalid method",
    [HTTP1_BAD_VERSION] = "invalid version",
    [HTTP1_UNSUPPORTED_VERSION] = "unsupported version",
    [HTTP1_BAD_TARGET] = "invalid byte in request target",
    [HTTP1_BAD_FIELD] = "malformed field line",
    [HTTP1_LINE_TOO_LONG] = "too long start line",
    [HTTP1_FIELD_TOO_LONG] = "too long field line",
    [HTTP1_HEAD_TOO_LONG] = "too large head",
    [HTTP1_TOO_MANY_FIELDS] = "too many fields",
    [HTTP1_NOT_HTTP] = "not HTTP/1",
};

const char *http1_result_name(enum http1_result r) {
    return (unsigned)r < ARRAY_LEN(result_names) ? result_names[r] : "unknown";
}

struct start_line {
    struct str method, target, reason;
    unsigned version, status;
    size_t begin, end; // end: after its line feed
};

// The line that begins at `begin`, without its line end, as far as it is there.
static struct str line_at(const char *p, size_t n, size_t begin) {
    const char *lf = memchr(p + begin, '\n', n - begin);
    size_t end = lf != NULL ? (size_t)(lf - p) : n;
    if (end > begin && p[end - 1] == '\r')
        end--;
    return str_n(p + begin, end - begin);
}

static COLD enum http1_result fail(struct http1_parse *ps, struct str in, size_t line, size_t at, enum http1_result r) {
    ps->at = at;
    ps->line = line_at(in.p, in.n, line);
    return r;
}

// Whether p[0..n) goes on with the literal word as far as there are bytes; *matched says how many were equal.
static bool goes_on_with(const char *p, size_t n, const char *word, size_t len, size_t *matched) {
    size_t i = 0;
    while (i < n && i < len && p[i] == word[i])
        i++;
    *matched = i;
    return i == n || i == len;
}

static inline bool is_method_byte(unsigned char c) {
    return (unsigned)c - 'A' < 26 || c == '_' || c == '-';
}

// "1.1" and what follows up to the line feed, at p[i].
static enum http1_result parse_version(struct http1_parse *ps, struct start_line *sl, struct str in, size_t i) {
    const char *p = in.p;
    if (i == in.n)
        return HTTP1_MORE;
    if (p[i] != '1') {
        bool above = p[i] >= '2' && p[i] <= '9';
        return fail(ps, in, sl->begin, i, above ? HTTP1_UNSUPPORTED_VERSION : HTTP1_BAD_VERSION);
    }
    if (++i == in.n)
        return HTTP1_MORE;
    if (p[i] != '.')
        return fail(ps, in, sl->begin, i, ascii_is_digit(p[i]) ? HTTP1_UNSUPPORTED_VERSION : HTTP1_BAD_VERSION);
    if (++i == in.n)
        return HTTP1_MORE;
    if (!ascii_is_digit(p[i]))
        return fail(ps, in, sl->begin, i, HTTP1_BAD_VERSION);
    sl->version = p[i] == '0' ? 10 : 11; // RFC 9110 2.5: a higher minor version is read as the highest one known
    if (++i < in.n && ascii_is_digit(p[i]))
        return fail(ps, in, sl->begin, i, HTTP1_BAD_VERSION);
    sl->end = i; // of the version; the callers go on
    return HTTP1_OK;
}

// CRLF or LF at p[i].
static enum http1_result parse_line_end(struct http1_parse *ps, struct start_line *sl, struct str in, size_t i) {
    if (i < in.n && in.p[i] == '\r')
        i++;
    if (i >= in.n)
        return HTTP1_MORE;
    if (in.p[i] != '\n')
        return fail(ps, in, sl->begin, i, HTTP1_BAD_LINE);
    sl->end = i + 1;
    return HTTP1_OK;
}

static inline size_t skip_spaces(struct str in, size_t i) {
    while (i < in.n && in.p[i] == ' ')
        i++;
    return i;
}

// What follows the target and at least one space or line end, at p[i].
static enum http1_result parse_after_target(struct http1_parse *ps, struct start_line *sl, struct str in, size_t i) {
    i = skip_spaces(in, i);
    if (i == in.n)
        return HTTP1_MORE;
    if (in.p[i] == '\r' || in.p[i] == '\n') { // HTTP/0.9 knows GET alone
        if (!str_eq(sl->method, STR("GET")))
            return fail(ps, in, sl->begin, i, HTTP1_BAD_LINE);
        sl->version = 9;
        return parse_line_end(ps, sl, in, i);
    }
    size_t matched;
    if (!goes_on_with(in.p + i, in.n - i, "HTTP/", 5, &matched))
        return fail(ps, in, sl->begin, i + matched, matched == 0 ? HTTP1_BAD_TARGET : HTTP1_BAD_VERSION);
    if (matched < 5)
        return HTTP1_MORE;
    enum http1_result r = parse_version(ps, sl, in, i + 5);
    if (r != HTTP1_OK)
        return r;
    return parse_line_end(ps, sl, in, skip_spaces(in, sl->end));
}

// A request line from p[sl->begin], which may not be complete.
static enum http1_result parse_request_line(struct http1_parse *ps, struct start_line *sl, struct str in) {
    static const char preface[] = "PRI * HTTP/2.0";
    size_t i = sl->begin, matched;
    if (in.p[i] == 0x16) {
        ps->seen = HTTP1_SEEN_TLS;
        return fail(ps, in, i, i, HTTP1_NOT_HTTP);
    }
    if (UNLIKELY(in.p[i] == 'P') && goes_on_with(in.p + i, in.n - i, preface, sizeof(preface) - 1, &matched)) {
        if (matched < sizeof(preface) - 1)
            return HTTP1_MORE;
        ps->seen = HTTP1_SEEN_H2_PREFACE;
        return fail(ps, in, i, i, HTTP1_NOT_HTTP);
    }
    while (i < in.n && is_method_byte(in.p[i]))
        i++;
    if (i == in.n)
        return HTTP1_MORE;
    if (i == sl->begin || in.p[i] != ' ')
        return fail(ps, in, sl->begin, i, HTTP1_BAD_METHOD);
    sl->method = str_n(in.p + sl->begin, i - sl->begin);

    size_t target = skip_spaces(in, i);
    if (target == in.n)
        return HTTP1_MORE;
    i = target + vec_scan_ctl_sp(in.p + target, in.n - target);
    if (i == in.n)
        return HTTP1_MORE;
    if (i == target)
        return fail(ps, in, sl->begin, i, in.p[i] == '\r' || in.p[i] == '\n' ? HTTP1_BAD_LINE : HTTP1_BAD_TARGET);
    if (in.p[i] != ' ' && in.p[i] != '\r' && in.p[i] != '\n')
        return fail(ps, in, sl->begin, i, HTTP1_BAD_TARGET);
    sl->target = str_n(in.p + target, i - target);
    if (in.n - i >= 11 && memcmp(in.p + i, " HTTP/1.1\r\n", 11) == 0) {
        sl->version = 11;
        sl->end = i + 11;
        return HTTP1_OK;
    }
    return parse_after_target(ps, sl, in, i);
}

// A status line from p[sl->begin], which may not be complete.
static enum http1_result parse_status_line(struct http1_parse *ps, struct start_line *sl, struct str in) {
    size_t i = sl->begin, matched;
    if (!goes_on_with(in.p + i, in.n - i, "HTTP/", 5, &matched))
        return fail(ps, in, i, i + matched, HTTP1_BAD_LINE);
    if (matched < 5)
        return HTTP1_MORE;
    enum http1_result r = parse_version(ps, sl, in, i + 5);
    if (r != HTTP1_OK)
        return r;
    i = skip_spaces(in, sl->end);
    if (i == in.n)
        return HTTP1_MORE;
    if (i == sl->end)
        return fail(ps, in, sl->begin, i, HTTP1_BAD_LINE);
    sl->status = 0;
    for (size_t digits = 0; digits < 3; digits++, i++) {
        if (i == in.n)
            return HTTP1_MORE;
        if (!ascii_is_digit(in.p[i]) || (digits == 0 && in.p[i] == '0'))
            return fail(ps, in, sl->begin, i, HTTP1_BAD_LINE);
        sl->status = sl->status * 10 + (unsigned)(in.p[i] - '0');
    }
    if (i == in.n)
        return HTTP1_MORE;
    size_t reason = i;
    if (in.p[i] == ' ') {
        reason = i + 1;
        i = reason + vec_scan_ctl(in.p + reason, in.n - reason);
    } else if (in.p[i] != '\r' && in.p[i] != '\n') {
        return fail(ps, in, sl->begin, i, HTTP1_BAD_LINE);
    }
    sl->reason = str_n(in.p + reason, i - reason);
    return parse_line_end(ps, sl, in, i);
}

enum name_verdict { NAME_GOOD, NAME_UNUSUAL, NAME_INVALID, NAME_BAD };

// The rest of a name that is not only letters, digits and hyphens; p[*at] is the first other byte, *at becomes the
// colon.
static COLD enum name_verdict judge_name(struct str in, size_t *at, const struct http1_limits *lim) {
    enum name_verdict verdict = NAME_GOOD;
    for (; *at < in.n && in.p[*at] != ':'; ++*at) {
        unsigned char c = (unsigned char)in.p[*at];
        if (byte_is_ctl_sp(c))
            return NAME_BAD;
        if (!byte_is_not_name(c) || (c == '_' && lim->underscores))
            continue;
        if (lim->keep_invalid) {
            verdict = NAME_UNUSUAL;
            continue;
        }
        if (!lim->ignore_invalid && !is_token(str_n(in.p + *at, 1)))
            return NAME_BAD;
        if (lim->ignore_invalid)
            verdict = NAME_INVALID;
    }
    return *at < in.n ? verdict : NAME_BAD;
}

// Field lines from p[i] until the empty line, or until `stop`, which is a line's beginning or SIZE_MAX. Without h they
// are only checked. *end is where the parsing ended well.
static enum http1_result parse_fields(struct http1_parse *ps, struct head *h, struct str in, size_t i, size_t stop,
                                      const struct http1_limits *lim, size_t *end) {
    const char *p = in.p;
    while (i < stop) {
        if (p[i] == '\n') {
            i++;
            break;
        }
        if (p[i] == '\r' && i + 1 < in.n && p[i + 1] == '\n') {
            i += 2;
            break;
        }
        enum name_verdict verdict = NAME_GOOD;
        size_t colon = i + vec_scan_name(p + i, in.n - i);
        if (UNLIKELY(colon == in.n || p[colon] != ':'))
            verdict = judge_name(in, &colon, lim);
        if (UNLIKELY(verdict == NAME_BAD || colon == i))
            return fail(ps, in, i, MIN(colon, in.n), HTTP1_BAD_FIELD);

        size_t value = colon + 1;
        while (value < in.n && (p[value] == ' ' || p[value] == '\t'))
            value++;
        size_t value_end = value + vec_scan_ctl(p + value, in.n - value);
        size_t lf = value_end < in.n && p[value_end] == '\r' ? value_end + 1 : value_end;
        if (UNLIKELY(lf >= in.n || p[lf] != '\n'))
            return fail(ps, in, i, value_end, HTTP1_BAD_FIELD);
        while (value_end > value && (p[value_end - 1] == ' ' || p[value_end - 1] == '\t'))
            value_end--;
        if (UNLIKELY(lf + 1 - i > lim->max_line))
            return fail(ps, in, i, i, HTTP1_FIELD_TOO_LONG);
        if (verdict == NAME_INVALID) {
            ps->ignored += h != NULL;
        } else if (h != NULL) {
            if (UNLIKELY(h->count >= lim->max_fields))
                return fail(ps, in, i, i, HTTP1_TOO_MANY_FIELDS);
            struct str name = str_n(p + i, colon - i);
            struct field *f = head_add(h, field_id_of(name), name, str_n(p + value, value_end - value));
            f->clean = true;
            f->unusual = verdict == NAME_UNUSUAL;
            h->unusual |= f->unusual;
        }
        i = lf + 1;
    }
    *end = i;
    return HTTP1_OK;
}

// The fields from p[begin], whose head begins at `head`: complete, or as far as their lines are.
static enum http1_result parse_section(struct http1_parse *ps, struct head *h, struct str in, size_t head, size_t begin,
                                       const struct http1_limits *lim) {
    if (ps->scanned < begin)
        ps->scanned = begin;
    size_t from = ps->scanned != 0 ? ps->scanned - 1 : 0, end = 0;
    if (begin == 0 && in.n >= 1 && in.p[0] == '\n') // trailers may be nothing but an empty line
        end = 1;
    else if (begin == 0 && in.n >= 2 && in.p[0] == '\r' && in.p[1] == '\n')
        end = 2;
    else
        end = scan_head_end(in.p, in.n, &from);
    if (LIKELY(end != 0)) {
        if (UNLIKELY(end - head > lim->max_head))
            return fail(ps, in, head, head, HTTP1_HEAD_TOO_LONG);
        return parse_fields(ps, h, in, begin, SIZE_MAX, lim, &ps->end);
    }
    ps->scanned = from + 1;
    if (ps->checked < begin)
        ps->checked = begin;
    const char *lf = memrchr(in.p + ps->checked, '\n', in.n - ps->checked);
    if (lf != NULL) {
        enum http1_result r = parse_fields(ps, NULL, in, ps->checked, (size_t)(lf - in.p) + 1, lim, &ps->checked);
        if (r != HTTP1_OK)
            return r;
    }
    if (in.n - ps->checked > lim->max_line)
        return fail(ps, in, ps->checked, ps->checked, HTTP1_FIELD_TOO_LONG);
    if (in.n - head > lim->max_head)
        return fail(ps, in, ps->checked, head, HTTP1_HEAD_TOO_LONG);
    return HTTP1_MORE;
}

// The start line's own limit, once it is known how far it reaches.
static enum http1_result limit_start_line(struct http1_parse *ps, const struct start_line *sl, struct str in,
                                          enum http1_result r, const struct http1_limits *lim) {
    size_t end = r == HTTP1_OK ? sl->end : in.n;
    if (UNLIKELY((r == HTTP1_OK || r == HTTP1_MORE) && end - sl->begin > lim->max_line))
        return fail(ps, in, sl->begin, sl->begin, HTTP1_LINE_TOO_LONG);
    return r;
}

enum http1_result http1_parse_request(struct http1_parse *ps, struct head *h, const char *p, size_t n,
                                      const struct http1_limits *lim) {
    struct str in = str_n(p, n);
    struct start_line sl = {0};
    while (sl.begin < n && (p[sl.begin] == '\r' || p[sl.begin] == '\n'))
        sl.begin++;
    if (sl.begin > lim->max_head)
        return fail(ps, in, 0, 0, HTTP1_HEAD_TOO_LONG);
    if (sl.begin == n)
        return HTTP1_MORE;
    enum http1_result r = limit_start_line(ps, &sl, in, parse_request_line(ps, &sl, in), lim);
    if (UNLIKELY(r != HTTP1_OK))
        return r;
    ps->end = sl.end;
    if (sl.version != 9)
        r = parse_section(ps, h, in, sl.begin, sl.end, lim);
    if (r != HTTP1_OK)
        return r;
    h->method = method_from(sl.method);
    h->method_text = sl.method;
    h->target = sl.target;
    h->version = sl.version;
    ps->line = line_at(p, sl.end, sl.begin);
    return HTTP1_OK;
}

enum http1_result http1_parse_response(struct http1_parse *ps, struct head *h, const char *p, size_t n,
                                       const struct http1_limits *lim) {
    struct str in = str_n(p, n);
    struct start_line sl = {0};
    if (n == 0)
        return HTTP1_MORE;
    enum http1_result r = limit_start_line(ps, &sl, in, parse_status_line(ps, &sl, in), lim);
    if (r == HTTP1_OK)
        r = parse_section(ps, h, in, 0, sl.end, lim);
    if (UNLIKELY(r != HTTP1_OK))
        return r;
    h->version = sl.version;
    h->status = sl.status;
    h->reason = sl.reason;
    ps->line = line_at(p, sl.end, 0);
    return HTTP1_OK;
}

enum http1_result http1_parse_trailers(struct http1_parse *ps, struct head *h, const char *p, size_t n,
                                       const struct http1_limits *lim) {
    return parse_section(ps, h, str_n(p, n), 0, 0, lim);
}

int64_t http1_content_length(struct str value, bool lenient) {
    uint64_t length = 0, other;
    struct str rest = value, element;
    if (!lenient)
        return str_u64(value, INT64_MAX, &length) ? (int64_t)length : -1;
    for (bool first = true; str_split(&rest, ',', &element); first = false) {
        if (!str_u64(str_trim(element), INT64_MAX, &other) || (!first && other != length))
            return -1;
        length = other;
    }
    return (int64_t)length;
}

enum http1_coding http1_transfer_coding(const struct head *h) {
    const struct field *f = head_find(h, FIELD_TRANSFER_ENCODING);
    if (f == NULL)
        return HTTP1_CODING_NONE;
    bool chunked = str_ieq(f->value, STR("chunked")) && head_find_next(h, f) == NULL;
    return chunked ? HTTP1_CODING_CHUNKED : HTTP1_CODING_UNKNOWN;
}
