// Names resolved while the configuration is loaded: blocking, by the system's resolver. Never on a loop.
#pragma once
#include "base/arena.h"
#include "wire/addr.h"

struct names {
    struct addr_full *at; // in the resolver's order, each once
    size_t count;
};
// "name:port" or "name", never an address. False and *why when it is malformed.
bool names_split(struct str text, unsigned default_port, struct str *host, unsigned *port, const char **why) MUST_USE;
// "127.0.0.1:80", "[::1]:80", "unix:/path", "name:80", "name": the addresses, memory from the arena. False when the text is
// malformed (*why says how: "invalid port"...) or the name has no address (*why is NULL). May block for seconds.
bool names_resolve(struct arena *a, struct str host_port, unsigned default_port, struct names *out, const char **why) MUST_USE;
