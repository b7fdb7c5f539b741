// The inside of a worker process, shared by worker.c (its life) and worker_reload.c (its configurations).
#pragma once
#include "app/loops.h"
#include "app/worker.h"
#include "base/sbuf.h"

struct channel_message;

// A snapshot of before, which requests, streams or connections still hold.
struct old_conf {
    struct conf *conf;
    uint64_t since_ms, limit_ms; // worker_shutdown_timeout; UINT64_MAX: none
    struct old_conf *next;
};

struct worker {
    const struct worker_opts *o;
    struct conf *conf; // in force
    struct http_service *service;
    struct loops loops;
    // what the supervisor has told so far of the next configuration
    struct sbuf told_sockets; // struct socket each
    struct log_file **told_logs;
    unsigned ntold_logs;
    int pack_fd;
    bool channel_ended;
    // times of worker_now, UINT64_MAX: never
    uint64_t stop_listening_ms, stop_fast_ms; // of a graceful stop
    uint64_t drop_ms;                         // `dropping` go out of service
    uint64_t old_ms;                          // old snapshots are looked at
    uint64_t alive_ms;                        // the watchdog
    struct listeners dropping;
    struct old_conf *old;
    bool stopping;
};

uint64_t worker_now(void); // ms, monotonic
void worker_say(const struct worker *w, uint32_t kind, struct str text);
void worker_raise_limits(const struct main_conf *m);
void worker_crash_log(const struct worker *w); // last words go to the main error log as it is now

void worker_told(struct worker *w, struct channel_message *m); // by the supervisor
void worker_reload_alone(struct worker *w);
void worker_finish_drop(struct worker *w); // now, whatever the time
void worker_look_at_old(struct worker *w, uint64_t now);
void worker_forget_all(struct worker *w);  // at the end: references to snapshots
