// DNS messages (RFC 1035, 2782, 3596, 6891): one question out, its answers in. Names are text without the final dot.
#pragma once
#include "base/sbuf.h"

enum dns_type { DNS_A = 1, DNS_NS = 2, DNS_CNAME = 5, DNS_SOA = 6, DNS_AAAA = 28, DNS_SRV = 33, DNS_OPT = 41 };
enum dns_rcode { DNS_OK = 0, DNS_FORMERR = 1, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_NOTIMP = 4, DNS_REFUSED = 5 };

enum {
    DNS_NAME_MAX = 253,     // of text
    DNS_UDP_MAX = 1232,     // what we say that we take (EDNS0)
    DNS_QUERY_MAX = 12 + DNS_NAME_MAX + 2 + 4 + 11,
    DNS_RECORDS_MAX = 256,  // of the asked type, that are kept of one answer
    DNS_CHAIN_MAX = 16,     // aliases that are followed
};

struct dns_record {
    unsigned char addr[16];          // A: 4 bytes, AAAA: 16
    uint16_t priority, weight, port; // SRV
    char target[DNS_NAME_MAX + 1];   // SRV, lower case
};

struct dns_answer {
    unsigned rcode;
    bool truncated;      // ask again over TCP
    uint32_t ttl;        // s: of the records and the aliases that led to them, the least; of a negative answer by its SOA
    bool has_ttl;        // false: a negative answer without SOA
    unsigned count;      // of records; 0 with rcode DNS_OK: the name has none of this type
    struct dns_record at[DNS_RECORDS_MAX];
};

// A name as it may be asked for: labels of 1..63 bytes, in all at most DNS_NAME_MAX, a final dot allowed.
bool dns_name_ok(struct str name);
// Appends a query; name is one that dns_name_ok accepts.
void dns_put_query(struct sbuf *b, uint16_t id, struct str name, enum dns_type type);
enum dns_result { DNS_ANSWER, DNS_NOT_OURS /* another id, question or no response: go on waiting */, DNS_MALFORMED };
// Reads the answer to such a query. Every byte is distrusted: names may not loop, records may not reach beyond the end.
enum dns_result dns_parse(struct dns_answer *a, struct str message, uint16_t id, struct str name, enum dns_type type);
