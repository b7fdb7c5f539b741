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
// conn_proxy.c: reads the PROXY header, with which the connection begins, into c->proxied. False: there is none; that is
// logged, and the caller ends the connection. Waits.
bool conn_read_proxy(struct conn *c);
// For codecs: the connection has nothing to do and is parked (or closed, when the loop stops). c may be gone afterwards.
void conn_idle(struct conn *c, uint64_t timeout_ms);
void conn_refresh(struct conn *c); // takes the current snapshot: between requests
