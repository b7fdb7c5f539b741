// Connections to back ends that carry many requests at once (HTTP/2). Each loop has its own; a request takes the one to its peer
// that has room for a stream, or makes one. A task reads and writes each while requests are on it; idle ones are parked for the
// keepalive_timeout of their group.
#pragma once
#include "upstream/exchange.h"
#include "wire/http2_head.h"

struct h2_up;

// A 103 that the request has not been told of yet. Of the request's arena.
struct h2_interim {
    struct h2_interim *next;
    struct head head;
};

// One request on such a connection. Embedded by whoever asks (h2_client.c).
struct h2_call {
    struct h2_stream stream;
    struct h2_up *up;         // NULL: none, or it is gone
    struct exchange *x;
    struct list all;
    int error;                // negative errno: the stream was reset or the connection lost
    uint32_t code;            // of the peer's RST_STREAM
    bool refused;             // the peer says that it has done nothing with it (REFUSED_STREAM, GOAWAY)
    bool stopped;             // the peer wants no more of the request's body
    struct task *waiter;      // for the head, or bytes of the response
    struct task *room_waiter; // for room to send
    bool head_ready;
    int head_error;           // -EPROTO: it was refused (logged)
    struct chain in;          // of the response's body
    bool in_ended;
    struct head *trailers;
    struct h2_interim *interims, **interims_end; // in order
    size_t interim_bytes;     // of all interim heads, whether kept or not
};

// A connection to x->peer with room for a stream: q->up. `fresh`: a new one. *reused says which. 0, or the negative errno of
// connecting. Waits.
int h2_up_take(struct h2_call *q, struct exchange *x, bool fresh, bool *reused);
// The request leaves: a stream that has not ended is reset with that code. Harmless when it has none.
void h2_up_leave(struct h2_call *q, uint32_t code);
struct h2_session *h2_up_session(struct h2_up *up);
void h2_up_kick(struct h2_up *up);              // there is something to send
size_t h2_up_room(const struct h2_call *q);     // bytes of a body that may be framed now
// The parked connections of the calling loop go: at its end, outside of tasks.
void h2_ups_close(void);
