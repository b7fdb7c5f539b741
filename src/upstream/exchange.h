// An exchange asks a back end on behalf of a request: chooses a peer, gets a connection, sends the request, reads the head of
// the response, and, when that fails and may be repeated, tries the next peer. Knows no protocol: that is `struct protocol`.
#pragma once
#include "http/req.h"
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
};

// One try, for $upstream_addr and friends.
struct attempt {
    struct str addr;
    unsigned status;          // 0: none
    uint64_t start_ms, connect_ms, header_ms, response_ms; // durations from start; UINT64_MAX: none
    uint64_t bytes_sent, bytes_received, response_length;
    bool reused;
};

enum { EXCHANGE_ATTEMPTS_MAX = 64 };

struct exchange {
    struct req *r;
    const struct gateway_conf *gw;
    const struct protocol *protocol;
    void *protocol_conf;      // of the gateway feature (struct proxy_conf)
    void *protocol_state;
    struct group *group;
    struct str host;          // $proxy_host
    struct str method;        // to send
    struct str uri;           // request target to send
    struct body *request_body; // of the current try; NULL: none
    int64_t request_length;   // -1: unknown
    bool request_sent;        // whole, head and body
    bool bytes_sent_any;

    struct peer *peer;
    struct link *link;
    bool reused, keepalive;
    int64_t link_requests;
    uint64_t link_since;
    struct head head;         // of the response; strings live in r->arena or head_block
    struct block *head_block;
    int64_t body_length;      // -1: until close or by chunks
    bool chunked;
    struct attempt *attempts; // [nattempts]
    unsigned nattempts;
    struct task *sender;      // sends the request body while the head is awaited
    bool released;            // the peer was given back
};

extern struct feature feature_exchange; // for req_ctx: the exchange of a request ($upstream_* variables)
struct exchange *exchange_of(const struct req *r); // the latest, or NULL

// Does it. 0: x->head is there and x->protocol->body(x) may be called; else the status to answer (499, 502, 503, 504, 500,
// 413, 408), logged in nginx's words. Waits.
unsigned exchange_run(struct exchange *x);
// The response's body has ended (clean: the link may be used again) or is given up. Called once by bodies' free/end.
void exchange_done(struct exchange *x, bool clean);
