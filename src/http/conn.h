// A client connection: the link, what listens, and which codec speaks. Idle it is this struct and its link, nothing else.
#pragma once
#include "http/vhost.h"

enum { CONN_MAGIC = 0x57434f4e };

struct conn {
    uint32_t magic;
    uint32_t requests;     // served so far
    struct link *link;
    struct listener *from;
    struct conf *conf;     // of the last request; counted; replaced when a new snapshot is there
    const struct vhosts *vhosts;
    uint64_t number;       // nginx's $connection
    uint64_t start_ms;
    struct list all;       // connections of the loop
    void *codec_state;     // of HTTP/2; NULL for HTTP/1
    bool closing;          // graceful stop: no further request
    bool local_known;
};

// The accept_fn of HTTP listeners: makes a connection and parks it until its first byte. `arg` of the listener is the
// struct http_service.
void conn_accept(struct link *l, struct listener *from, void *arg);

// What a worker serves: the current snapshot (swapped by a reload), counters for stub_status. Shared by loops.
struct http_service {
    struct conf *conf;          // current; read under `lock`
    uint64_t generation;        // atomic; changes with conf
    uint64_t next_number;       // atomic
    uint64_t accepted, handled, requests; // atomic
    int64_t active, reading, writing, waiting; // atomic
    bool stopping;              // atomic: close idle connections, no keep-alive
    void *lock;                 // private
    struct tape_budget *body_budget;
};
void http_service_init(struct http_service *s, struct conf *first);
void http_service_swap(struct http_service *s, struct conf *next); // takes over a reference
struct conf *http_service_conf(struct http_service *s);            // counted
struct http_service *conn_service(const struct conn *c);
// Closes idle connections of the calling loop and lets the others end after their request (QUIT). Does not wait.
void conns_stop(struct http_service *s);
size_t conns_count(void); // of the calling loop
void conn_free(struct conn *c); // link and all
