// How fast a server answers, for least_time and random two least_time.
#pragma once
#include "upstream/group.h"

struct least_time {
    bool last_byte; // the time to the end of the response; else to its head
    bool inflight;  // requests in progress count with the time that they have taken so far
};
// "header", "last_byte"; others: false.
bool least_time_parse(struct least_time *t, struct str what);
// Smaller is better: the average time, for the requests in progress and this one, over the weight. Under the group's lock.
double least_time_score(const struct least_time *t, const struct peer *p, uint64_t now_ms);
