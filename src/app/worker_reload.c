// How a worker takes a new configuration: it is built beside the one in force, by the first thread, while the loops serve.
//
//   told: sockets, logs, pack ─► load ─► swap ─► new listeners start ─► idle connections move ─► "taken"
//                                                     └► a second later: listeners that are gone end
//
// The snapshot of before ends when its last request has. Its last reference is this thread's, so that no loop has the work of
// freeing it.
#include "app/privileges.h"
#include "app/load.h"
#include "app/messages.h"
#include "app/worker_private.h"
#include "feature/log/error_log.h"
#include "io/broker.h"
#include "io/channel.h"
#include "io/log.h"
#include "io/reach.h"
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

enum { DROP_MS = 1000, OLD_LOOK_MS = 100 };

// --- what the supervisor says ------------------------------------------------------------------------------------------

static void told_socket(struct worker *w, const struct channel_message *m) {
    struct socket k = {.fd = m->fd, .fresh = m->fd >= 0};
    CHECK(m->n == sizeof k.addr);
    memcpy(&k.addr, m->bytes, sizeof k.addr);
    sbuf_put(&w->told_sockets, &k, sizeof k);
}

static void told_log(struct worker *w, const struct channel_message *m) {
    char path[PATH_MAX];
    if (m->fd < 0 || m->n >= sizeof path)
        return;
    memcpy(path, m->bytes, m->n);
    path[m->n] = '\0';
    w->told_logs = xrealloc(w->told_logs, (w->ntold_logs + 1) * sizeof *w->told_logs);
    w->told_logs[w->ntold_logs++] = log_file_adopt(path, m->fd);
}

static void forget_told(struct worker *w, bool close_sockets) {
    const struct socket *k = (const struct socket *)w->told_sockets.p;
    for (size_t i = 0; close_sockets && i < w->told_sockets.n / sizeof *k; i++) {
        if (k[i].fd >= 0)
            close(k[i].fd);
    }
    w->told_sockets.n = 0;
    for (unsigned i = 0; i < w->ntold_logs; i++)
        log_file_unref(w->told_logs[i]);
    free(w->told_logs);
    w->told_logs = NULL;
    w->ntold_logs = 0;
}

// --- taking it -----------------------------------------------------------------------------------------------------------

static struct listener *listener_at(const struct listeners *all, const struct sockaddr *sa) {
    for (unsigned i = 0; i < all->count; i++) {
        if (addr_eq(&listener_addr(all->at[i])->sa, sa))
            return all->at[i];
    }
    return NULL;
}

// From the sockets that are wanted: which listeners are new, and which are not wanted any more.
static void compare(struct worker *w, const struct sockets *want, struct listeners *more, struct listeners *gone) {
    const struct listeners *have = &w->loops.listeners;
    *more = (struct listeners){xcalloc(want->count + 1, sizeof(struct listener *)), 0};
    *gone = (struct listeners){xcalloc(have->count + 1, sizeof(struct listener *)), 0};
    for (unsigned i = 0; i < want->count; i++) {
        const struct socket *k = &want->at[i];
        if (k->fresh)
            more->at[more->count++] = listener_new(k->fd, &k->addr, conn_accept, w->service);
    }
    for (unsigned i = 0; i < have->count; i++) {
        if (sockets_find(want, &listener_addr(have->at[i])->sa) == NULL)
            gone->at[gone->count++] = have->at[i];
    }
}

static void keep_old(struct worker *w, struct conf *old) {
    struct old_conf *o = xcalloc(1, sizeof *o);
    uint64_t limit = main_conf(w->conf)->worker_shutdown_timeout;
    *o = (struct old_conf){old, worker_now(), limit != 0 ? limit : UINT64_MAX, w->old};
    w->old = o;
    w->old_ms = MIN(w->old_ms, worker_now() + OLD_LOOK_MS);
}

static void say_renewed(void *arg, struct str key) {
    log_msg(LOG_NOTICE, 0, "zone \"" STR_FMT "\" has other parameters than before and starts empty", STR_ARG(key));
}

// Takes over the reference. `want`: all its sockets.
static void take(struct worker *w, struct conf *next, const struct sockets *want) {
    worker_finish_drop(w); // of the reload before
    struct listeners more, gone;
    compare(w, want, &more, &gone);
    struct conf *old = w->conf;
    w->conf = next;
    if (!privileges_suffice(next->privileges) && privileges_suffice(old->privileges))
        log_msg(LOG_ALERT, 0, "\"transparent\" needs CAP_NET_RAW, which this worker gave up when it started: it has it after a restart "
                "or an upgrade");
    worker_raise_limits(main_conf(next));
    log_set_default(error_log_main(next));
    worker_crash_log(w);
    zones_renewed(next->zones, say_renewed, NULL);
    http_service_swap(w->service, conf_ref(next));
    loops_serve(&w->loops, next, &more);
    loops_refresh(&w->loops);
    free(more.at);
    for (unsigned i = 0; w->o->alone && i < gone.count; i++) // else the supervisor does, who may
        listen_refuse(listener_fd(gone.at[i]));
    w->dropping = gone;
    w->drop_ms = worker_now() + (gone.count != 0 ? DROP_MS : 0);
    keep_old(w, old);
}

void worker_finish_drop(struct worker *w) {
    if (w->drop_ms == UINT64_MAX)
        return;
    w->drop_ms = UINT64_MAX;
    loops_drop(&w->loops, &w->dropping);
    free(w->dropping.at);
    w->dropping = (struct listeners){0};
    http_service_settle(w->service);
}

// The socket of each address that is kept is the listener's own: only fresh ones come with a descriptor.
static void told_conf(struct worker *w, int pack) {
    struct sbuf why;
    sbuf_init_heap(&why, CHANNEL_BYTES);
    struct conf *next = NULL;
    zones_renewed(w->conf->zones, NULL, NULL); // of one that was refused
    reach_renew(); // the next opener knows the places of both
    if (!broker_replay(pack))
        sbuf_printf(&why, "the configuration cannot be received (%d: %s)", errno, strerror(errno));
    else
        next = load_conf_again(w->o->options, w->o->text, w->conf->zones, false, &why);
    broker_end();
    struct sockets want = {(struct socket *)w->told_sockets.p, (unsigned)(w->told_sockets.n / sizeof(struct socket))};
    for (unsigned i = 0; next != NULL && i < want.count; i++) {
        struct socket *k = &want.at[i];
        struct listener *l = listener_at(&w->loops.listeners, &k->addr.sa);
        bool leaves = l != NULL && listener_at(&w->dropping, &k->addr.sa) != NULL;
        if (k->fresh || (l != NULL && !leaves)) {
            if (!k->fresh)
                k->fd = listener_fd(l);
            continue;
        }
        sbuf_lit(&why, "a listening socket is missing");
        conf_unref(next);
        next = NULL;
    }
    if (w->stopping)
        sbuf_lit(&why, "the worker is shutting down");
    if (next != NULL && !w->stopping) {
        take(w, next, &want);
        forget_told(w, false);
        worker_say(w, SAY_TAKEN, STR_NONE);
    } else {
        for (unsigned i = 0; i < want.count; i++)
            want.at[i].fd = want.at[i].fresh ? want.at[i].fd : -1;
        forget_told(w, true);
        conf_unref(next);
        worker_say(w, SAY_REFUSED, sbuf_view(&why));
    }
    sbuf_done(&why);
}

void worker_told(struct worker *w, struct channel_message *m) {
    switch (m->kind) {
    case SAY_SOCKET:
        told_socket(w, m);
        break;
    case SAY_LOG:
        told_log(w, m);
        break;
    case SAY_LOGS_DONE:
        log_msg(LOG_NOTICE, 0, "reopening logs");
        forget_told(w, true);
        worker_crash_log(w);
        break;
    case SAY_CONF:
        told_conf(w, m->fd);
        break;
    default:
        if (m->fd >= 0)
            close(m->fd);
        break;
    }
}

// Without a supervisor the worker does both halves.
void worker_reload_alone(struct worker *w) {
    log_msg(LOG_NOTICE, 0, "reconfiguring");
    struct sbuf why;
    sbuf_init_heap(&why, CHANNEL_BYTES);
    struct conf *next = load_conf_again(w->o->options, w->o->text, w->conf->zones, true, &why);
    sbuf_done(&why);
    if (next == NULL)
        return;
    worker_finish_drop(w);
    struct sockets want, *have = w->o->sockets;
    if (!load_make_directories(next, w->o->uid, w->o->gid) || !sockets_open(&want, next, have, NULL)) {
        conf_unref(next);
        return;
    }
    take(w, next, &want);
    for (unsigned i = 0; i < want.count; i++)
        want.at[i].fresh = false;
    for (unsigned i = 0; i < have->count; i++) { // the listeners own the descriptors
        const struct socket *k = &have->at[i];
        if (k->addr.sa.sa_family == AF_UNIX && k->addr.un.sun_path[0] != '\0' && sockets_find(&want, &k->addr.sa) == NULL)
            unlink(k->addr.un.sun_path);
    }
    free(have->at);
    *have = want;
}

// --- snapshots of before -----------------------------------------------------------------------------------------------------

void worker_look_at_old(struct worker *w, uint64_t now) {
    for (struct old_conf **at = &w->old; *at != NULL;) {
        struct old_conf *o = *at;
        if (conf_is_last(o->conf)) {
            *at = o->next;
            log_msg(LOG_INFO, 0, "the configuration %llu is not used any more", (unsigned long long)o->conf->generation);
            conf_unref(o->conf);
            free(o);
            continue;
        }
        if (o->limit_ms != UINT64_MAX && now - o->since_ms >= o->limit_ms) {
            unsigned n = loops_close_older(&w->loops, o->conf->generation);
            log_msg(LOG_NOTICE, 0, "%u connections still used the configuration of before and are closed (limit: "
                    "worker_shutdown_timeout %llu ms)", n, (unsigned long long)o->limit_ms);
            o->since_ms = now;
        }
        at = &o->next;
    }
    w->old_ms = w->old != NULL ? now + OLD_LOOK_MS : UINT64_MAX;
    if (w->old == NULL)
        malloc_trim(0); // snapshots are what this thread's heap is made of
}

void worker_forget_all(struct worker *w) {
    while (w->old != NULL) {
        struct old_conf *o = w->old;
        w->old = o->next;
        conf_unref(o->conf);
        free(o);
    }
}
