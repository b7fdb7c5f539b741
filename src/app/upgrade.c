// Binary upgrade, as nginx documents it: USR2 starts the new binary beside the old one, on the same listening sockets; then
// WINCH and QUIT end the old one, or HUP to the old and QUIT to the new one go back.
#include "app/pid_file.h"
#include "app/supervisor_private.h"
#include "base/sbuf.h"
#include "io/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char binary[PATH_MAX]; // absolute, as it is named now: what will stand there is executed

static bool absolute_path(const char *name) {
    if (name[0] == '/')
        return snprintf(binary, sizeof binary, "%s", name) < (int)sizeof binary;
    char cwd[PATH_MAX];
    return getcwd(cwd, sizeof cwd) != NULL && snprintf(binary, sizeof binary, "%s/%s", cwd, name) < (int)sizeof binary;
}

void upgrade_remember(char **argv) {
    // A name without a slash was found in PATH: where it was found is what the process runs.
    if (strchr(argv[0], '/') != NULL && absolute_path(argv[0]))
        return;
    ssize_t n = readlink("/proc/self/exe", binary, sizeof binary - 1);
    binary[MAX(n, 0)] = '\0';
}

static struct str oldbin_path(const struct supervisor *s, struct arena *a) {
    return arena_printf(a, STR_FMT ".oldbin", STR_ARG(s->m->pid));
}

NORETURN static void execute(const struct supervisor *s) {
    char *list = sockets_bequeath(&s->sockets);
    setenv("NGINX", list, 1);
    free(list);
    sigprocmask(SIG_SETMASK, &s->before, NULL);
    execv(binary, s->argv);
    log_msg(LOG_ALERT, errno, "execve() failed while executing new binary process \"%s\"", binary);
    log_files_flush();
    _exit(1);
}

void upgrade_start(struct supervisor *s) {
    log_msg(LOG_NOTICE, 0, "changing binary");
    struct arena a;
    arena_init(&a, NULL);
    struct str old = oldbin_path(s, &a);
    if (rename(s->m->pid.p, old.p) != 0) {
        log_msg(LOG_ALERT, errno, "rename() %s to %s failed before executing new binary process \"%s\"", s->m->pid.p, old.p, binary);
        arena_done(&a);
        return;
    }
    arena_done(&a);
    pid_t pid = fork();
    if (pid == 0)
        execute(s);
    if (pid < 0) {
        log_msg(LOG_ALERT, errno, "fork() failed while spawning \"new binary process\"");
        upgrade_ended(s, 0);
        return;
    }
    log_msg(LOG_NOTICE, 0, "start new binary process %d", (int)pid);
    s->new_binary = pid;
}

void upgrade_ended(struct supervisor *s, int status) {
    struct arena a;
    arena_init(&a, NULL);
    struct str old = oldbin_path(s, &a);
    if (rename(old.p, s->m->pid.p) != 0)
        log_msg(LOG_ALERT, errno, "rename() %s back to %s failed after the new binary process \"%s\" exited", old.p, s->m->pid.p, binary);
    arena_done(&a);
    s->new_binary = 0;
    if (s->not_accepting && !s->stopping) { // nobody else would serve
        s->not_accepting = false;
        supervisor_start_worker(s);
    }
}
