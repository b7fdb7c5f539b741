// A subrequest: a request that a request of a client makes of this server. It goes through the plans of its own URI like any
// other (from the server's rewrites on, but without the access stage, as in nginx), and what it yields is not sent: its head is
// in sr->out, its body is pulled by whoever asked.
//
//   main ──┬── subrequest ── subrequest     parent: who asked; main: the client's request
//          └── subrequest
//
// It sees the client's request: its header fields, $request_uri, $request_method, $request_body. Its URI, method, location,
// answer and the state of its features are its own. Variables that were asked or set once are shared with the client's request
// (nginx): so the memory of a subrequest stays until that one ends, unless it has values of its own.
//
// It runs in the caller's task, or in one of its own, beside others. When its client goes away, whoever waits for it is
// cancelled, and freeing it cancels its task.
#pragma once
#include "http/req.h"

enum {
    SUBREQUEST_DEPTH_MAX = 50,       // nginx
    SUBREQUESTS_MAX = 64535,         // of one request of a client (nginx)
    SUBREQUESTS_PARALLEL_MAX = 64,   // of one request of a client that have tasks; further ones wait until they are pulled
};

struct subrequest_opts {
    struct str uri, args;   // normalised; uri may be "@name"
    enum method method;     // METHOD_UNKNOWN with no text: GET
    struct str method_text;
    bool body;              // its body is the client's, which was buffered before (req_buffer_body); else it has none
    bool own_values;        // variables are copied, not shared: its memory is freed with it
    bool clone;             // asks the parent's location again, from its content on; uri and args are the parent's, and what
                            // comes back is as the handler gave it, without response hooks
};

// NULL when a limit is met; logged in nginx's words.
struct req *subrequest_new(struct req *parent, const struct subrequest_opts *o);
// In the calling task. Afterwards sr->outcome is OUTCOME_ANSWER (sr->out, sr->out_body may be read), or OUTCOME_CLOSE with the
// status in sr->out.status: 499 when the client has gone. Waits.
void subrequest_run(struct req *sr);
// Begins to run it in a task of its own. What its answer's body will be can be pulled, and owns sr: freeing that body frees it.
// A subrequest that ends without an answer makes a body that fails.
struct body *subrequest_start(struct req *sr);
// The same for a body from subrequest_start: waits until the head is known. 0, or -ECANCELED.
int subrequest_wait(struct req *sr);
// Runs it beside the client's request, drops its answer, and frees it. The client's request does not end before.
void subrequest_background(struct req *sr);
// Writes its log line (log_subrequest) and frees what it holds. Cancels its task. Waits for that, shielded. NULL does nothing.
void subrequest_free(struct req *sr);

// For req.c: ends what is left of the subrequests of a client's request. Waits for background ones.
void subrequests_end(struct req *main);
