#include "app/notify.h"
#include "base/sbuf.h"
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void say(struct str text) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof to.sun_path)
        return;
    memcpy(to.sun_path, path, strlen(path));
    if (path[0] == '@')
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    ssize_t n = sendto(fd, text.p, text.n, MSG_NOSIGNAL, (const struct sockaddr *)&to,
                       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
    (void)n; // whoever watches will notice
    close(fd);
}

static void say_with(const char *format, unsigned long long value) {
    char text[128];
    struct sbuf b;
    sbuf_init_fixed(&b, text, sizeof text);
    sbuf_printf(&b, format, value);
    say(sbuf_view(&b));
}

void notify_ready(void) { say_with("READY=1\nMAINPID=%llu\n", (unsigned long long)getpid()); }
void notify_stopping(void) { say(STR("STOPPING=1\n")); }
void notify_alive(void) { say(STR("WATCHDOG=1\n")); }
void notify_main_process(pid_t pid) { say_with("MAINPID=%llu\n", (unsigned long long)pid); }

void notify_reloading(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    say_with("RELOADING=1\nMONOTONIC_USEC=%llu\n", (unsigned long long)t.tv_sec * 1000000 + (unsigned long long)t.tv_nsec / 1000);
}

uint64_t notify_watchdog_ms(void) {
    const char *usec = getenv("WATCHDOG_USEC");
    uint64_t n;
    if (usec == NULL || getenv("NOTIFY_SOCKET") == NULL || !str_u64(str_c(usec), UINT64_MAX, &n) || n == 0)
        return 0;
    return MAX(n / 1000 / 3, 1); // often enough that one may be late; WATCHDOG_PID is not looked at: daemons fork
}
