// Opening what a log directive names. Between access_log.c and error_log.c.
#pragma once
#include "conf/conf.h"
#include "io/log.h"

// Opens the path (absolute, NUL-terminated, or one of the names that log_file_open knows) and lets the snapshot hold it. False,
// with nginx's error, when that cannot be. With -t nothing is opened or made: *file is NULL, and only whether it could be
// opened is looked at.
bool log_open(struct conf_cx *cx, struct str path, struct log_file **file);
// "syslog:server=...,facility=...": the name for log_open. severity is what the text does not say (-1: of each line).
bool log_take_syslog(struct conf_cx *cx, const struct conf_node *node, struct str text, int severity, struct str *name);
