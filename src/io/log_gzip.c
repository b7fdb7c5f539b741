// Log files that are compressed as they are written (nginx access_log gzip=): what a write carries becomes a gzip member of its
// own, so that a file that ends anywhere can be read up to there.
#include "io/log_private.h"

#include <stdlib.h>
#include <zlib.h>

struct log_gzip {
    z_stream z;
    char *out; // the last member
    size_t n, off, cap;
};

struct log_gzip *log_gzip_new(int level) {
    struct log_gzip *g = xcalloc(1, sizeof *g);
    if (deflateInit2(&g->z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK)
        return g;
    free(g);
    return NULL;
}

void log_gzip_free(struct log_gzip *g) {
    if (g == NULL)
        return;
    deflateEnd(&g->z);
    free(g->out);
    free(g);
}

static void deflate_all(struct log_gzip *g, const struct iovec *iov, int count) {
    for (int i = 0; i < count; i++) {
        g->z.next_in = iov[i].iov_base;
        g->z.avail_in = (unsigned)iov[i].iov_len;
        (void)deflate(&g->z, i + 1 == count ? Z_FINISH : Z_NO_FLUSH);
        CHECK(g->z.avail_in == 0); // there is room for all: deflateBound
    }
}

// What is left of the last member goes first. -EAGAIN: the target takes nothing.
static ssize_t flush(struct log_gzip *g, const struct log_ops *ops, struct log_target *t) {
    while (g->off < g->n) {
        struct iovec iov = {g->out + g->off, g->n - g->off};
        ssize_t n = ops->write(t, &iov, 1);
        if (n < 0)
            return n;
        g->off += (size_t)n;
    }
    g->n = g->off = 0;
    return 0;
}

ssize_t log_gzip_write(struct log_gzip *g, const struct log_ops *ops, struct log_target *t, const struct iovec *iov, int count) {
    ssize_t err = flush(g, ops, t);
    if (err != 0 || count == 0)
        return err;
    size_t total = 0;
    for (int i = 0; i < count; i++)
        total += iov[i].iov_len;
    deflateReset(&g->z);
    size_t bound = deflateBound(&g->z, total) + 64 + 16 * (size_t)count;
    if (g->cap < bound) {
        g->out = xrealloc(g->out, bound);
        g->cap = bound;
    }
    g->z.next_out = (unsigned char *)g->out;
    g->z.avail_out = (unsigned)g->cap;
    deflate_all(g, iov, count);
    g->n = g->cap - g->z.avail_out;
    g->off = 0;
    err = flush(g, ops, t);
    return err == 0 || err == -EAGAIN ? (ssize_t)total : err;
}

void log_gzip_forget(struct log_gzip *g) { g->n = g->off = 0; }
bool log_gzip_waits(const struct log_gzip *g) { return g->off < g->n; }
