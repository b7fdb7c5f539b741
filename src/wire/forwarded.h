// Who a request really comes from, when trusted proxies say so in a field such as X-Forwarded-For (nginx realip and geo).
#pragma once
#include "wire/addr.h"
#include "wire/head.h"

// Networks; one of the family AF_UNIX stands for all peers of Unix sockets.
struct trusted {
    const struct cidr *at;
    size_t n;
};
bool trusted_has(const struct trusted *t, const struct sockaddr *sa);

// "1.2.3.4", "1.2.3.4:80", "::1", "[::1]:80"; the port is 0 when there is none.
bool forwarded_parse(struct addr *a, struct str text) MUST_USE;

// *addr is the peer. When it is trusted, the last address of `value` takes its place; with `recursive`, the last that is not
// trusted itself, or the first of all. False, and *addr unchanged, when the peer is not trusted or nothing usable is there.
bool forwarded_by_value(struct addr *addr, struct str value, const struct trusted *t, bool recursive);
// The same with all lines of a field, the last one first.
bool forwarded_by_field(struct addr *addr, const struct head *h, struct str name, const struct trusted *t, bool recursive);
