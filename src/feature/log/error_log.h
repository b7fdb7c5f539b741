// The log of what stands outside of all blocks: for app/.
#pragma once
#include "conf/conf.h"
#include "io/log.h"

// The main error log of a snapshot, which holds it. NULL when it was loaded for -t only.
const struct log *error_log_main(const struct conf *c);
