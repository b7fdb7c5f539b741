// What static and index share.
#pragma once
#include "http/answer.h"
#include "http/plan.h"
#include "io/file.h"

// Behind gateways, which answer first.
enum { ORDER_RANDOM_INDEX = 40, ORDER_INDEX = 50, ORDER_AUTOINDEX = 60, ORDER_DAV = 70, ORDER_STATIC = 100 };

// The status for a file that cannot be had, logged in nginx's words (`open() "..." failed`). err negative.
unsigned file_refused(struct req *r, struct str path, int err, const char *call);
