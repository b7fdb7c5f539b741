// The process that opens for a confined worker what its configuration names and the kernel's confinement cannot know
// (io/reach.h). The supervisor starts it when the worker asks, with the worker's user. It ends with the worker, and when
// another configuration is in force.
#pragma once
#include "app/worker.h"
#include "conf/conf.h"
#include "io/reach.h"

// The places of a configuration and of another, which may be NULL, in memory of the caller; their paths are the configuration's.
struct reach_place *opener_places(const struct conf *c, const struct conf *other, size_t *count);
// Starts one for this worker: an end of the channel to it, the caller's, or -1 after an [alert]. next: what the worker is
// about to take, or NULL.
int opener_start(const struct conf *c, const struct conf *next, const struct worker_opts *o);
