// The pid file: written beside and renamed, so that nobody reads half of it.
#pragma once
#include "base/str.h"

bool pid_file_write(const char *path, int pid); // false: an [emerg] was printed
void pid_file_remove(const char *path);
// The pid in it; 0 after an [error] in nginx's words.
int pid_file_read(const char *path);
