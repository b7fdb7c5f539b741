// Groups of addresses that are known at run time only (proxy_pass with variables): one for each text, shared by all requests
// and loops, so that failures are counted and connections kept as for any other group. At most ADDRESSES_MAX are remembered;
// the one used longest ago goes first.
#pragma once
#include "upstream/group.h"

struct addresses;
enum { ADDRESSES_MAX = 256 };

// While loading: the groups that all snapshots share.
struct addresses *addresses_ready(struct conf_cx *cx);
struct addresses *addresses_new(void);
void addresses_free(struct addresses *as); // any thread; groups in use live on. NULL does nothing
// The group of that text, with these addresses now: a list of one reference (group_done). The port says which one the protocol
// stands for, and so tells protocols apart. count >= 1. Any thread; does not wait.
struct group *addresses_group(struct addresses *as, struct str text, unsigned port, const struct addr_full *at, size_t count);
unsigned addresses_count(struct addresses *as); // for tests and status
