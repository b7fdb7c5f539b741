#pragma once
#include "conf/conf.h"
#include "io/log.h"
static inline const struct log *error_log_main(const struct conf *c) { static struct log l; int e; if (!l.file) { l.level = LOG_INFO; l.file = log_file_open("/dev/stderr", &e);} return &l; }
