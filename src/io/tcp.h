// Facts of a TCP connection that only the kernel knows.
#pragma once
#include "io/link.h"

// Bytes of the stream that the peer's kernel has acknowledged since the connection was made. False for links that are not
// TCP, and when the kernel does not say. One system call.
bool tcp_acknowledged(const struct link *l, uint64_t *bytes);
// SO_KEEPALIVE (proxy_socket_keepalive). Nothing for other links.
void tcp_keepalive(const struct link *l);
