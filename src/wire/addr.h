// Socket addresses as text and bytes: IPv4, IPv6, Unix. Pure: no names are resolved here.
#pragma once
#include "base/sbuf.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

// 28 bytes for IP; Unix paths live elsewhere because connections keep one of these each.
struct addr {
    union {
        struct sockaddr sa;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    };
};

// A complete address with room for a Unix path: for configuration and peers.
struct addr_full {
    socklen_t len;
    union {
        struct sockaddr sa;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
        struct addr ip;
    };
};

enum { ADDR_TEXT_MAX = 128 }; // "unix:" + 107 bytes and a NUL

// "1.2.3.4", "[::1]", with ":port" when default_port is 0..65535 and the text may hold one; "unix:/path"; a bare port and
// "*:80" when wildcard. False for names (*why == addr_is_name) and malformed text (*why says in nginx's words what is
// wrong: "no host", "invalid port" ...).
extern const char addr_is_name[];
bool addr_parse(struct addr_full *a, struct str text, int default_port, bool wildcard, const char **why) MUST_USE;
bool addr_parse_ip(struct addr *a, struct str text) MUST_USE; // no port, brackets optional
void addr_put(struct sbuf *b, const struct sockaddr *sa, bool with_port); // "127.0.0.1:80", "[::1]:80", "unix:/path"
void addr_put_ip(struct sbuf *b, const struct sockaddr *sa); // nginx $remote_addr: "::1" without brackets, "unix:"
unsigned addr_port(const struct sockaddr *sa);
void addr_set_port(struct sockaddr *sa, unsigned port);
bool addr_eq(const struct sockaddr *a, const struct sockaddr *b); // family, address, port, path
// Network-order address bytes (4 or 16), "unix:" for Unix sockets: nginx $binary_remote_addr.
struct str addr_bytes(const struct sockaddr *sa);

// A network "10.0.0.0/8", "::/0", "192.168.1.1".
struct cidr {
    uint8_t family, bits;
    uint8_t bytes[16];
};
// *truncated is set when host bits were not zero (nginx warns: "low address bits of ... are meaningless").
bool cidr_parse(struct cidr *c, struct str text, bool *truncated) MUST_USE;
bool cidr_has(const struct cidr *c, const struct sockaddr *sa); // IPv4-mapped IPv6 addresses match IPv4 networks
