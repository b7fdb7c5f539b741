// The settings of the HTTP core that http/ itself obeys. Their rows are in feature/core/.
#pragma once
#include "conf/conf.h"
#include "io/log.h"

extern struct feature feature_http_core;

// The error log in force in a scope (feature/log/error_log.c).
struct error_log_conf {
    struct log *log; // the first target; NULL: the process's own (log_set_default)
    bool debug;      // one of them wants debug lines
};
extern struct feature feature_error_log;

enum { TEMP_LEVELS = 3, TEMP_DIGITS = 10 };

struct http_core {
    // client
    uint64_t client_header_timeout, client_body_timeout, send_timeout, keepalive_timeout, keepalive_time; // ms
    int64_t keepalive_header_s; // second argument of keepalive_timeout; 0: no Keep-Alive field
    int64_t keepalive_requests;
    uint64_t keepalive_min_timeout; // ms
    uint64_t client_header_buffer_size; // bytes
    struct conf_bufs large_client_header_buffers;
    int64_t max_headers;
    uint64_t client_max_body_size; // 0: no limit
    uint64_t client_body_buffer_size;
    int client_body_in_file_only; // off, clean, on
    bool client_body_in_single_buffer;
    struct str client_body_temp_path; // NUL-terminated, absolute
    // Files with names lie in directories below it, called by the last digits of the file's number: with the levels 1 2,
    // 0000012345 is in 5/34/. 0: no (further) level.
    unsigned char client_body_temp_levels[TEMP_LEVELS];
    unsigned keepalive_disable;       // bits KEEPALIVE_NO_*
    int lingering_close;              // off, on, always
    uint64_t lingering_time, lingering_timeout; // ms
    bool reset_timedout_connection;
    bool ignore_invalid_headers, underscores_in_headers, merge_slashes;
    bool chunked_transfer_encoding;
    bool tcp_nodelay, tcp_nopush, sendfile;
    uint64_t postpone_output, sendfile_max_chunk;
    // answers
    int server_tokens; // off, on, build; or a template
    struct tmpl *server_tokens_text;
    bool absolute_redirect, port_in_redirect, server_name_in_redirect;
    bool etag;
    int if_modified_since; // off, exact, before
    bool msie_padding, msie_refresh;
    struct str default_type;
    struct types *types;
    struct conf_list types_blocks; // that made `types`
    // errors
    struct conf_list error_pages; // struct error_page
    bool recursive_error_pages;
    bool log_not_found, log_subrequest;
    // files
    struct tmpl *root;  // value of root or alias
    bool is_alias;
    uint64_t alias_skip; // bytes of the URI that alias stands for: its location's prefix; UINT64_MAX: all (regex location)
    bool internal;
    int satisfy; // all, any
    uint64_t auth_delay; // ms, before a 401 of the access stage is answered
};

// Content types by file extension (the types block).
struct types;
struct str types_find(const struct types *t, struct str exten); // STR_NONE when unknown

struct error_page {
    uint16_t status;      // that happened
    int32_t answer;       // -1: keep it; 0: take the status of the new answer ("="); else "=code"
    struct tmpl *uri;     // "/path", "@named" or "http..."
};

enum { CORE_OFF = 0, CORE_ON = 1, CORE_ALWAYS = 2, CORE_BUILD = 2, CORE_EXACT = 1, CORE_BEFORE = 2, SATISFY_ALL = 0, SATISFY_ANY = 1,
    KEEPALIVE_NO_MSIE6 = 1, KEEPALIVE_NO_SAFARI = 2, BODY_FILE_CLEAN = 1, BODY_FILE_ON = 2 };
