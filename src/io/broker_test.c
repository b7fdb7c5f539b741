#include "base/test.h"
#include "io/broker.h"
#include "io/channel.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/weir-broker-XXXXXX";
static struct arena a;

static struct str path_of(const char *name) { return arena_printf(&a, "%s/%s", dir, name); }

static void put(const char *name, const char *text) {
    FILE *f = fopen(path_of(name).p, "w");
    EXPECT(f != NULL);
    fputs(text, f);
    fclose(f);
}

static void begin(void) {
    arena_init(&a, NULL);
    EXPECT(mkdtemp(dir) != NULL);
}

static void end(void) {
    static const char *const names[] = {"a", "b", "c", "big"};
    broker_end();
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unlink(path_of(names[i]).p);
    rmdir(dir);
    arena_done(&a);
}

static struct str read_ok(const char *name) {
    struct str text;
    EXPECT_INT(broker_read(path_of(name).p, &a, 1 << 20, &text), 0);
    EXPECT(text.p[text.n] == '\0');
    return text;
}

static int read_err(const char *name, size_t max) {
    struct str text;
    return broker_read(path_of(name).p, &a, max, &text);
}

static size_t globbed(const char *pattern, struct str **paths) {
    size_t n;
    EXPECT_INT(broker_glob(path_of(pattern).p, &a, paths, &n), 0);
    return n;
}

TEST(broker_plain) {
    begin();
    put("a", "text");
    put("b", "");
    EXPECT_STR(read_ok("a"), STR("text"));
    EXPECT_STR(read_ok("b"), STR(""));
    EXPECT_INT(read_err("c", 10), ENOENT);
    EXPECT_INT(read_err("a", 3), EFBIG);
    EXPECT_INT(read_err("a", 4), 0);
    struct str *paths;
    EXPECT_INT(globbed("*", &paths), 2);
    EXPECT_STR(paths[0], path_of("a"));
    EXPECT_STR(paths[1], path_of("b"));
    EXPECT_INT(globbed("*.none", &paths), 0);
    end();
}

// What was recorded comes again, whatever has become of the files; what was not is read.
TEST(broker_replays) {
    begin();
    put("a", "one");
    put("b", "");
    char *big = malloc(300001);
    memset(big, 'x', 300000);
    big[300000] = '\0';
    put("big", big);
    struct str *paths;
    broker_record();
    EXPECT_STR(read_ok("a"), STR("one"));
    EXPECT_STR(read_ok("b"), STR(""));
    EXPECT_INT(read_ok("big").n, 300000);
    EXPECT_INT(read_err("c", 10), ENOENT);
    EXPECT_INT(globbed("[ab]", &paths), 2);
    EXPECT_INT(globbed("*.none", &paths), 0);
    int pack = broker_pack();
    EXPECT(pack >= 0);
    put("a", "two");
    EXPECT_STR(read_ok("a"), STR("two")); // recording is over

    EXPECT(broker_replay(pack));
    unlink(path_of("b").p);
    put("c", "new");
    EXPECT_STR(read_ok("a"), STR("one"));
    EXPECT_STR(read_ok("a"), STR("one"));
    EXPECT_STR(read_ok("b"), STR(""));
    EXPECT_STR(read_ok("big"), str_n(big, 300000));
    EXPECT_INT(read_err("big", 1000), EFBIG);
    EXPECT_INT(read_err("c", 10), ENOENT);
    EXPECT_INT(globbed("[ab]", &paths), 2);
    EXPECT_STR(paths[1], path_of("b"));
    EXPECT_INT(globbed("*.none", &paths), 0);
    EXPECT_INT(globbed("*", &paths), 3); // was not asked for then
    broker_end();
    EXPECT_STR(read_ok("a"), STR("two"));
    free(big);
    end();
}

static char first_byte(int fd) {
    char c = 0;
    EXPECT(fd >= 0);
    EXPECT(read(fd, &c, 1) == 1);
    close(fd);
    return c;
}

static int no_opener(void *unused) { return -1; }

// The supervisor opens what its last accepted reading named, and nothing else.
TEST(broker_serves_named_files) {
    begin();
    put("a", "A");
    put("b", "B");
    broker_record();
    EXPECT_STR(read_ok("a"), STR("A"));
    EXPECT_INT(read_err("c", 10), ENOENT);
    close(broker_pack());
    broker_accept();
    put("c", "C");
    int ends[2];
    EXPECT(channel_pair(ends));
    static struct channel_message m;
    static const char *const asked[] = {"a", "b", "c", "../etc/passwd"};
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        EXPECT_INT(channel_send(ends[1], 'f', path_of(asked[i]), -1), 0);
        EXPECT(broker_serve(ends[0], no_opener, NULL));
        EXPECT_INT(channel_receive(ends[1], &m, true), 1);
        EXPECT((m.fd >= 0) == (i == 0));
        if (i == 0)
            EXPECT_INT(first_byte(m.fd), 'A');
    }
    EXPECT(broker_serve(ends[0], no_opener, NULL)); // nothing was asked
    // A recording that is not accepted changes nothing.
    broker_record();
    EXPECT_STR(read_ok("b"), STR("B"));
    broker_end();
    EXPECT_INT(channel_send(ends[1], 0, path_of("b"), -1), 0);
    EXPECT(broker_serve(ends[0], no_opener, NULL));
    EXPECT_INT(channel_receive(ends[1], &m, true), 1);
    EXPECT_INT(m.fd, -1);
    close(ends[1]);
    EXPECT(!broker_serve(ends[0], no_opener, NULL));
    close(ends[0]);
    end();
}

// What was opened otherwise is in the pack when the recording was told of it.
TEST(broker_notes) {
    begin();
    put("a", "A");
    broker_note(path_of("a").p); // nobody records
    broker_record();
    broker_note(path_of("a").p);
    int fd = broker_open(path_of("a").p, NULL), pack = broker_pack();
    EXPECT_INT(first_byte(fd), 'A');
    put("a", "later");
    EXPECT(broker_replay(pack));
    EXPECT_STR(read_ok("a"), STR("A"));
    EXPECT_INT(broker_open(path_of("c").p, NULL), -1);
    EXPECT_INT(errno, ENOENT);
    end();
}
