// Trees of files for dav_methods: what replaces something is made whole beside it first, and takes its place by a rename.
#include "feature/content/dav_tree.h"
#include "io/reach.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 256, COPY_STEP = 1 << 20 };

static int failed(struct dav_tree *t, const char *call) {
    t->failed = call;
    return -errno;
}

// --- removing ------------------------------------------------------------------------------------------------------------

static int remove_at(struct dav_tree *t, int dir, const char *name, int depth);

static int remove_content(struct dav_tree *t, int dir, int depth) {
    DIR *d = fdopendir(dir);
    if (d == NULL) {
        int err = failed(t, "opendir()");
        close(dir);
        return err;
    }
    int err = 0;
    for (const struct dirent *e; err == 0 && (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            err = remove_at(t, dirfd(d), e->d_name, depth + 1);
    }
    closedir(d);
    return err;
}

static int remove_at(struct dav_tree *t, int dir, const char *name, int depth) {
    if (reach_unlinkat(dir, name, 0) == 0)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return failed(t, "unlink()");
    int fd = reach_openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0)
        return failed(t, "unlink()");
    if (depth >= DEPTH_MAX) {
        close(fd);
        errno = ELOOP;
        return failed(t, "opendir()");
    }
    int err = remove_content(t, fd, depth);
    if (err != 0)
        return err;
    return reach_unlinkat(dir, name, AT_REMOVEDIR) == 0 ? 0 : failed(t, "rmdir()");
}

int dav_remove(struct dav_tree *t) { return remove_at(t, AT_FDCWD, t->from, 0); }

// --- making --------------------------------------------------------------------------------------------------------------

// The directories on the way to `path`.
static int make_parents(const char *path, mode_t dir_mode) {
    char at[PATH_MAX];
    size_t n = strlen(path);
    if (n >= sizeof(at))
        return -ENAMETOOLONG;
    memcpy(at, path, n + 1);
    for (char *p = at + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        if (reach_mkdir(at, dir_mode) != 0 && errno != EEXIST)
            return -errno;
        *p = '/';
    }
    return 0;
}

int dav_mkdir(struct dav_tree *t) { return reach_mkdir(t->to, t->dir_mode) == 0 ? 0 : failed(t, "mkdir()"); }

// "/dir/.weir-SERIAL" beside `path`, for what is not whole yet.
static int beside(const char *path, char *to, size_t size) {
    static unsigned serial;
    const char *slash = strrchr(path, '/');
    int dir = slash != NULL ? (int)(slash - path) + 1 : 0;
    int n = snprintf(to, size, "%.*s.weir-%d-%u", dir, path, (int)getpid(), __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED));
    return n > 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

int dav_put_open(struct dav_tree *t, char *temp) {
    int err = t->make_parents ? make_parents(t->to, t->dir_mode) : 0;
    if (err == 0)
        err = beside(t->to, temp, PATH_MAX);
    if (err != 0) {
        t->failed = "mkdir()";
        return err;
    }
    int fd = reach_open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, t->file_mode);
    return fd >= 0 ? fd : failed(t, "open()");
}

int dav_put_end(struct dav_tree *t, int fd, const char *temp, int64_t mtime) {
    const struct timespec times[2] = {{.tv_sec = mtime}, {.tv_sec = mtime}};
    if (fchmod(fd, t->file_mode) != 0)
        return failed(t, "fchmod()");
    if (mtime >= 0 && futimens(fd, times) != 0)
        return failed(t, "futimens()");
    return reach_rename(temp, t->to) == 0 ? 0 : failed(t, "rename()");
}

// --- copying -------------------------------------------------------------------------------------------------------------

static int copy_bytes(struct dav_tree *t, int in, int out) {
    for (;;) {
        ssize_t n = copy_file_range(in, NULL, out, NULL, COPY_STEP, 0);
        if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP))
            n = sendfile(out, in, NULL, COPY_STEP);
        if (n < 0)
            return failed(t, "write()");
        if (n == 0)
            return 0;
    }
}

static int copy_file_at(struct dav_tree *t, int from_dir, const char *from, int to_dir, const char *to) {
    int in = reach_openat(from_dir, from, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
    struct stat st;
    if (in < 0)
        return failed(t, "open()");
    int err = fstat(in, &st) != 0 ? failed(t, "fstat()") : 0;
    if (err == 0 && !S_ISREG(st.st_mode)) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
        err = failed(t, "open()");
    }
    int out = err == 0 ? reach_openat(to_dir, to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st.st_mode & 07777) : -1;
    if (err == 0 && out < 0)
        err = failed(t, "open()");
    if (err == 0)
        err = copy_bytes(t, in, out);
    if (out >= 0) {
        const struct timespec times[2] = {st.st_atim, st.st_mtim};
        (void)futimens(out, times); // the content counts
        if (close(out) != 0 && err == 0)
            err = failed(t, "close()");
        if (err != 0)
            reach_unlinkat(to_dir, to, 0);
    }
    close(in);
    return err;
}

static int copy_at(struct dav_tree *t, int from_dir, const char *from, int to_dir, const char *to, int depth);

static int copy_content(struct dav_tree *t, int from, int to, int depth) {
    DIR *d = fdopendir(dup(from));
    if (d == NULL)
        return failed(t, "opendir()");
    int err = 0;
    for (const struct dirent *e; err == 0 && (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            err = copy_at(t, from, e->d_name, to, e->d_name, depth + 1);
    }
    closedir(d);
    return err;
}

static int copy_dir_at(struct dav_tree *t, int from_dir, const char *from, int to_dir, const char *to, int depth) {
    int in = reach_openat(from_dir, from, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), out = -1, err = 0;
    if (in < 0)
        return failed(t, "opendir()");
    if (depth >= DEPTH_MAX) {
        errno = ELOOP;
        err = failed(t, "opendir()");
    } else if (reach_mkdirat(to_dir, to, t->dir_mode) != 0) {
        err = failed(t, "mkdir()");
    } else if ((out = reach_openat(to_dir, to, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0)) < 0) {
        err = failed(t, "opendir()");
    } else if (!t->shallow) {
        err = copy_content(t, in, out, depth);
    }
    if (out >= 0)
        close(out);
    close(in);
    return err;
}

// Links to files are copied as what they point at, links to directories and what is no file are left out.
static int copy_at(struct dav_tree *t, int from_dir, const char *from, int to_dir, const char *to, int depth) {
    struct stat st;
    if (fstatat(from_dir, from, &st, depth == 0 ? 0 : AT_SYMLINK_NOFOLLOW) != 0)
        return failed(t, "lstat()");
    if (S_ISLNK(st.st_mode) && (fstatat(from_dir, from, &st, 0) != 0 || S_ISDIR(st.st_mode)))
        return 0;
    if (S_ISDIR(st.st_mode))
        return copy_dir_at(t, from_dir, from, to_dir, to, depth);
    return S_ISREG(st.st_mode) || depth == 0 ? copy_file_at(t, from_dir, from, to_dir, to) : 0;
}

// Puts `made`, which is whole, in the place of t->to.
static int take_place(struct dav_tree *t, const char *made) {
    if (reach_rename(made, t->to) == 0)
        return 0;
    if (errno != ENOTEMPTY && errno != EEXIST && errno != EISDIR && errno != ENOTDIR)
        return failed(t, "rename()");
    char old[PATH_MAX];
    int err = beside(t->to, old, sizeof old);
    if (err != 0)
        return err;
    if (reach_rename(t->to, old) != 0)
        return failed(t, "rename()");
    if (reach_rename(made, t->to) != 0) {
        err = failed(t, "rename()");
        (void)reach_rename(old, t->to);
        return err;
    }
    struct dav_tree rest = {.from = old};
    return dav_remove(&rest);
}

int dav_copy(struct dav_tree *t) {
    char made[PATH_MAX];
    int err = beside(t->to, made, sizeof made);
    if (err == 0)
        err = copy_at(t, AT_FDCWD, t->from, AT_FDCWD, made, 0);
    if (err == 0)
        err = take_place(t, made);
    if (err != 0) {
        struct dav_tree rest = {.from = made};
        (void)dav_remove(&rest);
    }
    return err;
}

int dav_move(struct dav_tree *t) {
    int err = t->make_parents ? make_parents(t->to, t->dir_mode) : 0;
    if (err != 0) {
        t->failed = "mkdir()";
        return err;
    }
    err = take_place(t, t->from);
    if (err != -EXDEV)
        return err;
    err = dav_copy(t);
    return err == 0 ? dav_remove(t) : err;
}
