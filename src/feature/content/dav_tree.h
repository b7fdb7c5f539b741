// Whole files and directories, made, copied, moved and removed for dav_methods. Everything here blocks: for helper threads. Not
// here: HTTP.
#pragma once
#include "base/base.h"
#include <sys/types.h>

struct dav_tree {
    const char *from, *to; // NUL-terminated, without a slash at the end
    mode_t file_mode, dir_mode;
    bool make_parents, overwrite, shallow; // shallow: of a directory only itself
    const char *failed; // the call that did
};
// 0 or -errno. A directory is removed with all that is in it; links are removed, not followed.
int dav_remove(struct dav_tree *t);   // from
int dav_mkdir(struct dav_tree *t);    // to
int dav_copy(struct dav_tree *t);     // from -> to; what `to` was before is gone only when that succeeded
int dav_move(struct dav_tree *t);     // the same; by rename where the file system can
// A new file beside `to`, and its name in temp[PATH_MAX]: the descriptor or -errno.
int dav_put_open(struct dav_tree *t, char *temp);
// Gives it its mode, its time (-1: now) and the name `to`, whatever was there.
int dav_put_end(struct dav_tree *t, int fd, const char *temp, int64_t mtime);
