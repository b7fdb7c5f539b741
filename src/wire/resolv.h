// The two text files of the system's resolver: /etc/resolv.conf and /etc/hosts, read as resolv.conf(5) and hosts(5) say.
#pragma once
#include "base/str.h"
#include "wire/addr.h"
#include "wire/dns.h"

enum { RESOLV_SERVERS = 8, RESOLV_SEARCH = 16 };

struct resolv_conf {
    struct addr_full servers[RESOLV_SERVERS]; // 127.0.0.1 when the file names none
    unsigned nservers;
    char search[RESOLV_SEARCH][DNS_NAME_MAX + 1];
    unsigned nsearch;
    unsigned ndots;
};
void resolv_parse(struct resolv_conf *rc, struct str text);
// The n-th name to ask for when `name` was said (0..): as it is, or with a suffix of the search list; false behind the last.
// Names with ndots dots or a final dot are asked for as they are first.
bool resolv_candidate(const struct resolv_conf *rc, struct str name, unsigned n, char to[DNS_NAME_MAX + 1]);
// The addresses of a name in a hosts file, at most max, port 0: the count.
unsigned hosts_find(struct str text, struct str name, struct addr_full *to, unsigned max);
