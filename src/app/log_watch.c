#include "app/log_watch.h"
#include "io/log.h"
#include <limits.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

// A removed file that is still open says IN_ATTRIB: one name less.
enum { EVENTS = IN_MOVE_SELF | IN_DELETE_SELF | IN_ATTRIB };

int log_watch_new(void) { return inotify_init1(IN_CLOEXEC | IN_NONBLOCK); }

// Pipes, terminals and what is no path at all do not go away.
static bool is_file(const char *path, struct stat *st) { return path[0] == '/' && stat(path, st) == 0 && S_ISREG(st->st_mode); }

static void watch(void *arg, struct log_file *f) {
    struct stat st;
    const char *path = log_file_path(f);
    if (is_file(path, &st))
        inotify_add_watch(*(const int *)arg, path, EVENTS); // the same file twice is one watch
}

void log_watch_all(int fd) {
    if (fd >= 0)
        log_files_each(watch, &fd);
}

bool log_watch_heard(int fd) {
    union {
        struct inotify_event event;
        char bytes[4096];
    } room;
    bool any = false;
    for (ssize_t n; (n = read(fd, room.bytes, sizeof room.bytes)) > 0;) {
        for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
            struct inotify_event e;
            memcpy(&e, room.bytes + at, sizeof e);
            at += (ssize_t)(sizeof e + e.len);
            if ((e.mask & EVENTS) != 0)
                any = true;
            if ((e.mask & IN_MOVE_SELF) != 0)
                inotify_rm_watch(fd, e.wd); // whoever has that name now is watched when it is opened
        }
    }
    return any;
}

static void look(void *arg, struct log_file *f) {
    struct stat named, written;
    const char *path = log_file_path(f);
    int fd = path[0] == '/' ? log_file_dup(f) : -1;
    if (fd < 0)
        return;
    bool file = fstat(fd, &written) == 0 && S_ISREG(written.st_mode);
    close(fd);
    bool same = stat(path, &named) == 0 && named.st_dev == written.st_dev && named.st_ino == written.st_ino;
    *(bool *)arg |= file && !same;
}

bool log_watch_strayed(void) {
    bool strayed = false;
    log_files_each(look, &strayed);
    return strayed;
}
