// HTTP/1 messages (RFC 9112): heads from bytes and to bytes. Pure; the caller brings contiguous bytes and limits. What a
// message means (which body, which refusal) is the caller's: see http/admit and upstream/h1_client.
#pragma once
#include "base/sbuf.h"
#include "wire/head.h"
#include "wire/scan.h"

enum http1_result {
    HTTP1_OK = 0,
    HTTP1_MORE,             // the head is not complete and nothing wrong was seen yet
    HTTP1_BAD_LINE,         // request or status line malformed
    HTTP1_BAD_METHOD,       // nginx: "client sent invalid method"
    HTTP1_BAD_VERSION,      // not HTTP/x.y; HTTP/1.10 and the like (nginx: 400)
    HTTP1_UNSUPPORTED_VERSION, // HTTP/2.0 and above in the request line (505)
    HTTP1_BAD_TARGET,       // control byte or space in the target
    HTTP1_BAD_FIELD,        // field line malformed: no colon, white space before it, control byte, bare CR, obs-fold
    HTTP1_LINE_TOO_LONG,    // start line above max_line (414 for requests)
    HTTP1_FIELD_TOO_LONG,   // a field line above max_line (nginx: 494)
    HTTP1_HEAD_TOO_LONG,    // the whole head above max_head (494)
    HTTP1_TOO_MANY_FIELDS,  // above max_fields
    HTTP1_NOT_HTTP,         // a TLS ClientHello or the HTTP/2 preface: see `seen`
};

struct http1_limits {
    size_t max_line, max_head; // bytes
    unsigned max_fields;
    // nginx ignore_invalid_headers: fields whose name holds anything but letters, digits, '-' and, with `underscores`, '_'
    // are dropped. When false, every token of RFC 9110 is a name (nginx then takes any bytes) and others are refused.
    bool ignore_invalid;
    bool underscores; // nginx underscores_in_headers
    // Neither: such fields are kept and marked (struct field), for who knows later what holds.
    bool keep_invalid;
};

struct http1_parse {
    size_t end;       // HTTP1_OK: bytes of the head including its empty line, and leading empty lines
    size_t scanned;   // resume point of the search for the end; zero it for a new message
    size_t checked;   // lines before it were seen to be well formed
    size_t at;        // errors: offset of the offending byte or line
    struct str line;  // errors: the offending line as far as it was read (for the log); OK: the start line, for $request
    unsigned ignored; // fields dropped by ignore_invalid
    enum { HTTP1_SEEN_NOTHING, HTTP1_SEEN_TLS, HTTP1_SEEN_H2_PREFACE } seen;
};

// Parses a request head from p[0..n). `ps` is zeroed before the first call for a message and kept between calls with more
// bytes (the same bytes at the front, maybe at another address). On HTTP1_OK `h` holds the head; strings point into p.
// Accepts bare LF as line end and leading CRLFs, as nginx does. HTTP/0.9 "GET /path\r\n" is version 9 and has no fields.
// An incomplete head is refused as soon as its start line is seen to be wrong, and after each complete line that is wrong.
enum http1_result http1_parse_request(struct http1_parse *ps, struct head *h, const char *p, size_t n,
                                      const struct http1_limits *lim);
// The same for a response head. Status must be three digits 100..999; reason may be empty.
enum http1_result http1_parse_response(struct http1_parse *ps, struct head *h, const char *p, size_t n,
                                       const struct http1_limits *lim);
// Trailer fields after the last chunk: as fields of a head, up to and including the empty line.
enum http1_result http1_parse_trailers(struct http1_parse *ps, struct head *h, const char *p, size_t n,
                                       const struct http1_limits *lim);
const char *http1_result_name(enum http1_result r);

// Content-Length (RFC 9112 6.3): digits only; a list of equal values counts as one only when `lenient`. -1 when malformed
// or above 2^63-1.
int64_t http1_content_length(struct str value, bool lenient);
enum http1_coding { HTTP1_CODING_NONE, HTTP1_CODING_CHUNKED, HTTP1_CODING_UNKNOWN };
// What Transfer-Encoding says (all its lines): exactly "chunked", or something that we do not speak.
enum http1_coding http1_transfer_coding(const struct head *h);

// Writers. They never write bytes that would break the framing: names are tokens and values hold no CR, LF, NUL; a field
// that does is left out and counted in the return value.
// False, and nothing is written, when the method is no token, or the target empty or with bytes that would end it or the line.
bool http1_put_request_line(struct sbuf *b, struct str method, struct str target, unsigned version);
void http1_put_status_line(struct sbuf *b, unsigned version, unsigned status, struct str reason);
unsigned http1_put_field(struct sbuf *b, struct str name, struct str value);
// The same without looking at the bytes: for what a parser let through (struct field, clean) and what this program wrote.
unsigned http1_put_clean(struct sbuf *b, struct str name, struct str value);
