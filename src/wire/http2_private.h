// What the files of the HTTP/2 session share.
#pragma once
#include "wire/http2.h"

// How a stream was closed: what may still come on it differs (RFC 9113 5.1).
enum closed { CLOSED_NOT, CLOSED_BY_END, CLOSED_BY_PEER /* its RST_STREAM */, CLOSED_BY_US };

void h2_close(struct h2_session *s, struct h2_stream *st, enum closed how); // unlinks
void h2_note_closed(struct h2_session *s, uint32_t id, enum closed how);

void h2_put_settings(struct h2_session *s);
void h2_put_settings_ack(struct h2_session *s);
void h2_put_pong(struct h2_session *s, const unsigned char *data);
void h2_put_window(struct h2_session *s, uint32_t stream, uint32_t increment);
void h2_put_reset(struct h2_session *s, uint32_t stream, uint32_t code);

static inline uint32_t h2_get32(const unsigned char *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline void h2_set32(unsigned char *to, uint32_t v) {
    to[0] = (unsigned char)(v >> 24);
    to[1] = (unsigned char)(v >> 16);
    to[2] = (unsigned char)(v >> 8);
    to[3] = (unsigned char)v;
}
