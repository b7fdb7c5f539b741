// The work of a snapshot that goes on beside requests: `start` and `stop` of features, on the first loop of the worker.
#pragma once
#include "conf/conf.h"
#include "io/loop.h"

struct http_service;

// On the first loop: the snapshot that is in force now takes the place of the one before; nothing runs when the loop stops.
struct background {
    struct loop *loop; // the first; NULL before it runs
    struct conf *running; // counted
    bool stopped;
};
void background_follow(struct background *b, struct http_service *s); // on b->loop, outside of tasks
void background_stop(struct background *b);
// From any thread, after the service has another snapshot.
void background_changed(struct background *b, struct http_service *s);
