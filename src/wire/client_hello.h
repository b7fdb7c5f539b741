// The first message of a TLS client (RFC 8446 4.1.2, RFC 6066): what decides, before any cryptography, which virtual server
// is meant. Pure. Whoever answers the handshake reads the same bytes again and judges them; this reads no more than it needs.
#pragma once
#include "base/str.h"

struct client_hello {
    struct str server_name; // as sent, no NUL in it; "" when there is none
    struct str alpn;        // protocol names as on the wire, each with a length byte in front, well formed; "" for none
    struct str ciphers;     // two bytes each
    struct str groups;      // two bytes each; "" when not said
    struct str versions;    // of supported_versions, two bytes each; "" when not said
    struct str session_id;
    uint16_t version;       // of the message
    bool early_data;
};

enum client_hello_result {
    CLIENT_HELLO_OK,
    CLIENT_HELLO_MORE,    // not whole yet
    CLIENT_HELLO_NOT_TLS, // the first byte begins neither a record of TLS nor one of SSL 2
    CLIENT_HELLO_BAD,     // TLS, but nothing that can be understood here
};

enum { CLIENT_HELLO_MAX = 16 << 10 }; // bytes of the message; larger ones are BAD

// Reads n bytes from the beginning of a connection. The strings point into p, or into `room` (CLIENT_HELLO_MAX bytes, used
// when the message comes in several records).
enum client_hello_result client_hello_parse(const char *p, size_t n, struct client_hello *h, char *room);
// Whether a well-formed list of ALPN names holds one.
bool alpn_has(struct str list, struct str name);
