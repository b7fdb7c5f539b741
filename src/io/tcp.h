// Facts of a TCP connection that only the kernel knows.
#pragma once
#include "io/link.h"

// Bytes that were sent and that the peer's kernel has not acknowledged. False for links that are not TCP, and when the kernel
// does not say (before Linux 4.19). One system call.
bool tcp_unacknowledged(const struct link *l, uint64_t *bytes);
// SO_KEEPALIVE (proxy_socket_keepalive). Nothing for other links.
void tcp_keepalive(const struct link *l);
