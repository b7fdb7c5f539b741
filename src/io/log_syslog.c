// Logs to syslog (RFC 3164 as nginx writes it): a datagram for each line, over UDP or a Unix socket. A name of such a target
// is made by log_syslog_name:
//
//   syslog:FACILITY:SEVERITY:HOST:TAG:ADDRESS      syslog:23:6:1:nginx:127.0.0.1:514
//
// SEVERITY "-": what the line of an error log says in its brackets. HOST 0: the header names no host.
#include "io/log_private.h"
#include "wire/addr.h"

#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { HEADER_MAX = 160, SEVERITY_LINE = -1, SEVERITY_ERROR = 3, RETRY_MS = 1000 };

struct syslog {
    int facility, severity;
    char host[65], tag[33];
    struct addr_full to;
    uint64_t tried_ms; // when connecting failed last
};

struct str log_syslog_name(struct arena *a, const struct log_syslog_opts *o) {
    struct sbuf b;
    sbuf_init_arena(&b, a, 128, 512);
    sbuf_printf(&b, "syslog:%d:", o->facility);
    if (o->severity < 0)
        sbuf_chr(&b, '-');
    else
        sbuf_printf(&b, "%d", o->severity);
    sbuf_printf(&b, ":%d:" STR_FMT ":", o->hostname, STR_ARG(o->tag));
    addr_put(&b, &o->server.sa, true);
    sbuf_cstr(&b);
    return sbuf_view(&b);
}

// Takes the part before the next colon.
static bool take(struct str *rest, struct str *part) { return rest->p != NULL && str_split(rest, ':', part); }

static bool parse(struct syslog *s, struct str name) {
    struct str rest = str_from(name, 7), facility, severity, host, tag; // behind "syslog:"
    uint64_t f, v = 0;
    const char *why;
    if (!take(&rest, &facility) || !take(&rest, &severity) || !take(&rest, &host) || !take(&rest, &tag) || rest.p == NULL ||
        !str_u64(facility, 23, &f) || (!str_eq(severity, STR("-")) && !str_u64(severity, 7, &v)) || tag.n >= sizeof s->tag ||
        !addr_parse(&s->to, rest, 514, false, &why))
        return false;
    s->facility = (int)f;
    s->severity = str_eq(severity, STR("-")) ? SEVERITY_LINE : (int)v;
    memcpy(s->tag, tag.p, tag.n);
    s->tag[tag.n] = '\0';
    s->host[0] = '\0';
    if (str_eq(host, STR("1")) && gethostname(s->host, sizeof s->host - 1) != 0)
        s->host[0] = '\0';
    return true;
}

// A target that is not there yet is tried again with a later line.
static int connect_to_syslog(struct log_target *t, struct syslog *s) {
    if (t->fd >= 0)
        return 0;
    int fd = socket(s->to.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, &s->to.sa, s->to.len) != 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    t->fd = fd;
    return 0;
}

int log_syslog_open(const char *name, struct log_target *t) {
    struct syslog *s = xcalloc(1, sizeof *s);
    *t = (struct log_target){.fd = -1, .owned = true, .state = s};
    if (!parse(s, str_c(name))) {
        free(s);
        return -EINVAL;
    }
    (void)connect_to_syslog(t, s);
    return 0;
}

void log_syslog_close(struct log_target *t) {
    if (t->fd >= 0)
        close(t->fd);
    free(t->state);
    *t = (struct log_target){.fd = -1};
}

// "2026/11/23 07:00:00 [error] ..." -> 3.
static int severity_of(struct str line) {
    ssize_t open = str_chr(str_head(line, 40), '['), close = str_chr(str_head(line, 40), ']');
    enum log_level level;
    if (open < 0 || close < open || !log_level_from(str_n(line.p + open + 1, (size_t)(close - open) - 1), &level))
        return SEVERITY_ERROR;
    return (int)level - (int)LOG_EMERG;
}

// <190>Nov  3 07:00:00 host nginx: (local time)
static size_t put_header(const struct syslog *s, struct str line, char *to) {
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now = time(NULL);
    struct tm tm;
    if (localtime_r(&now, &tm) == NULL)
        tm = (struct tm){.tm_mday = 1};
    struct sbuf b;
    sbuf_init_fixed(&b, to, HEADER_MAX);
    sbuf_printf(&b, "<%d>%s %2d %02d:%02d:%02d ", s->facility * 8 + (s->severity >= 0 ? s->severity : severity_of(line)),
                months[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    if (s->host[0] != '\0')
        sbuf_printf(&b, "%s ", s->host);
    sbuf_printf(&b, "%s: ", s->tag);
    return b.n;
}

static int send_line(struct log_target *t, struct syslog *s, struct str line) {
    char header[HEADER_MAX];
    struct iovec iov[2] = {{header, put_header(s, line, header)}, {(void *)(uintptr_t)line.p, line.n}};
    for (int tries = 0;; tries++) {
        int err = connect_to_syslog(t, s);
        if (err != 0)
            return err;
        struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
        if (sendmsg(t->fd, &m, MSG_NOSIGNAL) >= 0)
            return 0;
        err = -errno;
        if (err == -EINTR)
            continue;
        if (err == -EMSGSIZE && iov[1].iov_len > 1024) { // what fits is better than nothing
            iov[1].iov_len /= 2;
            continue;
        }
        if (err == -EAGAIN || err == -ENOBUFS)
            return -EAGAIN;
        close(t->fd); // the receiver was restarted: once more on a new socket
        t->fd = -1;
        if (tries > 0)
            return err;
    }
}

ssize_t log_syslog_write(struct log_target *t, const struct iovec *iov, int count) {
    struct syslog *s = t->state;
    if (s->tried_ms != 0 && loop_clock_now() - s->tried_ms < RETRY_MS)
        return -ENOTCONN;
    ssize_t done = 0;
    for (int i = 0; i < count; i++) {
        struct str rest = str_n(iov[i].iov_base, iov[i].iov_len);
        while (rest.n != 0) {
            ssize_t end = str_chr(rest, '\n');
            size_t n = end < 0 ? rest.n : (size_t)end;
            int err = send_line(t, s, str_head(rest, n));
            if (err == -EAGAIN)
                return done > 0 ? done : -EAGAIN;
            s->tried_ms = err != 0 ? loop_clock_now() : 0;
            if (err != 0)
                return err; // and all that was to be written is lost
            n += end >= 0;
            rest = str_from(rest, n);
            done += (ssize_t)n;
        }
    }
    return done;
}
