// Hashes of passwords as nginx takes them: crypt(3) in all its forms, $apr1$, {PLAIN}, {SHA}, {SSHA}. Strings end with NUL.
#pragma once
#include "base/str.h"

// 1: it does; 0: not; -errno: the hash is of no known kind. Any thread; may take long.
int password_matches(const char *password, const char *hash);
// Whether that takes long: anything but {PLAIN}, {SHA} and {SSHA}.
bool password_is_slow(const char *hash);
// Pairs that matched lately, for the calling thread: kept as a keyed digest, so that nothing can be learned from memory but
// that they matched.
bool password_seen(const char *password, const char *hash);
void password_note(const char *password, const char *hash);
