// A request made small. While its connection is a tunnel, perhaps for a day, nobody needs its head, its fields or its state of
// features: what its log lines will ask is evaluated once and kept in one allocation, the rest is freed. At the end the
// request is made again from that, for the hooks of the log stage.
#pragma once
#include "http/req.h"

struct kept;

// Frees r and returns what is kept of it. NULL, and r stays as it is, when some hook of the log stage has not said which
// variables it asks for (plan_add_log). Must not be called while r holds bodies or tasks. Does not wait.
struct kept *req_keep(struct req *r);
// Makes the request again on its connection and with its snapshot (both outlive it): variables that hooks of the log stage ask for, what the error log says, times
// and counters. Whoever counted on updates r->body_bytes_out and the like. Frees `k`.
struct req *kept_revive(struct kept *k, struct conn *c, struct conf *conf);
void kept_free(struct kept *k); // without a log line: the loop ends. NULL does nothing
size_t kept_memory(const struct kept *k); // bytes, for tests and status
