// What the files of the HTTP/2 server share: h2_server.c reads and writes the connection, h2_request.c makes and ends requests,
// h2_body.c is the body of a request, h2_write.c sends answers, h2_tunnel.c is what becomes of a stream with a tunnel.
#pragma once
#include "http/h2_server.h"
#include "wire/http2_head.h"

enum {
    H2_CONN_MAGIC = 0x57483243,
    H2_OUT_HIGH = 128 << 10, // bytes on the way to the link: above that nothing more is framed
    H2_OUT_NOW = 64 << 10,   // so many are sent by whoever framed them, while they are in the processor's cache; unless priorities
                             // differ: then the most urgent of a turn go first
    H2_ROOM = 64 << 10,      // of one pull
    H2_URGENCIES = 8,
};

struct h2_conn {
    uint32_t magic;
    uint32_t running;        // requests whose tasks have not ended
    uint32_t tunnels;        // streams that are links now: they hold no task
    struct conn *conn;
    struct task *task;       // serves the connection; NULL while it is parked
    struct h2_session session;
    struct chain out;        // to the link: frames
    struct list requests;    // struct h2_request
    struct list pending;     // those of them that no task has begun yet
    bool runner_queued;      // a task stands in the loop's queue that will begin them
    struct list ready[H2_URGENCIES]; // those that wait to send, by urgency; see h2_schedule
    uint8_t ready_set;       // a bit per list that is not empty
    bool over;               // nothing more is read
    bool lost;               // the link is gone: nothing is written either
    bool kicked;             // the task was woken and has not run yet
    bool prioritized;        // some request that runs has another priority than the usual one
    bool again;              // streams are about to have more that is more urgent than what waits: nothing is framed until they ran
    bool closing;            // GOAWAY was sent: ends with the last request
    bool seen_settings;
    uint64_t sent_ms;        // when the link took something last
};

// One stream and its request. Lives in the request's arena; of a tunnel without a request, in memory of its own.
struct h2_request {
    struct h2_stream stream;
    struct h2_conn *h;
    struct req *r;           // NULL: a tunnel
    struct link *tunnel;     // the stream as a link
    void (*drop)(void *arg); // of whoever has that link
    void *drop_arg;
    struct conf *conf;       // counted: a reload may come while it runs
    struct list all, start;  // in h->requests; in h->pending
    unsigned refused;        // status of a request that its head condemns; 0: none
    bool malformed;          // RFC 9113 8.1.1: the stream is reset when it is answered
    int error;               // the client has reset it or is gone: negative errno
    struct task *watcher;    // to be cancelled then
    bool connects;           // an extended CONNECT (RFC 8441): 2xx means that a tunnel is there
    // the request's body
    struct chain in;
    struct task *in_waiter;
    bool in_ended;
    struct head *in_trailers;
    // the answer
    struct chain pending;    // pulled from the body, not framed yet
    struct list ready;       // in h->ready, when it waits for its turn
    struct task *out_waiter; // parked until `pending` is framed, or there is room
    bool out_blocked;        // a tunnel waits for room
    bool out_last;           // pending is the end of the body, without trailers
    bool out_slow;           // the client has turned out to be slow
    uint64_t out_waited_ms;  // for it, so far
    bool out_cold;           // what is next in pending lies in a file that is not in memory: the request's own task reads it
    int out_error;           // of reading it: negative errno
};

// h2_server.c
void h2_transmit(struct h2_conn *h); // frames what may be framed and sends as much as the link takes; from any task of the loop
void h2_kick(struct h2_conn *h); // there is something to write, or to look at: wakes the connection's task
void h2_fail_request(struct h2_request *q, int err); // wakes and cancels what waits for the client

// h2_request.c. A new stream: reads the block, makes the request and starts its task. False: the connection must end (*ev says
// why).
bool h2_request_begin(struct h2_conn *h, struct h2_event *ev);
bool h2_request_trailers(struct h2_conn *h, struct h2_event *ev);

// h2_body.c
struct body *h2_request_body(struct h2_request *q, bool expects);
void h2_body_input(struct h2_request *q, struct block *b, const char *p, size_t n, bool last); // a piece has come; b may be NULL

// h2_tunnel.c
struct link *h2_stream_link(struct req *r, void (*drop)(void *arg), void *arg);
void h2_tunnels_drop(struct h2_conn *h); // the loop ends

// h2_write.c
int h2_send(struct req *r);
int h2_interim(struct req *r, unsigned status, const struct head *fields);
void h2_schedule(struct h2_conn *h); // frames what waits, by urgency, while there is room
void h2_window_opened(struct h2_conn *h, struct h2_stream *st); // NULL: of the connection
void h2_reorder(struct h2_request *q); // its priority was set, or has changed
bool h2_may_frame(const struct h2_request *q); // nobody that is as urgent waits, and there is room
void h2_wait_for_room(struct h2_request *q); // a tunnel: its link has news when it may frame
void h2_leave(struct h2_request *q); // waits for no turn any more
