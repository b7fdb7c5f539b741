#include "base/test.h"
#include "io/file.h"
#include "io/inbox.h"
#include "io/loop_private.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char dir[64];

static char pattern(size_t i) { return (char)(i * 13 + i / 256); }

static void in_task(void (*fn)(void *arg), unsigned helpers) {
    snprintf(dir, sizeof(dir), "/tmp/weir-unit-XXXXXX");
    EXPECT(mkdtemp(dir) != NULL);
    struct loop *l = loop_new(0);
    if (helpers > 0)
        helpers_start(helpers);
    EXPECT(task_new(fn, NULL, "file") != NULL);
    while (task_count(l) > 0)
        loop_turn(l, 1000);
    if (helpers > 0)
        helpers_stop();
    loop_free(l);
    EXPECT(rmdir(dir) == 0); // nothing is left in it
}

static const char *path_of(const char *name) {
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static void open_and_read(void *arg) {
    struct file_info info;
    int err = 0;
    EXPECT(file_open(path_of("none"), &info, &err) == NULL);
    EXPECT_INT(err, -ENOENT);
    EXPECT_INT(file_stat(path_of("none"), &info), -ENOENT);
    EXPECT_INT(file_stat(dir, &info), 0);
    EXPECT(info.is_dir && !info.is_file);

    enum { SIZE = 300000 };
    int fd = open(path_of("x"), O_CREAT | O_WRONLY, 0755);
    char *text = xmalloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        text[i] = pattern(i);
    EXPECT(write(fd, text, SIZE) == SIZE);
    close(fd);
    struct file_ref *f = file_open(path_of("x"), &info, &err);
    EXPECT(f != NULL && info.is_file && !info.is_dir && info.is_exec && info.size == SIZE && info.inode != 0);
    EXPECT(llabs((long long)info.mtime_s - (long long)time(NULL)) < 1000);
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    EXPECT_INT(file_read(f, 0, 1000, &c), 1000);
    EXPECT_INT(file_read(f, 1000, SIZE, &c), 256 << 10); // at most a block
    EXPECT_INT(file_read(f, 1000 + (256 << 10), SIZE, &c), SIZE - 1000 - (256 << 10));
    EXPECT_INT(file_read(f, SIZE, 10, &c), 0);
    EXPECT_INT(c.bytes, SIZE);
    char *got = xmalloc(SIZE);
    chain_peek(&c, got, SIZE);
    EXPECT(memcmp(got, text, SIZE) == 0);
    chain_done(&c);
    file_unref(f);
    unlink(path_of("x"));
    f = file_open(dir, &info, &err); // may be opened, not read
    EXPECT(f != NULL && info.is_dir);
    EXPECT_INT(file_read(f, 0, 10, &c), -EISDIR);
    EXPECT_INT(c.bytes, 0);
    file_unref(f);
    free(got);
    free(text);
}

TEST(open_and_read_files) { in_task(open_and_read, 0); }
TEST(open_and_read_files_with_helpers) { in_task(open_and_read, 2); }

static void fifo(void *arg) {
    struct file_info info;
    int err;
    EXPECT(mkfifo(path_of("fifo"), 0600) == 0);
    struct file_ref *f = file_open(path_of("fifo"), &info, &err); // no writer, and no waiting for one
    EXPECT(f != NULL && !info.is_file && !info.is_dir);
    file_unref(f);
    unlink(path_of("fifo"));
}

TEST(opening_a_fifo_does_not_wait) { in_task(fifo, 0); }

static void temp(void *arg) {
    int err = 0;
    EXPECT(temp_file_new(path_of("none"), &err) == NULL);
    EXPECT_INT(err, -ENOENT);
    struct file_ref *f = temp_file_new(dir, &err);
    EXPECT(f != NULL);
    // More slices than one system call takes.
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    enum { SLICES = 1000 };
    size_t total = 0;
    for (size_t i = 0; i < SLICES; i++) {
        size_t n = i * 7 % 2000 + 1;
        struct block *b = block_new(c.pool, n);
        for (size_t j = 0; j < n; j++)
            b->data[j] = pattern(total + j);
        chain_give_block(&c, b, b->data, n);
        total += n;
    }
    EXPECT_INT(temp_file_write(f, 0, &c), 0);
    EXPECT_INT(c.bytes, total);
    EXPECT_INT(temp_file_write(f, (off_t)total, &c), 0);
    chain_done(&c);
    EXPECT_INT(temp_file_write(f, 0, &c), 0); // nothing
    for (size_t at = 0; at < total * 2;) {
        ssize_t n = file_read(f, (off_t)at, 50000, &c);
        EXPECT(n > 0);
        for (const struct piece *p = c.head; p != NULL; p = p->next)
            for (size_t i = 0; i < p->n; i++, at++)
                if (p->p[i] != pattern(at % total))
                    test_fail(__FILE__, __LINE__, "byte %zu differs", at);
        chain_done(&c);
    }
    file_unref(f);
}

// A socket holds the file's own pages between sendfile and the peer's read.
static void rewritten(void *arg) {
    enum { SIZE = 32 << 10 };
    int err = 0, s[2];
    struct file_ref *f = temp_file_new(dir, &err);
    EXPECT(f != NULL && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    char *bytes = malloc(SIZE);
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    for (int round = 'a'; round <= 'b'; round++) {
        memset(bytes, round, SIZE);
        chain_add_const(&c, bytes, SIZE);
        EXPECT_INT(temp_file_write(f, 0, &c), 0);
        chain_done(&c);
        off_t off = 0;
        EXPECT_INT(sendfile(s[0], f->fd, &off, SIZE), SIZE);
    }
    for (size_t at = 0; at < SIZE;) {
        ssize_t n = read(s[1], bytes, SIZE - at);
        EXPECT(n > 0);
        for (ssize_t i = 0; i < n; i++)
            EXPECT_INT(bytes[i], 'a');
        at += (size_t)n;
    }
    free(bytes);
    close(s[0]);
    close(s[1]);
    file_unref(f);
}

TEST(a_rewritten_file_leaves_what_was_sent) { in_task(rewritten, 0); }

TEST(temp_files) { in_task(temp, 0); }
TEST(temp_files_with_helpers) { in_task(temp, 2); }

// A file system without room, or a descriptor that cannot be written: the error is said.
static void temp_fails(void *arg) {
    int err = 0;
    struct file_ref *f = temp_file_new(dir, &err), *reader = NULL;
    struct file_info info;
    close(open(path_of("x"), O_CREAT | O_WRONLY, 0600));
    reader = file_open(path_of("x"), &info, &err);
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    chain_add_const(&c, "x", 1);
    EXPECT_INT(temp_file_write(reader, 0, &c), -EINVAL); // as ftruncate says it
    EXPECT_INT(temp_file_write(reader, 1, &c), -EBADF);
    EXPECT_INT(temp_file_write(f, -1, &c), -EINVAL);
    chain_done(&c);
    file_unref(f);
    file_unref(reader);
    unlink(path_of("x"));
}

TEST(temp_file_errors) { in_task(temp_fails, 1); }
