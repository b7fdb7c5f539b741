// Log targets: the error log in nginx's format, and the writer behind it and behind access logs, which never stalls a loop.
#pragma once
#include "base/sbuf.h"
#include "io/loop.h"
#include "wire/addr.h"

// --- the writer: files by name, shared by everybody who names the same path ------------------------------------------

// One open target: a file, FIFO or terminal by its path; "stderr"; "memory:BYTES", a ring for debuggers; or a name that
// log_syslog_name made. USR1 opens it anew.
struct log_file;
// Opened (append, 0644; a FIFO without waiting for its reader) or found. NULL with *err = -errno. From any thread. The
// process must ignore SIGPIPE.
struct log_file *log_file_open(const char *path, int *err);
// A descriptor (taken over) handed over by the supervisor for a path that the worker may not open itself. When the path is
// open already, the descriptor takes the place of its old one: so the supervisor reopens. log_files_reopen leaves it alone.
struct log_file *log_file_adopt(const char *path, int fd);
// What is written from now on is compressed by zlib at that level (1..9); a write makes a gzip member. For files that nobody has
// written to yet; further calls do nothing.
void log_file_set_gzip(struct log_file *f, int level);
// Opens one path anew, like log_files_reopen. On a loop it opens the file at once: for paths that are local files.
void log_file_reopen(struct log_file *f);
// A copy of the descriptor that is written to now, close-on-exec, the caller's: for handing it to another process, and for
// last words. -1 for "stderr".
int log_file_dup(struct log_file *f) MUST_USE;
// fn(arg, file) for all files that are open, from any thread; fn may not open or close any.
void log_files_each(void (*fn)(void *arg, struct log_file *f), void *arg);
struct log_file *log_file_ref(struct log_file *f);
void log_file_unref(struct log_file *f); // what was written before still gets out
const char *log_file_path(const struct log_file *f);
// Appends whole lines, each ending in a newline. Never waits on a loop. They are in memory until the end of the turn, then
// go to a helper thread in one piece; a busy loop gathers for 5 ms, because waking a helper costs more than the lines do.
// Order within a loop is kept, a line is never torn. When more than 1 MiB of one loop and file waits unwritten, lines are
// dropped and counted; one [error] line says so, and another how many when it is over.
// buffer_size > 0: waits for that many bytes or flush_ms (access_log buffer= flush=; 0: no limit of time); the loop's last
// call for the file decides. Threads without a loop write themselves, and may wait for a disk.
void log_file_write(struct log_file *f, struct str lines, size_t buffer_size, uint64_t flush_ms);
// The same, but the calling thread writes it at once, with all that the loop had for this file, if nobody else is writing
// to it; else it is the next to be written. May wait for a disk: for what must survive a crash.
void log_file_write_now(struct log_file *f, struct str lines);
// Writes from the calling thread what is in the queues, and what its own loop has: at exit. Other loops have ended by then, or
// handed over. What a target does not take at once (a full pipe) is lost.
void log_files_flush(void);
// On a loop: its lines, buffered ones too, go to the queues now. For a loop that will not come to the end of its turn.
void log_loop_hand_over(void);
// USR1, from any thread. Each path is opened anew first and then takes the old one's place: nothing is lost, and no line is
// in two halves. A path that cannot be opened is reported and its old descriptor stays.
void log_files_reopen(void);

// A datagram for each line to a syslog server. Numbers as in RFC 5424; severity -1: what each line of an error log says.
struct log_syslog_opts {
    struct addr_full server;
    int facility, severity;
    bool hostname;  // is part of the header
    struct str tag; // letters, digits, '_'; up to 32
};
struct str log_syslog_name(struct arena *a, const struct log_syslog_opts *o); // for log_file_open; NUL-terminated

// --- the error log -------------------------------------------------------------------------------------------------------

// nginx's levels; the numbers rise with verbosity.
enum log_level { LOG_STDERR, LOG_EMERG, LOG_ALERT, LOG_CRIT, LOG_ERR, LOG_WARN, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

struct log { // immutable; part of a snapshot
    enum log_level level;   // messages above it are dropped
    struct log_file *file;
    const struct log *next; // further targets, each with its own level
};

// What the running request adds to each line: "client: ..., server: ..., request: ..., upstream: ..., host: ...". Set for
// the running task and inherited by tasks that it makes; NULL outside of requests. A task that may outlive the request sets
// its own (or NULL) first.
struct log_context {
    const struct log *log;
    uint64_t connection; // nginx's *N; 0: none
    bool debug;          // all levels are wanted, by all targets (debug_connection)
    void (*details)(const struct log_context *c, struct sbuf *line); // appends ", client: ..." and so on; not to debug lines
};
void log_set_context(const struct log_context *c); // of the running task
const struct log_context *log_context(void);
// The log where there is no request: the worker's or supervisor's own. Any thread. `log` must outlive all that may still be
// logging to it (a snapshot that a loop still holds).
void log_set_default(const struct log *log);
bool log_has_default(void);

bool log_wants(enum log_level level); // for the running task, cheap
// One line in nginx's format, byte for byte: "2026/11/23 07:00:00 [error] pid#tid: *cid message (errno: text), client: ...".
// err: 0, or errno (positive) for "(2: No such file or directory)". At most LOG_LINE_MAX bytes with the newline; control
// bytes in what came from outside become \xHH. On a loop it never waits, except that emerg, alert and crit are written at
// once. [alert] is for our own bugs only. Where no log is open, to stderr as "nginx: [emerg] message", from notice up.
enum { LOG_LINE_MAX = 2048 };
void log_msg(enum log_level level, int err, const char *fmt, ...) PRINTF_LIKE(3, 4);
struct str log_level_name(enum log_level level); // "emerg"
bool log_level_from(struct str name, enum log_level *level);
