// Opening what a log directive names.
#include "feature/log/log_open.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void release(void *file) { log_file_unref(file); }

// 0, or the errno that opening would give.
static int may_open(struct conf_cx *cx, struct str path) {
    if (path.p[0] != '/' || str_eq(path, STR("/dev/stdout")) || str_eq(path, STR("/dev/stderr"))) // no file
        return 0;
    struct stat st;
    if (stat(path.p, &st) == 0 && S_ISDIR(st.st_mode))
        return EISDIR;
    if (faccessat(AT_FDCWD, path.p, W_OK, AT_EACCESS) == 0)
        return 0;
    if (errno != ENOENT)
        return errno;
    struct str dir = arena_dup(cx->arena, str_head(path, (size_t)str_rchr(path, '/') + 1));
    return faccessat(AT_FDCWD, dir.n != 0 ? dir.p : ".", W_OK | X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

bool log_open(struct conf_cx *cx, struct str path, struct log_file **file) {
    int err = 0;
    *file = NULL;
    if (cx->test)
        err = -may_open(cx, path);
    else
        *file = log_file_open(path.p, &err);
    if (*file != NULL)
        arena_cleanup(cx->arena, release, *file);
    if (*file != NULL || (cx->test && err == 0))
        return true;
    // nginx opens files when it has read the whole text and names no line.
    char room[128];
    return conf_err(cx, NULL, "open() \"" STR_FMT "\" failed (%d: %s)", STR_ARG(path), -err,
                    strerror_r(-err, room, sizeof room));
}
