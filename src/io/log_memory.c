// "memory:SIZE": the last bytes of a log in a ring in memory, for a debugger (nginx error_log memory:). The ring begins with a
// line that says what it is, so that it can be found in a core file.
#include "io/log_private.h"

#include <stdlib.h>

static const char banner[] = "weir log ring, the oldest byte follows the newest:\n";

struct ring {
    size_t at, size;
    char bytes[];
};

int log_memory_open(const char *name, struct log_target *t) {
    uint64_t size;
    if (!str_u64(str_from(str_c(name), 7), 1 << 30, &size) || size < 2 * sizeof banner)
        return -EINVAL;
    struct ring *r = calloc(1, sizeof *r + size);
    if (r == NULL)
        return -ENOMEM;
    memcpy(r->bytes, banner, sizeof banner - 1);
    r->at = sizeof banner - 1;
    r->size = size;
    *t = (struct log_target){.fd = -1, .state = r};
    return 0;
}

ssize_t log_memory_write(struct log_target *t, const struct iovec *iov, int count) {
    struct ring *r = t->state;
    ssize_t done = 0;
    for (int i = 0; i < count; i++) {
        const char *p = iov[i].iov_base;
        size_t n = iov[i].iov_len;
        done += (ssize_t)n;
        while (n > 0) {
            if (r->at == r->size)
                r->at = sizeof banner - 1;
            size_t take = MIN(n, r->size - r->at);
            memcpy(r->bytes + r->at, p, take);
            r->at += take;
            p += take;
            n -= take;
        }
    }
    return done;
}

void log_memory_close(struct log_target *t) {
    free(t->state);
    *t = (struct log_target){.fd = -1};
}
