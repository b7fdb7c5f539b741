// A head: the start line and the fields of a message, the same for HTTP/1, HTTP/2, HTTP/3 and FastCGI. Strings point into
// the buffer that was parsed or into the arena; the head owns nothing. A head of a request has method, target; a head of a
// response has status, reason.
#pragma once
#include "base/arena.h"
#include "wire/fields.h"

// Method names (RFC 9110, 5789, 4918). X(ID, "NAME", safe, idempotent)
#define KNOWN_METHODS(X)                                                                                               \
    X(GET, "GET", 1, 1)                                                                                                \
    X(HEAD, "HEAD", 1, 1)                                                                                              \
    X(POST, "POST", 0, 0)                                                                                              \
    X(PUT, "PUT", 0, 1)                                                                                                \
    X(DELETE, "DELETE", 0, 1)                                                                                          \
    X(OPTIONS, "OPTIONS", 1, 1)                                                                                        \
    X(PATCH, "PATCH", 0, 0)                                                                                            \
    X(CONNECT, "CONNECT", 0, 0)                                                                                        \
    X(TRACE, "TRACE", 1, 1)                                                                                            \
    X(MKCOL, "MKCOL", 0, 1)                                                                                            \
    X(COPY, "COPY", 0, 1)                                                                                              \
    X(MOVE, "MOVE", 0, 1)                                                                                              \
    X(PROPFIND, "PROPFIND", 1, 1)                                                                                      \
    X(PROPPATCH, "PROPPATCH", 0, 1)                                                                                    \
    X(LOCK, "LOCK", 0, 0)                                                                                              \
    X(UNLOCK, "UNLOCK", 0, 1)

enum method {
    METHOD_UNKNOWN = 0,
#define X(id, name, safe, idem) METHOD_##id,
    KNOWN_METHODS(X)
#undef X
};
enum method method_from(struct str name); // case counts (RFC 9110 9.1)
struct str method_name(enum method m);    // "" for METHOD_UNKNOWN
bool method_is_safe(enum method m);
bool method_is_idempotent(enum method m);

// Statuses and their words: nginx's where it has some (its own for 302, 405, 408, 413, 414, 416, 503, 504), else those of
// IANA's registry. X(CODE, "Reason")
#define KNOWN_STATUSES(X)                                                                                              \
    X(100, "Continue")                                                                                                 \
    X(101, "Switching Protocols")                                                                                      \
    X(102, "Processing")                                                                                               \
    X(103, "Early Hints")                                                                                              \
    X(200, "OK")                                                                                                       \
    X(201, "Created")                                                                                                  \
    X(202, "Accepted")                                                                                                 \
    X(203, "Non-Authoritative Information")                                                                            \
    X(204, "No Content")                                                                                               \
    X(205, "Reset Content")                                                                                            \
    X(206, "Partial Content")                                                                                          \
    X(207, "Multi-Status")                                                                                             \
    X(208, "Already Reported")                                                                                         \
    X(226, "IM Used")                                                                                                  \
    X(300, "Multiple Choices")                                                                                         \
    X(301, "Moved Permanently")                                                                                        \
    X(302, "Moved Temporarily")                                                                                        \
    X(303, "See Other")                                                                                                \
    X(304, "Not Modified")                                                                                             \
    X(305, "Use Proxy")                                                                                                \
    X(307, "Temporary Redirect")                                                                                       \
    X(308, "Permanent Redirect")                                                                                       \
    X(400, "Bad Request")                                                                                              \
    X(401, "Unauthorized")                                                                                             \
    X(402, "Payment Required")                                                                                         \
    X(403, "Forbidden")                                                                                                \
    X(404, "Not Found")                                                                                                \
    X(405, "Not Allowed")                                                                                              \
    X(406, "Not Acceptable")                                                                                           \
    X(407, "Proxy Authentication Required")                                                                            \
    X(408, "Request Time-out")                                                                                         \
    X(409, "Conflict")                                                                                                 \
    X(410, "Gone")                                                                                                     \
    X(411, "Length Required")                                                                                          \
    X(412, "Precondition Failed")                                                                                      \
    X(413, "Request Entity Too Large")                                                                                 \
    X(414, "Request-URI Too Large")                                                                                    \
    X(415, "Unsupported Media Type")                                                                                   \
    X(416, "Requested Range Not Satisfiable")                                                                          \
    X(417, "Expectation Failed")                                                                                       \
    X(421, "Misdirected Request")                                                                                      \
    X(422, "Unprocessable Content")                                                                                    \
    X(423, "Locked")                                                                                                   \
    X(424, "Failed Dependency")                                                                                        \
    X(425, "Too Early")                                                                                                \
    X(426, "Upgrade Required")                                                                                         \
    X(428, "Precondition Required")                                                                                    \
    X(429, "Too Many Requests")                                                                                        \
    X(431, "Request Header Fields Too Large")                                                                          \
    X(451, "Unavailable For Legal Reasons")                                                                            \
    X(500, "Internal Server Error")                                                                                    \
    X(501, "Not Implemented")                                                                                          \
    X(502, "Bad Gateway")                                                                                              \
    X(503, "Service Temporarily Unavailable")                                                                          \
    X(504, "Gateway Time-out")                                                                                         \
    X(505, "HTTP Version Not Supported")                                                                               \
    X(506, "Variant Also Negotiates")                                                                                  \
    X(507, "Insufficient Storage")                                                                                     \
    X(508, "Loop Detected")                                                                                            \
    X(511, "Network Authentication Required")

struct str status_reason(unsigned status); // "Not Found"; empty for unknown ones
bool status_has_no_body(unsigned status);  // 1xx, 204, 304 (RFC 9110 6.4.1)

struct field {
    struct str name, value; // name as written; value without surrounding white space
    uint16_t id;            // enum field_id
    bool sensitive;         // HTTP/2: never to be put into a compression table (RFC 7541 6.2.3)
    bool dropped;           // deleted in place; walkers skip it (head_each does)
    bool passed;            // it is a back end's: Server, Date and Last-Modified are sent where they came, not in front
    bool unusual;           // http1_limits.keep_invalid: the name holds more than letters, digits and hyphens
    bool clean;             // a parser has seen that name and value hold nothing that would break a line; who changes them, unsets it
};

struct head {
    struct field *at;
    uint32_t count, cap;
    bool unusual;     // a field of it may be marked so
    uint64_t seen[2]; // bit per known field that is present; may be stale after a drop only if another line remains
    struct arena *arena;

    enum method method;
    struct str method_text, target; // request
    unsigned version;               // 9, 10, 11, 20, 30
    unsigned status;                // response, 100..999
    struct str reason;
};

void head_init(struct head *h, struct arena *arena); // no allocation before the first field
// The n bytes at `from` were copied to `to`: strings that lay in them lie there now.
void head_moved(struct head *h, const char *from, size_t n, const char *to);

enum field_id field_id_of(struct str name); // ASCII case folded; a perfect hash or switch on length, about 5 ns
struct str field_name(enum field_id id);
unsigned field_flags(enum field_id id); // FIELD_HOP, FIELD_ONE, FIELD_LIST

static inline bool head_has(const struct head *h, enum field_id id) { return h->seen[id >> 6] >> (id & 63) & 1; }
struct field *head_find_slow(const struct head *h, enum field_id id);
// The first line of that name, or NULL.
static inline struct field *head_find(const struct head *h, enum field_id id) {
    return head_has(h, id) ? head_find_slow(h, id) : NULL;
}
struct str head_value(const struct head *h, enum field_id id); // STR_NONE when absent
struct field *head_find_name(const struct head *h, struct str name); // any name, case folded
// The next line of f's name after f, or NULL.
struct field *head_find_next(const struct head *h, const struct field *f);
// All values of that name joined with ", ", Cookie with "; " (one line: no copy); STR_NONE when absent.
struct str head_join(const struct head *h, enum field_id id, struct arena *arena);

// Appends; strings are not copied. Amortised allocation from the arena. Invalidates pointers to fields.
struct field *head_add(struct head *h, enum field_id id, struct str name, struct str value);
// A field of another head, as it is there.
static inline struct field *head_add_same(struct head *h, const struct field *f) {
    struct field *to = head_add(h, (enum field_id)f->id, f->name, f->value);
    to->sensitive = f->sensitive;
    to->clean = f->clean;
    return to;
}
static inline struct field *head_add_known(struct head *h, enum field_id id, struct str value) {
    return head_add(h, id, field_name(id), value);
}
void head_drop(struct head *h, enum field_id id); // all lines of that name
void head_drop_name(struct head *h, struct str name);
void head_drop_field(struct head *h, struct field *f);
void head_set(struct head *h, enum field_id id, struct str value); // replaces all lines by one
void head_clear(struct head *h); // no fields, no status, no reason

static inline struct field *head_end(const struct head *h) { return h->count != 0 ? h->at + h->count : h->at; }
#define head_each(f, h)                                                                                                \
    for (struct field *f = (h)->at, *f##_end = head_end(h); f < f##_end; f++)                                          \
        if (!f->dropped)

// Whether a comma-separated list value holds the token (case folded; RFC 9110 5.6.1). Parameters after ';' are ignored.
bool list_has_token(struct str list, struct str token);
// Takes the next element, trimmed; empty elements are skipped (RFC 9110 5.6.1.2); quoted strings are respected.
bool list_next(struct str *rest, struct str *element);
bool is_token(struct str s); // RFC 9110 5.6.2, not empty

// Whether a field's name is what a variable's name says: case folded, dashes as underscores ($http_user_agent).
bool field_is_variable(struct str field, struct str variable);
// The value of a cookie in a Cookie field (RFC 6265 5.4; name case folded as in nginx). False when it is not there.
bool cookie_find(struct str cookies, struct str name, struct str *value);
