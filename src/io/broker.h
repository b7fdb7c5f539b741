// Files that a configuration names, read with the privilege of the supervisor.
//
// The supervisor reads the configuration first and keeps what it was given: texts, lists of names, errors. This pack goes to
// the worker, whose own reading then finds everything there. So the worker gets exactly the files that the configuration
// names, in the state in which the supervisor judged them, and may read none of them itself.
//
//   supervisor: broker_record ─► conf_load ─► broker_pack ═══ memfd ═══► worker: broker_replay ─► conf_load ─► broker_end
//
// For what is read while a configuration is loaded (its text, includes, certificates, keys), on the thread that loads: what
// is recorded or replayed is a thread's own. With neither (-t, tests) it is a plain read.
//
// Later, when such a file has changed, the worker may ask for it: any thread, over a channel of its own. The supervisor opens
// what its own reading of the configuration in force named, and nothing else.
#pragma once
#include "base/arena.h"
#include <sys/stat.h>

// The whole file, NUL-terminated behind its end: 0, or a positive errno (EFBIG above max bytes).
int broker_read(const char *path, struct arena *a, size_t max, struct str *text) MUST_USE;
// Paths that match a pattern, in byte order: 0 or a positive errno.
int broker_glob(const char *pattern, struct arena *a, struct str **paths, size_t *count) MUST_USE;

// What else was asked of the system (addresses of a name, a user's number), as bytes: recall is true when the supervisor's
// reading has told it, with a value that lives in the arena; tell keeps it while recording.
bool broker_recall(struct str what, struct arena *a, struct str *value) MUST_USE;
void broker_tell(struct str what, struct str value);

// Opens a file that the configuration names for reading: a descriptor, or -1 and errno, as open(2). What was recorded comes from the
// pack, what this process may not read from the supervisor, which may take seconds. `st`: as fstat(2) of the file, where the
// descriptor is only a copy too; or NULL.
int broker_open(const char *path, struct stat *st) MUST_USE;
// Tells a recording of a file that was opened otherwise.
void broker_note(const char *path);

void broker_record(void);
int broker_pack(void);        // ends recording: a descriptor of the pack (the caller's), or -errno
bool broker_replay(int fd);   // takes the pack (and closes it); false: errno
void broker_end(void);        // ends either; harmless else

// The supervisor's list: files of what was recorded last become those that may be asked for. After broker_pack or broker_end.
void broker_accept(void);
// A worker's question on `channel`: answers it. False: the other end is gone. `opener` makes the end of a channel to a new
// opener (io/reach.h), which is handed over and closed; -1: it cannot.
bool broker_serve(int channel, int (*opener)(void *arg), void *arg) MUST_USE;
int broker_ask_opener(void); // such an end, the caller's, or -1. Any thread of a worker
void broker_ask_on(int channel); // the worker's end, before it makes threads; -1: nobody is asked
