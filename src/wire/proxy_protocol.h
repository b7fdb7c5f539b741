// The PROXY protocol, versions 1 and 2 (haproxy.org, "The PROXY protocol"): who the client of a connection is, told by the
// proxy in front. Pure.
#pragma once
#include "wire/addr.h"

enum { PROXY_V1_MAX = 107, PROXY_V2_MAX = 4096 }; // bytes of a header; nginx takes no longer ones either

enum proxy_result { PROXY_OK, PROXY_MORE, PROXY_BAD };

struct proxy_header {
    unsigned version;                // 1, 2
    bool has_addrs;                  // false: UNKNOWN, LOCAL, or a family without IP addresses
    struct addr source, destination; // with ports
    struct str tlvs;                 // of version 2: types, lengths and values; well formed
    size_t n;                        // bytes of the header
};
// PROXY_MORE: what is there may be the beginning of a header. *h is set with PROXY_OK only and points into `bytes`.
enum proxy_result proxy_protocol_parse(struct proxy_header *h, struct str bytes) MUST_USE;
// The value of the first TLV of a type; false when there is none. `tlvs` is what a parsed header has, or a nested list of one.
bool proxy_tlv(struct str tlvs, unsigned type, struct str *value);
