// Who the worker is.
#pragma once
#include "base/str.h"

// nginx's default user "nobody" and its group. False when there is none.
bool privileges_nobody(uid_t *uid, gid_t *gid);
// From root to that user, for good. False: an [emerg] was logged.
bool privileges_drop(struct str user, uid_t uid, gid_t gid);
