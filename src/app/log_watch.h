// Log files that were renamed or removed by somebody who tells no server of it, or another one: seen by the supervisor, which
// then opens the logs anew. Where the kernel has no inotify to give, only USR1 does that.
#pragma once
#include "base/base.h"

int log_watch_new(void);       // a descriptor that is readable when something has happened; -1: none
void log_watch_all(int fd);    // all logs as they are now: at start, after a reload, after they were opened anew
bool log_watch_heard(int fd);  // takes what has happened; whether it is worth a look in a moment
bool log_watch_strayed(void);  // whether a log's path is not the file that is written any more
