// Connections to others.
#pragma once
#include "io/link.h"

// Connects to `to` (from `bind_to` when not NULL): a link, or NULL with *err = -errno (-ETIMEDOUT after timeout_ms, also
// -ECANCELED). TCP_NODELAY is set. Waits. Unix sockets: EAGAIN (backlog full) is retried until the deadline.
struct link *connect_to(const struct addr_full *to, const struct addr_full *bind_to, uint64_t timeout_ms, int *err);
// The same; `transparent`: bind_to may be an address of another machine (IP_TRANSPARENT, which needs CAP_NET_RAW or
// CAP_NET_ADMIN): proxy_bind ... transparent.
struct link *connect_bound(const struct addr_full *to, const struct addr_full *bind_to, bool transparent, uint64_t timeout_ms,
                           int *err);
