#include "app/pid_file.h"
#include "base/sbuf.h"
#include "io/log.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool failed(const char *call, const char *path) {
    log_msg(LOG_EMERG, errno, "%s \"%s\" failed", call, path);
    return false;
}

static bool write_in_place(const char *path, struct str text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return failed("open()", path);
    bool ok = write(fd, text.p, text.n) == (ssize_t)text.n;
    if (ok && ftruncate(fd, (off_t)text.n) != 0 && errno != EINVAL) // not of a pipe or a device
        ok = false;
    close(fd);
    return ok || failed("write()", path);
}

static bool write_beside(const char *path, const char *temp, struct str text) {
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return false;
    bool ok = write(fd, text.p, text.n) == (ssize_t)text.n;
    close(fd);
    if (ok && rename(temp, path) == 0)
        return true;
    unlink(temp);
    return false;
}

bool pid_file_write(const char *path, int pid) {
    char text[32], temp[PATH_MAX];
    struct sbuf b, name;
    sbuf_init_fixed(&b, text, sizeof text);
    sbuf_printf(&b, "%d\n", pid);
    sbuf_init_fixed(&name, temp, sizeof temp);
    sbuf_printf(&name, "%s.%d", path, pid);
    struct stat st;
    bool plain = lstat(path, &st) != 0 || S_ISREG(st.st_mode);
    if (plain && !name.overflow && write_beside(path, sbuf_cstr(&name), sbuf_view(&b)))
        return true;
    return write_in_place(path, sbuf_view(&b));
}

bool pid_file_try(const char *path) {
    struct stat st;
    bool directory_there = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    if (!directory_there && access(path, W_OK) == 0)
        return true;
    if (directory_there)
        errno = EISDIR;
    if (errno != ENOENT)
        return failed("open()", path);
    char directory[PATH_MAX];
    struct sbuf b;
    sbuf_init_fixed(&b, directory, sizeof directory);
    ptrdiff_t slash = str_rchr(str_c(path), '/');
    sbuf_str(&b, slash < 0 ? STR(".") : str_head(str_c(path), (size_t)slash + 1));
    return access(sbuf_cstr(&b), W_OK | X_OK) == 0 || failed("open()", path);
}

void pid_file_remove(const char *path) {
    struct stat st;
    if (lstat(path, &st) != 0 || !(S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)) || unlink(path) == 0)
        return;
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC); // else its number may be another process's one day
    if (fd >= 0)
        close(fd);
}

int pid_file_read(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "nginx: [error] open() \"%s\" failed (%d: %s)\n", path, errno, strerror(errno));
        return 0;
    }
    char text[32];
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    struct str s = str_n(text, n > 0 ? (size_t)n : 0);
    while (s.n != 0 && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
        s.n--;
    uint64_t pid;
    if (!str_u64(s, INT_MAX, &pid) || pid == 0) {
        fprintf(stderr, "nginx: [error] invalid PID number \"" STR_FMT "\" in \"%s\"\n", STR_ARG(s), path);
        return 0;
    }
    return (int)pid;
}
