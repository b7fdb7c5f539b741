// Hash functions: keyed ones for tables that outside bytes can reach, and the fixed ones that formats ask for.
#pragma once
#include "base/str.h"

// For tables; `seed` is drawn at start-up by the caller (base keeps no globals). Not for storage: may change any time.
uint64_t hash_bytes(const void *p, size_t n, uint64_t seed);
static inline uint64_t hash_str(struct str s, uint64_t seed) { return hash_bytes(s.p, s.n, seed); }
uint64_t hash_istr(struct str s, uint64_t seed); // ASCII case folded

uint32_t hash_crc32(struct str s);    // IEEE 802.3, as nginx's hash and split tables use
uint32_t hash_crc32_add(uint32_t crc, struct str s); // piece by piece: begin with ~0, invert the last result
uint32_t hash_murmur2(struct str s);  // MurmurHash2, 32 bit, seed 0, as nginx's split_clients uses
