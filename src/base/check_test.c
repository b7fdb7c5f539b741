#include "base/test.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_OF_CHECK = __LINE__ + 2 };
static void fail_a_check(void) {
    CHECK(1 + 1 == 3);
}

// What the child wrote to stderr, and how it ended.
static int capture(void (*fn)(void), char *text, size_t size) {
    int ends[2];
    EXPECT(pipe(ends) == 0);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    close(ends[1]);
    size_t n = 0;
    for (ssize_t got; (got = read(ends[0], text + n, size - 1 - n)) > 0;)
        n += (size_t)got;
    text[n] = '\0';
    close(ends[0]);
    int status = 0;
    EXPECT(waitpid(pid, &status, 0) == pid);
    return status;
}

TEST(a_failed_check_names_its_place_and_aborts) {
    char text[1024];
    int status = capture(fail_a_check, text, sizeof(text));
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    EXPECT(strncmp(text, "weir: check failed: 1 + 1 == 3 at ", 34) == 0);
    char place[64];
    snprintf(place, sizeof(place), "check_test.c:%d in fail_a_check\n", LINE_OF_CHECK);
    EXPECT(strstr(text, place) != NULL);
}

static void fail_at_length(void) {
    static char name[2000];
    memset(name, 'x', sizeof(name) - 1);
    check_failed(name, "file", INT_MAX, "func");
}

TEST(a_long_condition_is_cut) {
    char text[4096];
    int status = capture(fail_at_length, text, sizeof(text));
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    EXPECT_INT(strcspn(text, "\n"), 511); // an emulator may say something of its own behind it
}

static void hold_a_check(void *arg) {
    CHECK(arg == NULL);
}

TEST(a_check_that_holds_does_nothing) {
    EXPECT(!test_dies(hold_a_check, NULL));
    EXPECT(test_dies(hold_a_check, &(int){0}));
}

TEST(allocation) {
    char *p = xmalloc(0), *q = xcalloc(3, 5);
    EXPECT(p != NULL && q != NULL);
    for (int i = 0; i < 15; i++)
        EXPECT_INT(q[i], 0);
    q = xrealloc(q, 100000);
    EXPECT_INT(q[14], 0);
    char *z = xstrdup("weir");
    EXPECT(strcmp(z, "weir") == 0);
    free(p);
    free(q);
    free(z);
}
