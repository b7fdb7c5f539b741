// A temp file that gets a name: whole, or not at all.
#include "io/file.h"
#include "io/inbox.h"
#include "io/reach.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <unistd.h>

enum { COPY_STEP = 1 << 20, NAME_TRIES = 100 };

struct keep_work {
    int fd;
    const char *path;
    unsigned mode;
    int64_t mtime_s;
};

// The directories above the path, each as open to others as the file, as nginx makes them.
static int make_directories(char *path, unsigned mode) {
    mode |= (mode & 0444) >> 2;
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        int err = reach_mkdir(path, mode) != 0 && errno != EEXIST ? -errno : 0;
        *at = '/';
        if (err != 0)
            return err;
    }
    return 0;
}

// Another file system, or one without O_TMPFILE.
static int copy(int from, int to) {
    off_t at = 0;
    for (;;) {
        ssize_t n = sendfile(to, from, &at, COPY_STEP);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}

static int copy_to(int fd, const char *name) {
    int to = reach_open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0)
        return -errno;
    int err = copy(fd, to);
    if (close(to) != 0 && err == 0)
        err = -errno;
    if (err != 0)
        reach_unlink(name);
    return err;
}

// The file under a name that nobody has, beside the path.
static int name_it(const struct keep_work *w, char *name, size_t size) {
    for (unsigned i = 0; i < NAME_TRIES; i++) {
        snprintf(name, size, "%s.%08x", w->path, (unsigned)getpid() * 2654435761u + (unsigned)w->fd * NAME_TRIES + i);
        if (reach_link(w->fd, name) == 0)
            return 0;
        if (errno == EEXIST)
            continue;
        int err = copy_to(w->fd, name);
        if (err != -EEXIST)
            return err;
    }
    return -EEXIST;
}

static int keep_do(void *arg) {
    const struct keep_work *w = arg;
    char name[4096];
    if (strlen(w->path) + 16 > sizeof(name))
        return -ENAMETOOLONG;
    memcpy(name, w->path, strlen(w->path) + 1);
    int err = make_directories(name, w->mode | 0700);
    if (err == 0)
        err = name_it(w, name, sizeof(name));
    if (err != 0)
        return err;
    struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = w->mtime_s, .tv_nsec = w->mtime_s < 0 ? UTIME_NOW : 0}};
    if (chmod(name, w->mode) != 0 || utimensat(AT_FDCWD, name, times, 0) != 0 || reach_rename(name, w->path) != 0) {
        err = -errno;
        reach_unlink(name);
    }
    return err;
}

int temp_file_keep(struct file_ref *f, const char *path, unsigned mode, int64_t mtime_s) {
    struct keep_work w = {f->fd, path, mode, mtime_s};
    return helper_run(keep_do, &w);
}
