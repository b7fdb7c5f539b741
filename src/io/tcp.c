#include "io/tcp.h"
#include <linux/tcp.h>
#include <sys/socket.h>

bool tcp_acknowledged(const struct link *l, uint64_t *bytes) {
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    if (link_fd(l) < 0 || link_is_tls(l) || getsockopt(link_fd(l), IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
        len < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof(info.tcpi_bytes_acked) || info.tcpi_bytes_acked == 0)
        return false;
    *bytes = info.tcpi_bytes_acked - 1; // the SYN counts
    return true;
}

void tcp_keepalive(const struct link *l) {
    int on = 1;
    if (link_fd(l) >= 0 && link_remote(l)->sa_family != AF_UNIX)
        (void)setsockopt(link_fd(l), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}
