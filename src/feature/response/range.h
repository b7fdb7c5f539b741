// Answers that may be given in parts.
#pragma once
#include "http/req.h"

extern struct feature feature_range;

// The handler's answer may be cut by Range. When its body is that file from its beginning, parts may come in any order;
// else (NULL) only in theirs. The file need not be counted: the answer's body holds it.
void range_allow(struct req *r, struct file_ref *whole);
// A filter changes bytes and keeps their number: parts are cut from what it yields.
void range_in_order(struct req *r);
// The answer becomes 416; size is that of the whole.
void range_refuse(struct req *r, uint64_t size);
