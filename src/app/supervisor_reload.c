// The supervisor's half of a reload: it reads the configuration, opens what needs privilege, and hands sockets, logs and the
// texts it read to the worker, which takes them or refuses. Until then everything is as it was.
#include "app/load.h"
#include "app/log_watch.h"
#include "app/messages.h"
#include "app/notify.h"
#include "app/pid_file.h"
#include "app/signaller.h"
#include "app/supervisor_private.h"
#include "feature/log/error_log.h"
#include "io/broker.h"
#include "io/channel.h"
#include "io/log.h"
#include <unistd.h>

enum { TAKE_MS = 60000 };

static int tell(struct supervisor *s, uint32_t kind, struct str bytes, int fd) {
    return s->channel >= 0 ? channel_send(s->channel, kind, bytes, fd) : -EPIPE;
}

struct telling {
    struct supervisor *s;
    int err;
};

static void tell_log(void *arg, struct log_file *f) {
    struct telling *t = arg;
    int fd = t->err == 0 ? log_file_dup(f) : -1;
    if (fd < 0)
        return;
    t->err = tell(t->s, SAY_LOG, str_c(log_file_path(f)), fd);
    close(fd);
}

static int tell_all(struct supervisor *s, int pack) {
    int err = 0;
    for (unsigned i = 0; err == 0 && i < s->next_sockets.count; i++) {
        const struct socket *k = &s->next_sockets.at[i];
        err = tell(s, SAY_SOCKET, str_n((const char *)&k->addr, sizeof k->addr), k->fresh ? k->fd : -1);
    }
    struct telling t = {s, err};
    log_files_each(tell_log, &t);
    return t.err == 0 ? tell(s, SAY_CONF, STR_NONE, pack) : t.err;
}

static bool move_pid_file(const struct supervisor *s) {
    const char *old = s->m->pid.p, *new = main_conf(s->next)->pid.p;
    return strcmp(old, new) == 0 || pid_file_write(new, (int)getpid());
}

// The configuration with all that it needs: in s->next. False: nothing has changed.
static bool prepare(struct supervisor *s, int *pack, struct sbuf *why) {
    broker_record();
    s->next = load_conf_again(s->options, s->text, s->conf->zones, true, why);
    *pack = broker_pack();
    zones_renewed(s->conf->zones, NULL, NULL); // the worker says it of its own
    if (s->next == NULL)
        return false;
    bool ok = false;
    if (*pack < 0) {
        sbuf_printf(why, "memfd_create() failed (%d: %s)", -*pack, strerror(-*pack));
        log_msg(LOG_EMERG, 0, STR_FMT, STR_ARG(sbuf_view(why)));
    } else if (!load_make_directories(s->next, s->opts.uid, s->opts.gid)) {
        sbuf_lit(why, "a directory for temporary files cannot be made");
    } else if (sockets_open(&s->next_sockets, s->next, &s->sockets, why)) {
        ok = move_pid_file(s);
        if (!ok) {
            sockets_undo(&s->next_sockets);
            sbuf_printf(why, "the pid file %s cannot be written", main_conf(s->next)->pid.p);
        }
    }
    if (ok)
        return true;
    conf_unref(s->next);
    s->next = NULL;
    return false;
}

static void answer(struct supervisor *s, bool taken, struct str why) {
    signaller_answer(s->asked_by, taken ? RELOAD_DONE : RELOAD_FAILED, why);
    notify_ready();
    if (s->again) {
        s->again = false;
        supervisor_reload(s, s->again_by);
    } else if (s->upgrade_waits) {
        supervisor_change_binary(s);
    }
}

void supervisor_reload(struct supervisor *s, pid_t asked_by) {
    if (s->next != NULL) { // one at a time
        if (s->again)
            signaller_answer(s->again_by, RELOAD_FAILED, STR("another reload came before this one began"));
        s->again = true;
        s->again_by = asked_by;
        signaller_answer(asked_by, RELOAD_BEGUN, STR_NONE);
        return;
    }
    log_msg(LOG_NOTICE, 0, "reconfiguring");
    notify_reloading();
    signaller_answer(asked_by, RELOAD_BEGUN, STR_NONE);
    s->asked_by = asked_by;
    struct sbuf why;
    sbuf_init_heap(&why, CHANNEL_BYTES);
    int pack = -1;
    if (!prepare(s, &pack, &why)) {
        answer(s, false, sbuf_view(&why));
    } else if (s->worker == 0 || s->not_accepting) {
        supervisor_reload_end(s, true, STR_NONE); // the next worker begins with it
    } else {
        s->give_up_ms = supervisor_now() + TAKE_MS;
        int err = tell_all(s, pack);
        // A worker that is dying takes nothing: when it is dead the next one begins with the new configuration.
        if (err != 0 && err != -EPIPE && err != -ECONNRESET) {
            log_msg(LOG_ALERT, -err, "the worker process %d cannot be told of the new configuration", (int)s->worker);
            supervisor_reload_end(s, false, STR("the worker process cannot be told of the new configuration"));
        }
    }
    if (pack >= 0)
        close(pack);
    sbuf_done(&why);
}

static void commit(struct supervisor *s) {
    struct conf *old = s->conf;
    if (strcmp(s->m->pid.p, main_conf(s->next)->pid.p) != 0)
        pid_file_remove(s->m->pid.p);
    log_set_default(error_log_main(s->next));
    broker_accept();
    s->conf = s->next;
    s->m = main_conf(s->conf);
    s->opts.conf = s->conf;
    bool shared = supervisor_shares_sockets(s);
    sockets_close(&s->sockets, &s->next_sockets, !shared, !shared);
    s->sockets = s->next_sockets;
    for (unsigned i = 0; i < s->sockets.count; i++)
        s->sockets.at[i].fresh = false;
    conf_unref(old);
    log_watch_all(s->log_watch);
}

void supervisor_reload_end(struct supervisor *s, bool taken, struct str why) {
    if (taken) {
        commit(s);
    } else {
        log_msg(s->stopping ? LOG_NOTICE : LOG_EMERG, 0, "the new configuration is not taken, the one before goes on: " STR_FMT, STR_ARG(why));
        if (strcmp(s->m->pid.p, main_conf(s->next)->pid.p) != 0)
            pid_file_remove(main_conf(s->next)->pid.p);
        sockets_undo(&s->next_sockets);
        conf_unref(s->next);
    }
    s->next = NULL;
    s->next_sockets = (struct sockets){0};
    answer(s, taken, why);
}

void supervisor_reopen_logs(struct supervisor *s) {
    log_files_reopen();
    log_watch_all(s->log_watch);
    struct telling t = {.s = s};
    log_files_each(tell_log, &t);
    if (s->channel >= 0 && (t.err != 0 || tell(s, SAY_LOGS_DONE, STR_NONE, -1) != 0))
        log_msg(LOG_ALERT, -t.err, "the worker process %d cannot be given its logs", (int)s->worker);
}
