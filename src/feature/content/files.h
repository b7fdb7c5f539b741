// What static and index share.
#pragma once
#include "http/answer.h"
#include "http/plan.h"
#include "io/file.h"

enum { ORDER_INDEX = 50, ORDER_PRECOMPRESSED = 90, ORDER_STATIC = 100 }; // behind gateways, which answer first

// The status for a file that cannot be had, logged in nginx's words (`open() "..." failed`). err negative.
unsigned file_refused(struct req *r, struct str path, int err, const char *call);
// Content-Type of the URI, Last-Modified and ETag of the file.
void file_describe(struct req *r, const struct file_info *info);
