// A client connection: the link, what listens, and which codec speaks. Idle it is this struct and its link, nothing else.
#pragma once
#include "http/vhost.h"

enum { CONN_MAGIC = 0x57434f4e };

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
    // Of whoever has taken the connection over (a tunnel): called by conn_free first, for a loop that ends. May be NULL.
    void (*owner_free)(void *owner);
    void *owner;
    uint32_t snapshot;     // of the service, that conf is of
    bool idle;             // parked between requests
    bool secured;          // on a TLS port: the handshake is over, or the client speaks plainly
    uint64_t tls_policy;   // of the server that the handshake was made with: struct https
    const struct client_hello *hello; // during the handshake
    struct conf *early_conf; // that a handshake began with which early data have not let end; counted
    serve_fn *serve;       // of the protocol that speaks: HTTP/1, or what ALPN chose
    // of the last request's location: for when its request is gone
    uint64_t keepalive_ms, linger_total_ms, linger_step_ms;
};

// The accept_fn of HTTP listeners: makes a connection and parks it until its first byte. `arg` of the listener is the
// struct http_service.
void conn_accept(struct link *l, struct listener *from, void *arg);

// What a worker serves: the current snapshot (swapped by a reload) and the loops' counters. Shared by loops.
struct http_service;

// Connections and counters of one loop. One writer, the loop; others may read the numbers without order.
struct http_loop {
    struct http_service *service;
    struct list conns;
    uint64_t accepted, handled, requests;
    int64_t active, waiting; // connections; of them idle between requests
    bool stopping;
};

struct http_service *http_service_new(struct conf *first, uint64_t body_memory); // takes over a reference
void http_service_free(struct http_service *s);
void http_service_swap(struct http_service *s, struct conf *next); // takes over a reference; from any thread
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
void conn_free(struct conn *c); // link and all
// conn_tls.c: the TLS of a connection before its first request: reads the ClientHello, chooses the virtual server by its name,
// makes the handshake, and chooses c->serve by ALPN. A client that does not speak TLS is left to the request, which will be
// refused (497). False: the connection has failed, which is logged; it is the caller's to free. Waits.
bool conn_secure(struct conn *c);
// For codecs: the connection has nothing to do and is parked (or closed, when the loop stops). c may be gone afterwards.
void conn_idle(struct conn *c, uint64_t timeout_ms);
void conn_refresh(struct conn *c); // takes the current snapshot: between requests
