// The runner of the unit tests: unit [-j N] [-l] [substring...]. Each test is a process of its own with a deadline;
// what it prints is shown only when it fails. The last line is "N passed, N failed". Not part of the product.
#include "base/test.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DEADLINE_S = 60, JOBS_MAX = 64 };

struct job {
    const struct test *test; // NULL: nothing runs here
    pid_t pid;
    FILE *output;
    time_t started;
    bool late;
};

static struct test *tests;

void test_register(struct test *t) {
    struct test **at = &tests;
    while (*at != NULL && (strcmp((*at)->file, t->file) < 0 ||
                           (strcmp((*at)->file, t->file) == 0 && strcmp((*at)->name, t->name) < 0)))
        at = &(*at)->next;
    t->next = *at;
    *at = t;
}

void test_fail(const char *file, int line, const char *fmt, ...) {
    va_list ap;
    fprintf(stderr, "%s:%d: ", file, line);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    fflush(NULL);
    _exit(1);
}

bool test_dies(void (*fn)(void *arg), void *arg) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(0);
        fn(arg);
        _exit(0);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        test_fail(__FILE__, __LINE__, "fork or waitpid: %s", strerror(errno));
    return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

// "base/str_test.c: split": the path from src/ on, however the compiler was called.
static void full_name(const struct test *t, char *to, size_t size) {
    const char *file = strstr(t->file, "src/");
    snprintf(to, size, "%s: %s", file != NULL ? file + 4 : t->file, t->name);
}

static bool is_wanted(const struct test *t, char **words) {
    char name[512];
    full_name(t, name, sizeof(name));
    if (*words == NULL)
        return true;
    for (; *words != NULL; words++) {
        if (strstr(name, *words) != NULL)
            return true;
    }
    return false;
}

static time_t now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static NORETURN void die(const char *what) {
    fprintf(stderr, "unit: %s: %s\n", what, strerror(errno));
    exit(2);
}

static NORETURN void run_child(const struct job *j, const sigset_t *mask) {
    setpgid(0, 0);
    sigprocmask(SIG_SETMASK, mask, NULL);
    if (dup2(fileno(j->output), STDOUT_FILENO) < 0 || dup2(fileno(j->output), STDERR_FILENO) < 0)
        _exit(2);
    j->test->fn();
    exit(0); // not _exit: the leak check runs at exit
}

static void start(struct job *j, const struct test *t, const sigset_t *mask) {
    *j = (struct job){.test = t, .output = tmpfile(), .started = now_s()};
    if (j->output == NULL)
        die("tmpfile");
    fflush(NULL);
    j->pid = fork();
    if (j->pid < 0)
        die("fork");
    if (j->pid == 0)
        run_child(j, mask);
    setpgid(j->pid, j->pid); // in both, so that neither is too late; one of the two may fail
}

static void show_output(FILE *f) {
    char text[4096];
    rewind(f);
    for (size_t n = fread(text, 1, sizeof(text), f); n > 0; n = fread(text, 1, sizeof(text), f))
        fwrite(text, 1, n, stdout);
}

// Returns whether the test passed.
static bool finish(struct job *j, int status) {
    bool passed = !j->late && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    kill(-j->pid, SIGKILL); // whatever it left behind
    if (!passed) {
        char name[512];
        full_name(j->test, name, sizeof(name));
        if (j->late)
            printf("FAILED %s (not done after %d s)\n", name, DEADLINE_S);
        else if (WIFSIGNALED(status))
            printf("FAILED %s (%s)\n", name, strsignal(WTERMSIG(status)));
        else
            printf("FAILED %s\n", name);
        show_output(j->output);
    }
    fclose(j->output);
    j->test = NULL;
    return passed;
}

// Looks after the running jobs once; returns how many still run.
static int look_after(struct job *jobs, int count, int *passed, int *failed) {
    int running = 0;
    for (struct job *j = jobs; j < jobs + count; j++) {
        if (j->test == NULL)
            continue;
        int status = 0;
        if (waitpid(j->pid, &status, WNOHANG) == j->pid) {
            *(finish(j, status) ? passed : failed) += 1;
            continue;
        }
        if (!j->late && now_s() - j->started > DEADLINE_S) {
            j->late = true;
            kill(-j->pid, SIGKILL);
        }
        running++;
    }
    return running;
}

static int run_all(char **words, int count) {
    static struct job jobs[JOBS_MAX];
    int passed = 0, failed = 0;
    sigset_t child, before;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &before);
    const struct test *next = tests;
    for (;;) {
        int running = look_after(jobs, count, &passed, &failed);
        while (next != NULL && !is_wanted(next, words))
            next = next->next;
        if (next == NULL && running == 0)
            break;
        if (next != NULL && running < count) {
            struct job *free_job = jobs;
            while (free_job->test != NULL)
                free_job++;
            start(free_job, next, &before);
            next = next->next;
            continue;
        }
        sigtimedwait(&child, NULL, &(struct timespec){.tv_nsec = 100000000});
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 && passed > 0 ? 0 : 1; // a run of nothing proves nothing
}

static int usage(void) {
    fprintf(stderr, "usage: unit [-j jobs] [-l] [substring...]\n");
    return 2;
}

int main(int argc, char **argv) {
    uint64_t count = (uint64_t)MAX(1, sysconf(_SC_NPROCESSORS_ONLN));
    bool list = false;
    for (int opt = getopt(argc, argv, "j:l"); opt != -1; opt = getopt(argc, argv, "j:l")) {
        if (opt == 'l')
            list = true;
        else if (opt != 'j' || !str_u64(str_c(optarg), JOBS_MAX, &count) || count == 0)
            return usage();
    }
    if (!list)
        return run_all(argv + optind, (int)MIN(count, (uint64_t)JOBS_MAX));
    for (const struct test *t = tests; t != NULL; t = t->next) {
        char name[512];
        full_name(t, name, sizeof(name));
        if (is_wanted(t, argv + optind))
            puts(name);
    }
    return 0;
}
