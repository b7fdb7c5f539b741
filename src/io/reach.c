// What a confined worker may not do itself, and the process that does it.
#include "io/reach.h"
#include "io/channel.h"
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/openat2.h>

enum deed { DO_OPEN = 1, DO_MKDIR, DO_UNLINK, DO_RENAME, DO_LINK };

// A question; behind it the path and, for DO_RENAME, the second one, each with its NUL.
struct question {
    uint32_t deed;
    int32_t flags;
    uint32_t mode;
    uint32_t real; // the path was made from a directory's descriptor: it has no links, and must have none
};

static struct {
    pthread_mutex_t lock;
    int (*opener)(void); // NULL: not confined; written before threads start
    int channel;
} reach = {.lock = PTHREAD_MUTEX_INITIALIZER, .channel = -1};

// --- the worker's side -----------------------------------------------------------------------------------------------------

static void hang_up(void) {
    if (reach.channel >= 0)
        close(reach.channel);
    reach.channel = -1;
}

void reach_through(int (*opener)(void)) { reach.opener = opener; }

bool reach_is_confined(void) { return reach.opener != NULL; }

void reach_renew(void) {
    pthread_mutex_lock(&reach.lock);
    hang_up();
    pthread_mutex_unlock(&reach.lock);
}

// Under the lock. False: nobody answers.
static bool exchange_once(struct str asked, int fd, struct channel_message *m) {
    if (reach.channel < 0)
        reach.channel = reach.opener();
    if (reach.channel >= 0 && channel_send(reach.channel, 0, asked, fd) == 0 && channel_receive(reach.channel, m, true) == 1)
        return true;
    hang_up();
    return false;
}

// The descriptor that was asked for, else 0; -1 and errno. `before` is the errno when there is no opener.
static int ask(struct question q, const char *path, const char *other, int fd, int before) {
    size_t n = strlen(path) + 1, more = other != NULL ? strlen(other) + 1 : 0;
    if (path[0] != '/' || sizeof q + n + more > CHANNEL_BYTES) {
        errno = before;
        return -1;
    }
    struct channel_message *m = malloc(sizeof *m);
    if (m == NULL) {
        errno = before;
        return -1;
    }
    memcpy(m->bytes, &q, sizeof q);
    memcpy(m->bytes + sizeof q, path, n);
    if (more != 0)
        memcpy(m->bytes + sizeof q + n, other, more);
    struct str asked = {m->bytes, sizeof q + n + more};
    pthread_mutex_lock(&reach.lock);
    // One that died is replaced. The answer overwrites the question only when there is one.
    bool ok = exchange_once(asked, fd, m) || exchange_once(asked, fd, m);
    pthread_mutex_unlock(&reach.lock);
    int err = ok ? (int)m->kind : before, got = ok ? m->fd : -1;
    free(m);
    if (err == 0 && q.deed == DO_OPEN && got < 0)
        err = EMFILE; // it was sent, and could not be received
    errno = err;
    return err != 0 ? -1 : q.deed == DO_OPEN ? got : 0;
}

// The whole path of a name below a directory. False: too long.
static bool path_of(int dir, const char *name, char path[PATH_MAX], uint32_t *real) {
    size_t n = 0;
    *real = dir != AT_FDCWD && name[0] != '/';
    if (*real) {
        char own[64];
        snprintf(own, sizeof own, "/proc/self/fd/%d", dir);
        ssize_t got = readlink(own, path, PATH_MAX - 1);
        if (got <= 0 || path[0] != '/')
            return false;
        n = (size_t)got;
        path[n++] = '/';
    }
    size_t more = strlen(name) + 1;
    if (n + more > PATH_MAX)
        return false;
    memcpy(path + n, name, more);
    return true;
}

static int ask_at(struct question q, int dir, const char *name, int before) {
    char path[PATH_MAX];
    if (!path_of(dir, name, path, &q.real)) {
        errno = before;
        return -1;
    }
    return ask(q, path, NULL, -1, before);
}

// Whether the kernel's refusal may be the confinement's, not the file's own. A file that is to move between places gives EXDEV.
static bool is_confined(int err) { return reach.opener != NULL && (err == EACCES || err == EXDEV); }

// What the user may not open anyway, the opener need not be asked for.
static bool user_may(int dir, const char *name, int flags) {
    if ((flags & (O_CREAT | O_PATH)) != 0 || (flags & O_TMPFILE) == O_TMPFILE)
        return true;
    int how = flags & O_ACCMODE;
    return faccessat(dir, name, how == O_RDONLY ? R_OK : how == O_WRONLY ? W_OK : R_OK | W_OK, AT_EACCESS) == 0;
}

int reach_openat(int dir, const char *name, int flags, mode_t mode) {
    int fd = openat(dir, name, flags, mode);
    int err = errno;
    if (fd >= 0 || !is_confined(err) || !user_may(dir, name, flags)) {
        errno = err;
        return fd;
    }
    return ask_at((struct question){DO_OPEN, flags, mode, 0}, dir, name, err);
}

int reach_open(const char *path, int flags, mode_t mode) { return reach_openat(AT_FDCWD, path, flags, mode); }

int reach_mkdirat(int dir, const char *name, mode_t mode) {
    if (mkdirat(dir, name, mode) == 0)
        return 0;
    int err = errno;
    return is_confined(err) ? ask_at((struct question){DO_MKDIR, 0, mode, 0}, dir, name, err) : -1;
}

int reach_unlinkat(int dir, const char *name, int flags) {
    if (unlinkat(dir, name, flags) == 0)
        return 0;
    int err = errno;
    return is_confined(err) ? ask_at((struct question){DO_UNLINK, flags, 0, 0}, dir, name, err) : -1;
}

int reach_rename(const char *from, const char *to) {
    if (rename(from, to) == 0)
        return 0;
    int err = errno;
    return is_confined(err) ? ask((struct question){.deed = DO_RENAME}, from, to, -1, err) : -1;
}

static int link_fd(int fd, const char *to) {
    char own[64];
    snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, own, AT_FDCWD, to, AT_SYMLINK_FOLLOW);
}

int reach_link(int fd, const char *to) {
    if (link_fd(fd, to) == 0)
        return 0;
    int err = errno;
    return is_confined(err) ? ask((struct question){.deed = DO_LINK}, to, NULL, fd, err) : -1;
}

DIR *reach_opendir(const char *path) {
    int fd = reach_open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC, 0);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (d == NULL && fd >= 0) {
        int err = errno;
        close(fd);
        errno = err;
    }
    return d;
}

// --- the opener's side -----------------------------------------------------------------------------------------------------

// What follows the place: nothing may lead up again.
static bool goes_down(struct str rest) {
    struct str name;
    while (str_split(&rest, '/', &name)) {
        if (str_eq(name, STR("..")))
            return false;
    }
    return true;
}

static bool lies_in(struct str path, struct str place, bool stem) {
    if (!str_starts(path, place))
        return false;
    bool at_name = place.n == 0 || place.n == path.n || place.p[place.n - 1] == '/' || path.p[place.n] == '/';
    return (at_name || stem) && goes_down(str_from(path, place.n));
}

bool reach_allows(const struct reach_place *places, size_t count, struct str path, bool writes, bool real) {
    for (size_t i = 0; i < count; i++) {
        const struct reach_place *p = &places[i];
        if (writes && !p->writes)
            continue;
        if (lies_in(path, p->path, p->stem))
            return true;
        char followed[PATH_MAX];
        if (real && realpath(p->path.p, followed) != NULL && lies_in(path, str_c(followed), false))
            return true;
    }
    return false;
}

static bool changes(const struct question *q) {
    return q->deed != DO_OPEN || (q->flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0 || (q->flags & O_TMPFILE) == O_TMPFILE;
}

// The directory of a path that must have no links, and the name in it; AT_FDCWD and the path when it may have.
static int directory_of(const struct question *q, const char *path, const char **name) {
    *name = path;
    const char *slash = strrchr(path, '/');
    char dir[PATH_MAX];
    size_t n = (size_t)(slash - path);
    if (!q->real)
        return AT_FDCWD;
    if (n >= sizeof dir) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(dir, path, n);
    dir[n] = '\0';
    *name = slash + 1;
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
    return (int)syscall(SYS_openat2, AT_FDCWD, n != 0 ? dir : "/", &how, sizeof how);
}

static int open_for(const struct question *q, const char *path) {
    enum { KNOWN = O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_APPEND | O_NOFOLLOW | O_DIRECTORY | O_PATH | O_TMPFILE };
    const char *name;
    int dir = directory_of(q, path, &name);
    if (dir == -1)
        return -1;
    int fd = openat(dir, name, (q->flags & KNOWN) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, q->mode & 07777);
    int err = errno;
    if (dir != AT_FDCWD)
        close(dir);
    errno = err;
    return fd;
}

static int change(const struct question *q, const char *path) {
    const char *name;
    int dir = directory_of(q, path, &name);
    if (dir == -1)
        return -1;
    int r = q->deed == DO_MKDIR ? mkdirat(dir, name, q->mode & 07777) : unlinkat(dir, name, q->flags & AT_REMOVEDIR);
    int err = errno;
    if (dir != AT_FDCWD)
        close(dir);
    errno = err;
    return r;
}

// Only what has no name gets one: a name for any other file would bring it into a place.
static bool is_nameless(int fd) {
    struct stat st;
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_PATH) == 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 0;
}

// 0 or an errno; a descriptor to hand over in *fd, which held the question's.
static uint32_t obey(const struct question *q, const char *path, const char *other, int *fd) {
    int r = -1;
    switch (q->deed) {
    case DO_OPEN:
        r = *fd = open_for(q, path);
        break;
    case DO_MKDIR:
    case DO_UNLINK:
        r = change(q, path);
        break;
    case DO_RENAME:
        r = rename(path, other);
        break;
    case DO_LINK:
        if (is_nameless(*fd))
            r = link_fd(*fd, path);
        else
            errno = EACCES;
        break;
    default:
        errno = EINVAL;
    }
    return r < 0 ? (uint32_t)errno : 0;
}

// The question's paths; NULL when it is malformed.
static const char *paths_of(const struct channel_message *m, struct question *q, const char **other) {
    if (m->n <= sizeof *q || m->bytes[m->n - 1] != '\0')
        return NULL;
    memcpy(q, m->bytes, sizeof *q);
    const char *path = m->bytes + sizeof *q, *end = m->bytes + m->n;
    *other = path + strlen(path) + 1;
    if (q->deed != DO_RENAME)
        return *other == end ? path : NULL;
    return *other < end && *other + strlen(*other) + 1 == end ? path : NULL;
}

// False: the other end is gone.
static bool answer(int channel, struct channel_message *m, const struct reach_place *places, size_t count) {
    struct question q = {0};
    const char *other = NULL, *path = paths_of(m, &q, &other);
    int fd = m->fd;
    uint32_t err = path == NULL ? EINVAL : 0;
    if (err == 0 && (!reach_allows(places, count, str_c(path), changes(&q), q.real != 0) ||
                     (q.deed == DO_RENAME && !reach_allows(places, count, str_c(other), true, false))))
        err = EACCES;
    if (err == 0)
        err = obey(&q, path, other, &fd);
    bool sent = channel_send(channel, err, STR_NONE, q.deed == DO_OPEN && err == 0 ? fd : -1) == 0;
    if (fd >= 0)
        close(fd);
    if (m->fd >= 0 && m->fd != fd)
        close(m->fd);
    return sent;
}

void reach_serve(int channel, const struct reach_place *places, size_t count) {
    struct channel_message *m = xmalloc(sizeof *m);
    struct pollfd asked = {.fd = channel, .events = POLLIN};
    int got;
    do
        got = poll(&asked, 1, -1) < 0 ? -EAGAIN : channel_receive(channel, m, false);
    while (got == -EAGAIN || got == -EBADMSG || (got == 1 && answer(channel, m, places, count)));
    free(m);
}
