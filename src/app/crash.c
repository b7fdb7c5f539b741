// In the handler nothing may allocate or take locks that the faulting code may hold. What is called all the same (dladdr, the
// details of the request) can at worst hang or fault again: an alarm ends the one, the default action the other.
#include "app/crash.h"
#include "base/date.h"
#include "io/task.h"
#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { STACK_BYTES = 64 << 10, FRAMES = 40, OVERTIME_S = 5, LINE_BYTES = 2048 };

static int log_fd = STDERR_FILENO;     // atomic
static int zone_min;                   // of local time, as of crash_log_to
static __thread void *signal_stack;

static const struct {
    int number;
    const char *name;
} fatal[] = {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGFPE, "SIGFPE"}, {SIGILL, "SIGILL"}, {SIGABRT, "SIGABRT"}, {SIGSYS, "SIGSYS"}};

static void begin_line(struct sbuf *b, char *storage) {
    sbuf_init_fixed(b, storage, LINE_BYTES - 1);
    char text[32] = {0};
    date_error(time(NULL), zone_min, text);
    sbuf_put(b, text, DATE_ERROR_LEN);
    sbuf_lit(b, " [alert] ");
    sbuf_u64(b, (uint64_t)getpid());
    sbuf_chr(b, '#');
    sbuf_u64(b, (uint64_t)gettid());
    sbuf_lit(b, ": ");
}

static void put_hex(struct sbuf *b, uintptr_t v) {
    sbuf_lit(b, "0x");
    sbuf_hex(b, v);
}

static void put_z(struct sbuf *b, const char *z) { sbuf_put(b, z, strlen(z)); }

static void end_line(struct sbuf *b, char *storage) {
    for (size_t i = 0; i < b->n; i++) { // what came from outside begins no line of its own
        if ((unsigned char)storage[i] < ' ' || storage[i] == 0x7f)
            storage[i] = '?';
    }
    storage[b->n] = '\n';
    ssize_t n = write(__atomic_load_n(&log_fd, __ATOMIC_RELAXED), storage, b->n + 1);
    (void)n; // there is nobody to tell
}

static void put_frame(unsigned i, void *at) {
    char storage[LINE_BYTES];
    struct sbuf b;
    begin_line(&b, storage);
    sbuf_lit(&b, "crash: #");
    sbuf_u64(&b, i);
    sbuf_chr(&b, ' ');
    Dl_info info;
    if (dladdr(at, &info) != 0 && info.dli_fname != NULL) {
        put_z(&b, info.dli_fname);
        sbuf_chr(&b, '+');
        put_hex(&b, (uintptr_t)at - (uintptr_t)info.dli_fbase);
        if (info.dli_sname != NULL) {
            sbuf_lit(&b, " in ");
            put_z(&b, info.dli_sname);
        }
    } else {
        put_hex(&b, (uintptr_t)at);
    }
    end_line(&b, storage);
}

static void put_first(int number, const siginfo_t *info) {
    char storage[LINE_BYTES];
    struct sbuf b;
    begin_line(&b, storage);
    sbuf_lit(&b, "crash: signal ");
    sbuf_u64(&b, (uint64_t)number);
    for (size_t i = 0; i < ARRAY_LEN(fatal); i++) {
        if (fatal[i].number == number) {
            sbuf_lit(&b, " (");
            put_z(&b, fatal[i].name);
            sbuf_chr(&b, ')');
        }
    }
    if (info->si_code == SI_USER || info->si_code == SI_TKILL) {
        sbuf_lit(&b, " sent by process ");
        sbuf_u64(&b, (uint64_t)info->si_pid);
    } else {
        sbuf_lit(&b, " at address ");
        put_hex(&b, (uintptr_t)info->si_addr);
        const char *task = task_guard_name(info->si_addr);
        if (task != NULL) {
            sbuf_lit(&b, ": stack overflow of the task ");
            put_z(&b, task);
        }
    }
    sbuf_lit(&b, ", weir " WEIR_VERSION);
    end_line(&b, storage);
}

static void put_request(void) {
    const struct task *t = task_self();
    const struct log_context *c = t != NULL ? log_context() : NULL;
    if (t == NULL)
        return;
    char storage[LINE_BYTES];
    struct sbuf b;
    begin_line(&b, storage);
    if (c != NULL && c->connection != 0) {
        sbuf_chr(&b, '*');
        sbuf_u64(&b, c->connection);
        sbuf_chr(&b, ' ');
    }
    sbuf_lit(&b, "crash: in task ");
    put_z(&b, task_name(t));
    if (c != NULL && c->details != NULL)
        c->details(c, &b);
    end_line(&b, storage);
}

static void handle(int number, siginfo_t *info, void *context) {
    alarm(OVERTIME_S);
    put_first(number, info);
    void *frames[FRAMES];
    int n = backtrace(frames, FRAMES);
    for (int i = 1; i < n; i++)
        put_frame((unsigned)i, frames[i]);
    put_request(); // last: it reads what may be broken
    raise(number); // by its default action, once the handler has returned
}

void crash_install(void) {
    void *frame;
    backtrace(&frame, 1); // loads what it needs now
    struct sigaction a = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND};
    for (size_t i = 0; i < ARRAY_LEN(fatal); i++) {
        struct sigaction before;
        sigaction(fatal[i].number, NULL, &before);
        if (before.sa_handler == SIG_DFL) // a sanitizer says more
            sigaction(fatal[i].number, &a, NULL);
    }
    signal(SIGALRM, SIG_DFL);
    crash_watch_thread();
}

void crash_log_to(struct log_file *f) {
    int fd = f != NULL ? log_file_dup(f) : -1;
    time_t now = time(NULL);
    struct tm tm;
    if (localtime_r(&now, &tm) != NULL)
        zone_min = (int)(tm.tm_gmtoff / 60);
    int old = __atomic_exchange_n(&log_fd, fd >= 0 ? fd : STDERR_FILENO, __ATOMIC_RELAXED);
    if (old != STDERR_FILENO)
        close(old);
}

void crash_watch_thread(void) {
    void *p = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return;
    signal_stack = p;
    sigaltstack(&(stack_t){.ss_sp = p, .ss_size = STACK_BYTES}, NULL);
}

void crash_forget_thread(void) {
    if (signal_stack == NULL)
        return;
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    munmap(signal_stack, STACK_BYTES);
    signal_stack = NULL;
}
