// What the files of the exchange share: the choice of peers and retries (exchange.c), one try (exchange_try.c), the request
// on its way (exchange_send.c).
#pragma once
#include "upstream/exchange.h"

// How a try ended.
enum try_end { TRY_ANSWERED, TRY_FAILED, TRY_STOPPED };

struct try_result {
    enum try_end end;
    unsigned why;    // TRY_FAILED: one bit of enum next_upstream
    unsigned status; // FAILED: what the client gets when this was the last try; STOPPED: what it gets
    bool dead_reuse; // FAILED: an idle connection proved dead before it gave a byte, and repeating is safe
};

// Connects (or takes an idle link, unless `fresh`), sends, and reads the head. Logs failures. Afterwards x->link is set only
// when ANSWERED. Waits.
struct try_result exchange_try(struct exchange *x, bool fresh);
// exchange_tls.c: TLS on the fresh x->link. 0, -ECANCELED, or one of these, logged; then x->link is gone. Waits.
enum { TRY_TLS_FAILED = -10001, TRY_TLS_LATE = -10002 };
int exchange_secure(struct exchange *x);
static inline struct attempt *exchange_attempt(struct exchange *x) { return &x->attempts[x->nattempts - 1]; }

// Gets the request's body ready for the first try: 0, or the status to answer. Waits.
unsigned send_prepare(struct exchange *x);
// The body for a new try.
void send_begin(struct exchange *x);
// Sends head and body and awaits the head of the response. 0, or -errno: x->body_error != 0 says that the client's body
// failed, x->send_error what the link said. Waits.
int send_and_await(struct exchange *x);
// For protocols with `ask`. One piece of the body, framed, to the end of x->out: >0, 0 at the end, or the error, which is kept.
ssize_t send_pull(struct exchange *x, size_t room, enum body_wait wait);
void send_finished(struct exchange *x); // all of the request is out
// Makes x->link, a new connection to x->peer: 0 or -errno. Waits.
int exchange_connect(struct exchange *x);
void send_end(struct exchange *x); // ends the sender; what was not sent is dropped. Waits for the task, shortly.

// The request over an idle link of which little was known has ended.
static inline void exchange_end_canary(struct exchange *x, bool well) {
    if (UNLIKELY(x->canary))
        pool_canary_done(x->peer, well && x->reused);
    x->canary = false;
}

// Ends the sender and the link without keeping it, and notes the attempt's counters.
void exchange_drop_link(struct exchange *x);
