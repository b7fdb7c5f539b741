// Facts of a TCP connection that only the kernel knows.
#pragma once
#include "io/link.h"

// Bytes that were sent and that the peer's kernel has not acknowledged. False for links that are not TCP, and when the kernel
// does not say (before Linux 4.19). One system call.
bool tcp_unacknowledged(const struct link *l, uint64_t *bytes);
// For a socket that listens on an address, is about to connect to it, or was accepted from it: where that is a loopback address
// and the system's congestion control paces what is sent (bbr), this socket gets one that does not. A timer for each 64 KiB is
// most of what a large body costs there, and nothing is congested. No call in systems with another default, one for each such
// socket else. Whether the address is such: what its listener accepts has inherited it.
bool tcp_spare_pacing(int fd, const struct sockaddr *address);
// SO_KEEPALIVE (proxy_socket_keepalive). Nothing for other links.
void tcp_keepalive(const struct link *l);
