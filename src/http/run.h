// Runs a request through its plans: server rewrite, routing, rewrite, limits, access, content, then the response hooks. The
// answer is then in r->out and r->out_body.
#pragma once
#include "http/req.h"

// From a request whose head was admitted and whose server is known. Afterwards r->outcome is OUTCOME_ANSWER or OUTCOME_CLOSE.
// Waits. Never fails.
void run_request(struct req *r);
// run_request, then codec->send, then the log stage. What codecs call for each request. Returns what send gave. Where
// run_taken_over(r, err) holds afterwards, the log stage is not run yet: the codec calls r->take_over, its last word.
int run_and_send(struct req *r);
static inline bool run_taken_over(const struct req *r, int err) {
    return UNLIKELY(r->take_over != NULL) && err == 0 && r->out.status == (r->tunnel_in != NULL ? 200 : 101) && r->outcome == OUTCOME_ANSWER;
}
// Writes the log stage only (requests that were refused before they had a plan run through).
void run_log(struct req *r);
