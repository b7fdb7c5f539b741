// A log_format, compiled: one pass over a few operations writes a request's line. Between log_format.c and access_log.c.
#pragma once
#include "http/req.h"

enum log_escape { LOG_ESCAPE_DEFAULT, LOG_ESCAPE_JSON, LOG_ESCAPE_NONE };
enum { LOG_FORMAT_LINE_MAX = 4 << 20 }; // bytes of one line; values that do not fit are left out

struct log_format; // part of a snapshot

// The format of that name as defined so far in the scope being read; NULL: none. "combined" always is.
const struct log_format *log_format_find(struct conf_cx *cx, struct str name);
// Appends the request's line and its newline. Does not wait.
void log_format_write(const struct log_format *f, struct req *r, struct sbuf *line);
// Adds the variables that a line asks for to a list of `const struct var *`.
void log_format_asks(const struct log_format *f, struct arena *a, struct conf_list *asks);
void log_asks_add(struct arena *a, struct conf_list *asks, const struct var *v);
// Appends a value as nginx escapes it: default: `"`, `\`, bytes below 0x20 and above 0x7e as \xHH; json: for a JSON string,
// bytes from 0x7f on as they are; none: as it is.
void log_escape(struct sbuf *line, struct str value, enum log_escape how);
