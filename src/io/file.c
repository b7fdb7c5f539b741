// Files: opening, reading from the page cache or on a helper thread, temp files.
#include "io/file.h"
#include "io/inbox.h"
#include "io/loop_cache.h"
#include "io/loop_private.h"
#include "io/reach.h"
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

enum { READ_MAX = 256 << 10, WRITE_IOVECS = 64, NAME_TRIES = 100 };

static void info_from(const struct stat *st, struct file_info *info) {
    *info = (struct file_info){
        .is_dir = S_ISDIR(st->st_mode),
        .is_file = S_ISREG(st->st_mode),
        .is_exec = (st->st_mode & 0111) != 0,
        .size = st->st_size,
        .mtime_s = st->st_mtim.tv_sec,
        .inode = st->st_ino,
        .device = st->st_dev,
    };
}

static void file_close(struct file_ref *f) {
    close(f->fd);
    free(f);
}

// Takes fd, also when it fails.
static struct file_ref *ref_new(int fd, int *err) {
    struct file_ref *f = malloc(sizeof(*f));
    if (f == NULL) {
        close(fd);
        *err = -ENOMEM;
        return NULL;
    }
    *f = (struct file_ref){.refs = 1, .fd = fd, .close = file_close};
    return f;
}

// fd: or -errno.
static struct file_ref *opened(int fd, struct file_info *info, int *err) {
    if (fd < 0) {
        *err = fd;
        return NULL;
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        *err = -errno;
        close(fd);
        return NULL;
    }
    struct file_ref *f = ref_new(fd, err);
    if (f != NULL)
        info_from(&st, info);
    return f;
}

// What the opener handed over is kept while it is asked for: as long as the path leads to the same file, unchanged, asking
// again would give the same.
struct lent {
    struct cached cached; // by the path
    struct file_ref *file;
    struct stat st;
};

enum { LENT_MAX = 512, LENT_MS = 10000 };

static void give_back(struct cached *e) { file_unref(container_of(e, struct lent, cached)->file); }

static struct loop_cache_kind lent_kind = {.entry_size = sizeof(struct lent), .release = give_back};

static bool is_same(const struct stat *a, const struct stat *b) {
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size && a->st_mode == b->st_mode &&
           a->st_uid == b->st_uid && a->st_gid == b->st_gid && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static struct file_ref *open_lent(const char *path, struct file_info *info, int *err) {
    struct loop_cache *cache = loop_cache_of(loop_this, &lent_kind);
    struct cached *found = loop_cache_find(cache, str_c(path), LENT_MS);
    struct stat st;
    if (found != NULL) {
        struct lent *e = container_of(found, struct lent, cached);
        if (stat(path, &st) == 0 && is_same(&st, &e->st)) {
            info_from(&st, info);
            return file_ref(e->file);
        }
        loop_cache_remove(cache, found);
    }
    int fd = reach_open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
    struct file_ref *f = opened(fd < 0 ? -errno : fd, info, err);
    if (f != NULL && fstat(f->fd, &st) == 0) {
        struct lent *e = container_of(loop_cache_add(cache, str_c(path), LENT_MAX, LENT_MS), struct lent, cached);
        e->file = file_ref(f);
        e->st = st;
    }
    return f;
}

struct file_ref *file_open(const char *path, struct file_info *info, int *err) {
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && reach_is_confined() && loop_this != NULL)
        return open_lent(path, info, err);
    return opened(fd < 0 ? -errno : fd, info, err);
}

int file_stat(const char *path, struct file_info *info) {
    struct stat st;
    if (stat(path, &st) != 0)
        return -errno;
    info_from(&st, info);
    return 0;
}

// --- without symbolic links ----------------------------------------------------------------------------------------------

// Opens one name below dir; a link is refused. A descriptor or -errno.
static int open_name(int dir, const char *name, int flags, bool only_foreign) {
    int fd = reach_openat(dir, name, flags | O_CLOEXEC | (only_foreign ? 0 : O_NOFOLLOW), 0);
    if (fd < 0)
        return -errno;
    struct stat link, target;
    int err = 0;
    if (only_foreign) {
        if (fstatat(dir, name, &link, AT_SYMLINK_NOFOLLOW) != 0 || fstat(fd, &target) != 0)
            err = -errno;
        else if (S_ISLNK(link.st_mode) && link.st_uid != target.st_uid)
            err = -ELOOP;
    } else if ((flags & O_PATH) && !(flags & O_DIRECTORY)) { // O_PATH opens links themselves
        if (fstat(fd, &target) != 0)
            err = -errno;
        else if (S_ISLNK(target.st_mode))
            err = -ELOOP;
    }
    if (err != 0)
        close(fd);
    return err != 0 ? err : fd;
}

static int open_unlinked(const char *path, size_t trusted, int flags, bool only_foreign) {
    char name[PATH_MAX];
    size_t n = strlen(path);
    if (n >= sizeof(name))
        return -ENAMETOOLONG;
    while (n > 1 && path[n - 1] == '/')
        n--;
    memcpy(name, path, n);
    name[n] = '\0';
    trusted = MIN(trusted, n);
    char *at = name + trusted;
    char kept = *at;
    *at = '\0';
    int dir = open(trusted != 0 ? name : name[0] == '/' || kept == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    *at = kept;
    int fd = dir < 0 ? -errno : dir;
    while (fd >= 0) {
        at += strspn(at, "/");
        size_t len = strcspn(at, "/");
        bool last = at[len] == '\0';
        at[len] = '\0';
        int next = open_name(fd, len != 0 ? at : ".", last ? flags : O_PATH | O_DIRECTORY, only_foreign);
        close(fd);
        fd = next;
        if (last)
            break;
        at += len + 1;
    }
    return fd;
}

struct file_ref *file_open_unlinked(const char *path, size_t trusted, bool only_foreign, struct file_info *info, int *err) {
    return opened(open_unlinked(path, trusted, O_RDONLY | O_NONBLOCK, only_foreign), info, err);
}

int file_stat_unlinked(const char *path, size_t trusted, bool only_foreign, struct file_info *info) {
    int fd = open_unlinked(path, trusted, O_PATH, only_foreign);
    if (fd < 0)
        return fd;
    struct stat st;
    int err = fstat(fd, &st) != 0 ? -errno : 0;
    close(fd);
    if (err == 0)
        info_from(&st, info);
    return err;
}

// --- reading -------------------------------------------------------------------------------------------------------------

struct read_work {
    int fd;
    off_t off;
    struct iovec to;
};

static int read_do(void *arg) {
    struct read_work *w = arg;
    ssize_t n;
    do
        n = pread(w->fd, w->to.iov_base, w->to.iov_len, w->off);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (int)n;
}

static ssize_t read_file(struct file_ref *f, off_t off, size_t n, struct chain *to, bool wait) {
    CHECK(n > 0);
    n = MIN(n, READ_MAX);
    struct block *b = block_new(loop_this->blocks, n);
    struct read_work w = {.fd = f->fd, .off = off, .to = {.iov_base = b->data, .iov_len = n}};
    ssize_t r = preadv2(f->fd, &w.to, 1, off, RWF_NOWAIT);
    if (r < 0) // not in the cache, or a file system that cannot tell
        r = wait ? helper_run(read_do, &w) : -EAGAIN;
    if (r > 0)
        chain_give_block(to, b, b->data, (size_t)r);
    else
        block_unref(b);
    return r;
}

ssize_t file_read(struct file_ref *f, off_t off, size_t n, struct chain *to) { return read_file(f, off, n, to, true); }

ssize_t file_try_read(struct file_ref *f, off_t off, size_t n, struct chain *to) { return read_file(f, off, n, to, false); }

// Whether the byte is in the page cache, or nobody can tell.
static bool is_cached(int fd, off_t off) {
    char byte;
    struct iovec to = {&byte, 1};
    return preadv2(fd, &to, 1, off, RWF_NOWAIT) >= 0 || errno != EAGAIN;
}

struct warm_work {
    int fd;
    off_t off;
    size_t n;
};

static int warm_do(void *arg) {
    struct warm_work *w = arg;
    char *to = malloc(READ_MAX);
    ssize_t n = 1;
    for (size_t done = 0; to != NULL && n > 0 && done < w->n; done += (size_t)n)
        n = pread(w->fd, to, MIN(w->n - done, READ_MAX), w->off + (off_t)done);
    free(to);
    return 0; // what could not be read will show when it is sent
}

int file_warm(struct file_ref *f, off_t off, size_t n, bool wait) {
    if (n == 0 || (is_cached(f->fd, off) && is_cached(f->fd, off + (off_t)n - 1)))
        return 0;
    if (!wait)
        return -EAGAIN;
    struct warm_work w = {f->fd, off, n};
    return helper_run(warm_do, &w);
}

// --- temp files ------------------------------------------------------------------------------------------------------------

static int open_named(const char *dir) {
    static atomic_uint serial;
    char path[PATH_MAX];
    int fd = -1;
    for (unsigned i = 0; i < NAME_TRIES && fd < 0; i++) {
        unsigned n = atomic_fetch_add_explicit(&serial, 1, memory_order_relaxed);
        if (snprintf(path, sizeof(path), "%s/weir-%x-%x", dir, (unsigned)getpid(), n) >= (int)sizeof(path))
            return -ENAMETOOLONG;
        fd = reach_open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST)
            return -errno;
    }
    if (fd < 0)
        return -EEXIST;
    reach_unlink(path);
    return fd;
}

int file_nameless(const char *dir) {
    int fd = reach_open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL))
        return fd >= 0 ? fd : -errno;
    return open_named(dir); // no O_TMPFILE on this file system
}

struct file_ref *temp_file_new(const char *dir, int *err) {
    int fd = file_nameless(dir);
    if (fd < 0) {
        *err = fd;
        return NULL;
    }
    return ref_new(fd, err);
}

struct write_work {
    int fd;
    off_t off;
    const struct piece *next;
};

int file_write_all(int fd, struct iovec *iov, int count, off_t off) {
    while (count > 0) {
        ssize_t n = pwritev(fd, iov, count, off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        off += n;
        for (; count > 0 && (size_t)n >= iov->iov_len; iov++, count--)
            n -= (ssize_t)iov->iov_len;
        if (count > 0) {
            iov->iov_base = (char *)iov->iov_base + n;
            iov->iov_len -= (size_t)n;
        }
    }
    return 0;
}

static int write_do(void *arg) {
    struct write_work *w = arg;
    if (w->off == 0 && w->next != NULL && ftruncate(w->fd, 0) != 0)
        return -errno;
    while (w->next != NULL) {
        struct iovec iov[WRITE_IOVECS];
        int count = 0;
        off_t bytes = 0;
        for (; count < WRITE_IOVECS && w->next != NULL; w->next = w->next->next) {
            iov[count++] = (struct iovec){(void *)(uintptr_t)w->next->p, w->next->n};
            bytes += (off_t)w->next->n;
        }
        int r = file_write_all(w->fd, iov, count, w->off);
        if (r < 0)
            return r;
        w->off += bytes;
    }
    return 0;
}

int temp_file_write(struct file_ref *f, off_t off, const struct chain *bytes) {
    for (const struct piece *p = bytes->head; p != NULL; p = p->next)
        CHECK(p->kind == PIECE_MEM);
    struct write_work w = {.fd = f->fd, .off = off, .next = bytes->head};
    return helper_run(write_do, &w);
}
