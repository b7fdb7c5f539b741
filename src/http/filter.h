// What body filters share: a body around the answer's body, whose bytes come as memory even where the inner one gives ranges of
// files.
//
//   r->out_body ─► filter ─inner─► what was r->out_body before
#pragma once
#include "http/req.h"

struct filter {
    struct body body;
    struct body *inner;  // owned
    struct chain files;  // read from inner and not yet handed on: begins with a range of a file
};

// Puts the filter around r->out_body (not NULL). ops->free must call filter_done; ops->ahead may be filter_ahead.
void filter_wrap(struct req *r, struct filter *f, const struct body_ops *ops);
// The same around any body; memory of the request.
void filter_init(struct filter *f, struct body *inner, const struct body_ops *ops, struct blocks *pool);
void filter_done(struct filter *f);
// body_read of the inner body, but what is appended lies in memory. Takes over its `flush`. Waits with BODY_WAIT.
ssize_t filter_pull(struct filter *f, struct chain *to, size_t room, enum body_wait wait);
void filter_ahead(struct body *b); // body_ops.ahead for bodies that begin with a struct filter

// Before filter_wrap: an answer that has no bytes gets an empty body. False: there is nothing to filter (204, 304). With HEAD
// r->out_body may be NULL all the same: what is said of the body holds, but there is none.
bool filter_prepare(struct req *r);
// The body will have other bytes than the handler said: no length, no ranges.
void filter_forget_length(struct req *r);
// A strong ETag becomes a weak one; one that is no valid ETag goes (nginx).
void filter_weaken_etag(struct req *r);
