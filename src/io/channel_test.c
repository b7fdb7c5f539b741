#include "base/test.h"
#include "io/channel.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct channel_message m;

TEST(channel_messages) {
    int ends[2], pipes[2];
    EXPECT(channel_pair(ends));
    EXPECT(fcntl(ends[0], F_GETFD) & FD_CLOEXEC);
    EXPECT(pipe(pipes) == 0);
    EXPECT_INT(channel_receive(ends[1], &m, false), -EAGAIN);
    EXPECT_INT(channel_send(ends[0], 7, STR("one"), -1), 0);
    EXPECT_INT(channel_send(ends[0], 8, STR_NONE, pipes[1]), 0);
    char big[CHANNEL_BYTES + 1] = {'x'};
    EXPECT_INT(channel_send(ends[0], 9, str_n(big, CHANNEL_BYTES), -1), 0);
    EXPECT_INT(channel_send(ends[0], 9, str_n(big, CHANNEL_BYTES + 1), -1), -EMSGSIZE);

    EXPECT_INT(channel_receive(ends[1], &m, true), 1);
    EXPECT_INT(m.kind, 7);
    EXPECT_INT(m.fd, -1);
    EXPECT_STR(str_n(m.bytes, m.n), STR("one"));
    EXPECT_INT(channel_receive(ends[1], &m, true), 1);
    EXPECT(m.kind == 8 && m.n == 0 && m.fd >= 0 && m.fd != pipes[1]);
    EXPECT(fcntl(m.fd, F_GETFD) & FD_CLOEXEC);
    EXPECT(write(m.fd, "!", 1) == 1 && read(pipes[0], big, 1) == 1 && big[0] == '!');
    close(m.fd);
    EXPECT_INT(channel_receive(ends[1], &m, true), 1);
    EXPECT_INT(m.n, CHANNEL_BYTES);

    close(ends[0]);
    EXPECT_INT(channel_receive(ends[1], &m, true), 0);
    EXPECT_INT(channel_send(ends[1], 1, STR_NONE, -1), -EPIPE);
    close(ends[1]);
    close(pipes[0]);
    close(pipes[1]);
}

// A message that is no message of ours does no harm, and its descriptor does not stay open.
TEST(channel_short_message) {
    int ends[2];
    EXPECT(channel_pair(ends));
    EXPECT(send(ends[0], "ab", 2, 0) == 2);
    EXPECT_INT(channel_receive(ends[1], &m, true), -EBADMSG);
    EXPECT_INT(m.fd, -1);
    close(ends[0]);
    close(ends[1]);
}
