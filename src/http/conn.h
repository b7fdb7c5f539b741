// A client connection: the link, what listens, and which codec speaks. Idle it is this struct and its link, nothing else.
#pragma once
#include "http/vhost.h"
#include "wire/proxy_protocol.h"

enum { CONN_MAGIC = 0x57434f4e };

// What a PROXY header said.
struct proxy_info {
    struct addr source, destination; // when has_addrs
    bool has_addrs;
    uint16_t ntlvs;
    char tlvs[]; // proxy_tlv
};
struct conn;
struct client_hello;
// Serves requests on a connection from its first readable moment until it is idle (parked again) or closed and freed. Waits.
typedef void serve_fn(struct conn *c);

struct conn {
    uint32_t magic;
    uint32_t requests;     // served so far
    struct link *link;
    struct listener *from;
    struct conf *conf;     // of the last request; counted; replaced when a new snapshot is there
    const struct vhosts *vhosts;
    uint64_t number;       // nginx's $connection
    uint64_t start_ms;
    struct list all;       // in http_loop.conns
    void *codec_state;     // of HTTP/2; NULL for HTTP/1
    struct proxy_info *proxied; // by `listen ... proxy_protocol`; NULL: no header is expected, or none was read yet
    // Of whoever has taken the connection over (a tunnel): called by conn_free first, for a loop that ends. May be NULL.
    void (*owner_free)(void *owner);
    void *owner;
    uint32_t snapshot;     // of the service, that conf is of
    bool idle;             // parked between requests
    bool last_request;     // its address is gone from the newest snapshot: it keeps its own, and is not kept alive
    bool debug;            // debug_connection names its client
    bool secured;          // on a TLS port: the handshake is over, or the client speaks plainly
    uint64_t tls_policy;   // of the server that the handshake was made with: struct https
    const struct client_hello *hello; // during the handshake
    struct conf *early_conf; // that a handshake began with which early data have not let end; counted
    serve_fn *serve;       // of the protocol that speaks: HTTP/1, or what ALPN chose
    // of the last request's location: for when its request is gone
    uint64_t keepalive_ms, keepalive_min_ms, linger_total_ms, linger_step_ms;
    uint64_t idle_ms;      // loop clock when it became idle
};

// The accept_fn of HTTP listeners: makes a connection and parks it until its first byte. `arg` of the listener is the
// struct http_service.
void conn_accept(struct link *l, struct listener *from, void *arg);

// What a worker serves: the current snapshot (swapped by a reload) and the loops' counters. Shared by loops.
struct http_service;

// Connections and counters of one loop. One writer, the loop, which counts with conn_count; others may read the numbers without
// order.
#define conn_count(counter, n) __atomic_store_n((counter), *(counter) + (n), __ATOMIC_RELAXED)
struct http_loop {
    struct http_service *service;
    struct list conns;
    uint64_t accepted, handled, requests;
    int64_t active, waiting; // connections; of them idle between requests
    bool stopping;           // answers are the last of their connections
    bool closing;            // and idle ones close
    size_t to_refresh;       // of conns, from the front
};

struct http_service *http_service_new(struct conf *first, uint64_t body_memory); // takes over a reference
void http_service_free(struct http_service *s);
// Takes over a reference; from any thread. The snapshot before stays at hand for connections whose address the next one has
// not, until http_service_settle: when their listeners are gone.
void http_service_swap(struct http_service *s, struct conf *next);
void http_service_settle(struct http_service *s);
struct conf *http_service_conf(struct http_service *s);            // counted
struct tape_budget *http_service_budget(struct http_service *s);
// On each loop before it accepts, and when it ends.
void http_loop_start(struct http_service *s, struct loop *l);
void http_loop_end(struct loop *l);
struct http_loop *http_loop(struct loop *l);
// The sums over all loops: for stub_status and the status API.
void http_service_counters(struct http_service *s, struct http_loop *sum);

struct http_service *conn_service(const struct conn *c);
// Graceful stop of the calling loop: idle connections close, others after their request.
void http_loop_stop(struct loop *l);
// The calling loop is not needed any more while others go on: the next answer of each connection is its last, and idle ones
// may still ask until their keepalive_timeout.
void http_loop_retire(struct loop *l);
// After http_service_swap, on each loop: idle connections take the current snapshot, or close when it has not their address.
// Some in this turn, the rest in the next ones, so that nobody waits for long.
void http_loop_refresh(struct loop *l);
// Ends the connections of the calling loop that hold this snapshot or an older one (worker_shutdown_timeout). Their count.
unsigned http_loop_close_older(struct loop *l, uint64_t generation);
void conn_free(struct conn *c); // link and all
// conn_proxy.c: reads the PROXY header, with which the connection begins, into c->proxied. False: there is none; that is
// logged, and the caller ends the connection. Waits.
bool conn_read_proxy(struct conn *c);
// For codecs: the answer that is about to begin is the connection's last (graceful stop, address gone).
static inline bool conn_ends(const struct conn *c) { return c->last_request || http_loop(link_loop(c->link))->stopping; }
// conn_tls.c: the TLS of a connection before its first request: reads the ClientHello, chooses the virtual server by its name,
// makes the handshake, and chooses c->serve by ALPN. A client that does not speak TLS is left to the request, which will be
// refused (497). False: the connection has failed, which is logged; it is the caller's to free. Waits.
bool conn_secure(struct conn *c);
// HTTP/2 may be spoken with that server here: by ALPN, or by prior knowledge.
bool conn_offers_http2(const struct conn *c, const struct server *s);
// For codecs: the connection has nothing to do and is parked (or closed, when the loop stops). c may be gone afterwards.
void conn_idle(struct conn *c, uint64_t timeout_ms);
void conn_rest(struct conn *c); // parked without being idle: something lives on it that needs no task. No time-out
// Takes the current snapshot: between requests. False: there is no snapshot with its address (only of a connection that was
// just accepted): it can only be closed.
bool conn_refresh(struct conn *c);
