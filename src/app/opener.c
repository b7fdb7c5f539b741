// Starting an opener, and the first steps of its life.
#include "app/opener.h"
#include "app/privileges.h"
#include "io/channel.h"
#include "io/log.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// What the configuration does not name and the worker may read all the same, by name: whoever changes it replaces it.
static const struct reach_place of_resolver[] = {
    {STR_INIT("/etc/resolv.conf"), false, false},
    {STR_INIT("/etc/hosts"), false, false},
};

struct reach_place *opener_places(const struct conf *c, const struct conf *other, size_t *count) {
    const struct conf *both[2] = {c, other};
    size_t n = ARRAY_LEN(of_resolver);
    for (unsigned i = 0; i < 2; i++)
        for (const struct conf_reach *r = both[i] != NULL ? both[i]->reaches : NULL; r != NULL; r = r->next)
            n++;
    struct reach_place *all = xcalloc(n, sizeof *all);
    memcpy(all, of_resolver, sizeof of_resolver);
    *count = ARRAY_LEN(of_resolver);
    for (unsigned i = 0; i < 2; i++)
        for (const struct conf_reach *r = both[i] != NULL ? both[i]->reaches : NULL; r != NULL; r = r->next)
            all[(*count)++] = (struct reach_place){r->path, r->writes, r->stem};
    return all;
}

// Descriptors of the supervisor (sockets, logs, channels) are none of its business.
static int keep_only(int channel) {
    enum { KEPT = STDERR_FILENO + 1 };
    if (channel != KEPT && dup2(channel, KEPT) < 0)
        return -1;
    return syscall(SYS_close_range, KEPT + 1, ~0u, 0) == 0 ? KEPT : -1;
}

NORETURN static void be_opener(const struct conf *c, const struct conf *next, const struct worker_opts *o, int channel) {
    prctl(PR_SET_NAME, "weir-opener");
    if (geteuid() == 0 && o->user.n != 0 && !privileges_drop(o->user, o->uid, o->gid, 0))
        _exit(2);
    (void)privileges_confine(NULL, 0);
    channel = keep_only(channel);
    if (channel < 0)
        _exit(2);
    size_t count;
    struct reach_place *places = opener_places(c, next, &count);
    reach_serve(channel, places, count);
    _exit(0);
}

int opener_start(const struct conf *c, const struct conf *next, const struct worker_opts *o) {
    int ends[2];
    if (!channel_pair(ends)) {
        log_msg(LOG_ALERT, errno, "socketpair() failed while starting the opener");
        return -1;
    }
    log_files_flush();
    pid_t pid = fork();
    if (pid == 0)
        be_opener(c, next, o, ends[1]);
    int err = errno;
    close(ends[1]);
    if (pid > 0) {
        log_msg(LOG_NOTICE, 0, "start opener process %d", (int)pid);
        return ends[0];
    }
    log_msg(LOG_ALERT, err, "fork() failed while starting the opener");
    close(ends[0]);
    return -1;
}
