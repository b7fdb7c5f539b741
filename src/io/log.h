// Log targets: the error log in nginx's format, and the writer behind it and behind access logs, which never stalls a loop.
#pragma once
#include "base/sbuf.h"
#include "io/loop.h"

// --- the writer: files by name, shared by everybody who names the same path ------------------------------------------

struct log_file; // one open file, "stderr", or a syslog socket later. Opened by name; USR1 opens it anew.
// Opened (append, 0644) or found. NULL with *err = -errno. Before threads start, or from the reload task.
struct log_file *log_file_open(const char *path, int *err);
// A descriptor handed over by the supervisor for a path that the worker may not open itself.
struct log_file *log_file_adopt(const char *path, int fd);
void log_file_unref(struct log_file *f);
// Appends lines from a loop (or any thread). They are in memory until the end of the turn, then go to a helper thread in one
// piece; order within a loop is kept, a line is never torn. When more than 1 MiB a loop waits unwritten, lines are dropped and
// counted, and one alert says so. buffer_size > 0: waits for that many bytes or flush_ms (access_log buffer= flush=).
void log_file_write(struct log_file *f, struct str lines, size_t buffer_size, uint64_t flush_ms);
void log_files_flush(void);  // everything, now, from the calling thread: at exit
void log_files_reopen(void); // USR1

// --- the error log -------------------------------------------------------------------------------------------------------

// nginx's levels; the numbers rise with verbosity.
enum log_level { LOG_STDERR, LOG_EMERG, LOG_ALERT, LOG_CRIT, LOG_ERR, LOG_WARN, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

struct log { // immutable; part of a snapshot
    enum log_level level;   // messages above it are dropped
    struct log_file *file;
    const struct log *next; // further targets
};

// What the running request adds to each line: "client: ..., server: ..., request: ..., upstream: ..., host: ...". Set for
// the running task and inherited by tasks that it makes; NULL outside of requests.
struct log_context {
    const struct log *log;
    uint64_t connection; // nginx's *N; 0: none
    void (*details)(const struct log_context *c, struct sbuf *line); // appends ", client: ..." and so on
};
void log_set_context(const struct log_context *c); // of the running task
const struct log_context *log_context(void);
// The log where there is no request: the worker's or supervisor's own. Any thread.
void log_set_default(const struct log *log);

bool log_wants(enum log_level level); // for the running task, cheap
// One line in nginx's format, byte for byte: "2026/11/23 07:00:00 [error] pid#tid: *cid message (errno: text), client: ...".
// err: 0, or errno (positive) for "(2: No such file or directory)". Never waits. Before a log is open, to stderr as
// "nginx: [emerg] message".
void log_msg(enum log_level level, int err, const char *fmt, ...) PRINTF_LIKE(3, 4);
struct str log_level_name(enum log_level level); // "emerg"
bool log_level_from(struct str name, enum log_level *level);
