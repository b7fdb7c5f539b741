// Requests that wait for a peer: the directive `queue`.
#pragma once
#include "upstream/group.h"

enum queue_end { QUEUE_FULL, QUEUE_TIMED_OUT, QUEUE_CANCELLED };

// Waits until a peer of the group may be asked, at most queue_timeout: the peer as of group_choose, or NULL and why. Waits.
struct peer *queue_wait(struct group *g, struct req *r, uint64_t *tried, enum queue_end *end);
// Others wait already: who comes now joins them.
bool queue_is_waiting(struct group *g);
