// The pid file: written beside and renamed, so that nobody reads half of it. Where that cannot be (a directory in which we may
// not write, a link, a device) it is written where it is.
#pragma once
#include "base/str.h"

bool pid_file_write(const char *path, int pid) MUST_USE; // false: an [emerg] was printed
bool pid_file_try(const char *path) MUST_USE;            // for -t: whether it could be written; leaves nothing
void pid_file_remove(const char *path);                  // or, where that may not be, makes it empty
// The pid in it; 0 after an [error] in nginx's words.
int pid_file_read(const char *path);
