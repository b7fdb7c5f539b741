// Ready-made bodies, read with every room.
#include "base/sbuf.h"
#include "http/body_test_tools.h"
#include "io/file.h"
#include <stdio.h>

static void expect_body(struct body *b, size_t room, struct str want) {
    struct sbuf got;
    sbuf_init_heap(&got, 1 << 20);
    EXPECT_INT(b->length, want.n);
    EXPECT_INT(body_text(b, room, &got), 0);
    EXPECT_INT(b->length, 0);
    EXPECT_STR(sbuf_view(&got), want);
    sbuf_done(&got);
    body_free(b);
}

static void ready_made(void *arg) {
    struct arena a;
    arena_init(&a, NULL);
    char path[] = "/tmp/weir-body-XXXXXX";
    int fd = mkstemp(path);
    EXPECT(fd >= 0 && write(fd, "0123456789", 10) == 10);
    close(fd);
    for (size_t room = 1; room <= 12; room++) {
        expect_body(body_of_text(&a, STR("hello")), room, STR("hello"));
        expect_body(body_of_text(&a, STR("")), room, STR(""));
        struct chain c;
        chain_init(&c, loop_blocks(loop_self()));
        chain_add_copy(&c, STR("hello "));
        chain_add_const(&c, "world", 5);
        struct body *b = body_of_chain(&a, &c);
        EXPECT(chain_empty(&c) && b->in_memory);
        expect_body(b, room, STR("hello world"));
        struct file_info info;
        int err;
        struct file_ref *f = file_open(path, &info, &err);
        EXPECT(f != NULL);
        b = body_of_file(&a, f, 2, 7);
        EXPECT(!b->in_memory);
        expect_body(b, room, STR("2345678"));
    }
    unlink(path);
    arena_done(&a);
}

TEST(ready_made_bodies) { run_task(ready_made, NULL); }

static void discard(void *arg) {
    struct script_body s;
    size_t split = 3;
    script_init(&s, STR("0123456789"), &split, 1, 0);
    EXPECT_INT(body_discard(&s.body, 10), 0);
    script_init(&s, STR("0123456789"), &split, 1, -ECONNRESET);
    EXPECT_INT(body_discard(&s.body, 10), -ECONNRESET);
    script_init(&s, STR("0123456789"), &split, 1, 0);
    EXPECT_INT(body_discard(&s.body, 9), -EFBIG);
    body_free(NULL);
}

TEST(discarding) { run_task(discard, NULL); }
