// MD5 (RFC 1321), for names that must be nginx's: of cache files, and where a key's hash is a table's key. Not for secrets.
#pragma once
#include "base/str.h"

enum { MD5_BYTES = 16 };

struct md5 {
    uint32_t state[4];
    uint64_t total; // bytes so far
    unsigned char rest[64];
};

void md5_init(struct md5 *m);
void md5_add(struct md5 *m, struct str bytes);
void md5_end(struct md5 *m, unsigned char to[MD5_BYTES]);
void md5_of(struct str bytes, unsigned char to[MD5_BYTES]);
