// Reading a directory for an answer: autoindex, random_index.
#pragma once
#include "feature/content/files.h"
#include <dirent.h>

// Calls fn(arg, dir, entry) for each entry whose name does not begin with a dot. 0, or -errno with the call that failed. Blocks: for
// helper threads.
typedef void directory_fn(void *arg, DIR *dir, const struct dirent *d);
int directory_read(const char *path, directory_fn *fn, void *arg, const char **failed);
// The directory that the request's URI stands for, without its last slash (as nginx names it), NUL-terminated. False: there is none.
bool directory_of(struct req *r, struct str *path);
