// HTTP/2 towards clients (RFC 9113). One task reads and writes the connection; every request runs as a task of its own, through
// the same plan as one of HTTP/1. With nothing to do the connection is a parked link and its tables: no task, no buffer.
#pragma once
#include "http/conn.h"

// Settings of a server for HTTP/2; rows in feature/core/http2.c.
struct http2_conf {
    bool on;                        // http2
    int64_t max_concurrent_streams; // http2_max_concurrent_streams
    uint64_t body_preread_size;     // http2_body_preread_size: window of each stream
    uint64_t chunk_size;            // http2_chunk_size: largest piece of a body between two streams' turns
};
extern struct feature feature_http2;

// Serves the connection from its first byte, the preface, or goes on with it: until it is idle (parked again) or closed and
// freed. Waits. Runs as a task of its own.
void h2_serve(struct conn *c);
extern const struct codec h2_codec;

// What the connection's codec_state holds goes; its requests have ended. For conn_free.
void h2_state_free(struct conn *c);
// The loop stops: the client is told (GOAWAY), requests in flight are answered. Does nothing to other connections.
void h2_stop(struct conn *c);
// Streams whose configuration is of this generation or older are reset: their number.
unsigned h2_close_older(struct conn *c, uint64_t generation);
size_t h2_conn_memory(const struct conn *c); // heap bytes held, for tests and status
