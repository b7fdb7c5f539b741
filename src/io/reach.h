// The file system of a worker: calls as in section 2 of the manual, for paths that requests and their answers lead to.
//
// Landlock confines a worker to the places that its first configuration names, for good (app/privileges.h). What the kernel
// refuses there although the user may have it is not always wrong: a link in a site leads elsewhere, a directory was
// replaced, a later configuration names more. Then the opener is asked: a process with the worker's user and no confinement,
// which talks to nobody but the worker, judges by the name alone whether it lies in a place of the configuration in force, and hands over what
// it opened. A worker that was taken over can neither make links nor name other places.
//
//   worker: reach_open ─► open(2) ─EACCES─► channel ═══ opener: reach_serve ─► open(2)
//
// In a process that is not confined each is its system call. All threads; the opener is asked by one at a time. Blocks as its
// system call does; the first question after a configuration changed waits for the supervisor too.
#pragma once
#include "base/str.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/types.h>

// A path below which files are read, and written too. `stem`: it goes on within a name ("/srv/site-" of "/srv/site-$host").
struct reach_place {
    struct str path; // absolute, NUL-terminated
    bool writes, stem;
};

// Results and errno of open(2), openat(2), mkdirat(2), unlinkat(2), renameat(2), opendir(3).
int reach_open(const char *path, int flags, mode_t mode) MUST_USE;
int reach_openat(int dir, const char *name, int flags, mode_t mode) MUST_USE;
int reach_mkdirat(int dir, const char *name, mode_t mode);
int reach_unlinkat(int dir, const char *name, int flags);
int reach_rename(const char *from, const char *to);
int reach_link(int fd, const char *to); // gives a name to an open file that has none
DIR *reach_opendir(const char *path);
static inline int reach_unlink(const char *path) { return reach_unlinkat(AT_FDCWD, path, 0); }
static inline int reach_mkdir(const char *path, mode_t mode) { return reach_mkdirat(AT_FDCWD, path, mode); }

// In a confined worker, before it makes threads: `opener` gives a channel to a new opener, the caller's; -1: there is none.
void reach_through(int (*opener)(void));
bool reach_is_confined(void);
void reach_renew(void); // the configuration has changed: the opener of before is let go

// The opener's life: answers until the other end is gone.
void reach_serve(int channel, const struct reach_place *places, size_t count);
// Whether a path lies in one of the places. real: it has no links, and the places' own are followed.
bool reach_allows(const struct reach_place *places, size_t count, struct str path, bool writes, bool real);
