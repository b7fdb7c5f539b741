// The error log: one line in nginx's format, for every target of the running request's log, or of the default one. Not
// here: how lines reach files (log_file.c).
#include "base/date.h"
#include "io/log_private.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const struct str level_names[] = {
    [LOG_STDERR] = STR_INIT("stderr"), [LOG_EMERG] = STR_INIT("emerg"),   [LOG_ALERT] = STR_INIT("alert"),
    [LOG_CRIT] = STR_INIT("crit"),     [LOG_ERR] = STR_INIT("error"),     [LOG_WARN] = STR_INIT("warn"),
    [LOG_NOTICE] = STR_INIT("notice"), [LOG_INFO] = STR_INIT("info"),     [LOG_DEBUG] = STR_INIT("debug"),
};

enum {
    ERROR_TEXT_ROOM = 50, // nginx keeps this much of a line for "(errno: text)" and shortens the message with "..."
    DETAILS_MAX = 128 << 10, // of text before it is cut: a request line of any size that the limits let in
};

static _Atomic(const struct log *) default_log;

struct str log_level_name(enum log_level level) {
    CHECK((size_t)level < ARRAY_LEN(level_names));
    return level_names[level];
}

bool log_level_from(struct str name, enum log_level *level) {
    for (size_t i = LOG_EMERG; i < ARRAY_LEN(level_names); i++) {
        if (str_eq(name, level_names[i])) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_set_context(const struct log_context *c) { *task_log_slot() = (void *)c; }
const struct log_context *log_context(void) { return *task_log_slot(); }
void log_set_default(const struct log *log) { atomic_store_explicit(&default_log, log, memory_order_release); }

bool log_has_default(void) { return atomic_load_explicit(&default_log, memory_order_acquire) != NULL; }

static const struct log *log_of(const struct log_context *c) {
    return c != NULL && c->log != NULL ? c->log : atomic_load_explicit(&default_log, memory_order_acquire);
}

bool log_wants(enum log_level level) {
    const struct log_context *c = log_context();
    const struct log *log = log_of(c);
    if (UNLIKELY(c != NULL && c->debug && log != NULL))
        return true;
    if (log == NULL)
        return level <= LOG_NOTICE;
    for (; log != NULL; log = log->next) {
        if (level <= log->level)
            return true;
    }
    return false;
}

static void put_time(struct sbuf *line) {
    struct loop *loop = loop_self();
    if (loop != NULL) {
        sbuf_put(line, loop_text_error(loop), DATE_ERROR_LEN);
        return;
    }
    time_t now = time(NULL);
    struct tm tm;
    int zone_min = localtime_r(&now, &tm) != NULL ? (int)(tm.tm_gmtoff / 60) : 0;
    char text[DATE_ERROR_LEN];
    date_error(now, zone_min, text);
    sbuf_put(line, text, sizeof(text));
}

// Appends the message and the text of err, of both at most `limit` bytes.
static void put_message(struct sbuf *text, size_t limit, int err, const char *fmt, va_list ap) {
    sbuf_vprintf(text, fmt, ap);
    text->n = MIN(text->n, limit);
    if (err == 0)
        return;
    if (text->n > limit - ERROR_TEXT_ROOM) {
        text->n = limit - ERROR_TEXT_ROOM;
        sbuf_lit(text, "...");
    }
    char room[128];
    sbuf_printf(text, " (%d: %s)", err, strerror_r(err, room, sizeof(room)));
}

static bool is_control(unsigned char c) { return c < 0x20 || c == 0x7f; }

static void put_cut(struct sbuf *line, const char *p, size_t n) { sbuf_put(line, p, MIN(n, line->max - line->n)); }

// Appends text, control bytes as \xHH: nothing from outside begins a line or moves a terminal's cursor. What is too long
// is cut.
static void put_escaped(struct sbuf *line, struct str text) {
    static const char hex[] = "0123456789ABCDEF";
    size_t from = 0;
    for (size_t i = 0; i < text.n && i - from < line->max - line->n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (LIKELY(!is_control(c)))
            continue;
        put_cut(line, text.p + from, i - from);
        from = i + 1;
        const char escape[] = {'\\', 'x', hex[c >> 4], hex[c & 15]};
        if (line->max - line->n < sizeof(escape))
            return;
        sbuf_put(line, escape, sizeof(escape));
    }
    put_cut(line, text.p + from, text.n - from);
}

static void put_prefix(struct sbuf *line, const struct log *log, enum log_level level, const struct log_context *c) {
    if (log == NULL) {
        sbuf_lit(line, "nginx: [");
        sbuf_str(line, level_names[level]);
        sbuf_lit(line, "] ");
        return;
    }
    put_time(line);
    sbuf_lit(line, " [");
    sbuf_str(line, level_names[level]);
    sbuf_printf(line, "] %d#%d: ", (int)getpid(), (int)gettid());
    if (c != NULL && c->connection != 0)
        sbuf_printf(line, "*%llu ", (unsigned long long)c->connection);
}

static void write_line(const struct log *log, bool all, enum log_level level, struct str line) {
    if (log == NULL) {
        ssize_t n = write(STDERR_FILENO, line.p, line.n);
        (void)n; // there is nowhere to report it
    }
    for (; log != NULL; log = log->next) {
        if (level > log->level && !all)
            continue;
        if (level <= LOG_CRIT)
            log_file_write_now(log->file, line);
        else
            log_file_write(log->file, line, 0, 0);
    }
}

void log_msg(enum log_level level, int err, const char *fmt, ...) {
    CHECK((size_t)level < ARRAY_LEN(level_names));
    if (!log_wants(level))
        return;
    int saved = errno;
    const struct log_context *c = log_context();
    const struct log *log = log_of(c);
    char storage[LOG_LINE_MAX];
    struct sbuf line, text;
    sbuf_init_fixed(&line, storage, sizeof(storage) - 1);
    put_prefix(&line, log, level, c);
    sbuf_init_heap(&text, DETAILS_MAX);
    va_list ap;
    va_start(ap, fmt);
    put_message(&text, LOG_LINE_MAX - line.n, err, fmt, ap);
    va_end(ap);
    if (log != NULL && c != NULL && c->details != NULL && level != LOG_DEBUG)
        c->details(c, &text);
    put_escaped(&line, sbuf_view(&text));
    storage[line.n++] = '\n';
    write_line(log, c != NULL && c->debug, level, sbuf_view(&line));
    sbuf_done(&text);
    errno = saved;
}
