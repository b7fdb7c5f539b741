// FastCGI records.
#include "wire/fastcgi.h"

enum { VERSION = 1, REQUEST_ID = 1, RESPONDER = 1, KEEP_CONN = 1, LONG_LENGTH = 0x80 };

void fcgi_put_head(char to[FCGI_HEAD], enum fcgi_type type, size_t n) {
    CHECK(n <= FCGI_CONTENT_MAX);
    const unsigned char head[FCGI_HEAD] = {VERSION, (unsigned char)type, 0, REQUEST_ID, (unsigned char)(n >> 8),
                                           (unsigned char)n, 0, 0};
    memcpy(to, head, FCGI_HEAD);
}

static void put_record(struct sbuf *b, enum fcgi_type type, struct str content) {
    char head[FCGI_HEAD];
    fcgi_put_head(head, type, content.n);
    sbuf_put(b, head, FCGI_HEAD);
    sbuf_str(b, content);
}

void fcgi_put_begin(struct sbuf *b, bool keep_conn) {
    const char body[8] = {0, RESPONDER, keep_conn ? KEEP_CONN : 0};
    put_record(b, FCGI_BEGIN_REQUEST, str_n(body, sizeof(body)));
}

static void put_length(struct sbuf *b, size_t n) {
    if (n < LONG_LENGTH) {
        sbuf_chr(b, (char)n);
        return;
    }
    const unsigned char four[4] = {(unsigned char)(n >> 24 | LONG_LENGTH), (unsigned char)(n >> 16), (unsigned char)(n >> 8),
                                   (unsigned char)n};
    sbuf_put(b, four, sizeof(four));
}

void fcgi_put_param(struct sbuf *b, struct str name, struct str value) {
    if (name.n > INT32_MAX || value.n > INT32_MAX) {
        b->overflow = true;
        return;
    }
    put_length(b, name.n);
    put_length(b, value.n);
    sbuf_str(b, name);
    sbuf_str(b, value);
}

void fcgi_put_stream(struct sbuf *b, enum fcgi_type type, struct str content) {
    while (content.n != 0) {
        struct str piece = str_head(content, MIN(content.n, (size_t)FCGI_CONTENT_MAX));
        put_record(b, type, piece);
        content = str_from(content, piece.n);
    }
    put_record(b, type, STR_NONE);
}

// --- reading ---------------------------------------------------------------------------------------------------------------

static void bad(struct fcgi_parse *p, const char *why) {
    p->state = FCGI_BAD;
    p->why = why;
}

static void take_head(struct fcgi_parse *p) {
    const uint8_t *h = p->head;
    p->have = 0;
    p->type = h[1];
    p->left = (uint32_t)h[4] << 8 | h[5];
    p->padding = h[6];
    p->state = FCGI_IN_CONTENT;
    if (h[0] != VERSION)
        bad(p, "unsupported FastCGI protocol version");
    else if (p->type != FCGI_STDOUT && p->type != FCGI_STDERR && p->type != FCGI_END_REQUEST)
        bad(p, "invalid FastCGI record type");
    else if (h[2] != 0 || h[3] != REQUEST_ID)
        bad(p, "unexpected FastCGI request id");
    else if (p->type == FCGI_END_REQUEST && p->left != FCGI_END_BODY)
        bad(p, "FastCGI end of request of another length than 8");
}

size_t fcgi_parse(struct fcgi_parse *p, const char *data, size_t n) {
    size_t used = 0;
    while (used < n && (p->state == FCGI_IN_HEAD || p->state == FCGI_IN_PADDING)) {
        if (p->state == FCGI_IN_HEAD) {
            p->head[p->have++] = (uint8_t)data[used++];
            if (p->have == FCGI_HEAD)
                take_head(p);
            continue;
        }
        size_t skip = MIN((size_t)p->padding, n - used);
        used += skip;
        p->padding = (uint8_t)(p->padding - skip);
        if (p->padding == 0)
            p->state = FCGI_IN_HEAD;
    }
    return used;
}

void fcgi_content(struct fcgi_parse *p, size_t taken) {
    CHECK(p->state == FCGI_IN_CONTENT && taken <= p->left);
    p->left -= (uint32_t)taken;
    if (p->left == 0)
        p->state = p->padding != 0 ? FCGI_IN_PADDING : FCGI_IN_HEAD;
}
