// Opening what a log directive names. Between access_log.c and error_log.c.
#pragma once
#include "conf/conf.h"
#include "io/log.h"

// Opens the path (absolute, NUL-terminated, or "stderr") and lets the snapshot hold it. False, with nginx's error, when that
// cannot be. With -t nothing is opened or made: *file is NULL, and only whether it could be opened is looked at.
bool log_open(struct conf_cx *cx, struct str path, struct log_file **file);
