// What stands outside of all blocks, and events { }: how the processes run. Read by app/.
#pragma once
#include "conf/conf.h"

enum { WORKERS_AUTO = 0 };

struct events_conf {
    int64_t worker_connections; // client connections of all loops together
    bool multi_accept, accept_mutex; // accepted
    uint64_t accept_mutex_delay;
    struct conf_list debug_clients; // struct cidr
};

struct main_conf {
    struct str user, group;      // NUL-terminated; empty: as started
    uint32_t uid, gid;           // of them, looked up while loading
    bool user_given;
    int64_t worker_processes;    // event loops; WORKERS_AUTO: one for each core
    bool daemon, master_process, pcre_jit;
    struct str pid;              // NUL-terminated, absolute
    struct str lock_file, working_directory; // the latter NUL-terminated; empty: none
    int64_t worker_rlimit_nofile; // 0: as it is
    uint64_t worker_rlimit_core;  // when core_limited
    bool core_limited;
    int64_t worker_priority;
    struct conf_list cpu_masks;   // uint64_t for each loop, the last for the rest
    bool cpu_auto;
    uint64_t cpu_auto_mask;       // 0: all
    uint64_t timer_resolution, worker_shutdown_timeout; // ms; the latter 0: none
    struct conf_list env;         // struct str, "NAME" or "NAME=value"
    struct events_conf *events;   // of the events block, or the defaults
};

extern struct feature feature_main, feature_events;

static inline const struct main_conf *main_conf(const struct conf *c) { return scope_conf(c->root, &feature_main); }
static inline const struct events_conf *events_conf(const struct conf *c) {
    const struct main_conf *m = main_conf(c);
    return m->events != NULL ? m->events : (const struct events_conf *)scope_conf(c->root, &feature_events);
}
