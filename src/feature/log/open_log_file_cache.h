// Access logs whose path has variables. Between access_log.c and open_log_file_cache.c.
#pragma once
#include "http/req.h"

extern struct feature feature_open_log_file_cache;

// The log at the path of this request: a reference for the caller (log_file_unref), or NULL when there is none, which was
// logged. Does not wait.
struct log_file *log_file_of_request(struct req *r, struct str path);
