// The JSON writer.
#include "base/json.h"

void json_init(struct json *j, struct sbuf *out) {
    *j = (struct json){.out = out};
    j->first[0] = true;
}

static void quoted(struct sbuf *out, struct str s) {
    sbuf_chr(out, '"');
    json_escape(out, s);
    sbuf_chr(out, '"');
}

static void begin_value(struct json *j, const char *key) {
    CHECK(j->in_object[j->depth] == (key != NULL));
    CHECK(j->depth != 0 || j->first[0]); // one value at the top
    if (!j->first[j->depth])
        sbuf_chr(j->out, ',');
    j->first[j->depth] = false;
    if (key != NULL) {
        quoted(j->out, str_c(key));
        sbuf_chr(j->out, ':');
    }
}

static void open_nest(struct json *j, const char *key, bool object) {
    begin_value(j, key);
    sbuf_chr(j->out, object ? '{' : '[');
    j->depth++;
    CHECK(j->depth < ARRAY_LEN(j->first));
    j->first[j->depth] = true;
    j->in_object[j->depth] = object;
}

static void close_nest(struct json *j, bool object) {
    CHECK(j->depth > 0 && j->in_object[j->depth] == object);
    j->depth--;
    sbuf_chr(j->out, object ? '}' : ']');
}

void json_object(struct json *j, const char *key) {
    open_nest(j, key, true);
}
void json_object_end(struct json *j) {
    close_nest(j, true);
}
void json_array(struct json *j, const char *key) {
    open_nest(j, key, false);
}
void json_array_end(struct json *j) {
    close_nest(j, false);
}

void json_str(struct json *j, const char *key, struct str value) {
    begin_value(j, key);
    quoted(j->out, value);
}

void json_u64(struct json *j, const char *key, uint64_t value) {
    begin_value(j, key);
    sbuf_u64(j->out, value);
}

void json_i64(struct json *j, const char *key, int64_t value) {
    begin_value(j, key);
    if (value < 0)
        sbuf_chr(j->out, '-');
    sbuf_u64(j->out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void json_bool(struct json *j, const char *key, bool value) {
    begin_value(j, key);
    sbuf_str(j->out, value ? STR("true") : STR("false"));
}

void json_null(struct json *j, const char *key) {
    begin_value(j, key);
    sbuf_lit(j->out, "null");
}

static inline bool in(unsigned char c, unsigned char low, unsigned char high) {
    return c >= low && c <= high;
}

// Length of the valid UTF-8 sequence at p (Unicode table 3-7). When there is none: 0, and *bad is how many bytes one
// replacement character stands for, the longest part that a valid sequence could begin with.
static size_t utf8_len(const unsigned char *p, size_t n, size_t *bad) {
    unsigned char low = 0x80, high = 0xbf;
    size_t len;
    *bad = 1;
    if (in(p[0], 0xc2, 0xdf)) {
        len = 2;
    } else if (in(p[0], 0xe0, 0xef)) {
        len = 3;
        low = p[0] == 0xe0 ? 0xa0 : low;   // no overlong form
        high = p[0] == 0xed ? 0x9f : high; // no surrogate
    } else if (in(p[0], 0xf0, 0xf4)) {
        len = 4;
        low = p[0] == 0xf0 ? 0x90 : low;
        high = p[0] == 0xf4 ? 0x8f : high; // nothing above U+10FFFF
    } else {
        return p[0] < 0x80;
    }
    for (size_t i = 1; i < len; i++) {
        if (i >= n || !in(p[i], low, high)) {
            *bad = i;
            return 0;
        }
        low = 0x80;
        high = 0xbf;
    }
    return len;
}

static void escape_ascii(struct sbuf *out, unsigned char c) {
    static const char letters[32] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    char text[6] = {'\\', (char)c};
    size_t n = 2;
    if (c < 0x20 && letters[c] != '\0') {
        text[1] = letters[c];
    } else if (c < 0x20) {
        memcpy(text + 1, "u00", 3);
        text[4] = "01"[c >> 4];
        text[5] = "0123456789abcdef"[c & 15];
        n = 6;
    }
    sbuf_put(out, text, n);
}

void json_escape(struct sbuf *out, struct str s) {
    size_t plain = 0, i = 0; // [plain, i) goes out as it is
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];
        if (LIKELY(c >= 0x20 && c < 0x80 && c != '"' && c != '\\')) {
            i++;
            continue;
        }
        size_t bad = 1, len = c >= 0x80 ? utf8_len((const unsigned char *)s.p + i, s.n - i, &bad) : 0;
        if (len != 0) {
            i += len;
            continue;
        }
        sbuf_put(out, s.p + plain, i - plain);
        if (c < 0x80)
            escape_ascii(out, c);
        else
            sbuf_lit(out, "\xef\xbf\xbd");
        i += bad;
        plain = i;
    }
    if (s.n != 0)
        sbuf_put(out, s.p + plain, s.n - plain);
}
