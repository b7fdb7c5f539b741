// Files for serving and storing. Everything that may block on a disk runs on a helper thread, except what is known to be
// in the page cache or short.
#pragma once
#include "base/chain.h"
#include "io/loop.h"
#include <sys/stat.h>
#include <sys/uio.h>

struct file_info {
    bool is_dir, is_file, is_exec;
    off_t size;
    int64_t mtime_s;
    uint64_t inode, device;
};

// Opens for reading, never a FIFO's wait (O_NONBLOCK). A counted file, or NULL with *err = -errno. `path` is
// NUL-terminated. Runs in the loop: opening local files does not block in practice (nginx does the same).
struct file_ref *file_open(const char *path, struct file_info *info, int *err);
int file_stat(const char *path, struct file_info *info); // 0 or -errno
// The same with symbolic links refused in what follows the first `trusted` bytes of the path (which end a name): all of them,
// or, with only_foreign, those whose owner is not that of what they point at. -ELOOP for the last name, -ENOTDIR for others,
// as the kernel has it.
struct file_ref *file_open_unlinked(const char *path, size_t trusted, bool only_foreign, struct file_info *info, int *err);
int file_stat_unlinked(const char *path, size_t trusted, bool only_foreign, struct file_info *info);
// Reads n bytes at off into a block of the loop, appended to `to`: the count, 0 at the end, -errno. Waits when the bytes are
// not in the page cache (preadv2 RWF_NOWAIT first, then a helper thread).
ssize_t file_read(struct file_ref *f, off_t off, size_t n, struct chain *to);
// Brings n bytes at off into the page cache, on a helper thread, unless they seem to be there: so that a sendfile does not
// stall the loop. 0, or -EAGAIN when they are not and wait is false. Waits.
int file_warm(struct file_ref *f, off_t off, size_t n, bool wait);

// The same from the page cache only: -EAGAIN when that may not have them. Does not wait.
ssize_t file_try_read(struct file_ref *f, off_t off, size_t n, struct chain *to);

// All of iov, which is used up, at off: 0 or -errno. Blocks: for helper threads.
int file_write_all(int fd, struct iovec *iov, int count, off_t off);

// A file without a name below a directory, for reading and writing by its owner: a descriptor or -errno.
int file_nameless(const char *dir);
// A temp file: unlinked at once where the system can (O_TMPFILE), gone with the last reference.
struct file_ref *temp_file_new(const char *dir, int *err);
// Writes the chain's memory to the file at off: 0 or -errno; the chain is not changed. Waits (helper thread). A write at 0
// begins the file anew: sockets may still hold its pages from a sendfile, and those must not change under them.
int temp_file_write(struct file_ref *f, off_t off, const struct chain *bytes);
// Gives the temp file a name: what is at `path` is replaced at once, missing directories are made. mode: permission bits;
// mtime_s -1: now. 0 or -errno. Waits (helper thread).
int temp_file_keep(struct file_ref *f, const char *path, unsigned mode, int64_t mtime_s);
