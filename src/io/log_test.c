// The error log's lines, and the writer: order, whole lines, reopening, targets that take nothing.
#include "base/sbuf.h"
#include "base/test.h"
#include "io/inbox.h"
#include "io/log.h"
#include "io/task.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// Its shadow memory grows with all that was ever touched, so resident memory says nothing.
#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER true
#elif defined(__has_feature)
#define THREAD_SANITIZER __has_feature(thread_sanitizer)
#else
#define THREAD_SANITIZER false
#endif

static char dir[] = "/tmp/weir-log-XXXXXX";

static const char *in_dir(const char *name) {
    static char paths[4][128];
    static int at;
    if (strstr(dir, "XXXXXX") != NULL)
        EXPECT(mkdtemp(dir) != NULL);
    char *path = paths[at++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

static void dir_remove(void) {
    static const char *const names[] = {"log", "log.1", "error", "fifo"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unlink(in_dir(names[i]));
    EXPECT_INT(rmdir(dir), 0);
}

// The whole file; the caller frees. A missing file is empty.
static struct str slurp(const char *path) {
    int fd = open(path, O_RDONLY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return STR_NONE;
    char *p = xmalloc((size_t)st.st_size + 1);
    size_t n = 0;
    ssize_t got;
    while ((got = read(fd, p + n, (size_t)st.st_size - n)) > 0)
        n += (size_t)got;
    close(fd);
    p[n] = '\0';
    return str_n(p, n);
}

static struct log_file *open_log(const char *path) {
    int err = 0;
    struct log_file *f = log_file_open(path, &err);
    EXPECT_INT(err, 0);
    EXPECT(f != NULL);
    return f;
}

// The error log of a test, the default one.
static struct log_file *error_file;
static struct log error_log;
static void error_log_begin(enum log_level level) {
    error_file = open_log(in_dir("error"));
    error_log = (struct log){.level = level, .file = error_file};
    log_set_default(&error_log);
}
static void error_log_end(void) {
    log_set_default(NULL);
    log_file_unref(error_file);
}
static struct str error_lines(void) { return slurp(in_dir("error")); }

// --- lines -----------------------------------------------------------------------------------------------------------

// Checks "YYYY/MM/DD hh:mm:ss [level] pid#tid: " and gives what follows.
static struct str after_prefix(struct str line, const char *level) {
    const char *shape = "dddd/dd/dd dd:dd:dd ";
    EXPECT(line.n > strlen(shape));
    for (size_t i = 0; shape[i] != '\0'; i++)
        EXPECT(shape[i] == 'd' ? ascii_is_digit((unsigned char)line.p[i]) : line.p[i] == shape[i]);
    char want[64];
    snprintf(want, sizeof(want), "[%s] %d#%d: ", level, (int)getpid(), (int)gettid());
    struct str rest = str_from(line, strlen(shape));
    EXPECT(str_starts(rest, str_c(want)));
    return str_from(rest, strlen(want));
}

static void some_details(const struct log_context *c, struct sbuf *line) {
    sbuf_lit(line, ", client: 127.0.0.1, server: localhost, request: \"GET /x HTTP/1.1\", host: \"127.0.0.1:8080\"");
}

TEST(log_line_is_nginx_s) {
    error_log_begin(LOG_ERR);
    const struct log_context c = {.connection = 1, .details = some_details};
    log_set_context(&c);
    log_msg(LOG_ERR, ENOENT, "open() \"%s\" failed", "/x");
    log_set_context(NULL);
    struct str got = error_lines();
    EXPECT_STR(after_prefix(got, "error"),
               STR("*1 open() \"/x\" failed (2: No such file or directory), client: 127.0.0.1, server: localhost, "
                   "request: \"GET /x HTTP/1.1\", host: \"127.0.0.1:8080\"\n"));
    free((char *)got.p);
    error_log_end();
    dir_remove();
}

TEST(log_time_is_local) {
    setenv("TZ", "XXX-05:30", 1); // five and a half hours east
    tzset();
    error_log_begin(LOG_ERR);
    time_t before = time(NULL);
    log_msg(LOG_ERR, 0, "now");
    time_t after = time(NULL);
    struct str got = error_lines();
    struct tm tm = {0};
    EXPECT(strptime(got.p, "%Y/%m/%d %H:%M:%S", &tm) != NULL);
    time_t told = timegm(&tm) - (5 * 60 + 30) * 60;
    EXPECT(told >= before && told <= after);
    free((char *)got.p);
    error_log_end();
    dir_remove();
}

TEST(log_levels) {
    static const char *const names[] = {"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"};
    for (int i = 0; i < 8; i++) {
        enum log_level level = LOG_STDERR;
        EXPECT(log_level_from(str_c(names[i]), &level));
        EXPECT_INT(level, i + 1);
        EXPECT_STR(log_level_name(level), str_c(names[i]));
    }
    enum log_level level = LOG_WARN;
    EXPECT(!log_level_from(STR("err"), &level));
    EXPECT(!log_level_from(STR(""), &level));
    EXPECT_INT(level, LOG_WARN);
    error_log_begin(LOG_WARN);
    EXPECT(log_wants(LOG_EMERG));
    EXPECT(log_wants(LOG_WARN));
    EXPECT(!log_wants(LOG_NOTICE));
    log_msg(LOG_NOTICE, 0, "not this");
    log_msg(LOG_WARN, 0, "this");
    struct str got = error_lines();
    EXPECT_STR(after_prefix(got, "warn"), STR("this\n"));
    free((char *)got.p);
    error_log_end();
    dir_remove();
}

TEST(log_goes_to_each_target_that_wants_it) {
    error_log_begin(LOG_ERR);
    struct log_file *second = open_log(in_dir("log"));
    const struct log own_second = {.level = LOG_INFO, .file = second};
    const struct log own = {.level = LOG_CRIT, .file = error_file, .next = &own_second};
    const struct log_context c = {.log = &own, .connection = 7};
    log_set_context(&c);
    EXPECT(log_wants(LOG_INFO));
    log_msg(LOG_INFO, 0, "quiet");
    log_msg(LOG_CRIT, 0, "loud");
    log_set_context(NULL);
    struct str one = error_lines(), two = slurp(in_dir("log"));
    EXPECT_STR(after_prefix(one, "crit"), STR("*7 loud\n"));
    ssize_t nl = str_chr(two, '\n');
    EXPECT_STR(after_prefix(str_head(two, (size_t)nl + 1), "info"), STR("*7 quiet\n"));
    EXPECT_STR(after_prefix(str_from(two, (size_t)nl + 1), "crit"), STR("*7 loud\n"));
    free((char *)one.p);
    free((char *)two.p);
    log_file_unref(second);
    error_log_end();
    dir_remove();
}

TEST(log_outside_bytes_forge_no_line) {
    error_log_begin(LOG_ERR);
    log_msg(LOG_ERR, 0, "bad \"%s\"", "a\r\n2026/01/01 00:00:00 [error] 1#1: forged\t\x1b[2J\x7f\xc3\xa9\\x");
    struct str got = error_lines();
    EXPECT_STR(after_prefix(got, "error"), STR("bad \"a\\x0D\\x0A2026/01/01 00:00:00 [error] 1#1: forged\\x09\\x1B[2J\\x7F"
                                               "\xc3\xa9\\x\"\n"));
    free((char *)got.p);
    error_log_end();
    dir_remove();
}

// The parts that a long line loses are those that nginx's loses: the end of the details, the end of the message before
// "(errno: text)".
TEST(log_long_lines_are_cut) {
    char *text = xmalloc(5001);
    for (size_t len = 1900; len <= 5000; len += len < 2100 ? 1 : 700) {
        memset(text, 'm', len);
        text[len] = '\0';
        unlink(in_dir("error"));
        error_log_begin(LOG_ERR);
        log_msg(LOG_ERR, 0, "%s", text);
        struct str got = error_lines();
        struct str rest = after_prefix(got, "error");
        size_t prefix = got.n - rest.n;
        EXPECT_INT(got.n, MIN(prefix + len + 1, (size_t)LOG_LINE_MAX));
        EXPECT_INT(str_chr(got, '\n'), (ssize_t)got.n - 1);
        free((char *)got.p);
        error_log_end();

        unlink(in_dir("error"));
        error_log_begin(LOG_ERR);
        log_msg(LOG_ERR, EPERM, "%s", text);
        got = error_lines();
        size_t kept = MIN(len, LOG_LINE_MAX - 50 - prefix);
        struct str tail = str_from(got, prefix + kept);
        if (kept == len)
            EXPECT_STR(tail, STR(" (1: Operation not permitted)\n"));
        else
            EXPECT_STR(tail, STR("... (1: Operation not permitted)\n"));
        free((char *)got.p);
        error_log_end();
    }
    free(text);
    dir_remove();
}

static void long_details(const struct log_context *c, struct sbuf *line) {
    static char uri[4000];
    memset(uri, '\n', sizeof(uri));
    sbuf_lit(line, ", request: \"");
    sbuf_put(line, uri, sizeof(uri));
    sbuf_lit(line, "\"");
}

TEST(log_long_details_are_cut_between_escapes) {
    error_log_begin(LOG_ERR);
    const struct log_context c = {.details = long_details};
    log_set_context(&c);
    log_msg(LOG_ERR, 0, "x");
    log_set_context(NULL);
    struct str got = error_lines();
    EXPECT(got.n <= LOG_LINE_MAX && got.n > LOG_LINE_MAX - 4);
    EXPECT(str_ends(got, STR("\\x0A\\x0A\n")));
    EXPECT_INT(str_chr(got, '\n'), (ssize_t)got.n - 1);
    free((char *)got.p);
    error_log_end();
    dir_remove();
}

TEST(log_before_a_log_is_open) {
    int fds[2];
    EXPECT_INT(pipe(fds), 0);
    int saved = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    errno = EBUSY;
    log_msg(LOG_EMERG, EADDRINUSE, "bind() to %s failed", "0.0.0.0:80");
    int errno_after = errno;
    log_msg(LOG_INFO, 0, "not this");
    dup2(saved, STDERR_FILENO);
    close(fds[1]);
    char got[256];
    ssize_t n = read(fds[0], got, sizeof(got));
    EXPECT_STR(str_n(got, (size_t)MAX(n, 0)), STR("nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)\n"));
    EXPECT_INT(errno_after, EBUSY);
}

// --- the writer --------------------------------------------------------------------------------------------------------

// Turns the loop until the file has so many bytes, for at most five seconds.
static void turn_until_size(struct loop *l, const char *path, off_t size) {
    struct stat st = {0};
    for (int i = 0; i < 5000; i++) {
        loop_turn(l, 0);
        if (stat(path, &st) == 0 && st.st_size >= size)
            break;
        usleep(1000);
    }
    EXPECT_INT(st.st_size, size);
}

TEST(log_file_same_path_is_same_file) {
    struct log_file *a = open_log(in_dir("log")), *b = open_log(in_dir("log"));
    EXPECT(a == b);
    log_file_unref(a);
    log_file_write(b, STR("still open\n"), 0, 0);
    log_file_unref(b);
    int err = 0;
    EXPECT(log_file_open(in_dir("none/log"), &err) == NULL);
    EXPECT_INT(err, -ENOENT);
    struct str got = slurp(in_dir("log"));
    EXPECT_STR(got, STR("still open\n"));
    free((char *)got.p);
    dir_remove();
}

TEST(log_file_lines_wait_for_the_end_of_the_turn) {
    struct loop *l = loop_new(0);
    helpers_start(1);
    struct log_file *f = open_log(in_dir("log"));
    log_file_write(f, STR("one\n"), 0, 0);
    log_file_write(f, STR("two\n"), 0, 0);
    usleep(20000);
    struct stat st;
    EXPECT_INT(stat(in_dir("log"), &st), 0);
    EXPECT_INT(st.st_size, 0);
    log_file_unref(f); // what was written still gets out
    turn_until_size(l, in_dir("log"), 8);
    struct str got = slurp(in_dir("log"));
    EXPECT_STR(got, STR("one\ntwo\n"));
    free((char *)got.p);
    helpers_stop();
    loop_free(l);
    dir_remove();
}

TEST(log_file_write_now_brings_what_was_before) {
    struct loop *l = loop_new(0);
    helpers_start(1);
    error_log_begin(LOG_ERR);
    log_msg(LOG_ERR, 0, "first");
    log_msg(LOG_CRIT, 0, "second");
    struct str got = error_lines(); // no turn has ended
    ssize_t nl = str_chr(got, '\n');
    EXPECT(nl > 0);
    EXPECT_STR(after_prefix(str_head(got, (size_t)nl + 1), "error"), STR("first\n"));
    EXPECT_STR(after_prefix(str_from(got, (size_t)nl + 1), "crit"), STR("second\n"));
    free((char *)got.p);
    loop_turn(l, 0);
    error_log_end();
    helpers_stop();
    loop_free(l);
    dir_remove();
}

static uint64_t fake_ms(void *arg) { return *(uint64_t *)arg; }

TEST(log_file_buffer_and_flush) {
    struct loop *l = loop_new(0);
    uint64_t now = 1000;
    loop_set_clock(l, fake_ms, &now);
    loop_turn(l, 0);
    helpers_start(1);
    struct log_file *f = open_log(in_dir("log"));
    struct stat st;
    log_file_write(f, STR("0123456\n"), 20, 5000);
    loop_turn(l, 0);
    log_file_write(f, STR("0123456\n"), 20, 5000);
    for (now = 1000; now < 6000; now += 100)
        loop_turn(l, 0);
    usleep(20000);
    EXPECT_INT(stat(in_dir("log"), &st), 0);
    EXPECT_INT(st.st_size, 0);
    log_file_write(f, STR("0123456\n"), 20, 5000); // the buffer is full
    turn_until_size(l, in_dir("log"), 24);
    log_file_write(f, STR("0123456\n"), 20, 5000);
    loop_turn(l, 0);
    usleep(20000);
    EXPECT_INT(stat(in_dir("log"), &st), 0);
    EXPECT_INT(st.st_size, 24);
    now += 5100; // and now it is due
    turn_until_size(l, in_dir("log"), 32);
    log_file_write(f, STR("0123456\n"), 20, 0); // waits for more, for ever: until the end
    loop_turn(l, 0);
    helpers_stop();
    log_files_flush();
    EXPECT_INT(stat(in_dir("log"), &st), 0);
    EXPECT_INT(st.st_size, 40);
    log_file_unref(f);
    loop_free(l);
    dir_remove();
}

TEST(log_file_loop_that_ends_hands_over_its_buffer) {
    struct loop *l = loop_new(0);
    helpers_start(1);
    struct log_file *f = open_log(in_dir("log"));
    log_file_write(f, STR("buffered\n"), 1000, 3600000);
    loop_turn(l, 0);
    log_file_unref(f);
    loop_free(l);
    helpers_stop();
    struct str got = slurp(in_dir("log"));
    EXPECT_STR(got, STR("buffered\n"));
    free((char *)got.p);
    dir_remove();
}

static void logs_inside(void *arg) { log_msg(LOG_ERR, 0, "%s", (const char *)arg); }

static void logs_of_a_request(void *arg) {
    log_set_context(arg);
    EXPECT(task_new(logs_inside, (char *)"made by the request", "inner") != NULL);
    log_msg(LOG_ERR, 0, "the request");
}

TEST(log_context_goes_with_the_task) {
    struct loop *l = loop_new(0);
    helpers_start(1);
    error_log_begin(LOG_ERR);
    struct log_context c = {.connection = 5};
    EXPECT(task_new(logs_of_a_request, &c, "request") != NULL);
    EXPECT(task_new(logs_inside, (char *)"not of it", "other") != NULL);
    for (int i = 0; i < 4; i++)
        loop_turn(l, 0);
    EXPECT(log_context() == NULL);
    loop_free(l);
    helpers_stop();
    struct str got = error_lines();
    EXPECT(str_find(got, STR(": *5 the request\n")) > 0);
    EXPECT(str_find(got, STR(": *5 made by the request\n")) > 0);
    EXPECT(str_find(got, STR(": not of it\n")) > 0);
    free((char *)got.p);
    error_log_end();
    dir_remove();
}

// Lines of two loops: "<loop> <number> xxx...", of many lengths.
enum { LOOPS = 2, LINES = 20000, TURN_LINES = 7 };
static struct log_file *shared;
static _Atomic bool reopening;

static size_t make_line(char *to, unsigned loop, unsigned number) {
    size_t fill = number * 31 % 97 + (number % 5000 == 0 ? 70000 : 0); // some larger than a batch
    int n = snprintf(to, 32, "%u %u ", loop, number);
    memset(to + n, 'x', fill);
    to[(size_t)n + fill] = '\n';
    return (size_t)n + fill + 1;
}

static void *loop_thread(void *arg) {
    unsigned id = *(unsigned *)arg;
    struct loop *l = loop_new(id);
    char *line = xmalloc(80000);
    for (unsigned i = 0; i < LINES; i++) {
        log_file_write(shared, str_n(line, make_line(line, id, i)), 0, 0);
        if (i % TURN_LINES == 0)
            loop_turn(l, 0);
        if (i % 500 == 0)
            usleep(3000); // a disk must keep up: nothing may be dropped here
    }
    loop_turn(l, 0);
    free(line);
    loop_free(l);
    return NULL;
}

// Every line of the text is whole and the next of its loop.
static void check_lines(struct str text, unsigned next[LOOPS], char *want) {
    while (text.n != 0) {
        unsigned loop = (unsigned)text.p[0] - '0';
        EXPECT(loop < LOOPS);
        size_t n = make_line(want, loop, next[loop]++);
        EXPECT_STR(str_head(text, n), str_n(want, n));
        text = str_from(text, n);
    }
}

static void run_loops(void *(*fn)(void *)) {
    pthread_t threads[LOOPS];
    unsigned ids[LOOPS];
    for (unsigned i = 0; i < LOOPS; i++) {
        ids[i] = i;
        EXPECT_INT(pthread_create(&threads[i], NULL, fn, &ids[i]), 0);
    }
    while (reopening) {
        usleep(10000);
        unlink(in_dir("log.1"));
        EXPECT_INT(rename(in_dir("log"), in_dir("log.1")), 0);
        log_files_reopen();
        reopening = false;
    }
    for (unsigned i = 0; i < LOOPS; i++)
        pthread_join(threads[i], NULL);
}

TEST(log_file_two_loops_in_order) {
    helpers_start(2);
    shared = open_log(in_dir("log"));
    run_loops(loop_thread);
    helpers_stop();
    log_files_flush();
    unsigned next[LOOPS] = {0};
    char *want = xmalloc(80000);
    struct str got = slurp(in_dir("log"));
    check_lines(got, next, want);
    for (unsigned i = 0; i < LOOPS; i++)
        EXPECT_INT(next[i], LINES);
    free((char *)got.p);
    free(want);
    log_file_unref(shared);
    dir_remove();
}

TEST(log_file_reopen_loses_and_tears_nothing) {
    helpers_start(2);
    shared = open_log(in_dir("log"));
    reopening = true;
    run_loops(loop_thread);
    helpers_stop();
    log_files_flush();
    unsigned next[LOOPS] = {0};
    char *want = xmalloc(80000);
    struct str old = slurp(in_dir("log.1")), new = slurp(in_dir("log"));
    EXPECT(old.n != 0 && new.n != 0);
    check_lines(old, next, want);
    check_lines(new, next, want);
    for (unsigned i = 0; i < LOOPS; i++)
        EXPECT_INT(next[i], LINES);
    free((char *)old.p);
    free((char *)new.p);
    free(want);
    log_file_unref(shared);
    dir_remove();
}

TEST(log_file_reopen_keeps_what_cannot_be_opened) {
    EXPECT_INT(mkdir(in_dir("sub"), 0755), 0);
    struct log_file *f = open_log(in_dir("sub/log"));
    error_log_begin(LOG_ERR);
    EXPECT_INT(rename(in_dir("sub"), in_dir("gone")), 0);
    log_files_reopen();
    log_file_write(f, STR("kept\n"), 0, 0);
    struct str got = slurp(in_dir("gone/log"));
    EXPECT_STR(got, STR("kept\n"));
    free((char *)got.p);
    got = error_lines();
    char want[256];
    snprintf(want, sizeof(want), "open() \"%s\" failed (2: No such file or directory)\n", in_dir("sub/log"));
    EXPECT_STR(after_prefix(got, "emerg"), str_c(want));
    free((char *)got.p);
    log_file_unref(f);
    error_log_end();
    unlink(in_dir("gone/log"));
    rmdir(in_dir("gone"));
    dir_remove();
}

TEST(log_file_adopted_descriptor_takes_the_place) {
    struct log_file *f = open_log(in_dir("log"));
    log_file_write(f, STR("one\n"), 0, 0);
    int fd = open(in_dir("log.1"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    EXPECT(log_file_adopt(in_dir("log"), fd) == f);
    log_file_write(f, STR("two\n"), 0, 0);
    log_files_reopen(); // is the supervisor's now: stays
    log_file_write(f, STR("three\n"), 0, 0);
    struct str old = slurp(in_dir("log")), new = slurp(in_dir("log.1"));
    EXPECT_STR(old, STR("one\n"));
    EXPECT_STR(new, STR("two\nthree\n"));
    free((char *)old.p);
    free((char *)new.p);
    log_file_unref(f);
    log_file_unref(f);
    dir_remove();
}

TEST(log_file_full_disk_is_reported_once) {
    struct loop *l = loop_new(0);
    helpers_start(1);
    error_log_begin(LOG_ERR);
    struct log_file *f = open_log("/dev/full");
    for (int i = 0; i < 50; i++) {
        log_file_write(f, STR("lost\n"), 0, 0);
        loop_turn(l, 0);
        usleep(200);
    }
    helpers_stop();
    log_files_flush();
    struct str got = error_lines();
    EXPECT(str_find(got, STR("write() to \"/dev/full\" failed, log lines are lost until it succeeds "
                             "(28: No space left on device)\n")) > 0);
    EXPECT_INT(str_chr(got, '\n'), (ssize_t)got.n - 1);
    free((char *)got.p);
    log_file_unref(f);
    error_log_end();
    loop_free(l);
    dir_remove();
}

// --- targets that take nothing ---------------------------------------------------------------------------------------------

enum { STALL_LINES = 400000, STALL_LINE = 100 };

static void stall_line(char *to, unsigned number) {
    memset(to, 'x', STALL_LINE);
    int n = snprintf(to, STALL_LINE, "%u ", number);
    to[n] = 'x';
    to[STALL_LINE - 1] = '\n';
}

static uint64_t ms_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static size_t resident_kib(void) {
    FILE *fp = fopen("/proc/self/statm", "r");
    unsigned long size = 0, resident = 0;
    EXPECT_INT(fscanf(fp, "%lu %lu", &size, &resident), 2);
    fclose(fp);
    return resident * 4;
}

// Writes 40 MB to a target that takes nothing: the loop goes on, memory is bounded, and when the reader comes back it gets
// whole lines in order from the first on, and the error log has the number of those that it did not get.
static void stalled_target(struct log_file *f, int reader) {
    struct loop *l = loop_new(0);
    helpers_start(1);
    error_log_begin(LOG_ERR);
    char line[STALL_LINE];
    size_t before_kib = resident_kib();
    uint64_t begin = ms_now();
    unsigned number = 0;
    for (; number < STALL_LINES; number++) {
        stall_line(line, number);
        log_file_write(f, str_n(line, STALL_LINE), 0, 0);
        if (number % 10 == 0)
            loop_turn(l, 0);
    }
    EXPECT(ms_now() - begin < 5000); // a second for all of it is much; waiting for the reader would be for ever
    EXPECT(THREAD_SANITIZER || resident_kib() < before_kib + STALL_LINES * STALL_LINE / 1024 / 3);

    // The reader comes back. The loop has nothing else to do: only the writer's own timer brings the rest.
    size_t cap = STALL_LINES * STALL_LINE, n = 0;
    char *got = xmalloc(cap);
    for (uint64_t quiet = ms_now(); ms_now() - quiet < 600;) {
        loop_turn(l, 5);
        ssize_t some = read(reader, got + n, cap - n);
        if (some > 0) {
            n += (size_t)some;
            quiet = ms_now();
        }
    }
    EXPECT_INT(n % STALL_LINE, 0);
    size_t kept = n / STALL_LINE;
    EXPECT(n > (1 << 20) - STALL_LINE && n < 2 << 20); // what may wait, and what the pipe held
    for (unsigned i = 0; i < kept; i++) {
        stall_line(line, i);
        EXPECT_STR(str_n(got + i * STALL_LINE, STALL_LINE), str_n(line, STALL_LINE));
    }

    stall_line(line, number);
    log_file_write(f, str_n(line, STALL_LINE), 0, 0);
    loop_turn(l, 0);
    helpers_stop();
    log_files_flush();
    EXPECT_INT(read(reader, got, cap), STALL_LINE);
    EXPECT_STR(str_n(got, STALL_LINE), str_n(line, STALL_LINE));
    struct str errors = error_lines();
    char want[256];
    snprintf(want, sizeof(want), "log \"%s\" takes data again: %zu lines were dropped\n", log_file_path(f), STALL_LINES - kept);
    EXPECT(str_find(errors, STR("takes no more data: 1048576 bytes wait, further lines are dropped\n")) > 0);
    EXPECT(str_ends(errors, str_c(want)));
    free((char *)errors.p);
    free(got);
    log_file_unref(f);
    error_log_end();
    loop_free(l);
}

TEST(log_file_fifo_that_nobody_reads) {
    signal(SIGPIPE, SIG_IGN);
    const char *path = in_dir("fifo");
    EXPECT_INT(mkfifo(path, 0644), 0);
    struct log_file *f = open_log(path); // no reader yet
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    stalled_target(f, reader);
    close(reader);
    dir_remove();
}

TEST(log_file_full_pipe_in_blocking_mode) { // as stderr of a container
    signal(SIGPIPE, SIG_IGN);
    int fds[2];
    EXPECT_INT(pipe(fds), 0);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    stalled_target(log_file_adopt("pipe:", fds[1]), fds[0]);
    close(fds[0]);
    dir_remove();
}

TEST(log_file_stalled_one_does_not_stop_others) {
    signal(SIGPIPE, SIG_IGN);
    struct loop *l = loop_new(0);
    helpers_start(1);
    EXPECT_INT(mkfifo(in_dir("fifo"), 0644), 0);
    struct log_file *fifo = open_log(in_dir("fifo")), *file = open_log(in_dir("log"));
    char line[STALL_LINE];
    for (unsigned i = 0; i < 5000; i++) {
        stall_line(line, i);
        log_file_write(fifo, str_n(line, STALL_LINE), 0, 0);
        log_file_write(file, str_n(line, STALL_LINE), 0, 0);
        if (i % 10 == 0)
            loop_turn(l, 0);
    }
    turn_until_size(l, in_dir("log"), 5000 * STALL_LINE);
    helpers_stop();
    log_files_flush();
    log_file_unref(fifo);
    log_file_unref(file);
    loop_free(l);
    dir_remove();
}

// A line longer than a pipe takes at once has a part in the old pipe when the log is reopened: the new one gets it whole.
TEST(log_file_reopen_of_a_stalled_pipe_repeats_the_torn_line) {
    signal(SIGPIPE, SIG_IGN);
    int fds[2];
    EXPECT_INT(pipe(fds), 0);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    int room = fcntl(fds[1], F_GETPIPE_SZ);
    struct log_file *f = log_file_adopt("pipe:", fds[1]);
    size_t long_n = (size_t)room * 2;
    char *line = xmalloc(long_n);
    memset(line, 'y', long_n);
    line[long_n - 1] = '\n';
    log_file_write(f, STR("before\n"), 0, 0);
    log_file_write(f, str_n(line, long_n), 0, 0);
    log_file_write(f, STR("after\n"), 0, 0);
    int fd = open(in_dir("log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    log_file_unref(log_file_adopt("pipe:", fd));
    struct str got = slurp(in_dir("log"));
    EXPECT_INT(got.n, long_n + 6);
    EXPECT_STR(str_head(got, long_n), str_n(line, long_n));
    EXPECT(str_ends(got, STR("y\nafter\n")));
    free((char *)got.p);
    free(line);
    log_file_unref(f);
    close(fds[0]);
    dir_remove();
}
