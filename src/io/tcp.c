#include "io/tcp.h"
#include <linux/tcp.h>
#include <sys/socket.h>

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

void tcp_keepalive(const struct link *l) {
    int on = 1;
    if (link_fd(l) >= 0 && link_remote(l)->sa_family != AF_UNIX)
        (void)setsockopt(link_fd(l), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}
