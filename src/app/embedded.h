// Configurations inside the program: what weir starts on when there is none, and the one-line proxy.
#pragma once
#include "base/arena.h"

// Port 8080 proxies to a demo back end on a Unix socket in `dir`.
struct str embedded_default(struct arena *a, struct str dir);
// `weir proxy LISTEN BACKEND`: ":8080", "8080", "127.0.0.1:8080"; "127.0.0.1:3000", "3000", "unix:/path", "http://host:port".
// STR_NONE after a message.
struct str embedded_proxy(struct arena *a, struct str listen, struct str backend, struct str dir);
