#include "app/sockets.h"
#include "feature/core/main.h"
#include "http/vhost.h"
#include "io/listen.h"
#include "io/log.h"
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { BIND_TRIES = 5, BIND_WAIT_MS = 500, LISTEN_FDS_START = 3 };

const struct socket *sockets_find(const struct sockets *s, const struct sockaddr *sa) {
    for (unsigned i = 0; s != NULL && i < s->count; i++) {
        if (s->at[i].fd >= 0 && addr_eq(&s->at[i].addr.sa, sa))
            return &s->at[i];
    }
    return NULL;
}

static void complain(int fd_or_err, const char *what, const struct vhosts *v, struct sbuf *why) {
    char text[ADDR_TEXT_MAX + 64];
    struct sbuf b;
    sbuf_init_fixed(&b, text, sizeof text - 1);
    sbuf_printf(&b, "%s to ", what);
    addr_put(&b, &v->addr.sa, true);
    sbuf_lit(&b, " failed");
    log_msg(LOG_EMERG, -fd_or_err, STR_FMT, STR_ARG(sbuf_view(&b)));
    if (why == NULL)
        return;
    char room[128];
    why->n = 0;
    sbuf_str(why, sbuf_view(&b));
    sbuf_printf(why, " (%d: %s)", -fd_or_err, strerror_r(-fd_or_err, room, sizeof room));
}

enum round { ALL_OPEN, IN_USE, HOPELESS };

// One round over the addresses that have no socket yet.
static enum round open_round(struct sockets *s, const struct http_world *w, struct sbuf *why) {
    enum round result = ALL_OPEN;
    for (unsigned i = 0; i < w->count; i++) {
        struct vhosts *v = w->at[i];
        if (s->at[i].fd >= 0 || !vhosts_own_socket(w, v))
            continue;
        const char *what = "";
        int fd = listen_open(&v->addr, &v->opts, &what);
        if (fd >= 0) {
            s->at[i] = (struct socket){.addr = v->addr, .fd = fd, .fresh = true};
            continue;
        }
        complain(fd, what, v, why);
        if (fd != -EADDRINUSE)
            return HOPELESS;
        result = IN_USE;
    }
    return result;
}

// Closes the gaps of addresses that share a socket with another.
static void pack(struct sockets *s, unsigned n) {
    s->count = 0;
    for (unsigned i = 0; i < n; i++) {
        if (s->at[i].fd >= 0)
            s->at[s->count++] = s->at[i];
    }
}

bool sockets_open(struct sockets *s, const struct conf *c, const struct sockets *have, struct sbuf *why) {
    const struct http_world *w = http_world(c);
    unsigned n = w != NULL ? w->count : 0;
    *s = (struct sockets){xcalloc(n + 1, sizeof *s->at), n};
    for (unsigned i = 0; i < n; i++) {
        struct vhosts *v = w->at[i];
        const struct socket *k = vhosts_own_socket(w, v) ? sockets_find(have, &v->addr.sa) : NULL;
        s->at[i].fd = -1;
        if (k == NULL)
            continue;
        s->at[i] = (struct socket){.addr = v->addr, .fd = k->fd};
        listen_adjust(k->fd, &v->addr, &v->opts);
    }
    enum round result = IN_USE;
    for (int i = 0; i < BIND_TRIES && result == IN_USE; i++) {
        if (i > 0)
            nanosleep(&(struct timespec){.tv_nsec = BIND_WAIT_MS * 1000000L}, NULL);
        result = n != 0 ? open_round(s, w, why) : ALL_OPEN;
    }
    pack(s, n);
    if (result == ALL_OPEN)
        return true;
    if (result == IN_USE)
        log_msg(LOG_EMERG, 0, "still could not bind()");
    sockets_undo(s);
    return false;
}

bool sockets_try(const struct conf *c) {
    const struct http_world *w = http_world(c);
    bool good = true;
    for (unsigned i = 0; w != NULL && i < w->count; i++) {
        const struct vhosts *v = w->at[i];
        const char *what = "";
        int err = vhosts_own_socket(w, v) ? listen_try(&v->addr, &v->opts, &what) : 0;
        if (err == 0 || err == -EADDRINUSE)
            continue;
        complain(err, what, v, NULL);
        good = false;
    }
    return good;
}

static void remove_file(const struct socket *k) {
    if (k->addr.sa.sa_family == AF_UNIX && k->addr.un.sun_path[0] != '\0')
        unlink(k->addr.un.sun_path);
}

void sockets_close(struct sockets *s, const struct sockets *next, bool files, bool refuse) {
    for (unsigned i = 0; i < s->count; i++) {
        const struct socket *k = &s->at[i];
        if (sockets_find(next, &k->addr.sa) != NULL)
            continue;
        if (files)
            remove_file(k);
        if (refuse)
            listen_refuse(k->fd);
        if (k->fd >= 0) // else somebody else closed it
            close(k->fd);
    }
    free(s->at);
    *s = (struct sockets){0};
}

void sockets_undo(struct sockets *s) {
    for (unsigned i = 0; i < s->count; i++) {
        if (!s->at[i].fresh)
            continue;
        remove_file(&s->at[i]);
        close(s->at[i].fd);
    }
    free(s->at);
    *s = (struct sockets){0};
}

// --- from one process to the next ------------------------------------------------------------------------------------------

static void inherit(struct sockets *s, int fd) {
    struct socket k = {.fd = fd, .addr.len = sizeof k.addr.un};
    int type = 0, listening = 0;
    socklen_t n = sizeof type, m = sizeof listening;
    bool good = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_STREAM &&
                getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &m) == 0 && listening &&
                getsockname(fd, &k.addr.sa, &k.addr.len) == 0;
    if (!good || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0) {
        log_msg(LOG_EMERG, good ? errno : 0, "the inherited descriptor %d is not a listening socket, ignored", fd);
        return;
    }
    s->at = xrealloc(s->at, (s->count + 1) * sizeof *s->at);
    s->at[s->count++] = k;
}

static bool inherit_listed(struct sockets *s, const char *list) {
    log_msg(LOG_NOTICE, 0, "using inherited sockets from \"%s\"", list);
    struct str rest = str_c(list), one;
    while (rest.n != 0 && str_split(&rest, ';', &one)) {
        uint64_t fd;
        if (one.n == 0)
            continue;
        if (!str_u64(one, INT_MAX, &fd)) {
            log_msg(LOG_EMERG, 0, "invalid socket number \"" STR_FMT "\" in NGINX environment variable, ignoring the rest of the variable",
                    STR_ARG(one));
            break;
        }
        inherit(s, (int)fd);
    }
    unsetenv("NGINX");
    return true;
}

bool sockets_inherited(void) { return getenv("NGINX") != NULL; }

bool sockets_inherit(struct sockets *s) {
    *s = (struct sockets){0};
    const char *list = getenv("NGINX"), *count = getenv("LISTEN_FDS"), *whose = getenv("LISTEN_PID");
    bool upgrade = list != NULL && inherit_listed(s, list);
    uint64_t n = 0, pid = 0;
    if (count != NULL && whose != NULL && str_u64(str_c(count), 4096, &n) && str_u64(str_c(whose), INT_MAX, &pid) &&
        (pid_t)pid == getpid()) {
        for (uint64_t i = 0; i < n; i++)
            inherit(s, LISTEN_FDS_START + (int)i);
    }
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
    return upgrade;
}

char *sockets_bequeath(const struct sockets *s) {
    struct sbuf b;
    sbuf_init_heap(&b, 1 << 20);
    for (unsigned i = 0; i < s->count; i++) {
        if (fcntl(s->at[i].fd, F_SETFD, 0) == 0)
            sbuf_printf(&b, "%d;", s->at[i].fd);
    }
    char *list = str_xdup(sbuf_view(&b));
    sbuf_done(&b);
    return list;
}
