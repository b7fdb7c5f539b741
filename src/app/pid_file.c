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

// What is not a regular file (/dev/null, a pipe) is written as it is.
static bool write_in_place(const char *path, const char *text, size_t n) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return failed("open()", path);
    bool ok = write(fd, text, n) == (ssize_t)n;
    close(fd);
    return ok || failed("write()", path);
}

bool pid_file_write(const char *path, int pid) {
    char text[32], temp[PATH_MAX];
    struct sbuf b;
    sbuf_init_fixed(&b, text, sizeof text);
    sbuf_printf(&b, "%d\n", pid);
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return write_in_place(path, text, b.n);
    struct sbuf name;
    sbuf_init_fixed(&name, temp, sizeof temp);
    sbuf_printf(&name, "%s.%d", path, pid);
    if (name.overflow) {
        errno = ENAMETOOLONG;
        return failed("open()", path);
    }
    const char *z = sbuf_cstr(&name);
    int fd = open(z, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return failed("open()", path);
    bool ok = write(fd, text, b.n) == (ssize_t)b.n;
    close(fd);
    if (!ok || rename(z, path) != 0) {
        failed(ok ? "rename()" : "write()", path);
        unlink(z);
        return false;
    }
    return true;
}

void pid_file_remove(const char *path) {
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
        unlink(path);
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
