#include "base/test.h"
#include "io/tcp.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void control_of(int fd, char name[16]) {
    socklen_t n = 16;
    memset(name, 0, 16);
    EXPECT(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &n) == 0);
}

// What a socket for this address ends up with.
static void told(const char *address, char name[16]) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
    EXPECT(inet_pton(AF_INET, address, &to.sin_addr) == 1);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(fd >= 0);
    EXPECT(tcp_spare_pacing(fd, (const struct sockaddr *)&to) == (strncmp(address, "127.", 4) == 0));
    control_of(fd, name);
    close(fd);
}

// bbr is kept for the world; what does not pace is kept everywhere.
TEST(pacing_is_spared_on_loopback) {
    char before[16], near[16], far[16], any[16];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    control_of(fd, before);
    close(fd);
    told("127.0.0.1", near);
    told("192.0.2.1", far);
    told("0.0.0.0", any);
    EXPECT_STR(str_c(far), str_c(before));
    EXPECT_STR(str_c(any), str_c(before));
    EXPECT_STR(str_c(near), strncmp(before, "bbr", 3) == 0 ? STR("reno") : str_c(before));
}
