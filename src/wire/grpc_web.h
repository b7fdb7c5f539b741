// gRPC-Web (grpc's PROTOCOL-WEB): gRPC for browsers, which see no trailers. The messages are those of gRPC; the trailers are
// one more frame behind them; "-text" is both in base64, in runs that may each end with padding.
//
//   gRPC      00 length message   00 length message   trailers: grpc-status 0
//   gRPC-Web  00 length message   00 length message   80 length "grpc-status: 0\r\n"
#pragma once
#include "base/sbuf.h"
#include "wire/head.h"

enum { GRPC_FRAME_HEAD = 5, GRPC_WEB_TRAILERS = 0x80 };

// The frame of the trailers: names in lower case.
void grpc_web_put_trailers(struct sbuf *to, const struct head *trailers);

// Base64 that comes in pieces. Padding ends a quantum, and another may follow.
struct grpc_web_decoder {
    uint32_t bits;
    uint8_t letters; // of the quantum, padding included
    bool padded;     // one '=' was seen, another must follow
};
// Appends the bytes of `text` to `out`, which has room for text.n + 2 of them. False: malformed.
bool grpc_web_decode(struct grpc_web_decoder *d, struct sbuf *out, struct str text) MUST_USE;
bool grpc_web_decoded(const struct grpc_web_decoder *d); // whether the text may end here

// "application/grpc-web", "application/grpc-web-text", each with "+proto" and the like: whether `type` (a Content-Type, or a
// member of Accept) is one, whether it is text, and what stands behind ("+proto", or "").
bool grpc_web_type(struct str type, bool *text, struct str *suffix);
