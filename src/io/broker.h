// Files that a configuration names, read with the privilege of the supervisor.
//
// The supervisor reads the configuration first and keeps what it was given: texts, lists of names, errors. This pack goes to
// the worker, whose own reading then finds everything there. So the worker gets exactly the files that the configuration
// names, in the state in which the supervisor judged them, and may read none of them itself.
//
//   supervisor: broker_record ─► conf_load ─► broker_pack ═══ memfd ═══► worker: broker_replay ─► conf_load ─► broker_end
//
// For what is read while a configuration is loaded (its text, includes, certificates, keys), on the thread that loads. With
// neither recording nor replaying (the first start, -t, tests) it is a plain read. One thread at a time.
#pragma once
#include "base/arena.h"

// The whole file, NUL-terminated behind its end: 0, or a positive errno (EFBIG above max bytes).
int broker_read(const char *path, struct arena *a, size_t max, struct str *text) MUST_USE;
// Paths that match a pattern, in byte order: 0 or a positive errno.
int broker_glob(const char *pattern, struct arena *a, struct str **paths, size_t *count) MUST_USE;

void broker_record(void);
int broker_pack(void);        // ends recording: a descriptor of the pack (the caller's), or -errno
bool broker_replay(int fd);   // takes the pack (and closes it); false: errno
void broker_end(void);        // ends either; harmless else
