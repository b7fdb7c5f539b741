// The inside of the supervisor: supervisor.c (its life and its worker), supervisor_reload.c (configurations), upgrade.c (new
// binaries).
#pragma once
#include "app/supervisor.h"
#include "app/worker.h"
#include "feature/core/main.h"
#include <signal.h>

struct supervisor {
    struct conf *conf; // in force
    const struct main_conf *m;
    const struct options *options;
    struct str text;
    char **argv;
    struct sockets sockets;
    struct worker_opts opts;
    sigset_t before; // signal mask that we were started with
    pid_t worker;    // 0: none
    int channel;     // to it, -1
    int ask_channel; // on which it asks for files, -1
    uint64_t started_ms, restart_ms; // when a dead worker is replaced; UINT64_MAX: not
    unsigned backoff_ms;
    bool stopping;
    bool not_accepting; // WINCH: no worker until HUP
    uint64_t kill_ms;   // a worker that does not end on TERM is killed; UINT64_MAX: none was sent
    int log_watch;      // log_watch.h
    uint64_t logs_ms;   // when the logs are looked at; UINT64_MAX: nothing has happened to them
    // upgrade
    pid_t new_binary;   // 0: none
    pid_t old_binary;   // who started us with its sockets; 0: nobody
    bool upgrade_waits; // USR2 came within a reload
    // the configuration that the worker is to take
    struct conf *next;  // NULL: none
    struct sockets next_sockets;
    pid_t asked_by;     // that sent HUP
    uint64_t give_up_ms;
    bool again;         // and HUP came meanwhile
    pid_t again_by;
};

uint64_t supervisor_now(void); // ms, monotonic
bool supervisor_start_worker(struct supervisor *s);
bool supervisor_shares_sockets(const struct supervisor *s); // an older or newer binary listens on them too

// HUP. The result comes by supervisor_reload_end, at once or when the worker has answered.
void supervisor_reload(struct supervisor *s, pid_t asked_by);
void supervisor_reload_end(struct supervisor *s, bool taken, struct str why);
void supervisor_reopen_logs(struct supervisor *s);

// USR2; within a reload, when that is over.
void supervisor_change_binary(struct supervisor *s);
// Where the binary is, must be asked before anything is replaced: upgrade_remember.
void upgrade_remember(char **argv);
void upgrade_start(struct supervisor *s);
void upgrade_ended(struct supervisor *s, int status); // the new binary's process is gone
