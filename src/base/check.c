// The last words of a worker that found a bug of ours, and allocation that does not fail. Not for errors that outside
// bytes can cause.
#include "base/base.h"
#include <stdlib.h>
#include <unistd.h>

// One write, no stdio and no allocation: the heap or the stack may already be broken.
struct words {
    char text[512];
    size_t n;
};

static void words_add(struct words *w, const char *z) {
    size_t n = strlen(z);
    n = MIN(n, sizeof(w->text) - 1 - w->n); // one byte stays for the line's end
    memcpy(w->text + w->n, z, n);
    w->n += n;
}

static void words_say(struct words *w) {
    w->text[w->n++] = '\n';
    size_t at = 0;
    while (at < w->n) {
        ssize_t n = write(STDERR_FILENO, w->text + at, w->n - at);
        if (n < 0 && errno != EINTR)
            return;
        at += n > 0 ? (size_t)n : 0;
    }
}

void check_failed(const char *cond, const char *file, int line, const char *func) {
    char number[12];
    char *digits = number + sizeof(number) - 1;
    *digits = '\0';
    unsigned left = line > 0 ? (unsigned)line : 0;
    do {
        *--digits = (char)('0' + left % 10);
        left /= 10;
    } while (left != 0);

    struct words w = {.n = 0};
    words_add(&w, "weir: check failed: ");
    words_add(&w, cond);
    words_add(&w, " at ");
    words_add(&w, file);
    words_add(&w, ":");
    words_add(&w, digits);
    words_add(&w, " in ");
    words_add(&w, func);
    words_say(&w);
    abort();
}

NORETURN COLD static void out_of_memory(void) {
    struct words w = {.n = 0};
    words_add(&w, "weir: memory is out");
    words_say(&w);
    abort();
}

void *xmalloc(size_t size) {
    void *p = malloc(size ? size : 1);
    if (p == NULL)
        out_of_memory();
    return p;
}

void *xcalloc(size_t count, size_t size) {
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (p == NULL)
        out_of_memory();
    return p;
}

void *xrealloc(void *old, size_t size) {
    void *p = realloc(old, size ? size : 1);
    if (p == NULL)
        out_of_memory();
    return p;
}

char *xstrdup(const char *s) {
    size_t n = strlen(s) + 1;
    return memcpy(xmalloc(n), s, n);
}
