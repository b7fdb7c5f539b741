// The settings that all gateways share (proxy_, fastcgi_, uwsgi_, scgi_, grpc_, memcached_): one struct, filled by rows "*_x" of
// feature/gateway/gateway_rows.c, read by exchange.c.
#pragma once
#include "conf/conf.h"

enum next_upstream { // bits
    NEXT_ERROR = 1, NEXT_TIMEOUT = 2, NEXT_INVALID_HEADER = 4, NEXT_500 = 8, NEXT_502 = 16, NEXT_503 = 32, NEXT_504 = 64,
    NEXT_403 = 128, NEXT_404 = 256, NEXT_429 = 512, NEXT_NON_IDEMPOTENT = 1024, NEXT_DENIED = 2048, NEXT_OFF = 4096,
    NEXT_UPDATING = 8192,
};
unsigned next_bit_of_status(unsigned status); // of exchange.c; 0: none is about it

enum ignore_header { // bits of *_ignore_headers
    IGNORE_ACCEL_REDIRECT = 1, IGNORE_ACCEL_EXPIRES = 2, IGNORE_ACCEL_LIMIT_RATE = 4, IGNORE_ACCEL_BUFFERING = 8,
    IGNORE_ACCEL_CHARSET = 16, IGNORE_EXPIRES = 32, IGNORE_CACHE_CONTROL = 64, IGNORE_SET_COOKIE = 128, IGNORE_VARY = 256,
};

// One of the strings of *_allow_upstream, early_hints: true when neither empty nor "0".
struct condition {
    struct tmpl *value;
};
struct req;
bool conditions_hold(struct req *r, struct conf_list conditions); // all of them

struct gateway_conf {
    uint64_t connect_timeout, send_timeout, read_timeout; // ms
    bool buffering, request_buffering;
    uint64_t buffer_size;          // head of the response
    struct conf_bufs buffers;
    uint64_t busy_buffers_size, temp_file_write_size; // 0: not given: twice the larger buffer
    uint64_t max_temp_file_size;
    struct str temp_path;          // NUL-terminated, absolute
    unsigned next_upstream;
    int64_t next_upstream_tries;
    uint64_t next_upstream_timeout;
    bool pass_request_headers, pass_request_body, ignore_client_abort, intercept_errors, socket_keepalive;
    struct conf_list hide_headers, pass_headers; // struct str; compiled by finish into hidden_ids and hidden
    uint64_t hidden_ids[2];        // bit per known field
    bool passes_server;            // Server is hidden unless pass_header says otherwise, and does
    struct map *hidden;            // names that are not known fields; NULL: none
    unsigned ignore_headers;       // bits
    struct tmpl *bind;             // NULL: off
    bool bind_transparent;
    struct tmpl *limit_rate;       // bytes a second; "0": none
    bool force_ranges;
    struct tmpl *store;            // path; NULL: off
    bool store_on;                 // where root or alias puts the URI
    const struct scope *store_set; // the block that says so
    unsigned store_access;         // mode bits of stored files
    struct conf_list allow_upstream; // struct condition: all must be true
};
