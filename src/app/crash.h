// The last words of a worker that dies of a bug: which signal, where, on behalf of which request, and a backtrace, as [alert]
// lines of the main error log. Then the signal does what it does by default, core file included.
#pragma once
#include "io/log.h"

void crash_install(void);                // once in the process, before threads
void crash_log_to(struct log_file *f);   // and again whenever that file was opened anew
void crash_watch_thread(void);           // a signal stack, so that a stack overflow can be told
void crash_forget_thread(void);
