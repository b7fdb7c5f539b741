// When a peer closes idle connections, learnt from what was seen. Private to upstream/. Any thread: atomics of a peer_state, each
// meaningful by itself; updates that race lose one observation of many.
//
// Two closes at about the same age, of a second or more, are a time-out: links retire a little before it. A close at any age says
// that requests which could not be repeated must not use a link of that age or an older one, until many links live beyond it: a
// busy back end is late with what it closes, so that some that live on prove little. And while nothing is known of a peer at all,
// one such request at a time goes over an idle link (a canary), until some were answered, or the peer was seen to keep a link for
// a while, or says that it does: so at most one is lost before anything is learnt.
#pragma once
#include "upstream/group.h"

void learn_closed(struct peer_state *ps, uint64_t idle_ms, uint64_t now); // the peer closed a link that had been idle for so long
void learn_kept(struct peer_state *ps, uint64_t idle_ms);                 // it is known to keep one for so long
// Whether a request that could not be repeated may use a link, still alive, of that age. *survivor belongs to the link, and is
// false when it is put into the pool. *canary is set when the request is the one that may try: learn_canary_done when it has
// ended.
bool learn_safe(struct peer_state *ps, uint64_t idle_ms, uint64_t now, bool *survivor, bool *canary);
void learn_canary_done(struct peer_state *ps, bool well); // well: answered
bool learn_may_close(struct peer_state *ps); // see pool_may_close
uint64_t learn_retire_after(struct peer_state *ps, uint64_t now); // UINT64_MAX: nothing is known
