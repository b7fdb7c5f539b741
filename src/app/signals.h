// The words of signals in the log, which are nginx's.
#pragma once
#include "base/base.h"
#include <sys/signalfd.h>

// What the sender wanted: ", shutting down"; "" for those that ask for nothing.
const char *signal_words(unsigned number);
void signal_note(const struct signalfd_siginfo *info, const char *words);
// A terminal has changed its size: it tells all that run there, and means nothing to us.
bool signal_of_a_window(const struct signalfd_siginfo *info);
