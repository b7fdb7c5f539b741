#include "base/test.h"
#include "io/link_over.h"
#include "io/loop.h"
#include <errno.h>

// A stream that does what the test says.
struct stream {
    struct link *link;
    char in[64], out[64];
    size_t in_n, out_n, room;
    bool ended;
    int error, shut, closed, resets, woken, news;
};

static ssize_t s_read(void *owner, char *to, size_t n) {
    struct stream *s = owner;
    if (s->in_n == 0)
        return s->error != 0 ? s->error : s->ended ? 0 : -EAGAIN;
    n = MIN(n, s->in_n);
    memcpy(to, s->in, n);
    memmove(s->in, s->in + n, s->in_n - n);
    s->in_n -= n;
    return (ssize_t)n;
}

static ssize_t s_write(void *owner, struct chain *from) {
    struct stream *s = owner;
    size_t n = MIN(from->bytes, s->room);
    if (n == 0)
        return -EAGAIN;
    chain_peek(from, s->out + s->out_n, n);
    chain_drop(from, n);
    s->out_n += n;
    s->room -= n;
    return (ssize_t)n;
}

static void s_shut(void *owner) { ((struct stream *)owner)->shut++; }
static bool s_quiet(void *owner) {
    struct stream *s = owner;
    return s->in_n == 0 && !s->ended && s->error == 0;
}
static void s_close(void *owner, bool reset) {
    struct stream *s = owner;
    s->closed++;
    s->resets += reset;
}

static const struct link_over ops = {s_read, s_write, s_shut, s_quiet, s_close};

static void put_in(struct stream *s, const char *text) {
    memcpy(s->in + s->in_n, text, strlen(text));
    s->in_n += strlen(text);
    link_over_news(s->link, true, false, false);
}

static void on_loop(task_fn *fn) {
    struct loop *l = loop_new(0);
    struct stream s = {.room = 4};
    EXPECT(task_new(fn, &s, "test") != NULL);
    while (task_count(l) > 0)
        loop_turn(l, 1000);
    EXPECT_INT(s.closed, 1);
    loop_free(l);
}

static void reads_and_writes(void *arg) {
    struct stream *s = arg;
    char got[8];
    struct chain c;
    struct sockaddr_in remote = {.sin_family = AF_INET, .sin_port = htons(1234)};
    s->link = link_over_new(&ops, s, (struct sockaddr *)&remote);
    EXPECT(link_over_owner(s->link) == s && link_remote(s->link)->sa_family == AF_INET && link_fd(s->link) == -1);
    EXPECT(!link_readable(s->link));
    EXPECT_INT(link_try_read_into(s->link, got, 8), -EAGAIN);
    put_in(s, "hello");
    EXPECT(link_readable(s->link));
    EXPECT_INT(link_try_read_into(s->link, got, 3), 3);
    EXPECT(link_readable(s->link));
    EXPECT_INT(link_try_read_into(s->link, got, 8), 2);
    EXPECT(!link_readable(s->link)); // known without asking
    EXPECT_INT(link_bytes_in(s->link), 5);
    chain_init(&c, loop_blocks(loop_self()));
    chain_add_copy(&c, STR("abcdef"));
    EXPECT_INT(link_try_write(s->link, &c, false), 4);
    EXPECT_INT(link_try_write(s->link, &c, false), -EAGAIN);
    s->room = 10;
    EXPECT_INT(link_try_write(s->link, &c, false), -EAGAIN); // nobody said so yet
    link_over_news(s->link, false, true, false);
    EXPECT_INT(link_write(s->link, &c, 1000), 2);
    EXPECT(s->out_n == 6 && memcmp(s->out, "abcdef", 6) == 0);
    link_shutdown_write(s->link);
    link_shutdown_write(s->link);
    EXPECT_INT(s->shut, 1);
    s->ended = true;
    link_over_news(s->link, true, false, false);
    EXPECT_INT(link_try_read_into(s->link, got, 8), 0);
    link_free(s->link);
    EXPECT_INT(s->resets, 0);
}

TEST(link_over_reads_and_writes) { on_loop(reads_and_writes); }

static void later(void *arg) {
    struct stream *s = arg;
    put_in(s, "x");
}

static void waits(void *arg) {
    struct stream *s = arg;
    char got[8];
    s->link = link_over_new(&ops, s, NULL);
    EXPECT(task_new(later, s, "later") != NULL);
    EXPECT_INT(link_read_into(s->link, got, 8, 5000), 1);
    EXPECT_INT(link_read_into(s->link, got, 8, 10), -ETIMEDOUT);
    s->error = -ECONNRESET;
    link_over_news(s->link, true, true, true);
    EXPECT(link_gone(s->link));
    EXPECT_INT(link_read_into(s->link, got, 8, 5000), -ECONNRESET);
    link_reset_on_free(s->link);
    link_free(s->link);
    EXPECT_INT(s->resets, 1);
}

TEST(link_over_waits) { on_loop(waits); }

static void woken(void *arg) {
    struct stream *s = arg;
    s->woken++;
    s->news = link_news(s->link);
}

static void parks(void *arg) {
    struct stream *s = arg;
    char got[8];
    s->link = link_over_new(&ops, s, NULL);
    link_park(s->link, woken, s, "parked", UINT64_MAX);
    EXPECT(link_parked(s->link));
    put_in(s, "x");
    task_sleep_ms(1);
    EXPECT(s->woken == 1 && (s->news & LINK_READABLE) && !link_parked(s->link));
    EXPECT_INT(link_try_read_into(s->link, got, 8), 1);
    link_park(s->link, woken, s, "parked", UINT64_MAX);
    link_wake(s->link); // without news
    task_sleep_ms(1);
    EXPECT(s->woken == 2 && s->news == 0);
    link_wake(s->link); // not parked
    task_sleep_ms(1);
    EXPECT_INT(s->woken, 2);
    link_park(s->link, woken, s, "parked", UINT64_MAX);
    link_free(s->link);
    task_sleep_ms(1);
    EXPECT_INT(s->woken, 2);
}

TEST(link_over_parks) { on_loop(parks); }
