// The settings that all gateways share (proxy_, fastcgi_, uwsgi_, scgi_, grpc_): one struct, filled by rows "*_x" of
// feature/gateway/gateway_rows.c, read by exchange.c.
#pragma once
#include "conf/conf.h"

enum next_upstream { // bits
    NEXT_ERROR = 1, NEXT_TIMEOUT = 2, NEXT_INVALID_HEADER = 4, NEXT_500 = 8, NEXT_502 = 16, NEXT_503 = 32, NEXT_504 = 64,
    NEXT_403 = 128, NEXT_404 = 256, NEXT_429 = 512, NEXT_NON_IDEMPOTENT = 1024, NEXT_DENIED = 2048, NEXT_OFF = 4096,
    NEXT_UPDATING = 8192,
};

struct gateway_conf {
    uint64_t connect_timeout, send_timeout, read_timeout; // ms
    bool buffering, request_buffering;
    uint64_t buffer_size;          // head of the response
    struct conf_bufs buffers;
    uint64_t busy_buffers_size, max_temp_file_size, temp_file_write_size;
    struct str temp_path;          // NUL-terminated, absolute
    unsigned next_upstream;
    int64_t next_upstream_tries;
    uint64_t next_upstream_timeout;
    bool pass_request_headers, pass_request_body, ignore_client_abort, intercept_errors, force_ranges, socket_keepalive;
    struct conf_list hide_headers, pass_headers; // struct str; compiled by finish into `hidden`
    struct map *hidden;            // lower-cased names, default hidden ones included
    unsigned ignore_headers;       // bits
    struct tmpl *bind;
    uint64_t limit_rate;
};
