// FastCGI records (FastCGI specification 1.0, sections 3 to 5), as a web server writes and reads them: one request at a time on a
// connection, with the id 1. Pure.
#pragma once
#include "base/sbuf.h"

enum {
    FCGI_HEAD = 8,           // bytes before the content of a record
    FCGI_CONTENT_MAX = 65535,
    FCGI_END_BODY = 8,       // content of END_REQUEST
};

enum fcgi_type { FCGI_BEGIN_REQUEST = 1, FCGI_END_REQUEST = 3, FCGI_PARAMS = 4, FCGI_STDIN = 5, FCGI_STDOUT = 6, FCGI_STDERR = 7 };

// --- writing -------------------------------------------------------------------------------------------------------------

void fcgi_put_begin(struct sbuf *b, bool keep_conn);      // role responder
void fcgi_put_param(struct sbuf *b, struct str name, struct str value); // one pair of the stream PARAMS
// A whole stream: records of `content`, and the empty one that ends it.
void fcgi_put_stream(struct sbuf *b, enum fcgi_type type, struct str content);
void fcgi_put_head(char to[FCGI_HEAD], enum fcgi_type type, size_t n); // n <= FCGI_CONTENT_MAX; no padding follows

// --- reading -------------------------------------------------------------------------------------------------------------

enum fcgi_state { FCGI_IN_HEAD, FCGI_IN_CONTENT, FCGI_IN_PADDING, FCGI_BAD };

struct fcgi_parse {
    enum fcgi_state state;
    uint8_t head[FCGI_HEAD];
    uint8_t have;    // bytes of the head
    uint8_t padding; // bytes still to come
    uint8_t type;    // enum fcgi_type of the current record: END_REQUEST, STDOUT or STDERR
    uint32_t left;   // bytes of its content still to come
    const char *why; // FCGI_BAD: what is wrong with it
};

static inline void fcgi_parse_init(struct fcgi_parse *p) { *p = (struct fcgi_parse){0}; }
// Eats framing from data[0..n): heads and padding. Returns how many bytes were used. Afterwards p->state is
//   FCGI_IN_CONTENT  the next p->left bytes, of 0 and more, are content of p->type: take them and call fcgi_content
//   FCGI_BAD         not a record that an application may send here: p->why
//   anything else    all bytes used, more needed
size_t fcgi_parse(struct fcgi_parse *p, const char *data, size_t n);
void fcgi_content(struct fcgi_parse *p, size_t taken); // taken <= p->left; with 0 left the record is over
// Between two records: nothing of the next one was seen.
static inline bool fcgi_between(const struct fcgi_parse *p) { return p->state == FCGI_IN_HEAD && p->have == 0; }
