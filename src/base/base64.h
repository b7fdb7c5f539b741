// Base64 (RFC 4648 section 4) and base64url (section 5).
#pragma once
#include "base/sbuf.h"

void base64_encode(struct sbuf *out, struct str bytes);
void base64url_encode(struct sbuf *out, struct str bytes); // no padding
// Padding optional, no white space. False when malformed; out then holds nothing new.
bool base64_decode(struct sbuf *out, struct str text) MUST_USE;
bool base64url_decode(struct sbuf *out, struct str text) MUST_USE;
