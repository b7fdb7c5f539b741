#include "app/signaller.h"
#include "app/pid_file.h"
#include "base/sbuf.h"
#include "feature/core/main.h"
#include "feature/log/error_log.h"
#include "io/log.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

// BEGIN_MS: a weir that was told to reload says at once that it does; END_MS: and this long it may take.
enum { BEGIN_MS = 2000, END_MS = 120000, ANSWER_MAX = 4096 };

// An address in the abstract name space that belongs to whoever sends the signal.
static socklen_t address_of(struct sockaddr_un *a, pid_t pid) {
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    struct sbuf b;
    sbuf_init_fixed(&b, a->sun_path + 1, sizeof a->sun_path - 1);
    sbuf_printf(&b, "weir-reload-%d", (int)pid);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + b.n);
}

void signaller_answer(pid_t to, enum signaller_result result, struct str why) {
    struct sockaddr_un a;
    socklen_t len = address_of(&a, to);
    char text[ANSWER_MAX];
    struct sbuf b;
    sbuf_init_fixed(&b, text, sizeof text);
    sbuf_chr(&b, (char)result);
    sbuf_str(&b, str_head(why, ANSWER_MAX - 1));
    int fd = to > 0 ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    if (fd < 0)
        return;
    ssize_t n = sendto(fd, b.p, b.n, MSG_NOSIGNAL, (const struct sockaddr *)&a, len);
    (void)n; // mostly nobody listens
    close(fd);
}

static int open_ear(void) {
    struct sockaddr_un a;
    socklen_t len = address_of(&a, getpid());
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0 && bind(fd, (const struct sockaddr *)&a, len) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

// The next answer of that process: its length, 0 when none came in time.
static size_t hear(int fd, pid_t from, char *text, int timeout_ms) {
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, timeout_ms) <= 0)
            return 0;
        union {
            struct cmsghdr align;
            char bytes[CMSG_SPACE(sizeof(struct ucred))];
        } control;
        struct iovec iov = {text, ANSWER_MAX};
        struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        ssize_t n = recvmsg(fd, &h, 0);
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        struct ucred who;
        if (n <= 0 || c == NULL || c->cmsg_type != SCM_CREDENTIALS)
            continue;
        memcpy(&who, CMSG_DATA(c), sizeof who);
        if (who.pid == from)
            return (size_t)n;
    }
}

static int await_reload(int fd, pid_t pid) {
    char text[ANSWER_MAX];
    int timeout_ms = BEGIN_MS;
    for (;;) {
        size_t n = hear(fd, pid, text, timeout_ms);
        if (n == 0 && timeout_ms == END_MS)
            fprintf(stderr, "nginx: [error] process %d has not said within %d s what became of the reload\n", (int)pid, END_MS / 1000);
        if (n == 0)
            return timeout_ms == END_MS;
        if (text[0] == RELOAD_DONE)
            return 0;
        if (text[0] == RELOAD_FAILED) {
            fprintf(stderr, "nginx: [emerg] %.*s\n", (int)n - 1, text + 1);
            return 1;
        }
        timeout_ms = END_MS;
    }
}

static void note_start(const struct conf *c) {
    log_set_default(error_log_main(c));
    log_msg(LOG_NOTICE, 0, "signal process started");
    log_files_flush();
    log_set_default(NULL);
}

int signaller_send(const struct conf *c, struct str name) {
    note_start(c);
    int pid = pid_file_read(main_conf(c)->pid.p);
    if (pid == 0)
        return 1;
    int sig = str_eq(name, STR("stop")) ? SIGTERM : str_eq(name, STR("quit")) ? SIGQUIT : str_eq(name, STR("reopen")) ? SIGUSR1 : SIGHUP;
    int ear = sig == SIGHUP ? open_ear() : -1;
    int code = 0;
    if (kill(pid, sig) != 0) {
        fprintf(stderr, "nginx: [alert] kill(%d, %d) failed (%d: %s)\n", pid, sig, errno, strerror(errno));
        code = 1;
    } else if (ear >= 0) {
        code = await_reload(ear, pid);
    }
    if (ear >= 0)
        close(ear);
    return code;
}
