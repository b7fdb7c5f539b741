// An exchange asks a back end on behalf of a request: chooses a peer, gets a connection, sends the request, reads the head of
// the response, and, when that fails and may be repeated, tries the next peer. Knows no protocol: that is `struct protocol`.
#pragma once
#include "http/req.h"
#include "io/tls.h"
#include "upstream/gateway.h"
#include "upstream/group.h"

struct exchange;

// One gateway protocol: a client codec.
struct protocol {
    const char *name; // "http"
    // Writes the request's head into `to` (and any bytes that must come before the body). Called for each try. False: the
    // request cannot be expressed (logged): 500.
    bool (*put_head)(struct exchange *x, struct sbuf *to);
    // Frames a piece of the request body (chunked, FastCGI records), `last` with the end (bytes may be empty then). NULL:
    // as it is.
    void (*frame)(struct exchange *x, struct chain *bytes, bool last);
    // Reads the final response head into x->head, sets x->body_length, x->keepalive. Interim answers are skipped. 0, or
    // -ETIMEDOUT, -ECONNRESET, 0-byte end as -EPIPE, -EPROTO for a malformed one (logged). Waits.
    int (*read_head)(struct exchange *x);
    // The body that reads the response's body from x->link; when it ends cleanly it calls exchange_done(x, true).
    struct body *(*body)(struct exchange *x);
    // Protocols that carry many requests on one connection (HTTP/2) have no x->link, and instead of put_head, frame and
    // read_head these: a connection to x->peer (`fresh`: a new one; x->reused): 0, or the negative errno of connecting. Waits.
    int (*open)(struct exchange *x, bool fresh);
    // Sends the request, awaits the head of the response: x->head, x->body_length. As send_and_await. Waits.
    int (*ask)(struct exchange *x);
    // The exchange leaves the connection; called after send_end, possibly twice.
    void (*close)(struct exchange *x, bool clean);
};

// One try, for $upstream_addr and friends.
struct attempt {
    struct str addr;
    unsigned status;          // 0: none
    uint64_t start_ms, queue_ms, connect_ms, header_ms, response_ms; // durations, but the first; UINT64_MAX: none
    uint64_t bytes_sent, bytes_received, response_length;
    bool reused;
};

// How a gateway speaks TLS to its peers: made for one request, or for each of its tries.
struct upstream_tls {
    // What it is for x->peer: where the name may depend on that ($upstream_last_server_name). NULL: the same for all.
    const struct upstream_tls *(*for_peer)(struct exchange *x);
    const struct feature *feature;       // whose settings; for the gateway
    struct str host;                     // for the gateway
    struct tls_config *config;
    struct str server_name, verify_name; // NUL-terminated; "": none
    struct str alpn;
    bool reuse;                          // sessions
    uint64_t tag;                        // not 0: connections of one tag may be used for each other
};

enum { EXCHANGE_ATTEMPTS_MAX = 64 };

struct exchange {
    // What the gateway says before exchange_run.
    struct req *r;
    const struct gateway_conf *gw;
    const struct protocol *protocol;
    void *protocol_conf;      // of the gateway feature (h1_client: struct h1_request_conf)
    void *protocol_state;
    struct group *group;      // from exchange_run on its list of peers (group_now)
    const struct upstream_tls *tls; // NULL: plain
    struct str scheme;        // "http://", for the error log
    const char *family;       // "proxy": which directives the error log names
    struct str host;          // $proxy_host
    struct str method;        // to send
    struct str uri;           // request target to send
    const struct head *fields; // of the client's request, as they are passed on; NULL: as it sent them (x->r->in)
    bool for_others;          // the answer is wanted even if the client goes away (a cache): it is not watched
    struct str text_body;     // sent instead of the client's body when .p is not NULL (proxy_set_body)
    // Reads the client's body, which goes to the peer as this gives it, of unknown length. Does not own `inner`. For each try
    // anew; NULL: as it is.
    struct body *(*filter_body)(struct exchange *x, struct body *inner);
    bool asks_upgrade;        // this try asked the peer to switch protocols: set by put_head
    bool upgraded;            // and it did: x->head is its 101, x->early what it sent since
    bool hide_trailers;       // those of the response are for variables only
    // An interim answer of the peer (103) has come: `head` lives until this returns. NULL: nobody cares. May wait.
    void (*interim)(struct exchange *x, const struct head *head);
    bool needs_length;        // the protocol cannot send a body of unknown length: it is buffered

    // The request of the current try.
    struct body *request_body; // NULL: none
    struct body *unfiltered;  // what filter_body was given
    int64_t request_length;   // -1: unknown, or no body at all
    bool has_body;
    bool streaming;           // request_body is the client's, read once
    bool streamed_any;        // some of it is gone: no further try
    bool request_sent;        // whole, head and body
    bool bytes_sent_any;
    struct chain out;         // what the link did not take yet
    bool body_ended;
    uint64_t sent_ms;         // when the last byte was sent; the read time-out runs from here
    ssize_t send_error, body_error; // of the link; of the client's body
    struct task *sender;      // sends the rest of the request while the head is awaited; joined by its maker
    bool sender_over;
    struct task *waiter;      // to be woken when the sender or the reader of the head has ended
    bool head_over;
    int head_result;

    // The response.
    struct peer *peer;
    struct str local;         // address that this try binds (*_bind); empty: none
    uint64_t tag;             // kind of its connection, for the pool: TLS settings, local address
    struct link *link;
    bool reused, keepalive;
    bool canary;              // pool_is_canary
    bool repeatable;          // of protocols with `ask`, when it failed: the peer has done nothing with the request
    int64_t link_requests;
    uint64_t link_since;
    uint64_t link_idle_ms;      // how long a reused link had been idle
    uint64_t plain_in, plain_out; // the link's counters when the try began
    uint64_t base_out;            // and of the wire below TLS
    uint64_t keep_ms;         // how long the peer says it keeps the connection; UINT64_MAX: nothing said
    struct head head;         // strings live in head_block
    struct block *head_block;
    struct chain early;       // bytes of the body that came with the head
    int64_t body_length;      // -1: until close or by chunks
    bool chunked;
    bool any_received;
    const struct head *trailers; // of the response, when its body has ended with some

    // The tries.
    uint64_t start_ms;
    uint64_t queue_ms;        // how long it waited in the group's queue; UINT64_MAX: it did not
    uint64_t *tried;          // a bit per peer
    int64_t tries_left;
    struct attempt *attempts; // [nattempts]
    unsigned nattempts, attempts_cap;
    struct attempt first;
    bool released;            // the peer was given back
    const char *phase;        // of the last line in the error log
    const char *hint;         // of the next one: what to look at; taken by exchange_log
    char end_who, end_phase;  // how the last failed try ended, for $termination
    unsigned failure;         // and why: one bit of enum next_upstream; 0: no try failed
    bool from_store;          // head is what was kept of an earlier answer: see exchange_answered
    bool done;
    struct req *watched;      // whose client is watched
    struct exchange *prev;    // of the same request, before an internal redirect
};

extern struct feature feature_exchange_order;
extern struct feature feature_exchange; // for req_ctx: the exchange of a request ($upstream_* variables)
struct exchange *exchange_of(const struct req *r); // the latest, or NULL

// A request of our own that asks one server through a location's gateway (health checks).
struct exchange_order {
    struct group *group;       // is asked instead of the gateway's; NULL: nobody, `found` is all that is wanted
    struct str uri;
    struct str body;           // of the request; .p NULL: none
    struct group *found;       // the group that the gateway would have asked
    struct exchange *exchange; // NULL: the gateway made none
    bool answered;             // there was a head: exchange->head
};
// Before the gateway runs; r has no connection. *o* lives until then.
void exchange_order(struct req *r, struct exchange_order *o);

// Does it. 0: x->head is there and x->protocol->body(x) may be called; else the status to answer (499, 502, 503, 504, 500,
// 413, 408), logged in nginx's words. Waits.
unsigned exchange_run(struct exchange *x);
// The request is answered by what was kept of an earlier answer, whose head the caller has put into x->head, with or without an
// exchange_run before: x is what $upstream_... tell of, and has no connection (any more).
void exchange_answered(struct exchange *x);
// From now on a client that goes away cancels its request, after all: `for_others` no longer holds. By the request's task.
void exchange_watch_client(struct exchange *x);
static inline const struct head *exchange_fields(const struct exchange *x) { return x->fields != NULL ? x->fields : &x->r->in; }
// Whether the request is still being sent: then the time-out for reading has not begun.
bool exchange_sending(const struct exchange *x);
// The milliseconds that a read may still wait after one timed out: not 0 while the request is being sent.
uint64_t exchange_read_grace(const struct exchange *x);
// One line of the error log: "MESSAGE (errno) while PHASE (NOTE), client: ...". note may be NULL.
void exchange_log(struct exchange *x, int level, int err, const char *phase, const char *note, const char *fmt, ...)
    PRINTF_LIKE(6, 7);
void exchange_name_asked(struct exchange *x); // makes r->asked, ", upstream: ..." of the error log; exchange_log does it
const char *exchange_note(struct exchange *x, const char *directive, uint64_t value, const char *unit); // "proxy_x 60000 ms"
// For bodies: a read failed with this error. Logs it (`invalid`: what -EPROTO means) and calls exchange_done. The error that
// the body's readers get.
int exchange_body_failed(struct exchange *x, int err, const char *invalid);
// Instead of a body: takes the connection of an upgraded exchange, which forgets it. The peer stays counted: the caller gives
// it to group_release. Bytes behind the head are given back to the link.
struct link *exchange_take_link(struct exchange *x);
// The response's body has ended (clean: the link may be used again) or is given up. Called once by bodies' free/end.
void exchange_done(struct exchange *x, bool clean);
