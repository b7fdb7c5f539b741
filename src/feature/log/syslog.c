// The parameters of logs to syslog: server=, facility=, severity=, tag=, nohostname.
#include "feature/log/log_open.h"
#include "io/names.h"

enum { SYSLOG_PORT = 514, TAG_MAX = 32, FACILITY_LOCAL7 = 23 };

static const char *const facilities[] = {"kern",   "user",   "mail",   "daemon", "auth",   "intern", "lpr",      "news",
                                         "uucp",   "clock",  "authpriv", "ftp",  "ntp",    "audit",  "alert",    "cron",
                                         "local0", "local1", "local2", "local3", "local4", "local5", "local6",   "local7"};
static const char *const severities[] = {"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"};

static int find_word(struct str word, const char *const *words, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (str_eq(word, str_c(words[i])))
            return (int)i;
    }
    return -1;
}

struct parsing {
    struct log_syslog_opts o;
    bool server, facility, severity, tag;
};

static bool duplicate(struct conf_cx *cx, const struct conf_node *node, bool *seen, const char *name) {
    if (*seen)
        return !conf_err(cx, node, "duplicate syslog \"%s\"", name);
    *seen = true;
    return false;
}

static bool take_server(struct conf_cx *cx, const struct conf_node *node, struct str text, struct log_syslog_opts *o) {
    struct names names;
    const char *why = NULL;
    if (text.n == 0)
        why = "no host";
    else if (str_eq(text, STR("unix:")))
        why = "no path in the unix domain socket";
    else if (names_resolve(cx->arena, text, SYSLOG_PORT, &names, &why)) {
        o->server = names.at[0];
        return true;
    }
    return conf_err(cx, node, "%s in syslog server \"" STR_FMT "\"", why != NULL ? why : "host not found", STR_ARG(text));
}

static bool take_tag(struct conf_cx *cx, const struct conf_node *node, struct str text, struct log_syslog_opts *o) {
    if (text.n > TAG_MAX)
        return conf_err(cx, node, "syslog tag length exceeds %d", TAG_MAX);
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '_')
            return conf_err(cx, node, "syslog \"tag\" only allows alphanumeric characters and underscore");
    }
    o->tag = text;
    return true;
}

static bool take_parameter(struct conf_cx *cx, const struct conf_node *node, struct str p, struct parsing *s) {
    if (str_starts(p, STR("server=")))
        return !duplicate(cx, node, &s->server, "server") && take_server(cx, node, str_from(p, 7), &s->o);
    if (str_starts(p, STR("facility="))) {
        struct str v = str_from(p, 9);
        s->o.facility = find_word(v, facilities, ARRAY_LEN(facilities));
        return !duplicate(cx, node, &s->facility, "facility") &&
               (s->o.facility >= 0 || conf_err(cx, node, "unknown syslog facility \"" STR_FMT "\"", STR_ARG(v)));
    }
    if (str_starts(p, STR("severity="))) {
        struct str v = str_from(p, 9);
        int severity = find_word(v, severities, ARRAY_LEN(severities));
        if (duplicate(cx, node, &s->severity, "severity"))
            return false;
        if (severity < 0)
            return conf_err(cx, node, "unknown syslog severity \"" STR_FMT "\"", STR_ARG(v));
        if (s->o.severity >= 0) // lines of an error log say it themselves
            s->o.severity = severity;
        return true;
    }
    if (str_starts(p, STR("tag=")))
        return !duplicate(cx, node, &s->tag, "tag") && take_tag(cx, node, str_from(p, 4), &s->o);
    if (str_eq(p, STR("nohostname"))) {
        s->o.hostname = false;
        return true;
    }
    return conf_err(cx, node, "unknown syslog parameter \"" STR_FMT "\"", STR_ARG(p));
}

bool log_take_syslog(struct conf_cx *cx, const struct conf_node *node, struct str text, int severity, struct str *name) {
    struct parsing s = {
        .o = {.facility = FACILITY_LOCAL7, .severity = severity, .hostname = true, .tag = STR("nginx")}};
    struct str rest = str_from(text, 7), p; // behind "syslog:"
    while (str_split(&rest, ',', &p)) {
        if (!take_parameter(cx, node, p, &s))
            return false;
    }
    if (!s.server)
        return conf_err(cx, node, "no syslog server specified");
    *name = log_syslog_name(cx->arena, &s.o);
    return true;
}
