#include "app/crash.h"
#include "base/test.h"
#include "io/loop.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void details(const struct log_context *c, struct sbuf *line) {
    sbuf_lit(line, ", client: 192.0.2.1, request: \"GET /a\nb HTTP/1.1\"");
}

static void fault(void *arg) {
    static const struct log_context context = {.connection = 42, .details = details};
    log_set_context(&context);
    raise(SIGBUS);
}

static void crash_in_task(const char *path) {
    int err;
    struct log_file *f = log_file_open(path, &err);
    crash_install();
    crash_log_to(f);
    struct loop *l = loop_new(0);
    task_new(fault, NULL, "the task");
    loop_turn(l, 0);
    _exit(0);
}

TEST(crash_says_the_request) {
    if (TEST_SANITIZED)
        return; // the sanitizer reports crashes itself
    char path[] = "/tmp/weir-crash-XXXXXX";
    int fd = mkstemp(path);
    EXPECT(fd >= 0);
    pid_t pid = fork();
    if (pid == 0)
        crash_in_task(path);
    int status;
    EXPECT(waitpid(pid, &status, 0) == pid);
    EXPECT(WIFSIGNALED(status));
    EXPECT_INT(WTERMSIG(status), SIGBUS);
    char text[16384];
    ssize_t n = read(fd, text, sizeof text - 1);
    EXPECT(n > 0);
    unlink(path);
    close(fd);
    struct str s = str_n(text, (size_t)n);
    EXPECT(str_find(s, STR("crash: signal 7 (SIGBUS)")) > 0);
    EXPECT(str_find(s, STR(": *42 crash: in task the task, client: 192.0.2.1, request: \"GET /a?b HTTP/1.1\"\n")) > 0);
    char number[32];
    snprintf(number, sizeof number, " [alert] %d#", (int)pid);
    struct str line;
    for (unsigned lines = 0; str_split(&s, '\n', &line); lines++)
        EXPECT(line.n == 0 || str_find(line, str_c(number)) == 19);
}
