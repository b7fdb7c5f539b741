// A tape is a body written once and read by many: in memory up to a bound, then in a temp file. It alone gives response
// buffering, request buffering, replay for the next peer, mirroring. One loop.
//
//   writer ──► [ mem | mem | file range | file range | mem ] ──► reader 1
//                                     └──────────────────────► reader 2
//
// A tape that is not kept (`keep` false) forgets what all its readers have read, and has room again.
#pragma once
#include "http/body.h"

struct tape;

// Memory beyond `mem` that all tapes of the worker may share, so that middling bodies need no file: a counter of bytes.
struct tape_budget {
    int64_t left; // atomic
};

struct tape_limits {
    uint64_t mem;        // bytes in memory that are always allowed
    uint64_t extra;      // bytes more of this tape, while the budget lasts
    struct tape_budget *budget; // may be NULL
    uint64_t file;       // bytes in the temp file at most; 0: no file, the writer waits for readers instead
    size_t write_size;   // pieces written to the file at once
    const char *dir;     // of temp files; NUL-terminated, outlives the tape
    bool keep;           // bytes stay for further readers (request bodies)
    bool file_optional;  // when the file fails (a full disk), go on in memory and let the writer wait for the readers
};

struct tape *tape_new(const struct tape_limits *lim); // one reference
struct tape *tape_ref(struct tape *t);
void tape_unref(struct tape *t); // NULL does nothing; the last one closes the file. Does not wait.

// Takes the chain's bytes, always all of them. Waits for the file, and, when everything is full, until readers made room: 0,
// -ECANCELED (the tape goes on), -ENOSPC and other file errors, -EFBIG when a kept tape is full (then the tape has ended, and
// readers get that error after the bytes). One task writes at a time.
int tape_append(struct tape *t, struct chain *bytes);
bool tape_has_room(const struct tape *t); // an append of some bytes would not wait for readers
void tape_end(struct tape *t, int error); // no more will come: 0, or the negative errno that readers get after the bytes
// Reads `source` to its end into the tape and ends it. 0 or the error. Waits. Does not free the source.
int tape_fill(struct tape *t, struct body *source, size_t room);

uint64_t tape_length(const struct tape *t); // bytes written so far
bool tape_ended(const struct tape *t);
int tape_error(const struct tape *t);
size_t tape_memory(const struct tape *t);
uint64_t tape_file_bytes(const struct tape *t);
// All bytes contiguous when the tape is wholly in memory and ended ($request_body); false otherwise.
bool tape_text(const struct tape *t, struct arena *a, struct str *out);
// The temp file's descriptor path for $request_body_file ("" when in memory).
struct file_ref *tape_file(const struct tape *t);

// A body that reads the tape from its beginning (from what is still there, if not kept). Waits while the writer is slower.
// length is known once the tape has ended, or when `length` >= 0 is given. What lies in the file comes as file ranges.
struct body *tape_reader(struct tape *t, struct arena *a, int64_t length);

// Response buffering: a body that passes `source` through while its reader keeps up, and on body_ahead() starts a task that
// reads the source into a tape, so that the source (a back end) is set free early. Owns source.
struct body *tape_buffered(struct body *source, const struct tape_limits *lim, struct arena *a);
