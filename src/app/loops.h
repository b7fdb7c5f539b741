// The event loops of a worker, each on a thread of its own: made, told what changes, retired, ended. Called by the worker's
// first thread, which runs no loop.
#pragma once
#include "feature/core/main.h"
#include "http/conn.h"

enum { LOOP_THREADS_MAX = 512 };

struct loop_thread;

struct listeners {
    struct listener **at;
    unsigned count;
};

struct loops {
    struct http_service *service;
    struct listeners listeners;    // that serve
    struct loop_thread *threads[LOOP_THREADS_MAX]; // by the loop's number; NULL: none
    struct loop **serving;         // those that get new connections: shared with all loops
    unsigned count;                // of them
    unsigned limit;                // worker_connections
    bool stopping;
    int changed_fd;                // readable when a loop has ended
    pthread_mutex_t lock;          // guards what follows and the threads' states
    pthread_cond_t changed;
    unsigned living;               // threads that have not been joined
    unsigned running;              // of them, whose loops run
    unsigned unheard;              // loops that have not yet done what they were told
    bool taken_apart;              // stopping, and all may free their loops
};

unsigned loops_wanted(const struct conf *c); // worker_processes, auto resolved
void loops_init(struct loops *l, struct http_service *service);
void loops_done(struct loops *l); // after loops_finish
// So many loops serve with this limit and these further listeners (taken over): when it returns all loops do so. Loops above
// the number retire: they accept nothing more and end with their last connection. False: a thread could not be made (logged);
// then those that are there serve.
bool loops_serve(struct loops *l, const struct conf *c, const struct listeners *more);
// Takes listeners out of service and frees them; what waits in their queues is accepted first.
void loops_drop(struct loops *l, const struct listeners *gone);
// After http_service_swap: idle connections move to the new snapshot.
void loops_refresh(struct loops *l);
// Connections that still hold this snapshot or an older one are ended: their number.
unsigned loops_close_older(struct loops *l, uint64_t generation);
// Joins retired loops that have ended.
void loops_reap(struct loops *l);
// Before loops_stop: from now on answers are the last of their connections.
void loops_wind_down(struct loops *l);
// Graceful: nothing is accepted any more, idle connections close, each loop ends with its last connection.
void loops_stop(struct loops *l);
bool loops_ended(struct loops *l);
// After loops_stop when all have ended, and helpers too: takes the loops apart and joins the threads.
void loops_finish(struct loops *l);
// For an end without mercy: the loops hand their lines of logs over and stand still for good. Waits for them for a moment only.
void loops_halt(struct loops *l);
// Asks every loop for a sign of life, without waiting for it. True when all have answered the question before.
bool loops_alive(struct loops *l);
