#include "io/tcp.h"
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

bool tcp_unacknowledged(const struct link *l, uint64_t *bytes) {
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    if (link_fd(l) < 0 || link_is_tls(l) || getsockopt(link_fd(l), IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
        len < offsetof(struct tcp_info, tcpi_bytes_retrans) + sizeof(info.tcpi_bytes_retrans) || info.tcpi_bytes_acked == 0)
        return false;
    uint64_t sent = info.tcpi_bytes_sent - info.tcpi_bytes_retrans, acknowledged = info.tcpi_bytes_acked - 1; // the SYN counts
    *bytes = sent > acknowledged ? sent - acknowledged : 0;
    return true;
}

static bool is_loopback(const struct sockaddr *a) {
    if (a->sa_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
    if (a->sa_family != AF_INET6)
        return false;
    const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == IN_LOOPBACKNET);
}

// The default is that of a socket whom nobody has told otherwise.
static bool system_paces(void) {
    enum { UNKNOWN, NO, YES };
    static atomic_int known;
    int k = atomic_load_explicit(&known, memory_order_relaxed);
    if (k == UNKNOWN) {
        char name[16] = ""; // TCP_CA_NAME_MAX
        socklen_t n = sizeof(name);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            return false;
        k = getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &n) == 0 && strncmp(name, "bbr", 3) == 0 ? YES : NO;
        close(fd);
        atomic_store_explicit(&known, k, memory_order_relaxed);
    }
    return k == YES;
}

bool tcp_spare_pacing(int fd, const struct sockaddr *address) {
    if (!is_loopback(address))
        return false;
    if (system_paces())
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4); // the one that everybody may have
    return true;
}

void tcp_keepalive(const struct link *l) {
    int on = 1;
    if (link_fd(l) >= 0 && link_remote(l)->sa_family != AF_UNIX)
        (void)setsockopt(link_fd(l), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}
